"""Subscriptions: what happens around an instance, from where it stood, each once and in order.

Nobody has a queue. A subscription is a place in each of the two streams; it reads on from there,
out of this replica's memory while its client keeps up, out of JetStream when it does not. A slow
client is thus never sent away and loses nothing until what it has not read is older than what is
kept: then its subscription ends with WATCH_EXPIRED.

States, and changes of one document by one writer, are told as the newest of each where several
wait to be told; messages are all told.
"""

import asyncio
import contextlib
import dataclasses
import datetime
import heapq
from collections.abc import AsyncIterator, Iterable, Iterator

import nats.errors
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import authentication, clock, errors, feed, identity
from services.collaboration import access, activity_measures, subscription_tokens
from services.collaboration.activity import Event, Kind
from services.collaboration.instances import Instance, Instances
from services.collaboration.standing import Standing
from services.collaboration.subscription_tokens import Place

_RETRY = 0.5
_MOMENT = 1.0
ALL = frozenset(Kind)


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to be told."""

    instance_id: str
    """The instance to be told; empty for whoever follows a project."""
    kinds: frozenset[Kind] = ALL
    """The kinds of events."""
    project: str = ""
    """Only changes of code of this project; empty for all."""
    resume_token: str = ""
    """Where to begin; empty for now."""
    namespace: str = ""
    """Without an instance, the project's namespace."""

    @property
    def listener(self) -> str:
        """Who is told: the token of one is none of another's."""
        return self.instance_id or f"{self.namespace}/{self.project}"


class Subscriptions:
    """Makes subscriptions."""

    def __init__(
        self,
        *,
        authenticator: authentication.Authenticator,
        instances: Instances,
        feeds: Iterable[feed.Feed[Event]],
        heartbeat: float,
        pace: float,
    ) -> None:
        """Prepare.

        Args:
            authenticator: Knows how long a caller's token is good.
            instances: Who may be told what.
            feeds: The events, a feed for each stream; always in the same order.
            heartbeat: Longest silence, in seconds.
            pace: Seconds until the next round of telling after one of which only the newest
                counts: what comes in between goes together.
        """
        self._authenticator = authenticator
        self._instances = instances
        self._feeds = tuple(feeds)
        self._heartbeat = heartbeat
        self._pace = pace

    async def open(self, asked: Asked) -> "Subscription":
        """Begin to tell.

        Raises:
            errors.InvalidArgument: The token is none, or another instance's
                (INVALID_RESUME_TOKEN).
            feed.Expired: The token is too old (WATCH_EXPIRED).
            errors.DomainError: The caller may not act for the instance, or there is none; or may
                not use the project's namespace.
            errors.Unavailable: NATS or the Instance service is away.
        """
        token, count = asked.resume_token, len(self._feeds)
        places = subscription_tokens.read(token, asked.listener, count) if token else []
        instance = await _told(asked, self._instances)
        extents = [await one.extent() for one in self._feeds]
        if not token:
            places = [Place(extent.identity, extent.last) for extent in extents]
        for one, extent, place in zip(self._feeds, extents, places, strict=True):
            if not one.reaches(extent, place.stream, place.sequence):
                raise feed.Expired
        return Subscription(
            asked,
            instance,
            places,
            authenticator=self._authenticator,
            instances=self._instances,
            feeds=self._feeds,
            heartbeat=self._heartbeat,
            pace=self._pace,
        )


class Subscription:
    """One subscription."""

    def __init__(
        self,
        asked: Asked,
        instance: Instance,
        places: list[Place],
        *,
        authenticator: authentication.Authenticator,
        instances: Instances,
        feeds: tuple[feed.Feed[Event], ...],
        heartbeat: float,
        pace: float,
    ) -> None:
        self._asked = asked
        self._instance = instance
        self._places = list(places)
        self._authenticator = authenticator
        self._instances = instances
        self._feeds = feeds
        self._heartbeat = heartbeat
        self._pace = pace

    @property
    def token(self) -> str:
        """Where to resume after what was given last."""
        return subscription_tokens.write(self._asked.listener, self._places)

    async def answers(self) -> AsyncIterator[bytes]:
        """Tell for ever, in serialised `SubscribeResponse`s; begins with a heartbeat.

        Raises:
            feed.Expired: What was not read yet is not kept any more (WATCH_EXPIRED).
            errors.DomainError: The caller may not act for the instance any more, or their token is
                no longer good.
            errors.Unavailable: This replica is going (SERVER_SHUTTING_DOWN): resume elsewhere.
        """
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        standing = Standing(
            authenticator=self._authenticator, caller=identity.current(), on_end=news.set
        )
        with contextlib.ExitStack() as listening:
            listening.enter_context(activity_measures.SUBSCRIBERS.track_inprogress())
            listening.enter_context(standing.followed())
            for one in self._feeds:
                listening.enter_context(one.listening(news.set))
            yield self._beat()
            told_at = checked_at = loop.time()
            while True:
                began = loop.time()
                news.clear()
                if standing.ended is not None:
                    raise standing.ended
                events = await self._news()
                if not events:
                    feed.refuse_draining()
                for answer in self._tell(events):
                    told_at = loop.time()
                    yield answer
                now = loop.time()
                if now - checked_at >= self._heartbeat:
                    await self._check()
                    checked_at = now
                if now - told_at >= self._heartbeat:
                    told_at = now
                    yield self._beat()
                if not events:
                    await _wait(news, told_at + self._heartbeat - now)
                elif any(event.subject for _, event in events):
                    await asyncio.sleep(max(0.0, began + self._pace - now))

    async def _news(self) -> list[tuple[int, Event]]:
        """Return what happened since, with the number of its feed, in order."""
        news: list[list[tuple[int, Event]]] = []
        for number, one in enumerate(self._feeds):
            place = self._places[number]
            try:
                events = await one.read(place.stream, place.sequence)
            except (nats.errors.Error, TimeoutError, errors.Unavailable):
                # Back soon: the feed reconnects, and nothing is missed meanwhile.
                await asyncio.sleep(_RETRY)
                continue
            news.append([(number, event) for event in events])
        # Merged, not sorted: a stream's own order holds, whatever its clock did.
        return list(heapq.merge(*news, key=lambda one: one[1].time))

    def _tell(self, events: list[tuple[int, Event]]) -> Iterator[bytes]:
        newest = {event.subject: event for _, event in events if event.subject}
        for number, event in events:
            self._places[number] = self._places[number].moved(event.sequence)
            superseded = event.subject and newest[event.subject] is not event
            if superseded or not self._concerns(event):
                continue
            assert event.kind is not None
            activity_measures.TOLD.labels(event.kind.value).inc()
            # One message after another is one message of both (protobuf's encoding).
            yield event.answer + self._token_bytes()

    def _concerns(self, event: Event) -> bool:
        if event.kind not in self._asked.kinds:
            return False
        if event.source and event.source == self._instance.id:
            return False
        if event.to:
            # A message to an instance of this name that was deleted is not for this one.
            return event.to == self._instance.id and event.time >= self._instance.created
        if event.namespace != self._instance.namespace:
            return False
        return event.kind is not Kind.CODE or self._asked.project in ("", event.project)

    async def _check(self) -> None:
        """Make sure the caller may still be told."""
        with contextlib.suppress(errors.Unavailable, errors.DeadlineExceeded):
            self._instance = await _told(self._asked, self._instances)

    def _token_bytes(self) -> bytes:
        return pb.SubscribeResponse(resume_token=self.token).SerializeToString()

    def _beat(self) -> bytes:
        beat = pb.SubscribeResponse(resume_token=self.token)
        now: datetime.datetime = clock.now()
        beat.heartbeat.time.FromDatetime(now)
        beat.timestamp.FromDatetime(now)
        return beat.SerializeToString()


async def _told(asked: Asked, instances: Instances) -> Instance:
    """Return the instance that is told, if the caller may act for it; for a project, none.

    Raises:
        errors.DomainError: The caller may not be told, or not any more.
    """
    if asked.instance_id:
        return await instances.own(asked.instance_id)
    access.check_namespace(identity.current(), asked.namespace)
    return Instance("", asked.namespace, datetime.datetime.min.replace(tzinfo=datetime.UTC))


async def _wait(news: asyncio.Event, seconds: float) -> None:
    """Wait for news, for a while; for a moment at most, so that a replica that goes is noticed."""
    feed.refuse_draining()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(max(0.01, min(seconds, _MOMENT))):
            await news.wait()
