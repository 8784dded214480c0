"""A live document, for asyncio."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any, Self

from codestudio import _document_types as types
from codestudio import _errors
from codestudio._document_types import ConnectionState, Cursor, DocumentChange, Role
from codestudio._live import crdt, edits, presence, units
from codestudio._live.changes import Changes
from codestudio._live.connection import Connection
from codestudio._live.edits import Edit
from codestudio._live.replica import Applied
from codestudio._live.session import Happened, Phase, Session
from codestudio._live.units import OffsetUnit
from codestudio.collaboration.v1 import document_pb2

FLUSH_SECONDS = 10.0
"""Seconds that closing waits for edits to be stored, unless told otherwise."""

_LEAVE_SECONDS = 2.0


class AsyncDocument:
    """A text that many edit at once: `async with client.documents.open(...) as doc`.

    Everything that reads or edits happens at once, on the copy held here; edits go to the
    others as soon as there is a connection, and are kept while there is none. Offsets are code
    points unless `unit` says otherwise, and must lie within the text (OutOfRange).
    """

    def __init__(
        self,
        name: document_pb2.DocumentName,
        *,
        connect: Callable[[], Connection],
        prepare: Callable[[], Any],
        pause: Callable[[int], float],
        user: dict[str, Any],
        timeout: float,
        saved: tuple[str, bytes] = ("", b""),
    ) -> None:
        self._name = name
        self._connect = connect
        self._prepare = prepare
        self._pause = pause
        self._user = user
        self._timeout = timeout
        self._saved = saved
        self._connection: Connection | None = None
        self._session: Session | None = None
        self._readers: list[Changes] = []
        self._moved = asyncio.Event()  # set, and made anew, whenever anything happens
        self._error: _errors.CodeStudioError | None = None
        self._joined = False
        self._closed = False

    # What it is.

    @property
    def namespace(self) -> str:
        """Namespace of its project."""
        return self._name.namespace

    @property
    def project(self) -> str:
        """Its project."""
        return self._name.project

    @property
    def path(self) -> str:
        """Its path within the project."""
        return self._name.path

    @property
    def text(self) -> str:
        """The text as it stands here: others' edits as far as they have come, and one's own."""
        return self.session.replica.text

    @property
    def epoch(self) -> str:
        """Identity of its history."""
        return self.session.epoch

    @property
    def revision(self) -> int:
        """Newest revision the server told; others' edits since may be in the text already."""
        return self.session.revision

    @property
    def role(self) -> Role:
        """What one may do with it."""
        return types.role(self.session.role)

    @property
    def connection(self) -> ConnectionState:
        """How it stands to the server."""
        if self._closed or self._error is not None:
            return ConnectionState.CLOSED
        if self._session is not None and self._session.phase is Phase.JOINED:
            return ConnectionState.LIVE
        return ConnectionState.OFFLINE if self._joined else ConnectionState.CONNECTING

    @property
    def error(self) -> _errors.CodeStudioError | None:
        """What the server refused the document for; None while it did not."""
        return self._error

    @property
    def unstored(self) -> bool:
        """Whether there are edits that the server has not acknowledged."""
        return self.session.stored < self.session.made

    @property
    def session(self) -> Session:
        """The protocol's side of it, for the package itself. RuntimeError before opening."""
        if self._session is None:
            raise RuntimeError("the document is not open: use it in a `with` statement")
        return self._session

    # Editing.

    def insert(self, offset: int, text: str, *, unit: OffsetUnit = OffsetUnit.CODE_POINT) -> None:
        """Put text in at an offset."""
        self.replace(offset, 0, text, unit=unit)

    def delete(self, offset: int, length: int, *, unit: OffsetUnit = OffsetUnit.CODE_POINT) -> None:
        """Delete so many characters from an offset on."""
        self.replace(offset, length, "", unit=unit)

    def replace(
        self,
        offset: int,
        length: int,
        text: str,
        *,
        unit: OffsetUnit = OffsetUnit.CODE_POINT,
    ) -> None:
        """Replace so many characters from an offset on.

        Raises PermissionDenied where one may only read.
        """
        current = self.text
        if length < 0:
            raise _errors.OutOfRange(f"length {length} is below 0", code="OFFSET_OUT_OF_RANGE")
        start = units.to_code_points(current, offset, unit)
        end = units.to_code_points(current, offset + length, unit)
        self.edit([Edit(start, current[start:end], text)])

    def edit(self, changes: Sequence[Edit]) -> None:
        """Make several edits in one step; all refer to the text as it is, in code points.

        They come in order of offset and do not overlap, and what they delete is what stands
        there: else ValueError.
        """
        self._check_writable()
        current, end = self.text, 0
        for change in changes:
            if change.offset < end or current[change.offset : change.end] != change.deleted:
                raise ValueError(f"{change} does not fit the text")
            end = change.end
        wanted = [each for each in changes if each.deleted or each.inserted]
        if wanted:
            self._tell(self.session.replica.edit(wanted), local=True)

    def set_text(self, text: str, *, base: str | None = None) -> None:
        """Make the text this one, by as few edits as possible.

        With `base`, the text that it was made from, only what differs from that is changed:
        what others did to the document since stays.
        """
        current = self.text
        self.edit(edits.carried(current if base is None else base, text, current))

    def undo(self) -> bool:
        """Undo one's own edits of the last half second in which one made any; others' stay.

        Gives whether there was anything to undo.
        """
        return self._step(self.session.replica.undo)

    def redo(self) -> bool:
        """Do again what was undone last. Gives whether there was anything."""
        return self._step(self.session.replica.redo)

    # Others.

    async def changes(self) -> AsyncIterator[DocumentChange]:
        """Give the changes from now on, one's own too, until the document is closed.

        A reader that falls 1000 changes behind gets one change for all it missed. Raises what
        the server refused the document for.
        """
        reader = Changes(self.text, lambda: self.text)
        self._readers.append(reader)
        try:
            if self._closed or self._error is not None:
                reader.end(self._error)
            while (change := await reader.next()) is not None:
                yield change
        finally:
            self._readers.remove(reader)

    @property
    def cursors(self) -> list[Cursor]:
        """The others who have the document open, and where they are in it."""
        return presence.cursors(self.session, _now())

    def set_cursor(
        self,
        anchor: int | None,
        head: int | None = None,
        *,
        unit: OffsetUnit = OffsetUnit.CODE_POINT,
    ) -> None:
        """Show the others where one is: a cursor, or a selection up to `head`; None for nowhere.

        It stays at its place in the text while that is edited.
        """
        place = None
        if anchor is not None:
            ends = (anchor, anchor if head is None else head)
            place = [units.to_code_points(self.text, end, unit) for end in ends]
        self._show(place)

    # The connection.

    async def flush(self, timeout: float | None = None) -> None:
        """Wait until all edits made so far are stored.

        Raises DeadlineExceeded after `timeout` seconds (default: the client's), and what the
        server refused the document for.
        """
        allowed = self._timeout if timeout is None else timeout
        made, session = self.session.made, self.session
        await self._until(
            lambda: session.stored >= made and session.phase is not Phase.JOINING,
            allowed,
            "the edits are not stored",
        )

    async def ready(self, timeout: float | None = None) -> None:
        """Wait until it has been joined: only needed where it was opened with `saved`.

        Raises DeadlineExceeded, and what the server refused the document for.
        """
        allowed = self._timeout if timeout is None else timeout
        await self._until(lambda: self._joined, allowed, "the document was not joined")

    async def connect(self, timeout: float | None = None) -> Self:
        """Open it; done by `async with`. Raises CodeStudioError."""
        if self._session is not None:
            raise RuntimeError("a document is opened once")
        crdt.load()
        allowed = self._timeout if timeout is None else timeout
        await self._prepare()
        connection = self._connection = self._connect()
        epoch, state = self._saved
        self._session = Session(
            connection.next_channel(),
            self._name,
            wake=connection.wake,
            pause=self._pause,
            epoch=epoch,
            state=state,
        )
        self._show(None)
        connection.add(self)
        if state:
            return self  # it can be worked on at once, and is merged when there is a connection
        try:
            await self.ready(allowed)
        except BaseException:
            self._let_go()
            raise
        return self

    async def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Wait until the edits are stored, at most `timeout` seconds, and leave.

        Raises DeadlineExceeded when edits are left that are not stored, and what the server
        refused the document for where that is why; they are lost then. Closing again does nothing.
        """
        if self._closed or self._session is None:
            return
        try:
            if self.unstored:
                await self.flush(timeout)
        finally:
            await self._leave()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep edits from being sent while the block lasts: until they are safe elsewhere."""
        self.session.held += 1
        try:
            yield
        finally:
            self.session.held -= 1
            if self._connection is not None:
                self._connection.wake()

    def saved(self) -> tuple[str, bytes]:
        """Give what it takes to go on with the document later: epoch and Yjs state."""
        return self.session.epoch, self.session.replica.update_since()

    # What the connection tells.

    def happened(self, happened: Happened) -> None:
        """Take in what came."""
        if self.session.phase is Phase.JOINED:
            self._joined = True
        if happened.applied is not None:
            self._tell(happened.applied, local=False)
        self._move()

    def changed(self) -> None:
        """Take note that the connection moved on."""
        self._move()

    def failed(self, error: _errors.CodeStudioError) -> None:
        """Take note that it is over."""
        self._error = error
        for reader in self._readers:
            reader.end(error)
        self._move()

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # What went wrong within matters more than that edits could not be stored.
        with contextlib.suppress(*([_errors.CodeStudioError] if kind else [])):
            await self.close()

    def __repr__(self) -> str:
        name = f"{self.namespace or 'default'}/{self.project}/{self.path}"
        return f"<{type(self).__name__} {name} {self.connection.lower()}>"

    def _check_writable(self) -> None:
        if self._error is not None:
            raise self._error
        if self._closed:
            raise RuntimeError("the document is closed")
        if self.role is Role.VIEWER:
            raise _errors.PermissionDenied(
                "you may read this document, not write", code="READ_ONLY"
            )

    def _step(self, step: Callable[[], Applied]) -> bool:
        self._check_writable()
        applied = step()
        self._tell(applied, local=True)
        return bool(applied.edits)

    def _tell(self, applied: Applied, *, local: bool) -> None:
        if not applied.edits:
            return
        awareness = self.session.awareness
        names = (awareness.name_of(client) for client in sorted(applied.clients))
        change = DocumentChange(
            applied.edits, self.text, local, tuple(name for name in names if name)
        )
        for reader in self._readers:
            reader.put(change)

    def _show(self, place: Sequence[int] | None) -> None:
        state = presence.state(self.session, self._user, place)
        if self.session.awareness.set_state(state) and self._connection is not None:
            self._connection.wake()

    async def _until(self, met: Callable[[], bool], seconds: float, otherwise: str) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    if self._error is not None:
                        raise self._error
                    await self._moved.wait()
        except TimeoutError:
            why = self._connection.last_error if self._connection is not None else None
            because = f": {why.message}" if why is not None else ""
            raise _errors.DeadlineExceeded(
                f"{otherwise} within {seconds:g} s{because}",
                code=why.code if why is not None else "",
            ) from None

    def _move(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _leave(self) -> None:
        session = self.session
        if session.phase is Phase.JOINED:
            session.leave()
            with contextlib.suppress(_errors.CodeStudioError):
                await self._until(
                    lambda: session.phase is Phase.OVER, _LEAVE_SECONDS, "the document was not left"
                )
        self._let_go()

    def _let_go(self) -> None:
        self._closed = True
        if self._connection is not None:
            self._connection.remove(self)
        self.session.replica.close()
        for reader in self._readers:
            reader.end(None)
        self._move()


def _now() -> float:
    return asyncio.get_running_loop().time()
