"""The endpoint ``/yjs/<namespace>/<project>/<path>``: y-websocket's protocol, for any Yjs editor.

Joining a document that nobody opened opens it, empty, where the caller may write: that is what
such editors expect of a room. What a viewer sends is dropped, as they expect as well.

How a connection ends is told by its close code: 4400 to 4499 mean never, 4500 to
4599 mean later.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import unquote

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from services.chassis import (
    authentication,
    browsers,
    cancellation,
    errors,
    identity,
    lifecycle,
    live,
)
from services.chassis.validation import Violations
from services.collaboration import access, measures, names, segments, yframes, ywire
from services.collaboration.loading import NotOpened
from services.collaboration.names import Name
from services.collaboration.opening import Opening
from services.collaboration.room import Room
from services.collaboration.rooms import Rooms
from services.collaboration.settings import CollaborationSettings
from services.collaboration.share import Share
from services.collaboration.standing import Standing
from services.collaboration.subscriber import Subscriber

_log = structlog.get_logger(__name__)

_PREFIX = "/yjs/"
_PROTOCOL = "codestudio"
"""Sub-protocol to offer beside a token, for browsers, which send no header of their own."""
_PING_EVERY = 25.0
_LONGEST_LOOK = 1.0
"""Seconds after which a quiet connection looks whether a comparison is due."""

_CODES: Mapping[type[errors.DomainError], int] = {
    errors.InvalidArgument: 4400,
    errors.Unauthenticated: 4401,
    errors.PermissionDenied: 4403,
    errors.NotFound: 4404,
    errors.ResourceExhausted: 4413,
    errors.Unavailable: 4503,
    errors.DeadlineExceeded: 4504,
}
_CODES_OF: Mapping[str, int] = {
    "UPDATE_TOO_LARGE": 4413,
    "EPOCH_MISMATCH": 4409,
    # Here and now: another replica, or a later moment, may have room.
    "TOO_MANY_DOCUMENTS": 4503,
}
"""Of single errors, where it is another one than their kind's."""
_FAULT = 4500
_FRAMING = 1024
"""Bytes that a message may have beside its update."""


class _Socket(web.WebSocketResponse):
    """A WebSocket that says what y-websocket takes as final where aiohttp gives a message up."""

    async def close(
        self, *, code: int = WSCloseCode.OK, message: bytes = b"", drain: bool = True
    ) -> bool:
        """Close it; too much for one message is no matter of trying again."""
        if code == WSCloseCode.MESSAGE_TOO_BIG:
            code, message = _CODES_OF["UPDATE_TOO_LARGE"], b"UPDATE_TOO_LARGE"
        return await super().close(code=code, message=message, drain=drain)


class Yjs:
    """Serves y-websocket's protocol."""

    def __init__(
        self,
        *,
        authenticator: authentication.Authenticator,
        rooms: Rooms,
        opening: Opening,
        in_force: live.Live[CollaborationSettings],
    ) -> None:
        self._authenticator = authenticator
        self._rooms = rooms
        self._opening = opening
        self._settings = in_force.current
        self._most = self._settings.update_max_bytes + _FRAMING
        self._in_force = in_force

    def application(self) -> web.Application:
        """Return what is served on the port for the web."""
        application = web.Application()
        application.router.add_get("/healthz", _alive)
        application.router.add_get(_PREFIX + "{room:.*}", self.connect)
        return application

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one client until it goes."""
        offered = _offered(request)
        socket = _Socket(
            protocols=[_PROTOCOL, *offered],
            # Read to its end, a message is refused by our own code; given up in the middle, the
            # connection may break before the client has read why, and it comes again with the same.
            max_msg_size=max(self._settings.grpc_max_receive_bytes, self._most),
            compress=False,
            heartbeat=_PING_EVERY,
        )
        await socket.prepare(request)
        try:
            caller = self._caller(request, offered)
            name = _name(request)
            access.check(caller, name)
            if not access.may_read(caller):
                raise errors.PermissionDenied("PERMISSION_DENIED", "You may not read documents")
            async with self._room(name, caller) as room:
                assert request.transport is not None
                client = _Client(
                    socket,
                    request.transport,
                    room,
                    caller,
                    self._authenticator,
                    most=self._most,
                    silence=self._settings.heartbeat_seconds,
                    compare_after=lambda: self._in_force.current.collaboration_sync_interval / 1000,
                    pace=self._settings.flush_per_socket,
                    share=Share(
                        share=self._settings.connection_share,
                        credit=self._settings.connection_credit,
                    ),
                )
                error = await client.serve()
        except errors.DomainError as refused:
            error = refused
        except Exception as unforeseen:  # noqa: BLE001 - told in-band, as everything on a stream
            error = errors.from_exception(unforeseen)
            if isinstance(error, errors.Internal):
                _log.exception("yjs failed")
        if error is not None and not socket.closed:
            measures.REFUSALS.labels(error.code).inc()
            await _close(socket, error)
        return socket

    @contextlib.asynccontextmanager
    async def _room(self, name: Name, caller: identity.Caller) -> AsyncIterator[Room]:
        try:
            room = await self._rooms.hold(name)
        except NotOpened:
            if not access.may_write(caller):
                raise
            await self._opening.ensure(name, "", access.author(caller))
            room = await self._rooms.hold(name)
        try:
            yield room
        finally:
            self._rooms.release(room)

    def _caller(self, request: web.Request, offered: list[str]) -> identity.Caller:
        """Find out who connects.

        By a token in the query or among the sub-protocols, which is what a browser can give; in
        the header; or by the session's cookie, from our own pages only.
        """
        authorization = request.headers.get("Authorization", "")
        if token := request.query.get("token", "") or (offered[0] if offered else ""):
            authorization = f"Bearer {token}"
        if not authorization:
            cookie = browsers.cookie_name(self._settings.gateway_url)
            if token := request.cookies.get(cookie, ""):
                if not browsers.is_own_page(request.headers):
                    raise errors.PermissionDenied(
                        "ORIGIN_REFUSED", "Another site's page sent this request"
                    )
                authorization = f"Bearer {token}"
        return self._authenticator.authenticate(authorization)


class _Client:
    """One connection."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        room: Room,
        caller: identity.Caller,
        authenticator: authentication.Authenticator,
        *,
        most: int,
        silence: float,
        compare_after: Callable[[], float],
        pace: float,
        share: Share,
    ) -> None:
        self._socket = socket
        self._transport = transport
        self._room = room
        self._most = most
        """Bytes of its largest message."""
        self._silence = silence
        self._compare_after = compare_after
        self._share = share
        self._event = asyncio.Event()
        self._serving = False
        """Whether all there was is sent, and what comes may go straight to the connection."""
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()
        self._answers: list[bytes] = []
        self._asked: bytes | None = None
        """The newest state vector it asked with and has no answer to: one answer serves all."""
        self._asked_who = False
        """Whether it asked who is there and has no answer yet."""
        self._error: errors.DomainError | None = None
        self._over = False
        self._standing = Standing(
            authenticator=authenticator, caller=caller, on_end=self._event.set
        )
        self._subscriber = Subscriber(
            author=access.author(caller),
            may_write=access.may_write(caller),
            pace=pace,
            wake=self._wake,
        )

    async def serve(self) -> errors.DomainError | None:
        """Serve it until it goes; returns why it is sent away, where it is."""
        room, subscriber = self._room, self._subscriber
        room.join(subscriber)
        measures.CLIENTS.labels("yjs").inc()
        self._answers.append(yframes.step1(room.state_vector()))
        if who := room.awareness.everything():
            self._answers.append(yframes.awareness(who))
        draining = asyncio.ensure_future(lifecycle.draining().wait())
        draining.add_done_callback(lambda _: self._event.set())
        reading = asyncio.create_task(self._read(), name="read yjs")
        try:
            with self._standing.followed():
                await self._write(draining)
        finally:
            draining.cancel()
            room.leave(subscriber)
            measures.CLIENTS.labels("yjs").dec()
            await cancellation.cancel([reading], grace=5.0)
        return self._error

    def _wake(self) -> None:
        """Send what is new: at once to a connection that has taken all before."""
        transport = self._transport
        if not self._serving or transport.is_closing() or transport.get_write_buffer_size():
            self._event.set()
            return
        room, subscriber = self._room, self._subscriber
        if subscriber.failure is not None or subscriber.must_resync or self._owing:
            self._event.set()
            return
        found = b""
        if subscriber.at < room.segments.end:
            try:
                found = room.segments.frame(subscriber.at, subscriber, yframes.socket_update) or b""
            except segments.Behind:
                self._event.set()
                return
            subscriber.at = room.segments.end
        if (said := room.awareness_for(subscriber)) is not None:
            found += yframes.socket_frame(yframes.awareness(said))
        if found:
            measures.YJS_FRAMES.inc()
            try:
                transport.write(found)
            except RuntimeError:
                # Reset at this moment: the writer finds out, and ends.
                self._event.set()
                return
            self._sent_at = self._loop.time()

    async def _write(self, draining: asyncio.Future[Any]) -> None:
        loop = self._loop
        self._sent_at = compared_at = loop.time()
        beat = loop.call_later(self._silence, self._event.set)
        try:
            while True:
                self._event.clear()
                while frames := self._due():
                    for frame in frames:
                        # Waits while the connection takes no more: what comes meanwhile stays in
                        # the room, and leaves as one frame.
                        await self._socket.send_bytes(frame)
                    self._sent_at = loop.time()
                    if draining.done() or self._standing.ended is not None:
                        # Who takes longer for a frame than a round lasts has always more due.
                        break
                if self._over or self._error is not None:
                    return
                if self._standing.ended is not None:
                    self._error = self._standing.ended
                    return
                if draining.done():
                    self._error = errors.Unavailable(
                        "SERVER_SHUTTING_DOWN", "This replica is going; connect again"
                    )
                    return
                changed_at = self._room.changed_at
                due = changed_at + self._compare_after()
                if compared_at < changed_at and loop.time() >= due:
                    # Quiet again: what went missing on the way, if anything did, comes now.
                    await self._socket.send_bytes(yframes.step1(self._room.state_vector()))
                    self._sent_at = compared_at = loop.time()
                if loop.time() - self._sent_at >= self._silence:
                    # Clients take a connection for dead that says nothing, whatever it pings.
                    await self._socket.send_bytes(yframes.NOTHING)
                    self._sent_at = loop.time()
                beat.cancel()
                # What goes straight to the connection does not wake this, nor does a shorter
                # time between comparisons.
                look_after = min(self._compare_after(), _LONGEST_LOOK)
                next_at = min(self._sent_at + self._silence, loop.time() + look_after)
                beat = loop.call_at(next_at, self._event.set)
                self._serving = True
                await self._event.wait()
                self._serving = False
        except ConnectionError:
            return
        finally:
            beat.cancel()

    def _due(self) -> list[bytes]:
        """Return what can be sent now."""
        room, subscriber = self._room, self._subscriber
        found, self._answers = self._answers, []
        if subscriber.failure is not None:
            self._error = subscriber.failure
            return found
        if (asked := self._asked) is not None:
            # Made only when it can be sent, so that however many ask, one document is held.
            self._asked = None
            try:
                answer = yframes.step2(room.missing(asked))
            except errors.DomainError as error:
                self._error = error
                return found
            self._share.spend(len(answer))
            found.append(answer)
        if self._asked_who:
            self._asked_who = False
            who = room.awareness.everything()
            found.append(yframes.awareness(who) if who else yframes.NOTHING)
        if subscriber.at < room.segments.end:
            try:
                frame = room.segments.frame(subscriber.at, subscriber, yframes.update)
            except segments.Behind:
                measures.RESYNCS.labels("slow").inc()
                frame = yframes.update(room.state())
            subscriber.at = room.segments.end
            if frame is not None:
                measures.YJS_FRAMES.inc()
                found.append(frame)
        if subscriber.must_resync:
            subscriber.must_resync = False
            found.append(yframes.step1(room.state_vector()))
        if (said := room.awareness_for(subscriber)) is not None:
            found.append(yframes.awareness(said))
        return found

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if self._standing.ended is not None:
                    # The writer may be waiting for a client that reads nothing.
                    raise self._standing.ended
                if message.type is WSMsgType.BINARY:
                    self._handle(message.data)
                    if pause := self._share.spend(len(message.data)):
                        await asyncio.sleep(pause)
                elif message.type is WSMsgType.TEXT:
                    raise errors.InvalidArgument("INVALID_MESSAGE", "Messages are binary")
        except errors.DomainError as error:
            self._error = error
        except ywire.Malformed as error:
            self._error = errors.InvalidArgument(
                "INVALID_MESSAGE", f"The message cannot be read: {error}"
            )
        except Exception as error:  # noqa: BLE001 - harms this client only
            self._error = errors.from_exception(error)
            if isinstance(self._error, errors.Internal):
                _log.exception("yjs failed")
        finally:
            self._over = True
            self._event.set()

    def _handle(self, content: bytes) -> None:
        if len(content) > self._most:
            raise errors.InvalidArgument(
                "UPDATE_TOO_LARGE",
                f"A message may have {self._most} bytes, this has {len(content)}",
            )
        reader = ywire.Reader(content)
        kind = reader.uint()
        if kind == yframes.SYNC:
            self._sync(reader.uint(), reader.bytes())
        elif kind == yframes.AWARENESS:
            self._room.say(reader.bytes(), self._subscriber)
        elif kind == yframes.QUERY_AWARENESS:
            self._asked_who = True
            self._event.set()
        # Anything else is of a later protocol, and says nothing to us.

    def _sync(self, step: int, content: bytes) -> None:
        if step == yframes.STEP_1:
            if content:
                ywire.read_state_vector(content)
            self._asked = content
            self._event.set()
        elif step in (yframes.STEP_2, yframes.UPDATE):
            if self._subscriber.may_write:
                self._room.submit(content, self._subscriber)
        else:
            raise ywire.Malformed(f"there is no step {step}")

    @property
    def _owing(self) -> bool:
        """Whether it waits for an answer."""
        return bool(self._answers) or self._asked is not None or self._asked_who


def _offered(request: web.Request) -> list[str]:
    """Return the tokens among the sub-protocols a client offers."""
    given = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    return [one.strip() for one in given if one.count(".") == 2]


def _name(request: web.Request) -> Name:
    """Read the document out of the path, each part unescaped by itself."""
    parts = [unquote(part) for part in request.rel_url.raw_path[len(_PREFIX) :].split("/")]
    if len(parts) < 3:
        raise errors.InvalidArgument(
            "INVALID_ARGUMENT", "The room has to be <namespace>/<project>/<path>"
        )
    wrong = Violations()
    found = Name(
        names.namespace(wrong, "namespace", parts[0]),
        names.project(wrong, "project", parts[1]),
        names.path(wrong, "path", "/".join(parts[2:])),
    )
    wrong.check()
    return found


async def _close(socket: web.WebSocketResponse, error: errors.DomainError) -> None:
    by_kind = (code for kind, code in _CODES.items() if isinstance(error, kind))
    code = _CODES_OF.get(error.code) or next(by_kind, _FAULT)
    reason = f"{error.code}: {error.message}"
    with contextlib.suppress(ConnectionError):
        if code in (4401, 4403):
            await socket.send_bytes(yframes.denied(reason))
        # A close frame has 125 bytes, two of which are the code.
        await socket.close(
            code=code, message=reason.encode()[:120].decode(errors="ignore").encode()
        )


async def _alive(_: web.Request) -> web.Response:
    return web.Response(text="ok")
