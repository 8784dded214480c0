"""The rules of .gitignore files: which files a project leaves out.

Rules are matched name by name, on bytes, as Git does it (gitignore(5)). They are written by
whoever owns the instance, so matching must be cheap whatever they say: a ``*`` never tries twice
(atomic groups), and no rule can keep the process busy, as one turned into an ordinary regular
expression can (``*a*a*a*a*a*b`` takes minutes there, and holds the interpreter all the while).
"""

import dataclasses
import functools
import re
from collections.abc import Iterator, Sequence

MOST_RULES = 2000
"""Rules read of one file, or taken of one request: what comes after has no effect."""

_CLASSES = {
    b"alnum": rb"0-9A-Za-z", b"alpha": rb"A-Za-z", b"blank": rb" \t", b"cntrl": rb"\x00-\x1f\x7f",
    b"digit": rb"0-9", b"graph": rb"\x21-\x7e", b"lower": rb"a-z", b"print": rb"\x20-\x7e",
    b"punct": rb"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e", b"space": rb" \t\n\v\f\r",
    b"upper": rb"A-Z", b"xdigit": rb"0-9A-Fa-f",
}  # fmt: skip
_ANY_DEPTH = None
"""Stands for ``**`` among the names of a pattern."""


class _NeverMatchesError(ValueError):
    """A pattern that matches nothing, such as one whose bracket is not closed."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Rule:
    leaves_out: bool
    """False for one that begins with ``!``."""
    only_directories: bool
    names: tuple["re.Pattern[bytes] | None", ...]
    """What each name on the way must match; one name alone matches at any depth."""
    anchored: bool
    """Whether it is about the path, not only the last name."""

    def matches(self, path: Sequence[bytes], *, is_directory: bool) -> bool:
        if self.only_directories and not is_directory:
            return False
        if self.anchored:
            return _match(self.names, path)
        (name,) = self.names
        return name is not None and name.match(path[-1]) is not None


class Rules:
    """The rules of one .gitignore file, or of one request."""

    def __init__(self, rules: Sequence[_Rule]) -> None:
        self._newest_first = tuple(reversed(rules))
        self._anchored = tuple(rule for rule in self._newest_first if rule.anchored)
        names = [
            rule.names[0].pattern
            for rule in rules
            if not rule.anchored and rule.names[0] is not None
        ]
        self._any_name = re.compile(b"|".join(names), re.DOTALL) if names else None

    @classmethod
    def parse(cls, text: bytes) -> "Rules":
        """Read the text of a .gitignore file; lines that mean nothing are passed over."""
        return _parse(text)

    def __bool__(self) -> bool:
        return bool(self._newest_first)

    def verdict(self, path: Sequence[bytes], *, is_directory: bool) -> bool | None:
        """Tell whether a path is left out; None where no rule speaks of it.

        What is in a directory that is left out is left out too: asking about that is the
        caller's, who need not go in.

        Args:
            path: Names on the way from the rules' directory, at least one.
            is_directory: Whether it is a directory; a link to one is not.
        """
        # Most names are spoken of by no rule: one expression says so for all of them.
        named = self._any_name is not None and self._any_name.match(path[-1]) is not None
        for rule in self._newest_first if named else self._anchored:
            if rule.matches(path, is_directory=is_directory):
                return rule.leaves_out
        return None


@functools.lru_cache(maxsize=128)
def _parse(text: bytes) -> Rules:
    rules: list[_Rule] = []
    for line in text.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        if len(rules) == MOST_RULES:
            break
        if (rule := _read(line)) is not None:
            rules.append(rule)
    return Rules(rules)


def _read(line: bytes) -> _Rule | None:
    pattern = _without_trailing_spaces(line.removesuffix(b"\r"))
    if pattern.startswith(b"#"):
        return None
    leaves_out = not pattern.startswith(b"!")
    pattern = pattern.removeprefix(b"!")
    only_directories = pattern.endswith(b"/")
    pattern = pattern.removesuffix(b"/")
    anchored = b"/" in pattern
    pattern = pattern.removeprefix(b"/")
    if not pattern:
        return None
    try:
        names = tuple(_names(pattern, anchored=anchored))
    except _NeverMatchesError:
        return None
    return _Rule(leaves_out, only_directories, names, anchored)


def _without_trailing_spaces(line: bytes) -> bytes:
    bare = line.rstrip(b" ")
    escapes = len(bare) - len(bare.rstrip(b"\\"))
    # An odd number of backslashes: the last one keeps the space behind it.
    return line[: len(bare) + 1] if escapes % 2 and len(bare) < len(line) else bare


def _names(pattern: bytes, *, anchored: bool) -> Iterator["re.Pattern[bytes] | None"]:
    for tokens in _split(pattern):
        if anchored and tokens == [b"*", b"*"]:
            yield _ANY_DEPTH
        else:
            yield _compile(tokens)


def _split(pattern: bytes) -> Iterator[list[bytes]]:
    """Cut a pattern into names, and each into tokens: ``*``, ``?``, or an expression of one byte.

    Raises:
        _NeverMatchesError: A bracket is not closed, or a backslash escapes nothing.
    """
    tokens: list[bytes] = []
    place = 0
    while place < len(pattern):
        byte = pattern[place : place + 1]
        place += 1
        if byte == b"/":
            yield tokens
            tokens = []
        elif byte == b"[":
            expression, place = _bracket(pattern, place)
            tokens.append(expression)
        elif byte in (b"*", b"?"):
            tokens.append(byte)
        else:
            if byte == b"\\":
                byte = pattern[place : place + 1]
                place += 1
                if not byte:
                    raise _NeverMatchesError
                if byte == b"/":
                    yield tokens
                    tokens = []
                    continue
            tokens.append(re.escape(byte))
    yield tokens


def _bracket(pattern: bytes, place: int) -> tuple[bytes, int]:
    """Read a bracket behind its ``[``: its expression, and where the pattern goes on."""
    negated = pattern[place : place + 1] in (b"!", b"^")
    start = place = place + negated
    members = b""
    while True:
        byte = pattern[place : place + 1]
        if not byte:
            raise _NeverMatchesError
        if byte == b"]" and place > start:
            break
        if pattern[place : place + 2] == b"[:" and (end := pattern.find(b":]", place + 2)) >= 0:
            name = pattern[place + 2 : end]
            if name not in _CLASSES:
                raise _NeverMatchesError
            members += _CLASSES[name]
            place = end + 2
            continue
        low, place = _member(pattern, place)
        high = low
        if pattern[place : place + 1] == b"-" and pattern[place + 1 : place + 2] not in (b"", b"]"):
            high, place = _member(pattern, place + 1)
        if low <= high:
            members += re.escape(bytes([low])) + b"-" + re.escape(bytes([high]))
    # Neither matches the slash, nor does an empty bracket match anything.
    if negated:
        return b"[^/" + members + b"]", place + 1
    return (b"[" + members + b"]" if members else b"(?!)"), place + 1


def _member(pattern: bytes, place: int) -> tuple[int, int]:
    if pattern[place : place + 1] == b"\\":
        place += 1
    if place >= len(pattern):
        raise _NeverMatchesError
    return pattern[place], place + 1


def _compile(tokens: list[bytes]) -> "re.Pattern[bytes]":
    """Make an expression of a name's tokens that never tries a ``*`` twice.

    The earliest place where what follows a ``*`` fits is as good as any later one, so it is
    kept (an atomic group); only the last ``*`` has to fit what comes before the end.
    """
    parts: list[list[bytes]] = [[]]
    for token in tokens:
        if token == b"*":
            if parts[-1] or len(parts) == 1:
                parts.append([])
        else:
            parts[-1].append(b"[^/]" if token == b"?" else token)
    first, *rest = [b"".join(part) for part in parts]
    expression = b"(?:" + first
    for number, fixed in enumerate(rest, start=1):
        if number < len(rest):
            expression += b"(?>.*?" + fixed + b")"
        else:
            expression += b".*" + fixed
    return re.compile(expression + rb"\Z)", re.DOTALL)


def _match(names: Sequence["re.Pattern[bytes] | None"], path: Sequence[bytes]) -> bool:
    """Match a path name by name; ``**`` takes any number of names, at the end at least one."""
    if names[-1] is _ANY_DEPTH:
        # What is in a directory, not the directory itself.
        return any(_match_all(names[:-1], path[:length]) for length in range(len(path)))
    return _match_all(names, path)


def _match_all(names: Sequence["re.Pattern[bytes] | None"], path: Sequence[bytes]) -> bool:
    name = place = 0
    retry: tuple[int, int] | None = None
    while place < len(path):
        if name < len(names):
            wanted = names[name]
            if wanted is _ANY_DEPTH:
                name += 1
                retry = (name, place)
                continue
            if wanted.match(path[place]) is not None:
                name += 1
                place += 1
                continue
        if retry is None:
            return False
        # The last ``**`` takes one name more; an earlier one need not, as with ``*``.
        name, place = retry[0], retry[1] + 1
        retry = (name, place)
    return all(one is _ANY_DEPTH for one in names[name:])
