"""What is built once for all clones and stacks of a person, whole or not at all."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from services.devstack.steps import Report


def folder(environment: Mapping[str, str]) -> Path:
    """Give the folder that holds everything: CODESTUDIO_CACHE or ~/.cache/codestudio."""
    base = environment.get("CODESTUDIO_CACHE") or "~/.cache/codestudio"
    return Path(base).expanduser().absolute()


def make(
    destination: Path, is_there: Callable[[], bool], build: Callable[[Path], None], report: Report
) -> None:
    """Have `build` fill an empty folder and move that to `destination`, unless it is there.

    When another `up` is at it, waits for that one. Whatever `build` raises, nothing half-built
    stays. Raises OSError.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _lock(destination.parent, report):
        if is_there():
            return
        for abandoned in destination.parent.glob(".building-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        with tempfile.TemporaryDirectory(
            prefix=".building-", dir=destination.parent, ignore_cleanup_errors=True
        ) as directory:
            building = Path(directory) / "building"
            building.mkdir()
            build(building)
            # What is there could not be used, or it would have been found.
            shutil.rmtree(destination, ignore_errors=True)
            building.rename(destination)


@contextlib.contextmanager
def _lock(directory: Path, report: Report) -> Iterator[None]:
    with (directory / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting = "wait for another installation"
            report(waiting, "working", "")
            fcntl.flock(file, fcntl.LOCK_EX)
            report(waiting, "done", "")
        yield
