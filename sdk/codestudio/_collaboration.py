"""The middle tier for collaboration; see `_services`."""

from collections.abc import AsyncGenerator

from codestudio._transport import Transport
from codestudio.collaboration.v1 import collaboration_service_pb2 as service_pb2
from codestudio.collaboration.v1 import document_pb2
from codestudio.collaboration.v1.collaboration_service_pb2_grpc import CollaborationServiceStub


class CollaborationService:
    """codestudio.collaboration.v1.CollaborationService."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def sync_code(
        self, request: service_pb2.SyncCodeRequest, *, timeout: float | None = None
    ) -> service_pb2.SyncResult:
        """Apply edits given as plain text, all or nothing."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).SyncCode,
            request,
            timeout=timeout,
            repeatable=bool(request.request_id),
        )

    async def open_document(
        self, request: service_pb2.OpenDocumentRequest, *, timeout: float | None = None
    ) -> document_pb2.Document:
        """Open a document; create it with the given content if there is none."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).OpenDocument,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def get_document(
        self, request: service_pb2.GetDocumentRequest, *, timeout: float | None = None
    ) -> document_pb2.Document:
        """Return a document with its text."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).GetDocument,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def delete_document(
        self, request: service_pb2.DeleteDocumentRequest, *, timeout: float | None = None
    ) -> None:
        """Delete a document."""
        await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).DeleteDocument,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_documents(
        self, request: service_pb2.ListDocumentsRequest, *, timeout: float | None = None
    ) -> service_pb2.ListDocumentsResponse:
        """Return one page of the documents of a project."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).ListDocuments,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def list_revisions(
        self, request: service_pb2.ListRevisionsRequest, *, timeout: float | None = None
    ) -> service_pb2.ListRevisionsResponse:
        """Return one page of the revisions of a project or document."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).ListRevisions,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def get_revision(
        self, request: service_pb2.GetRevisionRequest, *, timeout: float | None = None
    ) -> service_pb2.GetRevisionResponse:
        """Return a document's text as it was at a revision."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).GetRevision,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def restore_revision(
        self, request: service_pb2.RestoreRevisionRequest, *, timeout: float | None = None
    ) -> document_pb2.Document:
        """Make a document's text what it was at a revision."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).RestoreRevision,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def share_state(
        self, request: service_pb2.ShareStateRequest, *, timeout: float | None = None
    ) -> service_pb2.ShareStateResponse:
        """Store what an instance is doing and tell the others."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).ShareState,
            request,
            timeout=timeout,
            repeatable=True,
        )

    async def send_message(
        self, request: service_pb2.SendMessageRequest, *, timeout: float | None = None
    ) -> service_pb2.MessageReceipt:
        """Send a message from one instance to another."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).SendMessage,
            request,
            timeout=timeout,
            repeatable=bool(request.request_id),
        )

    async def broadcast_message(
        self, request: service_pb2.BroadcastMessageRequest, *, timeout: float | None = None
    ) -> service_pb2.MessageReceipt:
        """Send a message from one instance to all others in its namespace."""
        return await self._transport.unary(
            self._transport.stub(CollaborationServiceStub).BroadcastMessage,
            request,
            timeout=timeout,
            repeatable=bool(request.request_id),
        )

    def subscribe(
        self, request: service_pb2.SubscribeRequest
    ) -> AsyncGenerator[service_pb2.SubscribeResponse]:
        """Stream what happens around an instance, once: it does not resume by itself."""
        return self._transport.stream(
            self._transport.stub(CollaborationServiceStub).Subscribe, request
        )
