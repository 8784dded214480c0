"""Rules of .gitignore mean what they mean to Git, and can keep nobody busy."""

import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.path.ignore import MOST_RULES, Rules


def left_out(rules: bytes, path: bytes) -> bool:
    """Tell whether a path is left out, its directories considered; a slash ends a directory."""
    parsed = Rules.parse(rules)
    names = path.rstrip(b"/").split(b"/")
    for length in range(1, len(names) + 1):
        is_directory = length < len(names) or path.endswith(b"/")
        if parsed.verdict(names[:length], is_directory=is_directory):
            return True
    return False


@pytest.mark.parametrize(
    ("rules", "path", "expected"),
    [
        (b"*.log", b"a/b.log", True),
        (b"*.log", b"a/b.log.txt", False),
        (b"/build", b"build", True),
        (b"/build", b"a/build", False),
        (b"build/", b"build", False),
        (b"build/", b"a/build/x", True),
        (b"a/b", b"a/b", True),
        (b"a/b", b"x/a/b", False),
        (b"**/a/b", b"x/y/a/b", True),
        (b"a/**", b"a/", False),
        (b"a/**", b"a/b/c", True),
        (b"a/**/b", b"a/b", True),
        (b"a/**/b", b"a/x/y/b", True),
        (b"a/**/b", b"a/x/y/c", False),
        (b"*.log\n!keep.log", b"keep.log", False),
        (b"!keep.log\n*.log", b"keep.log", True),
        (b"logs\n!logs/keep", b"logs/keep", True),
        (b"\\!x", b"!x", True),
        (b"\\#x", b"#x", True),
        (b"#x", b"#x", False),
        (b"x ", b"x", True),
        (b"x\\ ", b"x ", True),
        (b"x\r\ny\r\n", b"x", True),
        (b"\xef\xbb\xbfx", b"x", True),
        (b"[a-c]x", b"bx", True),
        (b"[!a-c]x", b"bx", False),
        (b"[[:digit:]]", b"7", True),
        (b"[", b"[", False),
        (b"x\\", b"x\\", False),
        (b"a**b", b"axxb", True),
        (b"a**/b", b"axx/b", True),
        (b"a**/b", b"a/x/b", False),
        (b"caf\xe9", b"caf\xe9", True),
        (b"foo", b"foo\n", False),
        (b"*.o", b"a\nb.o", True),
        (b"/*\n!/src", b"src/x", False),
    ],
)
def test_rules(rules: bytes, path: bytes, expected: bool) -> None:
    """Each form of rule, as gitignore(5) has it."""
    assert left_out(rules, path) is expected


_ALPHABET = st.sampled_from([b"a", b"b", b"ab", b"*", b"?", b"[ab]", b"[!a]", b"\\*", b"."])
# Not "a**/b": gitignore(5) says that "**" is "*" there, Git itself finds a/x/b.
_NAMES = st.lists(_ALPHABET, min_size=1, max_size=4).map(b"".join).filter(lambda n: b"**" not in n)
_PATTERNS = st.tuples(
    st.sampled_from([b"", b"", b"!", b"/", b"!/", b"**/"]),
    st.lists(_NAMES | st.just(b"**"), min_size=1, max_size=3).map(b"/".join),
    st.sampled_from([b"", b"", b"/", b"/**", b" "]),
).map(b"".join)
_PATHS = st.lists(
    st.sampled_from([b"a", b"b", b"ab", b"ba", b"aab", b"a.b", b"*", b"x", b".a"]),
    min_size=1,
    max_size=4,
).map(tuple)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty repository; only a name decides, so no other file need be there."""
    if shutil.which("git") is None:
        pytest.skip("there is no Git to compare with")
    place = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", place], check=True)
    return place


@settings(
    max_examples=250,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(patterns=st.lists(_PATTERNS, min_size=1, max_size=4), paths=st.lists(_PATHS, max_size=8))
def test_git_agrees(
    repository: Path, patterns: Sequence[bytes], paths: Sequence[tuple[bytes, ...]]
) -> None:
    """Whatever the rules and paths, Git leaves out the same."""
    rules = b"\n".join(patterns)
    (repository / ".gitignore").write_bytes(rules)
    # None of the directories exists, so Git takes a path for a directory if a slash ends it.
    asked = {b"/".join(path) for path in paths}
    done = subprocess.run(
        ["git", "-C", repository, "-c", "core.excludesFile=", "check-ignore", "-z", "--stdin",
         "--no-index"],
        input=b"".join(path + b"\0" for path in asked),
        capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    told = {path for path in done.stdout.split(b"\0") if path}
    assert {path for path in asked if left_out(rules, path)} == told


@pytest.mark.parametrize(
    "pattern",
    [b"*a" * 40 + b"*b", b"**/" * 40 + b"b", b"*" * 200 + b"b", b"a/**/" * 60 + b"b", b"?*" * 80],
)
def test_no_rule_keeps_us_busy(pattern: bytes) -> None:
    """A rule made to backtrack is answered like any other: the interpreter waits for it."""
    rules = Rules.parse(pattern)
    began = time.process_time()
    rules.verdict([b"a" * 255], is_directory=False)
    rules.verdict([b"a"] * 500, is_directory=False)
    # By minutes or by years, were it not so.
    assert time.process_time() - began < 5


def test_there_is_an_end_to_rules() -> None:
    """Of a file of more rules the first ones count."""
    text = b"\n".join(b"f%d" % number for number in range(MOST_RULES + 5))
    rules = Rules.parse(text)
    assert rules.verdict([b"f%d" % (MOST_RULES - 1)], is_directory=False)
    assert rules.verdict([b"f%d" % MOST_RULES], is_directory=False) is None
