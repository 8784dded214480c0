"""The part of the contract that is about revisions, in terms of the repository and the rooms."""

from typing import Any, TypeAlias

import grpc
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2

from services.chassis import context as calls
from services.chassis import identity
from services.chassis.validation import Violations
from services.collaboration import access, names, revisions, translation
from services.collaboration.opening import Opening
from services.collaboration.revisions import Revisions
from services.collaboration.rooms import Rooms
from services.collaboration.texts import LiveTexts

_Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"


class RevisionMethods:
    """ListRevisions, GetRevision and RestoreRevision."""

    _rooms: Rooms
    _opening: Opening
    _revisions: Revisions
    _texts: LiveTexts

    async def ListRevisions(
        self, request: pb.ListRevisionsRequest, context: _Context
    ) -> pb.ListRevisionsResponse:
        """List the revisions of a project, or of one path in it."""
        wrong = Violations()
        namespace = names.namespace(wrong, "namespace", request.namespace)
        project = names.project(wrong, "project", request.project)
        path = names.path(wrong, "path", request.path) if request.path else ""
        follow = request.follow_renames
        size, begin = revisions.page(
            wrong, request.page_size, request.page_token, path, follow=follow
        )
        wrong.check()
        access.check_namespace(identity.current(), namespace)
        found, after = await self._revisions.page(namespace, project, begin, size, follow=follow)
        return pb.ListRevisionsResponse(
            revisions=map(revisions.message, found),
            next_page_token=revisions.page_token(after, path, follow=follow),
        )

    async def GetRevision(
        self, request: pb.GetRevisionRequest, context: _Context
    ) -> pb.GetRevisionResponse:
        """Return a document's text as it was at a revision."""
        wrong = Violations()
        name = names.name(wrong, "name", request.name)
        revision = revisions.revision_id(wrong, request.revision_id)
        former = _former(wrong, request.former_path)
        wrong.check()
        access.check(identity.current(), name)
        found, text = await self._revisions.text(name, revision, former)
        return pb.GetRevisionResponse(revision=revisions.message(found), text=text)

    async def RestoreRevision(
        self, request: pb.RestoreRevisionRequest, context: _Context
    ) -> document_pb2.Document:
        """Make a text what it was at a revision; a deleted document is opened again."""
        wrong = Violations()
        name = names.name(wrong, "name", request.name)
        revision = revisions.revision_id(wrong, request.revision_id)
        former = _former(wrong, request.former_path)
        wrong.check()
        caller = identity.current()
        access.check(caller, name)
        _, text = await self._revisions.text(name, revision, former)
        await self._opening.ensure(name, text, access.author(caller))
        async with self._rooms.holding(name) as room:
            await self._texts.replace(room, text, access.author(caller), calls.timeout())
            found = translation.document(room, writes=access.may_write(caller))
            found.text = room.stored_text()
            found.length = len(found.text)
            return found


def _former(wrong: Violations, path: str) -> str:
    return names.path(wrong, "former_path", path) if path else ""
