"""The file system of this machine."""

import errno
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from services.chassis import errors
from services.path import layout
from services.path.filesystem import Finding, Listing, Page, Probe
from services.path.local import beneath, inspection, probing, reasons, walking
from services.path.local.workers import Order, Workers
from services.path.names import Parts, join

_UNUSABLE = {
    errno.ENOTDIR: "is no directory, or is reached by a link, which is never followed",
    errno.EACCES: "cannot be read: permission denied",
}


class LocalFiles:
    """`filesystem.FileSystem` for instances whose directories are on this machine."""

    def __init__(
        self, *, container_root: Path, workers: Workers, page_seconds: Callable[[], float]
    ) -> None:
        """Prepare.

        Args:
            container_root: Where ``instances/<id>`` lie.
            workers: Threads to use.
            page_seconds: Gives the time after which a page is given as far as it has come.
        """
        self._instances = container_root.absolute() / "instances"
        self._workers = workers
        self._page_seconds = page_seconds

    def location(self, instance_id: str) -> str:
        """See FileSystem."""
        return str(self._instances / instance_id)

    async def inspect(self, instance_id: str, paths: Sequence[Parts]) -> list[Finding]:
        """See FileSystem."""

        def work(order: Order) -> list[Finding]:
            found = []
            try:
                with beneath.root(self._instances, instance_id) as root:
                    for path in paths:
                        order.check()
                        found.append(inspection.inspect(root, path))
            except OSError as error:
                found = [inspection.missing(error)] * len(paths)
            return found

        try:
            return await self._workers.run("inspect", instance_id, work)
        except OSError as error:
            raise _unavailable(error, instance_id) from error

    async def page(self, instance_id: str, listing: Listing) -> Page:
        """See FileSystem."""

        def work(order: Order) -> Page:
            now = time.monotonic()
            until = min(now + self._page_seconds(), now + (order.deadline - now) / 2)
            with beneath.root(self._instances, instance_id) as root:
                walk = walking.Walk(
                    root,
                    layout.DIRECTORIES[layout.WORKSPACE],
                    listing,
                    until=until,
                    check=order.check,
                )
                return walk.page()

        try:
            return await self._workers.run("list", instance_id, work)
        except OSError as error:
            raise _unusable(error, instance_id, listing.path) from error

    async def probe(self, instance_id: str, directories: Sequence[bytes], size: int) -> list[Probe]:
        """See FileSystem."""

        def work(order: Order) -> list[Probe]:
            try:
                with beneath.root(self._instances, instance_id) as root:
                    return [probing.probe(root, name, size, order.check) for name in directories]
            except OSError as error:
                failed = Probe(failed_step="open", reason=reasons.of(error))
                return [failed] * len(directories)

        return await self._workers.run("probe", instance_id, work)


def _unavailable(error: OSError, instance_id: str) -> errors.DomainError:
    return errors.Unavailable(
        "FILES_UNAVAILABLE",
        f"No files can be looked at right now: {reasons.of(error)}; try again shortly",
        instance_id=instance_id,
    )


def _unusable(error: OSError, instance_id: str, path: Parts) -> errors.DomainError:
    if reasons.is_ours(error):
        return _unavailable(error, instance_id)
    place = join(path) or "."
    if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
        what = (
            f"There is no {place} in the workspace of {instance_id}"
            if path
            else f"{instance_id} has no workspace yet: it is made when the instance starts"
        )
        return errors.NotFound(
            "PATH_NOT_FOUND",
            what,
            instance_id=instance_id,
            metadata={"path": place},
        )
    why = _UNUSABLE.get(error.errno or 0, f"cannot be opened: {reasons.of(error)}")
    return errors.FailedPrecondition(
        "PATH_UNUSABLE",
        f"{place} in the workspace of {instance_id} {why}",
        instance_id=instance_id,
        metadata={"path": place},
    )
