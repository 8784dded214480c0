"""One connection: its calls, and their frames."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
import structlog
from hyperframe import frame

from services.chassis import garbage
from services.chassis.http2 import wire
from services.chassis.http2.call import WINDOW, Call

_log = structlog.get_logger(__name__)

_CALLS_MOST = 1000
"""Calls on one connection at most; a proxy opens another one for more."""
_HEADERS_MOST = 256 * 1024
"""Bytes of a call's header fields at most. More ends the connection, as does a content-length that
is wrong: a proxy, which has the calls of many clients on one, has to refuse those before."""
_WINDOW = 4 * 1024**2
"""Bytes that a client may send ahead, on all calls together."""
_BUFFERED = 256 * 1024
"""Bytes that wait for a slow connection; past it, calls wait."""
_PING_EVERY = 30.0
_PING_PATIENCE = 10.0
"""Seconds within which a ping has to be answered."""
_DATA = b"\0\0"
"""Kind and flags of a frame of content."""
_CONTROL_CREDIT = 10_000
_CONTROL_RATE = 1_000.0
"""Frames that only cost, at once and by the second: past it, a connection is closed."""
_INCOMPLETE = 64 * 1024
"""Bytes of an unfinished frame at most: h2 would keep one that is too large to its end."""
_CONTROL = (
    h2.events.PingReceived,
    h2.events.PriorityUpdated,
    h2.events.RemoteSettingsChanged,
    h2.events.UnknownFrameReceived,
)

Serve = Callable[[str, Call], Awaitable[None]]
"""Serves a call of a method until it ends."""


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(
        self,
        *,
        serve: Serve,
        most_bytes: int,
        on_open: Callable[["Connection"], None],
        on_close: Callable[["Connection"], None],
    ) -> None:
        """Prepare.

        Args:
            serve: Serves its calls.
            most_bytes: Size of the largest message.
            on_open: Called when it is there.
            on_close: Called when it is gone.
        """
        self._serve = serve
        self._most_bytes = most_bytes
        self._on_open = on_open
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self._http = h2.connection.H2Connection(
            # What is wrong with one call's headers is to end that call, not all of a proxy's.
            h2.config.H2Configuration(
                client_side=False, header_encoding=None, validate_inbound_headers=False
            )
        )
        self._calls: dict[int, tuple[Call, asyncio.Task[None]]] = {}
        self._outgoing: list[bytes] = []
        """What leaves before that which h2 has."""
        self._flushing: asyncio.Handle | None = None
        self._refusing = False
        self._unacknowledged = self._unflushed = 0
        """Bytes by which the client's window is to be widened, and bytes to be written."""
        self._pinging: asyncio.TimerHandle | None = None
        self._credit = float(_CONTROL_CREDIT)
        self._credited = self._loop.time()
        self._peer = ""
        self.paused = False

    # --- the socket ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        # uvloop's is of a class of its own.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_BUFFERED)
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._peer = f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}"
        self._http.local_settings = _settings(_CALLS_MOST)
        self._http.initiate_connection()
        # h2 ends the connection of a client that knows none of this yet. Calls are counted here.
        self._http.local_settings = _settings(2**31 - 1)
        self._http.decoder.max_header_list_size = _HEADERS_MOST
        self._http.increment_flow_control_window(_WINDOW)
        self._flush()
        self._pinging = self._loop.call_later(_PING_EVERY, self._ping)
        self._on_open(self)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends."""
        if self._transport.is_closing():
            return
        try:
            events = self._http.receive_data(data)
            if len(self._http.incoming_buffer._data) > _INCOMPLETE:
                raise h2.exceptions.FrameTooLargeError("a frame that is too large")
        except h2.exceptions.ProtocolError as error:
            self._broken(str(error))
            return
        for event in events:
            if isinstance(event, _CONTROL):
                self._spend()
            if (handle := self._HANDLERS.get(type(event))) is not None:
                # All that came is known to h2 by now: a call may have ended that has just begun.
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    handle(self, event)
        if self._credit < 0:
            self._broken("too many frames that ask for nothing")
        self._flush()

    def pause_writing(self) -> None:
        """Send no more for now."""
        self.paused = True

    def resume_writing(self) -> None:
        """Send again."""
        self.paused = False
        self._widened()

    def eof_received(self) -> None:
        """Close: a client that sends no more can acknowledge nothing either."""

    def connection_lost(self, exc: Exception | None) -> None:
        """End what was on it."""
        for handle in (self._pinging, self._flushing):
            if handle is not None:
                handle.cancel()
        for call, task in self._calls.values():
            call.gone()
            task.cancel()
        self._on_close(self)
        # h2's connection and its table of handlers refer to each other.
        garbage.dropped()

    # --- its server ---

    def refuse(self) -> None:
        """Take no further calls: they are to be made elsewhere."""
        if not self._refusing:
            self._refusing = True
            # h2 knows only the kind that ends a connection at once.
            going = frame.GoAwayFrame(last_stream_id=self._http.HIGHEST_ALLOWED_STREAM_ID)
            self._flush()
            self._transport.write(going.serialize())

    def close(self) -> None:
        """End it, and what is on it."""
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self._http.close_connection()
        self._flush()
        for call, task in self._calls.values():
            call.gone()
            self._end(task)
        self._transport.close()
        if self._pinging is not None:
            # A client that reads nothing would keep it open.
            self._pinging.cancel()
            self._pinging = self._loop.call_later(_PING_PATIENCE, self._transport.abort)

    # --- its calls ---

    def room(self, stream: int) -> int:
        """Return how many bytes may be sent on a stream now."""
        if self.paused or self._unflushed > _BUFFERED:
            return 0
        http = self._http
        return max(0, min(http.local_flow_control_window(stream), http.max_outbound_frame_size))

    def send(self, stream: int, content: bytes) -> None:
        """Send content of a stream; at most what there is `room` for."""
        self._http.send_data(stream, content)
        self._unflushed += len(content)
        self._soon()

    def push(self, stream: int, content: bytes) -> bool:
        """Send content of a stream as one frame, at once; False where there is no room for it.

        What h2's `send_data` does, at a third of the price: an edit goes to a hundred at a time.
        """
        http = self._http
        sending = http.streams.get(stream)
        size = len(content)
        if (
            sending is None
            or self.paused
            or self._unflushed > _BUFFERED
            or size > sending.outbound_flow_control_window
            or size > http.outbound_flow_control_window
            or size > http.max_outbound_frame_size
        ):
            return False
        sending.outbound_flow_control_window -= size
        http.outbound_flow_control_window -= size
        self._unflushed += size
        if before := http.data_to_send():
            self._outgoing.append(before)
        self._outgoing += (size.to_bytes(3) + _DATA + stream.to_bytes(4), content)
        self._soon()
        return True

    def headers(self, stream: int, fields: list[tuple[bytes, bytes]], *, end: bool = False) -> None:
        """Send header fields of a stream."""
        self._http.send_headers(stream, fields, end_stream=end)
        self._soon()

    def widen(self, stream: int, size: int) -> None:
        """Let the client send more on a stream."""
        known = self._http.streams.get(stream)
        if known is not None and known.open:
            self._http.increment_flow_control_window(size, stream)
            self._soon()

    # --- what happens ---

    def _requested(self, event: h2.events.RequestReceived) -> None:
        stream = event.stream_id
        if self._refusing or len(self._calls) >= _CALLS_MOST:
            self._http.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        headers = dict(event.headers)
        kind = headers.get(b"content-type", b"")
        if headers.get(b":method") != b"POST" or not kind.startswith(b"application/grpc"):
            self.headers(stream, [(b":status", b"415")], end=True)
            if event.stream_ended is None:
                self._http.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
            return
        seconds = wire.timeout(headers.get(b"grpc-timeout", b""))
        call = Call(
            self,
            stream,
            metadata=wire.metadata(event.headers),
            seconds=seconds,
            most_bytes=self._most_bytes,
            peer=self._peer,
        )
        if headers.get(b"grpc-encoding", b"identity") != b"identity":
            call.fail(grpc.StatusCode.UNIMPLEMENTED, str(wire.Compressed()))
        method = headers.get(b":path", b"").decode("ascii", "replace")
        task = self._loop.create_task(self._run(method, call, stream), name=f"serve {method}")
        self._calls[stream] = call, task
        if seconds is not None:
            timer = self._loop.call_later(seconds, self._expire, call, task)
            task.add_done_callback(lambda _: timer.cancel())

    async def _run(self, method: str, call: Call, stream: int) -> None:
        try:
            if call.code() is None:
                await self._serve(method, call)
        except asyncio.CancelledError:
            call.fail(grpc.StatusCode.CANCELLED, "The call was cancelled")
        except (grpc.aio.AbortError, h2.exceptions.ProtocolError):
            # It ended itself, or there is nobody any more to send to.
            pass
        except Exception:  # noqa: BLE001 - harms this call only
            _log.exception("call failed", method=method)
            call.fail(grpc.StatusCode.UNKNOWN, "The call failed")
        finally:
            half_closed = call.half_closed
            del self._calls[stream]
            if not self._transport.is_closing():
                with contextlib.suppress(h2.exceptions.ProtocolError):
                    if not call.finish():
                        self._http.reset_stream(stream, h2.errors.ErrorCodes.CANCEL)
                    elif not half_closed:
                        # It need not send what nobody reads (RFC 9113, 8.1).
                        self._http.reset_stream(stream, h2.errors.ErrorCodes.NO_ERROR)
                    self._soon()

    @staticmethod
    def _expire(call: Call, task: "asyncio.Task[None]") -> None:
        call.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        task.cancel()

    def _end(self, task: "asyncio.Task[None]") -> None:
        """Cancel a call, once it has begun: a task that has not would end without any clean-up."""
        self._loop.call_soon(task.cancel)

    def _received(self, event: h2.events.DataReceived) -> None:
        size = event.flow_controlled_length
        if not size and event.stream_ended is None:
            self._spend()
        # The connection's window is for all calls: none is to wait since another does not read.
        self._unacknowledged += size
        if self._unacknowledged >= _WINDOW // 2:
            self._http.increment_flow_control_window(self._unacknowledged)
            self._unacknowledged = 0
        if (found := self._calls.get(event.stream_id)) is None:
            return
        call, task = found
        try:
            call.received(event.data, size)
        except wire.Oversized as error:
            call.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
            self._end(task)
        except wire.Compressed as error:
            call.fail(grpc.StatusCode.INTERNAL, str(error))
            self._end(task)

    def _ended(self, event: h2.events.StreamEnded) -> None:
        if (found := self._calls.get(event.stream_id)) is not None:
            found[0].ended()

    def _reset(self, event: h2.events.StreamReset) -> None:
        if (found := self._calls.get(event.stream_id)) is not None:
            call, task = found
            call.gone()
            self._end(task)

    def _window(self, event: h2.events.WindowUpdated) -> None:
        if not event.stream_id:
            self._widened()
        elif (found := self._calls.get(event.stream_id)) is not None:
            found[0].widened()

    def _widened(self, _: Any = None) -> None:
        for call, _task in self._calls.values():
            call.widened()

    def _left(self, _: h2.events.ConnectionTerminated) -> None:
        """Let a client that begins nothing new finish what it has; h2 would end that as well."""
        self._http.state_machine.state = h2.connection.ConnectionState.SERVER_OPEN

    def _answered(self, _: h2.events.PingAckReceived) -> None:
        if self._pinging is not None:
            self._pinging.cancel()
        self._pinging = self._loop.call_later(_PING_EVERY, self._ping)

    _HANDLERS: "dict[type[Any], Callable[[Connection, Any], None]]" = {  # noqa: RUF012
        h2.events.RequestReceived: _requested,
        h2.events.DataReceived: _received,
        h2.events.StreamEnded: _ended,
        h2.events.StreamReset: _reset,
        h2.events.WindowUpdated: _window,
        h2.events.RemoteSettingsChanged: _widened,
        h2.events.ConnectionTerminated: _left,
        h2.events.PingAckReceived: _answered,
    }

    def _ping(self) -> None:
        """Ask whether it is still there: of a peer that vanished, nothing else tells."""
        if self._transport.is_closing():
            return
        self._http.ping(b"codestud")
        self._flush()
        self._pinging = self._loop.call_later(_PING_PATIENCE, self._transport.abort)

    def _spend(self) -> None:
        now = self._loop.time()
        self._credit += (now - self._credited) * _CONTROL_RATE
        self._credit = min(self._credit, _CONTROL_CREDIT) - 1
        self._credited = now

    def _broken(self, why: str) -> None:
        _log.info("connection breaks the protocol", peer=self._peer, why=why)
        self.close()

    # --- sending ---

    def _soon(self) -> None:
        """Send what there is: at once where it is for one call, else with that of the others."""
        if len(self._calls) == 1:
            self._flush()
        elif self._flushing is None:
            self._flushing = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        outgoing = self._outgoing
        if data := self._http.data_to_send():
            outgoing.append(data)
        if outgoing:
            self._transport.write(outgoing[0] if len(outgoing) == 1 else b"".join(outgoing))
            outgoing.clear()
        held_up, self._unflushed = self._unflushed > _BUFFERED, 0
        if held_up:
            self._widened()


def _settings(calls: int) -> h2.settings.Settings:
    return h2.settings.Settings(
        client=False,
        initial_values={
            h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: calls,
            h2.settings.SettingCodes.MAX_HEADER_LIST_SIZE: _HEADERS_MOST,
            h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
        },
    )
