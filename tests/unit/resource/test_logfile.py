import os
from pathlib import Path

import pytest

from services.resource.runtimes.local import logfile
from services.resource.runtimes.local.directories import Directories


@pytest.fixture
def directories(tmp_path: Path) -> Directories:
    found = Directories(tmp_path / "blue")
    found.create()
    return found


def write(directories: Directories, text: bytes) -> int:
    descriptor, position = logfile.open_for_writing(directories)
    with os.fdopen(descriptor, "wb") as file:
        file.write(text)
    return position


@pytest.mark.parametrize("count", [0, 1, 5, 3000])
def test_the_last_lines_are_given(directories: Directories, count: int) -> None:
    """As many as asked for, oldest first, across blocks and also without a last newline."""
    lines = [f"line {number} {'x' * (number % 97)}" for number in range(count)]
    write(directories, "\n".join(lines).encode())
    for wanted in (1, 4, 2999, 10_000):
        assert logfile.tail(directories, wanted) == lines[-wanted:]


def test_only_what_was_written_since(directories: Directories) -> None:
    """An earlier start's words do not explain a later one's end."""
    write(directories, b"old EADDRINUSE\n")
    position = write(directories, b"new\n")
    assert logfile.tail(directories, 50, since=position) == ["new"]
    assert logfile.tail(directories, 50) == ["old EADDRINUSE", "new"]


def test_a_long_log_is_begun_anew_and_still_read(directories: Directories) -> None:
    """Logs never grow without bound, and the last lines are given all the same."""
    write(directories, b"x" * 100 + b"\n" + b"y" * 5 * 2**20 + b"\nlast\n")
    assert write(directories, b"newest\n") == 0
    assert logfile.tail(directories, 2) == ["last", "newest"]


def test_huge_lines_and_broken_text_are_bounded(directories: Directories) -> None:
    """Memory for a tail is bounded whatever is in the file."""
    write(directories, b"\xff" * 6 * 2**20)
    (line,) = logfile.tail(directories, 10)
    assert len(line) == 4000


def test_no_log_is_no_lines(directories: Directories) -> None:
    """An instance that never started has written nothing."""
    assert logfile.tail(directories, 10) == []
