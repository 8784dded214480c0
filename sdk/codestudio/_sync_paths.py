"""Paths for ordinary code; see `_sync`."""

from collections.abc import Iterable

from codestudio._paths import AsyncPaths, PathInfo, PathTestResult, PathValidation, ProjectEntry
from codestudio._portal import Portal
from codestudio._sync_iterators import Pager, twin_of


@twin_of(AsyncPaths)
class Paths:
    """The directories and files of instances; `client.paths`.

    All methods raise CodeStudioError; `timeout` is in seconds.
    """

    def __init__(self, portal: Portal, paths: AsyncPaths) -> None:
        self._portal = portal
        self._async = paths

    def info(
        self, instance_id: str, *, refresh: bool = False, timeout: float | None = None
    ) -> PathInfo:
        return self._portal.call(self._async.info(instance_id, refresh=refresh, timeout=timeout))

    def validate(
        self, instance_id: str, paths: Iterable[str] = (), *, timeout: float | None = None
    ) -> PathValidation:
        return self._portal.call(self._async.validate(instance_id, paths, timeout=timeout))

    def structure(
        self,
        instance_id: str,
        path: str = "",
        *,
        depth: int = 0,
        ignore: Iterable[str] = (),
        include_ignored: bool = False,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Pager[ProjectEntry]:
        pager = self._async.structure(
            instance_id,
            path,
            depth=depth,
            ignore=ignore,
            include_ignored=include_ignored,
            page_size=page_size,
            page_token=page_token,
            timeout=timeout,
        )
        return Pager(self._portal, pager, _same)

    def test(
        self,
        instance_id: str,
        path_types: Iterable[str] = (),
        *,
        probe_size: int = 0,
        timeout: float | None = None,
    ) -> PathTestResult:
        return self._portal.call(
            self._async.test(instance_id, path_types, probe_size=probe_size, timeout=timeout)
        )


def _same(entry: ProjectEntry) -> ProjectEntry:
    return entry
