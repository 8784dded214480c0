import pytest

from services.resource.runtimes.local import ending


@pytest.mark.parametrize(
    ("code", "was_ready", "log", "expected", "words"),
    [
        (1, False, ["x", "listen EADDRINUSE 127.0.0.1:8000"], ending.PORT_IN_USE, "8000"),
        (3, False, ["Cannot find module 'x'", ""], ending.EDITOR_NOT_STARTED, "find module"),
        (3, False, [], ending.EDITOR_NOT_STARTED, "exit status 3 before it answered"),
        # A developer's own server may have said so: the editor had its port.
        (1, True, ["EADDRINUSE"], ending.EDITOR_EXITED, "exit status 1"),
        (-9, True, [], ending.EDITOR_EXITED, "SIGKILL"),
        (-40, True, [], ending.EDITOR_EXITED, "40"),
        (None, True, [], ending.EDITOR_EXITED, "while nobody watched"),
    ],
)
def test_how_an_editor_ended_is_told(
    code: int | None, was_ready: bool, log: list[str], expected: str, words: str
) -> None:
    """The code says what may help, the message what happened."""
    failure = ending.explain(code, was_ready=was_ready, log=log, port=8000)
    assert failure.code == expected
    assert words in failure.message
