"""Where sign-in may lead, and what of a cookie header passes."""

import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis import browsers
from services.edge import answers, sessions


@pytest.mark.parametrize(
    "path", ["/", "/i/a/", "/i/a/?folder=/home/x&y=1", "/a//b", "/%2f%2fevil", "/?next=https://x"]
)
def test_our_own_paths_stay(path: str) -> None:
    """A path on our own host is kept as it is."""
    assert answers.same_site_path(path) == path


@pytest.mark.parametrize(
    "path",
    ["", "x", "//evil", "///evil", "/\\evil", "\\\\evil", "https://evil", "javascript:alert(1)",
     "/\t/evil", "/\n/evil", "\t//evil", " //evil"],
)  # fmt: skip
def test_everything_else_becomes_the_front_page(path: str) -> None:
    """What a browser could read as another host, or as no path, is not followed."""
    assert answers.same_site_path(path) == "/"


@given(st.text(alphabet=st.sampled_from("/\\:?#@.\t\nabevil%2f ")))
def test_no_path_leaves_the_host(path: str) -> None:
    """Whatever is given, a browser stays on the host.

    As the URL Standard reads it: tabs and newlines go first, a backslash is a slash.
    """
    kept = answers.same_site_path(path)
    seen = kept.translate({9: None, 10: None, 13: None}).replace("\\", "/")
    assert urllib.parse.urljoin("http://host:3000/x/y", seen).startswith("http://host:3000/")


@pytest.mark.parametrize(
    ("cookies", "rest"),
    [
        ("codestudio_session=abc", ""),
        ("a=1; codestudio_session=abc; b=2", "a=1; b=2"),
        ("codestudio_session=abc; codestudio_session=def", ""),
        (" codestudio_session =abc;a=1", "a=1"),
        ("codestudio_session; a=1", "a=1"),
        ("codestudio_session_3210=abc; a=1", "a=1"),
        ("xcodestudio_session=1; codestudio_session2=2",) * 2,
        ("", ""),
    ],
)  # fmt: skip
def test_only_our_session_is_taken_out(cookies: str, rest: str) -> None:
    """The session goes, in whatever form a client sends it; other cookies stay."""
    assert sessions.without_session(cookies) == rest


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:3000", "codestudio_session"),
        ("http://localhost:3210", "codestudio_session_3210"),
        ("https://studio.example", "codestudio_session"),
    ],
)
def test_two_stacks_on_a_host_keep_their_sessions_apart(url: str, name: str) -> None:
    """Cookies are kept by host: the port has to be in the name."""
    assert browsers.cookie_name(url) == name
