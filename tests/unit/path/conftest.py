"""An instance's directory on a real disk, with something outside that nobody may see."""

import dataclasses
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.path import layout
from services.path.filesystem import Entry, Listing, Page
from services.path.ignore import Rules
from services.path.local import beneath, walking

SECRET = b"what nobody inside may read"
ID = "fox"
NOBODY = 65534


@dataclasses.dataclass(frozen=True)
class Disk:
    """Where an instance and the outside are."""

    instances: Path
    outside: Path

    @property
    def root(self) -> Path:
        """The instance's own directory."""
        return self.instances / ID

    @property
    def workspace(self) -> Path:
        return self.root / "workspace"

    def page(self, **asked: object) -> Page:
        """Gather one page."""
        values: dict[str, object] = {
            "path": (),
            "depth": 0,
            "ignore": Rules.parse(b""),
            "include_ignored": False,
            "limit": 1000,
        }
        listing = Listing(**{**values, **asked})  # type: ignore[arg-type]
        with beneath.root(self.instances, ID) as root:
            return walking.Walk(
                root, b"workspace", listing, until=float("inf"), check=lambda: None
            ).page()

    def walk(self, **asked: object) -> list[Entry]:
        """Gather all pages."""
        entries: list[Entry] = []
        after = None
        while True:
            page = self.page(after=after, **asked)
            entries += page.entries
            after = page.resume
            if after is None:
                return entries

    def listed(self, **asked: object) -> list[str]:
        """Give the paths of all pages, a directory with its slash."""
        return [
            os.fsdecode(b"/".join(each.path)) + "/" * (each.kind is walking.Kind.DIRECTORY)
            for each in self.walk(**asked)
        ]


def open_files() -> int:
    """Count the files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def make(place: Path) -> Disk:
    """Make the directories of an instance."""
    disk = Disk(place / "stack" / "instances", place / "outside")
    for name in layout.DIRECTORIES.values():
        (disk.root / os.fsdecode(name)).mkdir(parents=True)
    disk.outside.mkdir()
    (disk.outside / "secret").write_bytes(SECRET)
    return disk


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """Give an instance with empty directories."""
    return make(tmp_path)


@pytest.fixture
def common_disk() -> Iterator[Disk]:
    """Give one we work on without root's powers, or as who we are where that is not root."""
    place = Path(tempfile.mkdtemp(prefix="codestudio-path-"))
    disk = make(place)
    if os.geteuid() != 0:
        yield disk
    else:
        place.chmod(0o755)
        for each in [place, *place.rglob("*")]:
            os.chown(each, NOBODY, NOBODY)
        os.seteuid(NOBODY)
        try:
            yield disk
        finally:
            os.seteuid(0)
    for each in [place, *place.rglob("*")]:
        if each.is_dir() and not each.is_symlink():
            each.chmod(0o755)
    shutil.rmtree(place)
