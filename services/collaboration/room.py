"""One document in memory: who is in it, what they do, and what of it is stored."""

import asyncio
import dataclasses
import random
from collections.abc import Callable, Sequence

import structlog

from services.chassis import errors
from services.collaboration import awareness, history, measures, segments, ywire
from services.collaboration.assembly import Assembly
from services.collaboration.awareness import Refusal
from services.collaboration.entry import Author, Entry
from services.collaboration.history import History
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.outbox import Outbox
from services.collaboration.rebase import Splice
from services.collaboration.replica import Broken, Replica
from services.collaboration.subscriber import Receipt, Subscriber

_log = structlog.get_logger(__name__)

_LOOSE_BYTES = 1024**2
"""Bytes of edits without their predecessors that a document may hold; past it, they go. Clients
bring them again with what they need."""
_CLIENTS_EACH = 16
"""Awareness clients that may speak through one connection: an editor is one."""

_CLIENT_BITS = 52
"""Client ids of Yjs are below 2^53."""

_CREDIT = 0.02
"""Seconds by which rounds of sending may come ahead of their pace."""


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a room may use."""

    document_bytes: int
    """Largest state, about."""
    update_bytes: int
    """Largest update."""
    awareness_bytes: int
    """Cursors of all clients, about."""
    backlog_bytes: int
    """Edits kept for the slowest client."""
    log_tick: float
    """Seconds between two entries of the log, where edits come faster."""
    log_give_up: float
    """Seconds for which storing is tried."""


class Room:
    """A document that is loaded. Everything but storing happens at once, without waiting."""

    def __init__(
        self,
        *,
        name: Name,
        epoch: str,
        created_at: int,
        updated_at: int,
        kept: History,
        log: Log,
        origin: str,
        limits: Limits,
        ids: Sequence[int] = (),
    ) -> None:
        self.name = name
        self.epoch = epoch
        self.created_at = created_at
        """When the document was created, in milliseconds since 1970."""
        self.updated_at = updated_at
        """When it last changed, in milliseconds since 1970."""
        self.history = kept
        self.awareness = awareness.Awareness(limits.awareness_bytes)
        self.segments = segments.Segments(limits.backlog_bytes)
        self.subscribers: set[Subscriber] = set()
        self.holders = 0
        """How many have it open or are about to; it is not let go while there are any."""
        self.failure: errors.DomainError | None = None
        """Why it serves nobody any more."""
        self.wrote = False
        """Whether this replica stored entries since the newest checkpoint."""
        self.on_awareness: Callable[[Room, list[int]], None] = _nobody_else
        """Called with the clients of this replica that say something new of themselves."""
        self._limits = limits
        self._origin = origin
        self._loop = asyncio.get_running_loop()
        self.used_at = self._loop.time()
        """When somebody last used it, by the loop's clock."""
        self.changed_at = self._loop.time()
        """When it last changed, by the loop's clock."""
        own, self._apart_id = (*ids, 0, 0)[:2]
        self._replica = Replica(kept.document(kept.revision, own or None), epoch)
        self._loose = 0
        self._assembly = Assembly()
        self._expected: dict[str, Receipt] = {}
        self.apart = asyncio.Lock()
        """Held by whoever makes an edit that is to be here only when it is stored: `fork`."""
        self._advanced = asyncio.Event()
        self._pace = 0.0
        self._spent_until = 0.0
        self._flushing: asyncio.Handle | None = None
        self._outbox = Outbox(
            name=name,
            epoch=epoch,
            log=log,
            origin=origin,
            tick=limits.log_tick,
            give_up=limits.log_give_up,
            on_give_up=self.fail,
        )

    @property
    def revision(self) -> int:
        """Number of the newest entry."""
        return self.history.revision

    @property
    def size(self) -> int:
        """Bytes of the state, about: what came since the newest checkpoint may shrink."""
        kept = self.history
        return len(kept.latest.state) + kept.bytes_since + self._outbox.size

    @property
    def text(self) -> str:
        """The text, with what is not stored yet."""
        return self._replica.text

    @property
    def settled(self) -> bool:
        """Whether everything is stored."""
        return self._outbox.empty

    @property
    def whole(self) -> bool:
        """Whether no entry is half here: only then may the log be cut behind the newest."""
        return self._assembly.whole(self._loop.time())

    def stored_text(self) -> str:
        """The text as it is at `revision`."""
        if self.settled:
            return self.text
        return history.content(self.history.document(self.revision))

    def unstored(self) -> list[bytes]:
        """Return the updates that are no entries yet, in order."""
        return self._outbox.updates()

    async def next_revision(self) -> None:
        """Wait for the next entry."""
        await self._advanced.wait()

    async def settle(self) -> None:
        """Wait until all edits are stored, or were given up."""
        await self._outbox.settle()

    def state(self) -> bytes:
        """Return everything, as an update."""
        return self._replica.state()

    def state_vector(self) -> bytes:
        """Return how far each client's edits are known."""
        return self._replica.state_vector()

    def clocks(self) -> dict[int, int]:
        """Return under which ids this replica wrote, and the number of the next edit of each."""
        known = ywire.read_state_vector(self.state_vector())
        return {
            one: known[one] for one in (self._replica.client_id, self._apart_id) if one in known
        }

    def renew_ids(self) -> None:
        """Write under other ids from now on."""
        self._apart_id = 0
        self._mend()

    def missing(self, state_vector: bytes) -> bytes:
        """Return what somebody lacks, as an update.

        Raises:
            errors.InvalidArgument: The state vector is none.
        """
        return self._replica.missing(state_vector or b"\x00")

    # --- clients ---

    def join(self, subscriber: Subscriber) -> None:
        """Let a client in; it is given what comes from now on.

        Raises:
            errors.DomainError: The room serves nobody any more.
        """
        if self.failure is not None:
            raise self.failure
        subscriber.at = self.segments.end
        subscriber.awareness_at = self.awareness.version
        self.subscribers.add(subscriber)
        self._pace = sum(one.pace for one in self.subscribers)
        self.used_at = self._loop.time()

    def leave(self, subscriber: Subscriber) -> None:
        """Let a client go, and with it those who spoke through it."""
        self.subscribers.discard(subscriber)
        self._pace = sum(one.pace for one in self.subscribers)
        self.used_at = self._loop.time()
        subscriber.left()
        gone = self.awareness.forget(subscriber.clients, self._loop.time())
        subscriber.clients.clear()
        self._say(gone)

    def submit(self, update: bytes, subscriber: Subscriber, sequence: int = 0) -> None:
        """Take edits of a client: everybody here sees them at once, and they will be stored.

        Raises:
            errors.PermissionDenied: The client is a viewer (READ_ONLY).
            errors.InvalidArgument: They are no update, or a too large one.
            errors.ResourceExhausted: The document is full (DOCUMENT_TOO_LARGE).
            errors.Unavailable: Too much waits to be stored.
        """
        if not subscriber.may_write:
            raise errors.PermissionDenied("READ_ONLY", "Viewers may read, not write")
        self.admit(len(update))
        measures.UPDATES.inc()
        new, whole = self._apply(update)
        if not whole:
            self._hold(len(update), subscriber)
        receipt = subscriber.receipt(sequence) if sequence and whole else None
        self._grow(new, subscriber, subscriber.author, receipt)

    def admit(self, size: int) -> None:
        """Refuse an edit of some bytes that would be too much.

        Raises:
            errors.InvalidArgument: It is too large itself (UPDATE_TOO_LARGE).
            errors.ResourceExhausted: The document is full (DOCUMENT_TOO_LARGE).
            errors.Unavailable: Too much waits to be stored, or the document serves nobody.
        """
        if self.failure is not None:
            raise self.failure
        if size > self._limits.update_bytes:
            raise errors.InvalidArgument(
                "UPDATE_TOO_LARGE",
                f"An edit may have {self._limits.update_bytes} bytes, this has {size}",
            )
        if self.size + size > self._limits.document_bytes:
            raise errors.ResourceExhausted(
                "DOCUMENT_TOO_LARGE",
                f"A document may have {self._limits.document_bytes} bytes with its history",
                metadata={"limit": str(self._limits.document_bytes)},
            )
        self._outbox.check()

    def edit(
        self,
        splices: Sequence[Splice],
        author: Author,
        receipt: Receipt,
        *,
        source: str = "",
        request: str = "",
    ) -> None:
        """Replace stretches of the text in one step, as `Replica.edit` does; `admit` it before.

        Args:
            splices: What to replace, in descending order.
            author: Who does it.
            receipt: Told when it is stored.
            source: The instance it comes from; empty for none.
            request: Id of the request it carries out; empty for none.
        """
        try:
            new = self._replica.edit(splices)
        except Broken:
            self._mend()
            raise errors.Internal(errors.INTERNAL_ERROR, "The edit could not be made") from None
        self._grow(new, None, author, receipt, source=source, request=request)

    def fork(self) -> Replica:
        """Return the document as it is stored, for an edit that `expect` waits for.

        All edits made in forks are of one client, which may not make two at once: `apart`.
        """
        self._apart_id = self._apart_id or random.getrandbits(_CLIENT_BITS) + 1
        return Replica(self.history.document(self.revision, self._apart_id), self.epoch)

    def expect(self, draft_id: str, receipt: Receipt) -> None:
        """Have somebody told when an entry is here."""
        self._expected[draft_id] = receipt

    def give_up(self, draft_id: str) -> None:
        """Wait for an entry no longer: it may come or not, so its client is used no more."""
        if self._expected.pop(draft_id, None) is not None:
            self._apart_id = 0

    def say(self, update: bytes, subscriber: Subscriber) -> None:
        """Take what a client says of itself; of more clients than it may speak for, nothing.

        Raises:
            ywire.Malformed: It is no awareness update.
        """

        def refused(why: Refusal) -> None:
            _count_cursor(why)
            if not subscriber.cursor_refused:
                subscriber.cursor_refused = True
                who = subscriber.author.subject
                _log.info("a cursor is not taken", document=self.name.key, who=who, why=why.value)

        own = set(subscriber.clients)
        said = []
        for one in awareness.read(update):
            if one.client in own or len(own) < _CLIENTS_EACH:
                own.add(one.client)
                said.append(one)
            elif self.awareness.news(one):
                refused(Refusal.CONNECTION)
        changed = self.awareness.apply(said, self._loop.time(), refused)
        subscriber.clients.update(changed)
        self._say(changed)

    def hear(self, update: bytes) -> None:
        """Take what clients of other replicas say of themselves.

        Raises:
            ywire.Malformed: It is no awareness update.
        """
        if self.awareness.apply(awareness.read(update), self._loop.time(), _count_cursor):
            self._schedule()

    def awareness_for(self, subscriber: Subscriber) -> bytes | None:
        """Return what others say of themselves since a client was last told; None for nothing."""
        since, subscriber.awareness_at = subscriber.awareness_at, self.awareness.version
        if since == subscriber.awareness_at:
            return None
        changed = [one for one in self.awareness.since(since) if one not in subscriber.clients]
        return self.awareness.update(changed) if changed else None

    def own_clients(self) -> list[int]:
        """Return the awareness clients that speak through clients of this replica."""
        return [client for one in self.subscribers for client in one.clients]

    def expire(self, seconds: float) -> None:
        """Let those be gone who have been silent for so long."""
        if self.awareness.expire(self._loop.time(), seconds):
            self._schedule()

    # --- the log ---

    def entered(self, one: Entry) -> None:
        """Take an entry of the log: the next revision."""
        if one.epoch != self.epoch or one.sequence <= self.history.sequence:
            return
        if one.deleted:
            self.fail(deleted(self.name))
            return
        update = self._assembly.add(one, self._loop.time())
        if update is None:
            return
        revision = self.history.append(one.sequence, update)
        self._advanced.set()
        self._advanced = asyncio.Event()
        self.updated_at = int(one.time.timestamp() * 1000)
        self.changed_at = self._loop.time()
        own = one.origin == self._origin
        self.wrote |= own
        (measures.OWN_ENTRIES if own else measures.OTHERS_ENTRIES).inc()
        if own and self._outbox.arrived(one.id, revision):
            return
        self._take(update)
        if (receipt := self._expected.pop(one.id, None)) is not None:
            receipt.stored(revision)

    def _take(self, update: bytes) -> None:
        """Have an entry's update in the document and sent on."""
        try:
            new, _ = self._apply(update)
        except errors.DomainError as error:
            # Another replica took it, so it is part of the document all the same.
            _log.error("entry cannot be applied", document=self.name.key, why=error.message)
            return
        if new:
            self.segments.add(new, None)
            self._schedule()

    def fail(self, error: errors.DomainError) -> None:
        """Serve nobody any more: send every client away."""
        if self.failure is not None:
            return
        self.failure = error
        self._outbox.abandon(error)
        # What is expected may come yet, or not: its client is used no more.
        self._apart_id = 0 if self._expected else self._apart_id
        expected, self._expected = self._expected, {}
        for receipt in expected.values():
            receipt.failed(error)
        for subscriber in list(self.subscribers):
            subscriber.fail(error)

    async def close(self) -> None:
        """End what runs for the room."""
        self.fail(errors.Unavailable("DOCUMENT_CLOSED", "The document was let go; join again"))
        await self._outbox.close(self.failure or errors.Unavailable("DOCUMENT_CLOSED", ""))
        if self._flushing is not None:
            self._flushing.cancel()
        self._replica.close()

    # --- within ---

    def _apply(self, update: bytes) -> tuple[bytes, bool]:
        try:
            return self._replica.apply(update)
        except Broken as error:
            _log.warning("document broke", document=self.name.key, why=str(error)[:200])
            self._mend()
            raise errors.InvalidArgument("INVALID_UPDATE", "The update cannot be applied") from None

    def _grow(
        self,
        new: bytes,
        owner: Subscriber | None,
        author: Author,
        receipt: Receipt | None,
        *,
        source: str = "",
        request: str = "",
    ) -> None:
        self.used_at = self.changed_at = self._loop.time()
        if new:
            self.segments.add(new, owner)
            self._outbox.add(new, author, receipt, source=source, request=request)
            self._schedule()
        elif receipt is not None and not self._outbox.attach(receipt):
            receipt.stored(self.revision)

    def _hold(self, size: int, subscriber: Subscriber) -> None:
        """Ask a client for what has to come before; do not keep too much that waits for it."""
        measures.RESYNCS.labels("incomplete").inc()
        subscriber.resync()
        self._loose += size
        if self._loose > _LOOSE_BYTES:
            self._mend()

    def _mend(self) -> None:
        """Make the document again of what is stored and what is on its way."""
        self._replica.close()
        self._loose = 0
        stored = self.history.document(self.revision)
        with stored.transaction():
            for update in self._outbox.updates():
                stored.apply_update(update)
        self._replica = Replica(stored, self.epoch)

    def _say(self, changed: list[int]) -> None:
        if changed:
            self.on_awareness(self, changed)
            self._schedule()

    def _schedule(self) -> None:
        """Have what is new sent: at once, unless the rounds of late have used up their share.

        Each round has its price in time (`Subscriber.pace`), and up to `_CREDIT` may be owed: so
        single edits leave as they come, and a flood of them leaves in rounds.
        """
        if self._flushing is not None:
            return
        due = self._spent_until - _CREDIT
        if due <= self._loop.time():
            # In the loop's next turn, so that what came together goes together.
            self._flushing = self._loop.call_soon(self._flush)
        else:
            self._flushing = self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self._spent_until = max(self._spent_until, self._loop.time()) + self._pace
        self.segments.close(keep=bool(self.subscribers))
        if self.subscribers:
            self.segments.drop_before(min(one.at for one in self.subscribers))
        for subscriber in tuple(self.subscribers):
            try:
                subscriber.wake()
            except Exception:  # noqa: BLE001 - one client's trouble; others are to hear all the same
                _log.exception("client cannot be woken", document=self.name.key)


def _nobody_else(room: Room, clients: list[int]) -> None:
    """Tell no other replica."""


def deleted(name: Name) -> errors.NotFound:
    """Return what those are told who have a document open that is deleted."""
    return errors.NotFound(
        "DOCUMENT_DELETED",
        f"{name.path} in project {name.project} was deleted",
        metadata={"namespace": name.namespace, "project": name.project, "path": name.path},
    )


def _count_cursor(why: Refusal) -> None:
    measures.CURSORS_REFUSED.labels(why.value).inc()
