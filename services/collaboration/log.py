"""The log of all documents' updates: the JetStream stream CODE.

An update is stored when it is in here. The order of a document's entries on the stream is their
order everywhere, and their number is its revision. Each replica follows the whole stream with one
consumer; what it may have missed (a slow moment, a NATS that was killed) it reads again by
sequence number, so nobody else has to care.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import json
import random
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from typing import Any

import nats.errors
import nats.js.errors
import structlog
from nats.aio.msg import Msg
from nats.js import api

from services.chassis import clock, connectors, errors, streams
from services.collaboration import entry
from services.collaboration.entry import Author, Draft, Entry
from services.collaboration.names import Name

_log = structlog.get_logger(__name__)

NAME = "CODE"
_SUBJECTS = f"{entry.SUBJECT}.>"

_DUPLICATES = 120.0
"""Seconds for which a second message of one id is no second entry; longer than anything is tried
again (`CollaborationSettings.log_give_up`)."""
_STREAM_EXISTS = 10058
"""JetStream's code for a stream of that name with another configuration."""
_DUPLICATE = 10201
"""JetStream's code for a batch with a message that is stored already."""
_BATCHES_AT_ONCE = 16
"""JetStream takes 50 batches of a stream at once, of all replicas."""
_BATCH = 1000
"""Messages JetStream takes in one batch (ADR-50)."""
_WRONG_LAST = 10071
"""JetStream's code for a message that is not the next one, as was required of it."""
_INACTIVE = 30.0
_PAUSE = 0.2
_HEADERS_ROOM = 64 * 1024
"""Bytes of a message that its headers may take."""
_HISTORY_SECONDS = 30.0
_DELETIONS_KEPT = 3600.0
"""Seconds a deletion stays for replicas that are behind; far longer than one can be and serve."""


class Lost(errors.Unavailable):
    """The stream is another one than before: what it held is gone."""

    def __init__(self) -> None:
        super().__init__("LOG_LOST", "The log was made anew; join again with what you hold")


class Gap(nats.errors.Error):
    """Messages were dropped on the way: they have to be read again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Extent:
    """What the stream is at one moment."""

    identity: str
    """Changes when the stream is made anew, having lost everything."""
    last: int
    """Sequence number of its newest message; 0 if it never had any."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Message:
    subject: str
    data: bytes
    headers: dict[str, str]


class Log:
    """Stores updates, and tells of every one that is stored."""

    def __init__(self, *, nats: connectors.Nats, origin: str, timeout: float) -> None:
        """Prepare.

        Args:
            nats: The connection.
            origin: Name of this replica, written into its entries.
            timeout: Seconds to wait for JetStream's answer.
        """
        self._nats = nats
        self._origin = origin
        self._timeout = timeout
        self._identity = ""
        self._last = 0
        self._followed = asyncio.Event()
        self._batches = asyncio.Semaphore(_BATCHES_AT_ONCE)

    @property
    def identity(self) -> str:
        """Which stream is followed; empty before the first was found."""
        return self._identity

    async def wait_followed(self) -> None:
        """Wait until it is followed: before, entries would be missed."""
        await self._followed.wait()

    async def extent(self) -> Extent:
        """Return what the stream is now; makes it if there is none.

        Raises:
            nats.errors.Error: NATS cannot be reached.
        """
        jetstream = self._nats.jetstream
        try:
            info = await jetstream.stream_info(NAME)
        except nats.js.errors.NotFoundError:
            await self._make()
            info = await jetstream.stream_info(NAME)
        if not info.config.allow_atomic:
            # Made by an earlier release.
            info = await jetstream.update_stream(info.config, allow_atomic=True)
        created = info.created
        identity = (
            created.astimezone(datetime.UTC).isoformat()
            if isinstance(created, datetime.datetime)
            else str(created)
        )
        return Extent(identity=identity, last=info.state.last_seq)

    async def store(self, name: Name, epoch: str, draft: Draft) -> None:
        """Store an update.

        When this returns it is stored; when it raises it may be, and may be stored again under
        the same id.

        Raises:
            nats.errors.Error: NATS cannot be reached, or refuses.
        """
        for message in self._messages(name, epoch, draft):
            async with asyncio.timeout(self._timeout):
                await self._nats.jetstream.publish(
                    message.subject,
                    message.data,
                    timeout=self._timeout,
                    stream=NAME,
                    headers=message.headers,
                )

    async def store_together(self, drafts: Iterable[tuple[Name, str, Draft]]) -> None:
        """Store an update of each of several documents, all or none.

        When this returns they are stored; when it raises all may be, or none, and they may be
        stored again under the same ids.

        https://github.com/nats-io/nats-architecture-and-design/blob/main/adr/ADR-50.md

        Args:
            drafts: Names, epochs and updates.

        Raises:
            errors.InvalidArgument: They are more than can be stored together (TOO_MANY_CHANGES).
            nats.errors.Error: NATS cannot be reached, or refuses.
        """
        messages = [
            message
            for name, epoch, draft in drafts
            for message in self._messages(name, epoch, draft)
        ]
        if len(messages) > _BATCH:
            raise errors.InvalidArgument(
                "TOO_MANY_CHANGES",
                f"The changes are {len(messages)} messages of the log, and at most {_BATCH} can be "
                "stored together: ask for fewer at once",
                metadata={"limit": str(_BATCH)},
            )
        batch = uuid.uuid4().hex
        async with self._batches, asyncio.timeout(self._timeout):
            for number, message in enumerate(messages, 1):
                headers = {
                    **message.headers,
                    "Nats-Expected-Stream": NAME,
                    "Nats-Batch-Id": batch,
                    "Nats-Batch-Sequence": str(number),
                }
                if number == len(messages):
                    headers["Nats-Batch-Commit"] = "1"
                if 1 < number < len(messages):
                    await self._nats.client.publish(message.subject, message.data, headers=headers)
                    continue
                # The first is answered at once, so that a refusal is known before the rest is sent.
                answer = await self._nats.client.request(
                    message.subject, message.data, timeout=self._timeout, headers=headers
                )
                _check(answer)

    def _messages(self, name: Name, epoch: str, draft: Draft) -> Iterator[_Message]:
        """Give the messages that hold an update."""
        size = min(self._nats.client.max_payload, 1024 * 1024) - _HEADERS_ROOM
        parts = max(1, -(-len(draft.update) // size))
        for part in range(parts):
            yield _Message(
                name.subject(entry.SUBJECT),
                draft.update[part * size : (part + 1) * size],
                entry.headers(draft, epoch, self._origin, part, parts),
            )

    async def end(self, name: Name, epoch: str, last: int | None, author: Author) -> bool:
        """Store that a document is deleted: nothing of its history counts behind that.

        With `last`, only if that is still its newest message; gives whether it was stored.

        Raises:
            nats.errors.Error: NATS cannot be reached, or refuses.
        """
        headers = {
            entry.EPOCH: epoch,
            entry.ORIGIN: self._origin,
            entry.DELETED: "1",
            entry.AUTHORS: entry.write_authors([author]),
        }
        if last is not None:
            headers["Nats-Expected-Last-Subject-Sequence"] = str(last)
        try:
            async with asyncio.timeout(self._timeout):
                await self._nats.jetstream.publish(
                    name.subject(entry.SUBJECT),
                    b"",
                    timeout=self._timeout,
                    stream=NAME,
                    headers=headers,
                )
        except nats.js.errors.BadRequestError as error:
            if error.err_code != _WRONG_LAST:
                raise
            return False
        return True

    async def last(self, name: Name) -> int:
        """Return the sequence number of a document's newest message; 0 if there is none.

        Raises:
            nats.errors.Error: NATS cannot be reached.
        """
        try:
            message = await self._nats.jetstream.get_last_msg(NAME, name.subject(entry.SUBJECT))
        except nats.js.errors.NotFoundError:
            return 0
        return message.seq or 0

    async def read(
        self, name: Name, after: int, until: int, *, headers_only: bool = False
    ) -> list[Entry]:
        """Return a document's entries behind one sequence number up to another.

        With `headers_only` their updates are left away.

        Raises:
            nats.errors.Error: NATS cannot be reached, or lost some on the way.
            TimeoutError: They do not come.
        """
        if after >= until:
            return []
        found: list[Entry] = []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def take(message: Msg, sequence: int) -> None:
            if sequence > until:
                return
            if (one := entry.read(message)) is not None:
                found.append(one)
            if sequence == until and not done.done():
                done.set_result(None)

        consuming = self._consuming(
            name.subject(entry.SUBJECT),
            after,
            take,
            done,
            streams.Arrivals(),
            headers_only=headers_only,
        )
        async with asyncio.timeout(_HISTORY_SECONDS), consuming:
            await done
        return found

    async def trim(self, name: Name, upto: int) -> None:
        """Remove a document's messages up to a sequence number.

        Raises:
            nats.errors.Error: NATS cannot be reached.
        """
        if upto > 0:
            await self._nats.jetstream.purge_stream(
                NAME, seq=upto + 1, subject=name.subject(entry.SUBJECT)
            )

    async def clear(self, name: Name) -> None:
        """Remove what a document's deleted histories have left, but for the newest deletion.

        Raises:
            nats.errors.Error: NATS cannot be reached.
        """
        entries = await self.read(name, 0, await self.last(name), headers_only=True)
        await self.trim(name, spent(entries, clock.now()))

    async def follow(self, on_entry: Callable[[Entry], None], on_lost: Callable[[], None]) -> None:
        """Tell of every entry stored from now on, in order, for ever.

        Args:
            on_entry: Called with each entry; must not wait.
            on_lost: Called when the stream was made anew.
        """
        while True:
            await self._nats.wait_ready()
            try:
                await self._follow(on_entry, on_lost)
            except (nats.errors.Error, OSError, TimeoutError) as error:
                _log.info("log broke off", why=str(error) or type(error).__name__)
            await asyncio.sleep(_PAUSE * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def _follow(self, on_entry: Callable[[Entry], None], on_lost: Callable[[], None]) -> None:
        extent = await self.extent()
        if extent.identity != self._identity or extent.last < self._last:
            if self._identity:
                _log.error("the log was made anew", stream=extent.identity)
                on_lost()
            self._identity = extent.identity
            self._last = extent.last
        loop = asyncio.get_running_loop()
        broken: asyncio.Future[None] = loop.create_future()
        arrivals = streams.Arrivals()
        heard = loop.time()

        def take(message: Msg, sequence: int) -> None:
            nonlocal heard
            heard = loop.time()
            self._last = sequence
            if (one := entry.read(message)) is not None:
                on_entry(one)

        following = self._consuming(_SUBJECTS, self._last, take, broken, arrivals)
        async with following as subscription:
            self._followed.set()
            while True:
                await asyncio.wait([broken], timeout=arrivals.patience)
                if broken.done():
                    broken.result()
                if loop.time() - heard >= streams.CHECK_EVERY:
                    async with asyncio.timeout(self._timeout):
                        consumer = await subscription.consumer_info()
                    if arrivals.missing(consumer):
                        raise Gap("the newest messages of the log are missing")
                    # A stream that was made anew has consumers of its own, but to be sure.
                    if (await self.extent()).identity != self._identity:
                        return

    @contextlib.asynccontextmanager
    async def _consuming(
        self,
        subject: str,
        after: int,
        take: Callable[[Msg, int], None],
        broken: asyncio.Future[None],
        arrivals: streams.Arrivals,
        *,
        headers_only: bool = False,
    ) -> AsyncIterator[Any]:
        """Call `take` with each message behind a sequence number; fails `broken` on a gap."""

        async def received(message: Msg) -> None:
            if broken.done():
                return
            sequence = message.metadata.sequence
            if not arrivals.take(sequence.consumer):
                # Dropped on the way: we were too slow, or the connection broke.
                broken.set_exception(Gap(f"what came before {sequence.stream} is missing"))
                return
            try:
                take(message, sequence.stream)
            except Exception as error:  # noqa: BLE001 - told to whoever waits
                broken.set_exception(error)

        subscription = await self._nats.jetstream.subscribe(
            subject,
            stream=NAME,
            cb=received,
            manual_ack=True,
            config=api.ConsumerConfig(
                deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
                opt_start_seq=after + 1,
                ack_policy=api.AckPolicy.NONE,
                headers_only=headers_only or None,
                mem_storage=True,
                num_replicas=1,
                inactive_threshold=_INACTIVE,
            ),
        )
        try:
            yield subscription
        finally:
            if broken.done() and not broken.cancelled():
                broken.exception()
            with contextlib.suppress(nats.errors.Error, OSError):
                await subscription.unsubscribe()

    async def _make(self) -> None:
        try:
            await self._nats.jetstream.add_stream(
                name=NAME,
                subjects=[_SUBJECTS],
                storage=api.StorageType.FILE,
                duplicate_window=_DUPLICATES,
                # A full disk refuses what is new rather than forget what is acknowledged.
                discard=api.DiscardPolicy.NEW,
                allow_direct=True,
                allow_atomic=True,
            )
        except nats.js.errors.BadRequestError as error:
            # Another replica made it just now, its own way.
            if error.err_code != _STREAM_EXISTS:
                raise


def spent(entries: Sequence[Entry], now: datetime.datetime) -> int:
    """Return up to where the entries of one document are of histories that were deleted.

    Not behind a deletion that is new: a replica that is behind has to see it. Nor behind an entry
    of a history that goes on, though somebody has deleted an older one once more behind it.
    """
    dead = {one.epoch for one in entries if one.deleted}
    upto = 0
    for one in entries:
        if one.epoch not in dead:
            break
        if one.deleted and (now - one.time).total_seconds() < _DELETIONS_KEPT:
            break
        upto = one.sequence
    return upto


def _check(answer: Msg) -> None:
    """Pass what JetStream says of a batch, where it took it or has it already."""
    said: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    if "error" in said and said["error"].get("err_code") != _DUPLICATE:
        raise nats.js.errors.APIError.from_error(said["error"])
