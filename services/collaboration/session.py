"""One stream of Collaborate: a client, and the documents it has open on it."""

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import structlog
from codestudio.collaboration.v1 import collaborate_pb2
from google.protobuf.message import DecodeError

from services.chassis import authentication, cancellation, errors, identity, lifecycle
from services.chassis.validation import Violations
from services.collaboration import (
    access,
    frames,
    joining,
    measures,
    names,
    segments,
    translation,
    ywire,
)
from services.collaboration.room import Room
from services.collaboration.rooms import Rooms
from services.collaboration.settings import CollaborationSettings
from services.collaboration.share import Share
from services.collaboration.standing import Standing
from services.collaboration.subscriber import Subscriber

_log = structlog.get_logger(__name__)

_ANSWERS_WAITING = 8
"""Answers to requests that may wait to be sent; then no further request is read."""
_ANSWERS_BYTES = 1024**2
"""Bytes of them that may wait: an answer may hold a whole document."""

_LOADS = 8
"""Documents of one stream that are loaded at once; more wait for their turn."""

Request = collaborate_pb2.CollaborateRequest


class _Channel:
    """One document on the stream."""

    def __init__(self, number: int, room: Room, subscriber: Subscriber) -> None:
        self.number = number
        self.prefix = frames.channel(number)
        self.room = room
        self.subscriber = subscriber


class Session:
    """Serves one stream: `answers` gives what to send, one frame after the other.

    While a frame is on its way nothing is prepared: what comes meanwhile stays in the rooms, and
    leaves as one frame when the client has taken the last.
    """

    def __init__(
        self,
        *,
        requests: AsyncIterator[bytes],
        caller: identity.Caller,
        authenticator: authentication.Authenticator,
        rooms: Rooms,
        settings: CollaborationSettings,
    ) -> None:
        self._requests = requests
        self._caller = caller
        self._writes = access.may_write(caller)
        self._rooms = rooms
        self._settings = settings
        self._channels: dict[int, _Channel] = {}
        self._joining = joining.Joining()
        self._loads = asyncio.Semaphore(_LOADS)
        self._woken: dict[_Channel, None] = {}
        self._answers: collections.deque[bytes] = collections.deque()
        self._event = asyncio.Event()
        self._room_for_answers = asyncio.Event()
        self._room_for_answers.set()
        self._answered = self._sent = 0
        """Bytes of answers that were made, and of those that were sent."""
        self._share = Share(share=settings.connection_share, credit=settings.connection_credit)
        self._over = False
        self._push: Callable[[bytes], bool] | None = None
        self._pace = settings.flush_per_stream
        self._resting = False
        """Whether all there was is sent, and what comes may be pushed."""
        self._standing = Standing(
            authenticator=authenticator, caller=caller, on_end=self._event.set
        )
        self._loop = asyncio.get_running_loop()
        self._sent_at = self._loop.time()

    async def answers(
        self,
        write: Callable[[bytes], Awaitable[None]],
        push: Callable[[bytes], bool] | None = None,
    ) -> AsyncIterator[bytes]:
        """Answer until the client or the service ends it.

        The first frame is given, which opens the stream; the others are written: every layer that
        a frame passes through costs as much as making it.

        Args:
            write: Sends a frame, and waits until the client takes more.
            push: Sends a frame at once, or tells that the client takes none right now.
        """
        self._push = push
        if push is not None:
            self._pace = self._settings.flush_per_socket
        draining = asyncio.ensure_future(lifecycle.draining().wait())
        draining.add_done_callback(lambda _: self._event.set())
        reading = asyncio.create_task(self._read(), name="read collaborate")
        silence = self._settings.heartbeat_seconds
        beat = self._loop.call_later(silence, self._event.set)
        ending = contextlib.ExitStack()
        ending.enter_context(self._standing.followed())
        opened = False
        try:
            while True:
                self._event.clear()
                while self._answers or self._woken:
                    answered = self._answered
                    for frame in self._due():
                        if opened:
                            await write(frame)
                        else:
                            opened = True
                            yield frame
                        self._sent_at = self._loop.time()
                    self._sent = answered
                    self._bound()
                    if draining.done() or self._standing.ended is not None:
                        # Who takes longer for a frame than a round lasts has always more due.
                        break
                if self._standing.ended is not None:
                    yield frames.error(0, self._standing.ended)
                    return
                if self._over:
                    return
                if draining.done():
                    yield frames.error(
                        0,
                        errors.Unavailable(
                            "SERVER_SHUTTING_DOWN", "This replica is going; join again elsewhere"
                        ),
                    )
                    return
                now = self._loop.time()
                if now >= beat.when():
                    if now - self._sent_at >= silence:
                        self._answers.append(frames.heartbeat())
                        beat = self._loop.call_at(now + silence, self._event.set)
                        continue
                    beat = self._loop.call_at(self._sent_at + silence, self._event.set)
                self._resting = True
                await self._event.wait()
                self._resting = False
        finally:
            self._resting = False
            ending.close()
            beat.cancel()
            draining.cancel()
            for channel in list(self._channels.values()):
                self._leave(channel)
            # Ended last: a stream whose end nobody awaits would leak.
            await cancellation.cancel([reading, *self._joining.tasks], grace=5.0)

    def _due(self) -> list[bytes]:
        """Return what can be sent now."""
        found = list(self._answers)
        self._answers.clear()
        woken, self._woken = self._woken, {}
        for channel in woken:
            if self._channels.get(channel.number) is channel:
                found.extend(self._news(channel))
        return found

    def _news(self, channel: _Channel) -> list[bytes]:
        """Return what a channel has to be told."""
        room, subscriber = channel.room, channel.subscriber
        if subscriber.failure is not None:
            self._leave(channel)
            return [frames.error(channel.number, subscriber.failure)]
        found = []
        if subscriber.at < room.segments.end:
            try:
                frame = room.segments.frame(subscriber.at, subscriber, frames.update)
            except segments.Behind:
                measures.RESYNCS.labels("slow").inc()
                subscriber.must_resync = True
            else:
                subscriber.at = room.segments.end
                if frame is not None:
                    measures.GRPC_FRAMES.inc()
                    found.append(channel.prefix + frame)
        if (ack := subscriber.take_ack()) is not None:
            found.append(frames.ack(channel.number, *ack))
        if subscriber.must_resync:
            self._leave(channel)
            found.append(frames.resync(channel.number, room.state_vector()))
        elif (said := room.awareness_for(subscriber)) is not None:
            found.append(channel.prefix + frames.awareness(said))
        return found

    def _wake(self, channel: _Channel) -> None:
        """Send what is new: at once to a client that has taken all before."""
        push, subscriber = self._push, channel.subscriber
        if (
            push is None
            or not self._resting
            or self._event.is_set()
            or subscriber.failure is not None
            or subscriber.must_resync
        ):
            self._woken[channel] = None
            self._event.set()
            return
        for frame in self._news(channel):
            if self._answers or not push(frame):
                self._answers.append(frame)
                self._event.set()
            else:
                self._sent_at = self._loop.time()

    async def _read(self) -> None:
        try:
            async for raw in self._requests:
                await self._room_for_answers.wait()
                if self._standing.ended is not None:
                    # Told by the writer; it may be waiting for a client that reads nothing.
                    return
                answered = self._answered
                try:
                    request = Request.FromString(raw)
                    if not (self._joining.channels and self._joining.keeps(request)):
                        self._handle(request)
                except DecodeError:
                    raise errors.InvalidArgument(
                        "INVALID_MESSAGE", "That is not a message of this method's contract"
                    ) from None
                if pause := self._share.spend(len(raw) + self._answered - answered):
                    await asyncio.sleep(pause)
                if self._joining.full:
                    await self._joining.drained()
            await self._joining.done()
        except errors.DomainError as error:
            self._refuse(0, error)
        except Exception as error:  # noqa: BLE001 - told in-band, as everything on a stream
            _log.exception("collaborate failed")
            self._refuse(0, errors.from_exception(error))
        finally:
            self._over = True
            self._event.set()

    def _handle(self, request: Request) -> None:
        number = request.channel
        kind = request.WhichOneof("message")
        try:
            if kind == "update":
                # A channel that was left just now: what is on its way to it is not for anybody.
                if (channel := self._channels.get(number)) is not None:
                    channel.room.submit(
                        request.update.update, channel.subscriber, request.update.sequence
                    )
            elif kind == "awareness":
                if (channel := self._channels.get(number)) is not None:
                    channel.room.say(request.awareness.update, channel.subscriber)
            elif kind == "join":
                name = self._named(number, request.join)
                if (room := self._rooms.held(name, request.join.epoch)) is not None:
                    self._join(number, request.join, room)
                else:
                    self._joining.begin(request, self._take)
            elif kind == "leave" and (channel := self._channels.get(number)) is not None:
                self._leave(channel)
        except Exception as error:  # noqa: BLE001 - harms this document's client only
            self._failed(number, error)

    def _failed(self, number: int, error: Exception) -> None:
        """Refuse something about a document that could not be done, and leave it."""
        if isinstance(error, ywire.Malformed):
            known: errors.DomainError = errors.InvalidArgument(
                "INVALID_AWARENESS", f"The awareness cannot be read: {error}"
            )
        elif isinstance(error, errors.DomainError):
            known = error
        else:
            known = errors.from_exception(error)
            if isinstance(known, errors.Internal):
                _log.error("collaborate failed", exc_info=error)
        if (channel := self._channels.get(number)) is not None:
            self._leave(channel)
        self._refuse(number, known)

    def _named(self, number: int, join: collaborate_pb2.Join) -> names.Name:
        """Return which document a client may now join, having left what the channel had."""
        wrong = Violations()
        if not number:
            wrong.add("channel", "must be at least 1")
        name = names.name(wrong, "join.name", join.name)
        wrong.check()
        access.check(self._caller, name)
        if (old := self._channels.get(number)) is not None:
            self._leave(old)
        elif (
            len(self._channels.keys() | self._joining.channels.keys() - {number})
            >= self._settings.channels_max
        ):
            raise errors.ResourceExhausted(
                "TOO_MANY_CHANNELS",
                f"One stream may have {self._settings.channels_max} documents open",
                metadata={"limit": str(self._settings.channels_max)},
            )
        return name

    def _join(self, number: int, join: collaborate_pb2.Join, room: Room) -> None:
        """Join a document that is held."""
        try:
            missing = room.missing(join.state_vector)
            channel = _Channel(
                number,
                room,
                Subscriber(
                    author=access.author(self._caller),
                    may_write=self._writes,
                    pace=self._pace,
                    wake=lambda: self._wake(channel),
                ),
            )
            room.join(channel.subscriber)
        except BaseException:
            self._rooms.release(room)
            raise
        self._channels[number] = channel
        measures.CLIENTS.labels("grpc").inc()
        joined = collaborate_pb2.Joined(
            document=translation.document(room, writes=self._writes),
            update=missing,
            state_vector=room.state_vector(),
            awareness=room.awareness.everything(),
        )
        self._answer(frames.Response(channel=number, joined=joined).SerializeToString())

    async def _take(self, request: Request) -> None:
        """Take a join that has to wait, or what came behind it."""
        try:
            await self._answerable()
            if request.WhichOneof("message") == "join":
                await self._load(request.channel, request.join)
            else:
                self._handle(request)
        except Exception as error:  # noqa: BLE001 - harms this document's client only
            self._failed(request.channel, error)

    async def _load(self, number: int, join: collaborate_pb2.Join) -> None:
        async with self._loads:
            room = await self._rooms.hold(self._named(number, join), join.epoch)
            try:
                await self._answerable()
            except BaseException:
                self._rooms.release(room)
                raise
            answered = self._answered
            self._join(number, join, room)
            # What is read next waits for it.
            self._share.spend(self._answered - answered)

    async def _answerable(self) -> None:
        """Wait until an answer may be made: others may have waited too, and made theirs first."""
        while not self._room_for_answers.is_set():
            await self._room_for_answers.wait()

    def _leave(self, channel: _Channel) -> None:
        if self._channels.get(channel.number) is channel:
            del self._channels[channel.number]
            self._woken.pop(channel, None)
            channel.room.leave(channel.subscriber)
            self._rooms.release(channel.room)
            measures.CLIENTS.labels("grpc").dec()

    def _refuse(self, number: int, error: errors.DomainError) -> None:
        measures.REFUSALS.labels(error.code).inc()
        self._answer(frames.error(number, error))

    def _answer(self, frame: bytes) -> None:
        self._answers.append(frame)
        self._answered += len(frame)
        self._bound()
        self._event.set()

    def _bound(self) -> None:
        """Read no further while answers wait that are many, or large."""
        waiting = self._answered - self._sent
        if len(self._answers) >= _ANSWERS_WAITING or waiting >= _ANSWERS_BYTES:
            self._room_for_answers.clear()
        else:
            self._room_for_answers.set()
