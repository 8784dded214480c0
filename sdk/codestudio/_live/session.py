"""One document on a stream: what to send, what what comes means. No connection, no waiting.

The document itself is what is sent again after a break: whoever joins tells what he holds, is
given what he lacks, and gives what the server lacks. So nothing depends on what became of the
messages that were on their way.
"""

import enum
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from codestudio import _errors
from codestudio._live import crdt, edits, wire
from codestudio._live.awareness import Awareness
from codestudio._live.replica import Applied, Replica
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

Request = collaborate_pb2.CollaborateRequest
Response = collaborate_pb2.CollaborateResponse

FRAME_BYTES = 1024 * 1024
"""Most bytes of edits sent as one update, where they can be sent one after the other."""

UPDATE_MOST = 4 * 1024 * 1024
"""Most bytes of one update that a server takes."""

_CALM = 30.0
"""Seconds without a resynchronisation after which the next one is not waited for."""

MERGED_MOST = 64
"""Most updates merged into one: merging costs the square of it."""


class Phase(enum.Enum):
    """How far a session is."""

    AWAY = "away"
    JOINING = "joining"
    JOINED = "joined"
    OVER = "over"


class Happened(NamedTuple):
    """What an incoming message did."""

    applied: Applied | None = None
    """Others changed the text."""
    awareness: bool = False
    """Others came, went or moved."""
    error: _errors.CodeStudioError | None = None
    """The server refused the document."""


class Session:
    """The state of one document's side of the protocol."""

    def __init__(
        self,
        channel: int,
        name: document_pb2.DocumentName,
        *,
        wake: Callable[[], None],
        pause: Callable[[int], float],
        epoch: str = "",
        state: bytes = b"",
    ) -> None:
        """Describe a document that is not joined yet.

        `wake` is called when there is something to send; `pause` gives the seconds to wait
        after so many refusals in a row; `epoch` and `state` are what is held from before.
        """
        self.channel = channel
        self.name = name
        self._wake = wake
        self._pause = pause
        self._refusals = 0
        self._not_before = 0.0
        self._resyncs = 0  # in a row
        self._resynced = float("-inf")  # when, last
        self._fresh = False  # join as one who holds nothing
        self._whole = True  # the newest update lacked nothing before it
        self.phase = Phase.AWAY
        self.epoch = epoch
        """History the document is held of; empty before the first join."""
        self.revision = 0
        """Newest revision the server told."""
        self.role = document_pb2.ROLE_UNSPECIFIED
        """What one may do."""
        self.replica = Replica(self._made)
        self.awareness = Awareness(self.replica.client_id)
        self.held = 0
        """While above 0, edits wait: their maker stores them first."""
        if state:
            self.replica.apply(state)
        self._sequence = 0
        self._edits = 0  # counts updates made here
        self._stored = 0  # how many of them are stored
        self._unsent: deque[bytes] = deque()
        self._sent: deque[tuple[int, int, list[bytes]]] = deque()  # sequence, edits then, updates
        self._confirmed = self.replica.text  # text when nothing was unacknowledged
        self._leaving = False
        self._owes = False  # what was held from before may not be stored

    def resume(self, confirmed: str) -> None:
        """Take in, before joining, which text was stored when the state was held before."""
        if confirmed != self.replica.text:
            self._confirmed, self._owes = confirmed, True
            self._edits += 1

    @property
    def confirmed(self) -> str:
        """The text that is known to be stored."""
        return self._confirmed

    @property
    def made(self) -> int:
        """How many updates were made here."""
        return self._edits

    @property
    def stored(self) -> int:
        """How many of them are stored."""
        return self._stored

    @property
    def clean(self) -> bool:
        """Whether everything made here is stored, and what the server has is known."""
        return self.phase is Phase.JOINED and self._stored == self._edits

    def _made(self, update: bytes) -> None:
        self._edits += 1
        self._unsent.append(update)
        self._wake()

    def disconnected(self) -> None:
        """Take in that the stream is gone."""
        if self.phase is Phase.OVER:
            return
        self.phase = Phase.AWAY
        self._take_back()

    def leave(self) -> None:
        """Have the document left."""
        self._leaving = True
        self.awareness.set_state(None)
        self._wake()

    def outgoing(self, now: float) -> list[Request]:
        """Give what is to be sent now."""
        match self.phase:
            case Phase.AWAY if not self._leaving:
                if now < self._not_before:
                    return []
                self.phase = Phase.JOINING
                return [self._join()]
            case Phase.JOINED:
                messages = [] if self.held else self._updates()
                if said := self.awareness.outgoing(now):
                    told = collaborate_pb2.Awareness(update=said)
                    messages.append(Request(channel=self.channel, awareness=told))
                if self._leaving and not self._unsent:
                    messages.append(Request(channel=self.channel, leave=collaborate_pb2.Leave()))
                    self.phase = Phase.OVER
                return messages
            case Phase.AWAY:
                self.phase = Phase.OVER
        return []

    def incoming(self, message: Response, now: float) -> Happened:
        """Take in a message. Raises Internal when it cannot be read."""
        match message.WhichOneof("message"):
            case "joined":
                return self._joined(message.joined, now)
            case "update" if self.phase is Phase.JOINED:
                applied = self._apply(message.update.update)
                if not self._whole:
                    # Something before it is missing: joining again brings it.
                    self._join_later(now)
                return Happened(applied=applied)
            case "awareness":
                return Happened(awareness=self.awareness.apply(message.awareness.update, now))
            case "ack":
                self._acknowledged(message.ack)
            case "resync":
                self._resync(now)
            case "error":
                return self._refused(_errors.from_detail(message.error), now)
        return Happened()

    def _join(self) -> Request:
        return Request(
            channel=self.channel,
            join=collaborate_pb2.Join(
                name=self.name,
                epoch="" if self._fresh else self.epoch,
                state_vector=b"" if self._fresh else self.replica.state_vector,
                client_id=self.replica.client_id,
            ),
        )

    def _joined(self, joined: collaborate_pb2.Joined, now: float) -> Happened:
        if self.phase is not Phase.JOINING:
            return Happened()
        document = joined.document
        self.revision, self.role = document.revision, document.role
        if self.epoch and document.epoch != self.epoch:
            if not self._fresh:
                return self._join_afresh()
            return self._begin_again(joined, now)
        self.epoch = document.epoch
        self._fresh, self._refusals = False, 0
        self.phase = Phase.JOINED
        applied = self._apply(joined.update) if joined.update else None
        if error := self._offer(joined.state_vector):
            self.phase = Phase.OVER
            return Happened(error=error)
        self.awareness.tell_again()
        met = self.awareness.apply(joined.awareness, now)
        self._settle()
        return Happened(applied=applied, awareness=met)

    def _join_afresh(self) -> Happened:
        self._take_back()
        self._fresh, self.phase = True, Phase.AWAY
        return Happened()

    def _resync(self, now: float) -> None:
        """Join again: at once, but not for ever without a pause when that does not help."""
        self._resyncs = 0 if now - self._resynced > _CALM else self._resyncs + 1
        self._resynced = now
        if self._resyncs:
            self._not_before = now + self._pause(self._resyncs)
        self._take_back()
        self.phase = Phase.AWAY

    def _offer(self, theirs: bytes) -> _errors.CodeStudioError | None:
        """Have sent what the server lacks: as one update where it takes that, else bit by bit.

        Gives an error where neither is possible.
        """
        owes, self._owes = self._owes, False
        if self.role == document_pb2.ROLE_VIEWER:
            if owes:
                self._stored = self._edits  # it never will be
            return None
        # Others' edits too: the server may have died before it stored what it had passed on.
        lacking = wire.lacks(theirs, self.replica.state_vector)
        # What is owed may be deletions alone: no clock tells of them.
        if not (self._unsent or lacking or owes):
            return None
        missing = self.replica.update_since(theirs)
        if len(missing) > FRAME_BYTES and self._unsent and self._suffices(theirs):
            return None
        if len(missing) > UPDATE_MOST:
            return _errors.ResourceExhausted(
                f"the server lacks {len(missing)} bytes of edits that go only as one update, and "
                f"takes {UPDATE_MOST}",
                code="UPDATE_TOO_LARGE",
            )
        self._unsent = deque([missing])
        self._edits += 1
        return None

    def _suffices(self, theirs: bytes) -> bool:
        """Whether what is to be sent follows on what the server has: it takes nothing else."""
        known, held, own = (
            wire.read_state_vector(theirs),
            self.replica.clocks(),
            self.replica.client_id,
        )
        if any(clock > known.get(each, 0) for each, clock in held.items() if each != own):
            return False
        made = (block for update in self._unsent for block in wire.blocks(update))
        first = next((block.clock for block in made if block.client == own), held.get(own, 0))
        return first <= known.get(own, 0)

    def _begin_again(self, joined: collaborate_pb2.Joined, now: float) -> Happened:
        """Hold another history: take it as it is, and do again, as text, what only we had."""
        before, confirmed = self.replica.text, self._confirmed
        self._owes = False
        state = self.awareness.state
        self.replica.close()
        self._unsent.clear()
        self._sent.clear()
        self.replica = Replica(self._made)
        self.awareness = Awareness(self.replica.client_id)
        # Places in the old history are none in the new one.
        self.awareness.set_state(state and {k: v for k, v in state.items() if k != "cursor"})
        self.epoch = joined.document.epoch
        self.phase = Phase.JOINED
        self._fresh, self._refusals = False, 0
        self.replica.apply(joined.update)
        self.awareness.apply(joined.awareness, now)
        theirs = self.replica.text
        self._confirmed = theirs
        own = edits.rebase(edits.difference(confirmed, before), edits.difference(confirmed, theirs))
        if own:
            self.replica.edit(own)
        else:
            self._stored = self._edits
        after = self.replica.text
        if after == before:
            return Happened(awareness=True)
        change = Applied(before, tuple(edits.difference(before, after)), frozenset())
        return Happened(applied=change, awareness=True)

    def _refused(self, error: _errors.CodeStudioError, now: float) -> Happened:
        if "EPOCH" in error.code and self.epoch and not self._fresh:
            return self._join_afresh()
        if isinstance(error, _errors.Unavailable):
            # Nothing is wrong with us: the replica lets the document go, or cannot store now.
            self._join_later(now)
            return Happened()
        self.phase = Phase.OVER
        return Happened(error=error)

    def _join_later(self, now: float) -> None:
        self._refusals += 1
        self._not_before = now + self._pause(self._refusals)
        self.disconnected()

    def _apply(self, update: bytes) -> Applied | None:
        applied = self.replica.apply(update)
        self._whole = applied.whole
        self._settle()
        return applied if applied.edits else None

    def _updates(self) -> list[Request]:
        messages = []
        while self._unsent:
            batch = [self._unsent.popleft()]
            size = len(batch[0])
            while self._unsent and len(batch) < MERGED_MOST:
                size += len(self._unsent[0])
                if size > FRAME_BYTES:
                    break
                batch.append(self._unsent.popleft())
            self._sequence += 1
            self._sent.append((self._sequence, self._edits - len(self._unsent), batch))
            merged = batch[0] if len(batch) == 1 else bytes(crdt.load().merge_updates(*batch))
            update = collaborate_pb2.Update(update=merged, sequence=self._sequence)
            messages.append(Request(channel=self.channel, update=update))
        return messages

    def _acknowledged(self, ack: collaborate_pb2.Ack) -> None:
        self.revision = max(self.revision, ack.revision)
        while self._sent and self._sent[0][0] <= ack.sequence:
            self._stored = self._sent.popleft()[1]
        self._settle()

    def _take_back(self) -> None:
        """What was sent and not acknowledged may be lost: it is to be sent again."""
        again = [update for _, _, batch in self._sent for update in batch]
        self._sent.clear()
        self._unsent.extendleft(reversed(again))

    def _settle(self) -> None:
        if self.clean:
            self._confirmed = self.replica.text
