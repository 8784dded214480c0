"""Documents: texts that many edit at once, and their history."""

import uuid
from collections.abc import Iterable

from codestudio import _document_types as types
from codestudio._activity_types import ActivityType
from codestudio._collaboration import CollaborationService
from codestudio._document_types import (
    ChangeResult,
    CodeChange,
    DocumentInfo,
    DocumentRevision,
    RevisionText,
)
from codestudio._live import presence
from codestudio._live.connection import Connection
from codestudio._live.document import AsyncDocument
from codestudio._live.units import OffsetUnit
from codestudio._pager import AsyncPager
from codestudio._subscription import AsyncSubscription
from codestudio._transport import Transport
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2
from codestudio.collaboration.v1 import document_pb2

_DOCUMENTS_A_STREAM = 500
"""Documents on one stream at most; a server takes 1000."""


class AsyncDocuments:
    """The documents of all projects; `client.documents`.

    All methods raise CodeStudioError; `timeout` is in seconds. Editing live needs the package
    pycrdt (`pip install 'codestudio[live]'`), nothing else does.
    """

    def __init__(self, transport: Transport, service: CollaborationService) -> None:
        self._transport = transport
        self._service = service
        self._connections: list[Connection] = []

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
    ) -> AsyncDocument:
        """Open a document to edit it live: in a `with` statement.

        With `content`, a document that does not exist is created with it; however many do that
        at once, it is taken once. Without, it must exist (NotFound). `user` is the name shown
        to others, by default the one in the token. With `saved`, what `AsyncDocument.saved`
        gave earlier, it can be worked on before there is a connection.
        """
        name = _name(project, path, namespace)

        async def prepare() -> None:
            if content is not None:
                request = service_pb2.OpenDocumentRequest(name=name, initial_content=content)
                await self._service.open_document(request, timeout=timeout)

        return AsyncDocument(
            name,
            connect=self._connect,
            prepare=prepare,
            pause=self._transport.retry.pause,
            user=presence.user_of(user, self._transport.connection.token or ""),
            timeout=timeout or self._transport.timeout,
            saved=saved or ("", b""),
        )

    async def create(
        self,
        project: str,
        path: str,
        content: str = "",
        namespace: str = "default",
        *,
        timeout: float | None = None,
    ) -> DocumentInfo:
        """Create a document, or give the one that exists, whose text stays as it is."""
        request = service_pb2.OpenDocumentRequest(
            name=_name(project, path, namespace), initial_content=content
        )
        return DocumentInfo(await self._service.open_document(request, timeout=timeout))

    async def get(
        self, project: str, path: str, namespace: str = "default", *, timeout: float | None = None
    ) -> DocumentInfo:
        """Give a document with its text."""
        request = service_pb2.GetDocumentRequest(name=_name(project, path, namespace))
        return DocumentInfo(await self._service.get_document(request, timeout=timeout))

    async def delete(
        self,
        project: str,
        path: str,
        namespace: str = "default",
        *,
        revision: int = 0,
        timeout: float | None = None,
    ) -> None:
        """Delete a document: for all, and those who have it open are told (NotFound).

        With a `revision`, Aborted is raised when it has changed since that.
        """
        request = service_pb2.DeleteDocumentRequest(
            name=_name(project, path, namespace), revision=revision
        )
        await self._service.delete_document(request, timeout=timeout)

    def watch(
        self, project: str, namespace: str = "default", *, resume_token: str = ""
    ) -> AsyncSubscription:
        """Follow which documents of a project are created, changed and deleted: `CodeEvent`s.

        From now or from a resume token on. A document's revision is 1 when it was created; a
        rename is a creation and a deletion.
        """
        return AsyncSubscription(
            self._service.subscribe,
            instance_id="",
            namespace=namespace,
            types=(ActivityType.CODE,),
            project=project,
            resume_token=resume_token,
            retry=self._transport.retry,
        )

    def list(
        self,
        project: str,
        namespace: str = "default",
        *,
        page_size: int = 0,
        page_token: str = "",
        timeout: float | None = None,
    ) -> AsyncPager[DocumentInfo]:
        """List the documents of a project, by path, without text.

        `page_size` is 1 to 1000, by default 100; `timeout` counts for each page.
        """

        async def fetch(token: str) -> service_pb2.ListDocumentsResponse:
            request = service_pb2.ListDocumentsRequest(
                namespace=namespace,
                project=project,
                page_size=page_size,
                page_token=token or page_token,
            )
            return await self._service.list_documents(request, timeout=timeout)

        return AsyncPager(fetch, "documents", DocumentInfo)

    async def sync(
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
        """Apply plain edits in one step, all or none: for those who do not edit live.

        They are rebased over what came since their base; with `reject_conflicts`, where others
        changed the same place, Aborted is raised instead.
        """
        resolution = (
            service_pb2.CONFLICT_RESOLUTION_REJECT
            if reject_conflicts
            else service_pb2.CONFLICT_RESOLUTION_AUTO
        )
        request = service_pb2.SyncCodeRequest(
            instance_id=instance_id,
            changes=[types.to_code_change(each, project, namespace) for each in changes],
            unit=types.to_unit(unit),
            conflict_resolution=resolution,
            request_id=request_id or str(uuid.uuid4()),
        )
        done = await self._service.sync_code(request, timeout=timeout)
        return tuple(types.change_result(each) for each in done.results)

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
    ) -> AsyncPager[DocumentRevision]:
        """List the revisions of a project, or of one document in it, newest first.

        With `follow_renames`, a document's history goes on under the path it had before.
        """

        async def fetch(token: str) -> service_pb2.ListRevisionsResponse:
            request = service_pb2.ListRevisionsRequest(
                namespace=namespace,
                project=project,
                path=path,
                page_size=page_size,
                page_token=token or page_token,
                follow_renames=follow_renames,
            )
            return await self._service.list_revisions(request, timeout=timeout)

        return AsyncPager(fetch, "revisions", DocumentRevision)

    async def revision(
        self,
        project: str,
        path: str,
        revision_id: str,
        namespace: str = "default",
        *,
        former_path: str = "",
        timeout: float | None = None,
    ) -> RevisionText:
        """Give a document's text as it was at a revision, where it may have had another path."""
        request = service_pb2.GetRevisionRequest(
            name=_name(project, path, namespace),
            revision_id=revision_id,
            former_path=former_path,
        )
        found = await self._service.get_revision(request, timeout=timeout)
        return RevisionText(DocumentRevision(found.revision), found.text)

    async def restore(
        self,
        project: str,
        path: str,
        revision_id: str,
        namespace: str = "default",
        *,
        former_path: str = "",
        timeout: float | None = None,
    ) -> DocumentInfo:
        """Make a document's text what it was at a revision: an edit that everyone sees live.

        With `former_path`, what had that path then.
        """
        request = service_pb2.RestoreRevisionRequest(
            name=_name(project, path, namespace),
            revision_id=revision_id,
            former_path=former_path,
        )
        return DocumentInfo(await self._service.restore_revision(request, timeout=timeout))

    def _connect(self) -> Connection:
        for connection in self._connections:
            if connection.members < _DOCUMENTS_A_STREAM:
                return connection
        self._connections.append(Connection(self._transport))
        return self._connections[-1]

    async def close_streams(self) -> None:
        """End all streams; for the client, when it closes."""
        connections, self._connections = self._connections, []
        for connection in connections:
            await connection.close()


def _name(project: str, path: str, namespace: str) -> document_pb2.DocumentName:
    return document_pb2.DocumentName(namespace=namespace, project=project, path=path)
