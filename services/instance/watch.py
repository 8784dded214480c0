"""Watches: everything there is, then every change, with nothing missed or repeated.

A watch notes where the stream of events stands, reads the instances there are, and goes on with
the events since; what the reading showed already is dropped by its version. SYNCED is sent when
the events up to the end of the reading were worked off, so its token is as good as any later.

Whether an event is one for this watch is told from the event alone, which carries the state
and the labels before it: a resumed watch needs to remember nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

import nats.errors
from codestudio.common.v1 import stream_pb2
from codestudio.instance.v1 import instance_service_pb2

from services.chassis import errors, identity
from services.chassis import feed as feeds
from services.chassis.feed import Expired, Feed
from services.instance import filters, listing, times, tokens, translation
from services.instance.record import Desired, State
from services.instance.store import Store
from services.instance.stream import Event

Answer = instance_service_pb2.WatchInstancesResponse

_EVENT = instance_service_pb2.InstanceEvent
_PAGE = 500
_RETRY = 0.5
_REMEMBERED = 100_000
"""Instances whose newest version a watch remembers."""
_STATES = {number: state for state, number in translation.STATES.items()}
_DESIRED = {number: desired for desired, number in translation.DESIRED.items()}


class Watches:
    """Makes watches."""

    def __init__(self, *, store: Store, feed: Feed[Event], heartbeat: float) -> None:
        """Prepare.

        Args:
            store: The records.
            feed: The events.
            heartbeat: Longest silence, in seconds.
        """
        self._store = store
        self._feed = feed
        self._heartbeat = heartbeat

    async def watch(self, text: str, resume_token: str) -> AsyncIterator[Answer]:
        """Give everything the caller may see and every change to it, until the end.

        Args:
            text: The filter.
            resume_token: Where to resume; empty to begin.

        Raises:
            errors.InvalidArgument: A filter or token that is none.
            Expired: The token is too old (WATCH_EXPIRED).
            errors.Unavailable: NATS or MongoDB are away, or this replica is going
                (SERVER_SHUTTING_DOWN): resume elsewhere.
        """
        asked = filters.parse(text)
        watch = _Watch(self._store, self._feed, identity.current(), asked)
        if resume_token:
            await watch.resume(resume_token)
        else:
            async for answer in watch.snapshot():
                yield answer
        silent_since = asyncio.get_running_loop().time()
        while True:
            changed = self._feed.waiter()
            answers = await watch.news()
            if not answers:
                feeds.refuse_draining()
            for answer in answers:
                yield answer
            now = asyncio.get_running_loop().time()
            if answers:
                silent_since = now
                continue
            if now - silent_since >= self._heartbeat:
                yield watch.heartbeat()
                silent_since = now
            await feeds.wait([changed], silent_since + self._heartbeat - now)


class _Watch:
    """The state of one watch."""

    def __init__(
        self, store: Store, feed: Feed[Event], caller: identity.Caller, asked: filters.Filter
    ) -> None:
        self._store = store
        self._feed = feed
        self._asked = asked
        self._filter = listing.visible_to(caller, asked)
        self._identity = ""
        self._seen = 0
        self._shown: dict[str, tuple[int, int]] = {}

    async def resume(self, token: str) -> None:
        """Go on where an earlier watch stood."""
        self._identity, self._seen = tokens.read_resume(token, self._asked.fingerprint)
        extent = await self._feed.extent()
        if not self._feed.reaches(extent, self._identity, self._seen):
            raise Expired

    async def snapshot(self) -> AsyncIterator[Answer]:
        """Give everything there is, then SYNCED."""
        extent = await self._feed.extent()
        self._identity, self._seen = extent.identity, extent.last
        conditions, after, count = self._filter.conditions(), "", 0
        while conditions is not None:
            page = await self._store.page(conditions, after=after, limit=_PAGE)
            for record in page:
                self._shown[record.id] = record.order
                event = _EVENT(type=_EVENT.TYPE_ADDED, instance=translation.instance(record))
                yield Answer(event=event)
            count += len(page)
            if len(page) < _PAGE:
                break
            after = page[-1].id
        extent = await self._feed.extent()
        if extent.identity != self._identity:
            raise Expired
        while self._seen < extent.last:
            changed = self._feed.waiter()
            answers = await self.news(until=extent.last)
            for answer in answers:
                answer.resume_token = ""
                yield answer
            if self._seen < extent.last:
                await feeds.wait([changed], _RETRY)
        self._seen = self._feed.quiet(self._identity, self._seen)
        synced = instance_service_pb2.Synced(instances=count)
        yield Answer(synced=synced, resume_token=self._token())

    async def news(self, until: int | None = None) -> list[Answer]:
        """Return what happened since; nothing if nothing did, or it cannot be read just now."""
        try:
            events = await self._feed.read(self._identity, self._seen, until)
        except (nats.errors.Error, TimeoutError, errors.Unavailable):
            # Back soon: the feed reconnects, and nothing is missed meanwhile.
            await asyncio.sleep(_RETRY)
            return []
        answers: list[Answer] = []
        for event in events:
            self._seen = event.sequence
            kind = self._kind(event)
            if kind is not None:
                told = _EVENT(type=kind, instance=event.message.instance)
                answers.append(Answer(event=told, resume_token=self._token()))
        return answers

    def heartbeat(self) -> Answer:
        """Return a sign of life, for when `news` just gave nothing."""
        self._seen = self._feed.quiet(self._identity, self._seen)
        beat = stream_pb2.Heartbeat(time=translation.timestamp(times.now()))
        return Answer(heartbeat=beat, resume_token=self._token())

    def _token(self) -> str:
        return tokens.resume(self._identity, self._seen, self._asked.fingerprint)

    def _kind(self, event: Event) -> instance_service_pb2.InstanceEvent.Type | None:
        """Tell what an event is to this watch; None for nothing."""
        instance = event.message.instance
        labels = instance.labels if event.previous_labels is None else event.previous_labels
        if event.order <= self._shown.get(instance.id, (0, 0)):
            return None
        self._show(instance.id, event.order)
        before = (
            event.previous_state is not None
            and event.previous_desired is not None
            and self._matches(event, event.previous_state, event.previous_desired, labels)
        )
        after = event.message.type != _EVENT.TYPE_REMOVED and self._matches(
            event, _STATES[instance.state], _DESIRED[instance.desired_state], instance.labels
        )
        match before, after:
            case True, True:
                return _EVENT.TYPE_MODIFIED
            case True, False:
                return _EVENT.TYPE_REMOVED
            case False, True:
                return _EVENT.TYPE_ADDED
        return None

    def _show(self, instance_id: str, order: tuple[int, int]) -> None:
        """Remember what was shown: a message may be told twice, after a crash of its teller."""
        self._shown.pop(instance_id, None)
        self._shown[instance_id] = order
        if len(self._shown) > _REMEMBERED:
            del self._shown[next(iter(self._shown))]

    def _matches(
        self, event: Event, state: State, desired: Desired, labels: Mapping[str, str]
    ) -> bool:
        instance = event.message.instance
        return self._filter.matches(
            namespace=instance.namespace,
            owner=instance.owner,
            state=state.value,
            desired=desired.value,
            labels=labels,
        )
