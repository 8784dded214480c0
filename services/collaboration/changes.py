"""Follows the log on behalf of all replicas: keeps for Git who wrote, and tells subscribers.

One replica does it at a time, by a lease. It reads no content, only who and what; where it stands
is stored after what it did, so a replica that dies is followed by one that does its last half
second again: the records do not count an entry twice, and JetStream drops an event told twice.
"""

import asyncio
import contextlib
import dataclasses
import random
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import nats.errors
import structlog
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2
from nats.aio.msg import Msg

from services.chassis import cancellation, clock, connectors, errors, feed, leases, streams
from services.collaboration import activity, entry, log
from services.collaboration.entry import Author, Entry
from services.collaboration.names import Name
from services.collaboration.outcomes import Outcomes
from services.collaboration.states import States
from services.collaboration.uncommitted import Change, Record, Uncommitted

_log = structlog.get_logger(__name__)

_LEASE = "lease:code-changes"
_AT_ONCE = 16
_MOST = 5_000
"""Entries taken in one go; the rest waits in the connection, where their headers are small."""
_PUBLISH_SECONDS = 5.0
_CREATED_SECONDS = 1.0
"""Longest wait of whoever opens a document for its creation to be told."""
_ATTEMPTS = 20
_REMEMBERED = 2_000

Position = Callable[[Name], Awaitable[tuple[int, int]]]
"""Gives a document's revision, and the sequence number of its newest entry."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Seen:
    """One message of the log, read or not."""

    sequence: int
    entry: Entry | None


@dataclasses.dataclass(frozen=True, slots=True)
class Actor:
    """Who changed something, and from where."""

    source: str
    """The instance; empty for none."""
    author: Author | None
    """The writer; None where nobody is named."""


class Changes:
    """The follower."""

    def __init__(
        self,
        *,
        nats: connectors.Nats,
        redis: connectors.Redis,
        code: log.Log,
        stream: streams.Stream,
        records: Uncommitted,
        states: States,
        outcomes: Outcomes,
        position: Position,
        every: float,
        lease: float,
    ) -> None:
        """Prepare.

        Args:
            nats: The connection.
            redis: Where the lease is.
            code: The log.
            stream: Where changes are told.
            records: Where writers are kept.
            states: Where an instance's last change is kept.
            outcomes: Where it is kept which requests happened.
            position: For documents whose records do not tell it.
            every: Seconds between two rounds: what comes in between goes together.
            lease: Seconds after which another replica takes over from one that died.

        """
        self._nats = nats
        self._redis = redis
        self._code = code
        self._stream = stream
        self._records = records
        self._states = states
        self._outcomes = outcomes
        self._position = position
        self._every = every
        self._lease = lease
        self._known: dict[Name, Record] = {}
        """Records as we have written them last; whoever commits may have since."""

    async def run(self) -> None:
        """Follow for ever, whenever no other replica does."""
        while True:
            await self._nats.wait_ready()
            try:
                async with leases.Lease(self._redis.client, _LEASE, self._lease) as lease:
                    await self._follow(lease)
            except errors.Aborted:
                pass  # another replica has it
            except Exception as error:
                known = errors.from_exception(error)
                away = isinstance(known, errors.Unavailable | errors.DeadlineExceeded)
                if not away and not isinstance(error, nats.errors.Error | OSError):
                    raise
                _log.info("changes broke off", why=str(error)[:200] or type(error).__name__)
            await asyncio.sleep(self._lease / 4 * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def created(self, name: Name, author: Author) -> None:
        """Tell that a document was created, at once: no entry of the log says so.

        Whoever cannot be told finds it in the list of documents.
        """
        told = _event(name, 1, Actor("", author), deleted=False)
        told.timestamp.FromDatetime(clock.now())
        subject = activity.code_subject(name, "", author.subject)
        try:
            async with asyncio.timeout(_CREATED_SECONDS):
                await self._publish(subject, told, uuid.uuid4().hex)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            _log.info("creation is not told", document=name.key, why=repr(error)[:200])

    async def covered(self, sequence: int) -> int:
        """Return up to where the log may be cut, of what somebody would cut: what is kept here."""
        stream, upto = await self._records.position()
        return min(sequence, upto if stream == self._code.identity else 0)

    async def _follow(self, lease: leases.Lease) -> None:
        self._known.clear()
        identity = (await self._code.extent()).identity
        stream, after = await self._records.position()
        reader: feed.Reader[_Seen] = feed.Reader(
            nats=self._nats,
            stream=log.NAME,
            subjects=f"{entry.SUBJECT}.>",
            after=after if stream == identity else 0,
            read=_see,
            headers_only=True,
        )
        waiting: asyncio.Queue[_Seen] = asyncio.Queue(_MOST)
        taking = asyncio.create_task(_take(reader, waiting), name="read changes")
        try:
            while lease.held:
                await asyncio.wait([taking], timeout=self._every)
                seen = [waiting.get_nowait() for _ in range(waiting.qsize())]
                if seen:
                    await self._handle(identity, seen)
                if taking.done():
                    taking.result()
                    return
        finally:
            await cancellation.cancel([taking], grace=2.0)

    async def _handle(self, identity: str, seen: Sequence[_Seen]) -> None:
        by_name: dict[Name, list[Entry]] = {}
        for one in seen:
            if one.entry is not None:
                by_name.setdefault(one.entry.name, []).append(one.entry)
        for some in _chunks(list(by_name.items())):
            await asyncio.gather(
                *(self._changed(identity, name, entries) for name, entries in some)
            )
        await self._outcomes.passed(one.entry for one in seen if one.entry is not None)
        # All of this is noted, so it may be cut; and before it counts as done, so that it is.
        for name in {one.entry.name for one in seen if one.entry and one.entry.deleted}:
            try:
                await self._code.clear(name)
            except (nats.errors.Error, OSError, TimeoutError) as error:
                # Only room is lost, until the name's next deletion; the others are not held up.
                _log.warning("deleted history is not cut off", document=name.key, why=repr(error))
        await self._records.move(identity, seen[-1].sequence)

    async def _changed(self, identity: str, name: Name, entries: Sequence[Entry]) -> None:
        record = await self._record(identity, name, entries)
        for actor, last in actors(entries).items():
            await self._tell(identity, record, actor, last)

    async def _record(self, identity: str, name: Name, entries: Sequence[Entry]) -> Record:
        changes = [
            Change(
                one.sequence,
                int(one.time.timestamp() * 1000),
                one.authors,
                counts=one.part == one.parts - 1 and not one.deleted,
            )
            for one in entries
        ]
        known = self._known.pop(name, None)
        for _ in range(_ATTEMPTS):
            before = known or await self._records.find(name)
            base = before
            if (before.epoch, before.stream) != (entries[-1].epoch, identity):
                base = await self._moved(before, identity, entries)
            known = await self._records.write(before, base.changed(changes))
            if known is not None:
                self._remember(known)
                return known
        raise errors.Unavailable("DOCUMENT_BUSY", f"{name.key} changes too fast")

    def _remember(self, record: Record) -> None:
        self._known[record.name] = record
        if len(self._known) > _REMEMBERED:
            del self._known[next(iter(self._known))]

    async def _moved(self, before: Record, identity: str, entries: Sequence[Entry]) -> Record:
        """Return a record whose numbers are of the stream and history the entries are in."""
        epoch, first = entries[-1].epoch, entries[0].sequence
        if not before.epoch and before.version:
            # Nobody has changed it since it was opened: these are its first entries.
            return before.moved(epoch, identity, 0, 1)
        try:
            revision, sequence = await self._position(before.name)
        except errors.DomainError as error:
            _log.warning("document unknown", document=before.name.key, code=error.code)
            return before.moved(epoch, identity, first - 1, before.revision)
        return before.moved(epoch, identity, sequence, revision)

    async def _tell(self, identity: str, record: Record, actor: Actor, last: Entry) -> None:
        subject = activity.code_subject(
            record.name, actor.source, actor.author.subject if actor.author else ""
        )
        told = _event(record.name, record.revision, actor, deleted=last.deleted)
        told.timestamp.FromDatetime(last.time)
        # Before it is told: who is told finds it there.
        if actor.source:
            await self._states.changed(actor.source, _last_change(record, actor, last))
        await self._publish(subject, told, f"{identity}:{subject}:{last.sequence}")

    async def _publish(self, subject: str, told: pb.SubscribeResponse, message_id: str) -> None:
        await self._stream.ensure()
        try:
            async with asyncio.timeout(_PUBLISH_SECONDS):
                await self._nats.jetstream.publish(
                    subject,
                    told.SerializeToString(),
                    timeout=_PUBLISH_SECONDS,
                    stream=self._stream.name,
                    headers={activity.MESSAGE_ID: message_id},
                )
        except nats.errors.Error:
            self._stream.lost()
            raise


def _event(name: Name, revision: int, actor: Actor, *, deleted: bool) -> pb.SubscribeResponse:
    author = None
    if actor.author is not None:
        author = document_pb2.Author(subject=actor.author.subject, name=actor.author.name)
    return pb.SubscribeResponse(
        code=pb.CodeEvent(
            name=document_pb2.DocumentName(
                namespace=name.namespace, project=name.project, path=name.path
            ),
            revision=revision,
            source_instance=actor.source,
            author=author,
            deleted=deleted,
        )
    )


def actors(entries: Iterable[Entry]) -> Mapping[Actor, Entry]:
    """Return who made some entries, each with the last of theirs.

    An entry that was merged of several edits names its authors and its instances, in order, but
    not who was where: they are taken in pairs.
    """
    found: dict[Actor, Entry] = {}
    for one in entries:
        count = max(1, len(one.authors), len(one.sources))
        for number in range(count):
            author = one.authors[min(number, len(one.authors) - 1)] if one.authors else None
            source = one.sources[number] if number < len(one.sources) else ""
            found[Actor(source, author)] = one
    return found


def _last_change(record: Record, actor: Actor, last: Entry) -> Mapping[str, object]:
    return {
        "namespace": record.name.namespace,
        "project": record.name.project,
        "path": record.name.path,
        "revision": record.revision,
        "author": actor.author.subject if actor.author else "",
        "timestamp": clock.iso(last.time),
    }


def _see(message: Msg) -> _Seen:
    return _Seen(message.metadata.sequence.stream, entry.read(message))


async def _take(reader: "feed.Reader[_Seen]", waiting: "asyncio.Queue[_Seen]") -> None:
    async with contextlib.aclosing(reader.events()) as events:
        async for one in events:
            await waiting.put(one)


def _chunks(
    items: Sequence[tuple[Name, list[Entry]]],
) -> Iterable[Sequence[tuple[Name, list[Entry]]]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))
