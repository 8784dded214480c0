"""What the service asks of the file system, wherever that is.

Files may be on this machine or far away, so questions are large: one for all paths, one for a
page. Whoever implements this sees to it that nothing outside the instance is seen or touched,
whatever is put in the way, and whenever.
"""

import dataclasses
import enum
from collections.abc import Sequence
from typing import Protocol

from services.path.ignore import Rules
from services.path.names import Parts


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """What is true of one path."""

    exists: bool
    """Whether there is something, inside the instance."""
    accessible: bool = False
    """Whether it can be read and written."""
    reason: str = ""
    """Why not, for people."""
    is_directory: bool = False
    """Whether it is a directory, perhaps by way of a link."""


class Kind(enum.Enum):
    """What an entry is."""

    FILE = enum.auto()
    DIRECTORY = enum.auto()
    SYMLINK = enum.auto()
    OTHER = enum.auto()


@dataclasses.dataclass(slots=True)
class Entry:
    """One file, directory or link of a workspace."""

    path: Parts
    """From the workspace."""
    kind: Kind
    size: int
    """Bytes; 0 for a directory."""
    modified_ns: int
    """When it last changed, in nanoseconds since 1970."""
    link_target: bytes = b""
    """Where a link points, as written in it."""
    link_outside: bool = False
    """Whether a link leads outside the instance."""
    unreadable: bool = False
    """Whether it is a directory whose entries cannot be read."""


@dataclasses.dataclass(frozen=True, slots=True)
class Listing:
    """Which entries are asked for."""

    path: Parts
    """Directory to begin at, from the workspace."""
    depth: int
    """Levels below it; 0 for all."""
    ignore: Rules
    """What to leave out, seen from the directory it begins at."""
    include_ignored: bool
    """Whether to give what .gitignore files leave out, and ``.git``."""
    limit: int
    """Entries at most."""
    after: Parts | None = None
    """Only what comes after this path, from where it begins; there need not be such a file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """Entries in order: depth first, names in byte order."""

    entries: Sequence[Entry]
    resume: Parts | None
    """`Listing.after` of the next page; None on the last. There may be entries or none."""


@dataclasses.dataclass(slots=True)
class Probe:
    """What testing a directory gave."""

    write_seconds: float = 0.0
    """Time to write the probe and sync it to disk; 0 where that failed."""
    read_seconds: float = 0.0
    """Time to read it back; 0 where that failed."""
    free_bytes: int = 0
    """Free on its file system, for whoever is not root; 0 where that is not known."""
    failed_step: str = ""
    """open, create, write, sync, read, compare or remove; empty where all worked."""
    reason: str = ""
    """Why it failed, for people."""


class FileSystem(Protocol):
    """The files of instances.

    Everything but `location` raises errors.DeadlineExceeded (FILES_SLOW) where files do not
    answer in time, errors.ResourceExhausted (FILES_BUSY) where too many ask at once.
    """

    def location(self, instance_id: str) -> str:
        """Give the instance's own directory, as the editor sees it."""

    async def inspect(self, instance_id: str, paths: Sequence[Parts]) -> list[Finding]:
        """Look at paths, from the instance's own directory, in the order given.

        Links that stay inside the instance are followed.
        """

    async def page(self, instance_id: str, listing: Listing) -> Page:
        """List entries of the workspace. No link is followed.

        A page may be shorter than its limit where it would take long, and end all the same
        with a place to resume at.

        Raises errors.NotFound (PATH_NOT_FOUND) and errors.FailedPrecondition (PATH_UNUSABLE:
        no directory, behind a link, or not readable) about the directory it begins at.
        """

    async def probe(self, instance_id: str, directories: Sequence[bytes], size: int) -> list[Probe]:
        """Write, sync, read back, compare and remove `size` bytes in each directory.

        Directories are named from the instance's own directory. What was written is removed,
        also where a step fails or the caller gives up.
        """
