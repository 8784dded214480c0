"""Documents for ordinary code; see `_sync`."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self, TypeVar

from codestudio._document_types import (
    ChangeResult,
    CodeChange,
    ConnectionState,
    Cursor,
    DocumentChange,
    DocumentInfo,
    DocumentRevision,
    RevisionText,
    Role,
)
from codestudio._documents import AsyncDocuments
from codestudio._errors import CodeStudioError
from codestudio._live.document import FLUSH_SECONDS, AsyncDocument
from codestudio._live.edits import Edit
from codestudio._live.units import OffsetUnit
from codestudio._portal import Portal
from codestudio._sync_activity import Subscription
from codestudio._sync_iterators import Pager, next_of, twin_of

Value = TypeVar("Value")


@twin_of(AsyncDocument)
class Document:
    """A text that many edit at once: `with client.documents.open(...) as doc`.

    Everything that reads or edits happens at once, on the copy held here; edits go to the
    others as soon as there is a connection, and are kept while there is none. Offsets are code
    points unless `unit` says otherwise, and must lie within the text (OutOfRange).
    """

    def __init__(self, portal: Portal, document: AsyncDocument) -> None:
        self._portal = portal
        self._async = document

    @property
    def namespace(self) -> str:
        return self._async.namespace

    @property
    def project(self) -> str:
        return self._async.project

    @property
    def path(self) -> str:
        return self._async.path

    @property
    def text(self) -> str:
        return self._async.text

    @property
    def epoch(self) -> str:
        return self._async.epoch

    @property
    def revision(self) -> int:
        return self._async.revision

    @property
    def role(self) -> Role:
        return self._async.role

    @property
    def connection(self) -> ConnectionState:
        return self._async.connection

    @property
    def error(self) -> CodeStudioError | None:
        return self._async.error

    @property
    def unstored(self) -> bool:
        return self._async.unstored

    @property
    def cursors(self) -> list[Cursor]:
        return self._do(lambda: self._async.cursors)

    def insert(self, offset: int, text: str, *, unit: OffsetUnit = OffsetUnit.CODE_POINT) -> None:
        self._do(lambda: self._async.insert(offset, text, unit=unit))

    def delete(self, offset: int, length: int, *, unit: OffsetUnit = OffsetUnit.CODE_POINT) -> None:
        self._do(lambda: self._async.delete(offset, length, unit=unit))

    def replace(
        self,
        offset: int,
        length: int,
        text: str,
        *,
        unit: OffsetUnit = OffsetUnit.CODE_POINT,
    ) -> None:
        self._do(lambda: self._async.replace(offset, length, text, unit=unit))

    def edit(self, changes: Sequence[Edit]) -> None:
        self._do(lambda: self._async.edit(changes))

    def set_text(self, text: str, *, base: str | None = None) -> None:
        self._do(lambda: self._async.set_text(text, base=base))

    def undo(self) -> bool:
        return self._do(self._async.undo)

    def redo(self) -> bool:
        return self._do(self._async.redo)

    def changes(self) -> Iterator[DocumentChange]:
        changes = self._do(self._async.changes)
        while (change := self._portal.call(next_of(changes))) is not None:
            yield change

    def set_cursor(
        self,
        anchor: int | None,
        head: int | None = None,
        *,
        unit: OffsetUnit = OffsetUnit.CODE_POINT,
    ) -> None:
        self._do(lambda: self._async.set_cursor(anchor, head, unit=unit))

    def flush(self, timeout: float | None = None) -> None:
        self._portal.call(self._async.flush(timeout))

    def ready(self, timeout: float | None = None) -> None:
        self._portal.call(self._async.ready(timeout))

    def connect(self, timeout: float | None = None) -> Self:
        self._portal.call(self._async.connect(timeout))
        return self

    def close(self, timeout: float = FLUSH_SECONDS) -> None:
        self._portal.call(self._async.close(timeout))

    def saved(self) -> tuple[str, bytes]:
        return self._do(self._async.saved)

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._portal.call(self._async.__aexit__(kind))

    def __repr__(self) -> str:
        return repr(self._async).replace("Async", "", 1)

    def _do(self, action: Callable[[], Value]) -> Value:
        async def act() -> Value:
            return action()

        return self._portal.call(act())


@twin_of(AsyncDocuments)
class Documents:
    """The documents of all projects; `client.documents`.

    All methods raise CodeStudioError; `timeout` is in seconds. Editing live needs the package
    pycrdt (`pip install 'codestudio[live]'`), nothing else does.
    """

    def __init__(self, portal: Portal, documents: AsyncDocuments) -> None:
        self._portal = portal
        self._async = documents

    def open(
        self,
        project: str,
        path: str,
        namespace: str = "default",
        *,
        content: str | None = None,
        user: str = "",
        saved: tuple[str, bytes] | None = None,
        timeout: float | None = None,
    ) -> Document:
        document = self._async.open(
            project, path, namespace, content=content, user=user, saved=saved, timeout=timeout
        )
        return Document(self._portal, document)

    def create(
        self,
        project: str,
        path: str,
        content: str = "",
        namespace: str = "default",
        *,
        timeout: float | None = None,
    ) -> DocumentInfo:
        return self._portal.call(
            self._async.create(project, path, content, namespace, timeout=timeout)
        )

    def get(
        self, project: str, path: str, namespace: str = "default", *, timeout: float | None = None
    ) -> DocumentInfo:
        return self._portal.call(self._async.get(project, path, namespace, timeout=timeout))

    def delete(
        self,
        project: str,
        path: str,
        namespace: str = "default",
        *,
        revision: int = 0,
        timeout: float | None = None,
    ) -> None:
        self._portal.call(
            self._async.delete(project, path, namespace, revision=revision, timeout=timeout)
        )

    def watch(
        self, project: str, namespace: str = "default", *, resume_token: str = ""
    ) -> Subscription:
        subscription = self._async.watch(project, namespace, resume_token=resume_token)
        return Subscription(self._portal, subscription)

    def list(
        self,
        project: str,
        namespace: str = "default",
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> Pager[DocumentInfo]:
        pager = self._async.list(
            project, namespace, page_size=page_size, page_token=page_token, timeout=timeout
        )
        return Pager(self._portal, pager, _same)

    def sync(
        self,
        project: str,
        changes: Iterable[CodeChange],
        *,
        instance_id: str,
        namespace: str = "default",
        unit: OffsetUnit = OffsetUnit.CODE_POINT,
        reject_conflicts: bool = False,
        request_id: str = "",
        timeout: float | None = None,
    ) -> tuple[ChangeResult, ...]:
        return self._portal.call(
            self._async.sync(
                project,
                changes,
                instance_id=instance_id,
                namespace=namespace,
                unit=unit,
                reject_conflicts=reject_conflicts,
                request_id=request_id,
                timeout=timeout,
            )
        )

    def history(
        self,
        project: str,
        path: str = "",
        namespace: str = "default",
        *,
        page_size: int = 0,
        page_token: str = "",
        follow_renames: bool = False,
        timeout: float | None = None,
    ) -> Pager[DocumentRevision]:
        pager = self._async.history(
            project,
            path,
            namespace,
            page_size=page_size,
            page_token=page_token,
            follow_renames=follow_renames,
            timeout=timeout,
        )
        return Pager(self._portal, pager, _same)

    def revision(
        self,
        project: str,
        path: str,
        revision_id: str,
        namespace: str = "default",
        *,
        former_path: str = "",
        timeout: float | None = None,
    ) -> RevisionText:
        return self._portal.call(
            self._async.revision(
                project, path, revision_id, namespace, former_path=former_path, timeout=timeout
            )
        )

    def restore(
        self,
        project: str,
        path: str,
        revision_id: str,
        namespace: str = "default",
        *,
        former_path: str = "",
        timeout: float | None = None,
    ) -> DocumentInfo:
        return self._portal.call(
            self._async.restore(
                project, path, revision_id, namespace, former_path=former_path, timeout=timeout
            )
        )


def _same(value: Value) -> Value:
    return value
