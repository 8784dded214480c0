"""The contract of the collaboration service, in terms of its rooms."""

from collections.abc import AsyncIterator
from typing import Any, TypeAlias, cast

import grpc
from codestudio.collaboration.v1 import (
    collaboration_service_pb2,
    collaboration_service_pb2_grpc,
    document_pb2,
)
from google.protobuf import empty_pb2

from services.chassis import authentication, clock, identity, live
from services.chassis.validation import Violations
from services.collaboration import access, listing, names, requests, translation
from services.collaboration.activity_servicer import Activity, ActivityMethods
from services.collaboration.deleting import Deleting
from services.collaboration.loading import NotOpened
from services.collaboration.once import Once
from services.collaboration.opening import MAX_INITIAL_BYTES, Opening
from services.collaboration.revision_servicer import RevisionMethods
from services.collaboration.revisions import Revisions
from services.collaboration.room import Room
from services.collaboration.rooms import Rooms
from services.collaboration.session import Session
from services.collaboration.settings import CollaborationSettings
from services.collaboration.store import Store
from services.collaboration.syncing import Order, Syncing
from services.collaboration.texts import LiveTexts

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

_OPENINGS = 3


class CollaborationServicer(  # type: ignore[misc]  # streams in bytes: see `register`
    ActivityMethods,
    RevisionMethods,
    collaboration_service_pb2_grpc.CollaborationServiceServicer,
):
    """Documents, their live editing, their history, and what goes on around instances."""

    def __init__(
        self,
        *,
        authenticator: authentication.Authenticator,
        rooms: Rooms,
        opening: Opening,
        store: Store,
        syncing: Syncing,
        once: Once,
        deleting: Deleting,
        in_force: live.Live[CollaborationSettings],
        activity: Activity,
        revisions: Revisions,
        texts: LiveTexts,
    ) -> None:
        settings = in_force.current
        self._authenticator = authenticator
        self._in_force = in_force
        self._syncing = syncing
        self._once = once
        self._deleting = deleting
        self._rooms = rooms
        self._opening = opening
        self._store = store
        self._settings = settings
        self._activity = activity
        self._revisions = revisions
        self._texts = texts

    async def Collaborate(  # type: ignore[override]  # bytes both ways: see `register`
        self, request_iterator: AsyncIterator[bytes], context: _Context
    ) -> AsyncIterator[bytes]:
        """Edit documents live."""
        session = Session(
            requests=request_iterator,
            caller=identity.current(),
            authenticator=self._authenticator,
            rooms=self._rooms,
            settings=self._settings,
        )
        # Where the transport has it; grpc.aio has not.
        answers = session.answers(context.write, getattr(context, "push", None))
        try:
            async for frame in answers:
                yield frame
        finally:
            await answers.aclose()  # type: ignore[attr-defined]

    async def SyncCode(
        self, request: collaboration_service_pb2.SyncCodeRequest, context: _Context
    ) -> collaboration_service_pb2.SyncResult:
        """Make edits given as plain text."""
        wrong = Violations()
        source = requests.instance_id(wrong, "instance_id", request.instance_id)
        unit = requests.unit(wrong, request.unit)
        rejects = requests.rejects(
            wrong,
            request.conflict_resolution,
            self._in_force.current.collaboration_conflict_resolution,
        )
        request_id = requests.request_id(wrong, request.request_id)
        changes = requests.changes(wrong, request)
        wrong.check()
        caller = identity.current()
        for name in {change.name for change in changes}:
            access.check(caller, name)
        order = Order(
            changes=changes,
            unit=unit,
            rejects=rejects,
            author=access.author(caller),
            source=await self._activity.instances.source(source),
            request=f"{caller.subject}/{request_id}" if request_id else "",
        )
        if request_id:
            results = await self._once.run(order, requests.fingerprint(request))
        else:
            results = await self._syncing.sync(order)
        answer = collaboration_service_pb2.SyncResult(
            results=[translation.result(one) for one in results]
        )
        answer.timestamp.FromDatetime(clock.now())
        return answer

    async def OpenDocument(
        self, request: collaboration_service_pb2.OpenDocumentRequest, context: _Context
    ) -> document_pb2.Document:
        """Open a document, creating it where there is none."""
        wrong = Violations()
        name = names.name(wrong, "name", request.name)
        size = len(request.initial_content.encode())
        if size > MAX_INITIAL_BYTES:
            wrong.add("initial_content", f"must be at most {MAX_INITIAL_BYTES} bytes, is {size}")
        wrong.check()
        access.check(identity.current(), name)
        author = access.author(identity.current())
        for attempt in range(_OPENINGS):
            await self._opening.ensure(name, request.initial_content, author)
            try:
                async with self._rooms.holding(name) as room:
                    return self._document(room, with_state=request.include_state)
            except NotOpened:
                # Deleted just now: then this is the next one of the name.
                if attempt == _OPENINGS - 1:
                    raise
        raise AssertionError("unreachable")

    async def GetDocument(
        self, request: collaboration_service_pb2.GetDocumentRequest, context: _Context
    ) -> document_pb2.Document:
        """Return a document with its text."""
        wrong = Violations()
        name = names.name(wrong, "name", request.name)
        wrong.check()
        access.check(identity.current(), name)
        async with self._rooms.holding(name) as room:
            found = self._document(room, with_state=request.include_state)
            found.text = room.stored_text()
            found.length = len(found.text)
            return found

    async def DeleteDocument(
        self, request: collaboration_service_pb2.DeleteDocumentRequest, context: _Context
    ) -> empty_pb2.Empty:
        """Delete a document."""
        wrong = Violations()
        name = names.name(wrong, "name", request.name)
        if request.revision < 0:
            wrong.add("revision", f"must not be negative, is {request.revision}")
        wrong.check()
        access.check(identity.current(), name)
        await self._deleting.delete(name, request.revision, access.author(identity.current()))
        return empty_pb2.Empty()

    async def ListDocuments(
        self, request: collaboration_service_pb2.ListDocumentsRequest, context: _Context
    ) -> collaboration_service_pb2.ListDocumentsResponse:
        """List the documents of a project."""
        wrong = Violations()
        namespace = names.namespace(wrong, "namespace", request.namespace)
        project = names.project(wrong, "project", request.project)
        size = listing.size(wrong, request.page_size)
        after = listing.read_token(wrong, request.page_token)
        wrong.check()
        access.check_namespace(identity.current(), namespace)
        found = await self._store.page(namespace, project, after, size + 1)
        more = len(found) > size
        writes = access.may_write(identity.current())
        documents = []
        for summary in found[:size]:
            room = self._rooms.loaded(summary.name)
            documents.append(
                translation.summary(summary, writes=writes)
                if room is None or room.failure is not None
                else translation.document(room, writes=writes)
            )
        return collaboration_service_pb2.ListDocumentsResponse(
            documents=documents,
            next_page_token=listing.token(found[size - 1].name.path) if more else "",
        )

    def _document(self, room: Room, *, with_state: bool) -> document_pb2.Document:
        found = translation.document(room, writes=access.may_write(identity.current()))
        if with_state:
            found.state = room.state()
        return found


def register(servicer: CollaborationServicer, server: Any) -> None:
    """Add the servicer to a server, with Collaborate's messages and Subscribe's left as bytes.

    A frame or an event that goes to a hundred clients is serialised once, and what is no message
    of Collaborate is answered in-band, by the session.
    """
    collaboration_service_pb2_grpc.add_CollaborationServiceServicer_to_server(
        servicer,
        cast("grpc.aio.Server", _BytesForStreams(server)),
    )


class _BytesForStreams:
    """What the generated code takes for a server."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Leave out: the registered ones are the same."""

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Add the service, with the handlers of streams replaced."""
        chosen = dict(handlers)
        chosen["Collaborate"] = grpc.stream_stream_rpc_method_handler(
            handlers["Collaborate"].stream_stream
        )
        subscribe = handlers["Subscribe"]
        chosen["Subscribe"] = grpc.unary_stream_rpc_method_handler(
            subscribe.unary_stream, request_deserializer=subscribe.request_deserializer
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, chosen),)
        )
