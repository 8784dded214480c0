"""Puts the collaboration service together."""

import uuid

from services.chassis import (
    authentication,
    clock,
    connectors,
    feed,
    lifecycle,
    live,
    mesh,
    streams,
)
from services.collaboration import activity, servicer, text
from services.collaboration.activity_servicer import Activity
from services.collaboration.changes import Changes
from services.collaboration.committing import Committer, Pace
from services.collaboration.deleting import Deleting
from services.collaboration.entry import Author
from services.collaboration.instances import Instances
from services.collaboration.loading import Loader
from services.collaboration.log import Log
from services.collaboration.messages import Messages
from services.collaboration.names import Name
from services.collaboration.once import Once
from services.collaboration.opening import Opening
from services.collaboration.outcomes import Outcomes
from services.collaboration.presence import Presence
from services.collaboration.revisions import Revisions
from services.collaboration.room import Limits, Room
from services.collaboration.rooms import Rooms
from services.collaboration.settings import CollaborationSettings
from services.collaboration.states import States
from services.collaboration.store import Store
from services.collaboration.subscriptions import Subscriptions
from services.collaboration.syncing import Syncing
from services.collaboration.texts import LiveTexts
from services.collaboration.together import Together
from services.collaboration.uncommitted import Uncommitted
from services.collaboration.yjs import Yjs


def compose(settings: CollaborationSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    text.check_unit()
    redis = connectors.Redis(settings)
    mongo = connectors.Mongo(settings)
    nats = connectors.Nats(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel)
    # Of this process, not of its name: ids of drafts hold it and begin anew with each process, and
    # JetStream takes an id that it has seen for stored.
    origin = "-".join(filter(None, (settings.replica_id, uuid.uuid4().hex[:12])))

    store = Store(mongo=mongo)
    log = Log(nats=nats, origin=origin, timeout=settings.dependency_timeout)
    limits = Limits(
        document_bytes=settings.document_max_bytes,
        update_bytes=settings.update_max_bytes,
        awareness_bytes=settings.awareness_max_bytes,
        backlog_bytes=settings.backlog_bytes,
        log_tick=settings.log_tick,
        log_give_up=settings.log_give_up,
    )
    loader = Loader(store=store, log=log, origin=origin, limits=limits)
    rooms = Rooms(
        store=store,
        log=log,
        loader=loader,
        settings=settings,
        enabled=lambda: in_force.current.collaboration_enabled,
    )
    uncommitted = Uncommitted(mongo=mongo)

    async def announce(name: Name, author: Author) -> None:
        await uncommitted.opened(name, author, int(clock.now().timestamp() * 1000))

    syncing = Syncing(
        rooms=rooms, together=Together(log=log, origin=origin, give_up=settings.log_give_up)
    )
    presence = Presence(nats=nats, origin=origin, loaded=rooms.loaded)

    def introduce(room: Room) -> None:
        room.on_awareness = presence.say
        presence.ask(room)

    rooms.on_load = introduce

    messages = activity.messages(
        nats,
        keep=settings.messages_max_age,
        most_bytes=settings.messages_max_bytes,
        remember=settings.messages_request_age,
    )
    newest = activity.newest(nats, keep=settings.states_max_age)
    feeds = [_feed(nats, stream, settings) for stream in (messages, newest)]
    instances = Instances(channel=channel, remember=settings.access_seconds)
    states = States(redis=redis, nats=nats, stream=newest, keep=settings.states_max_age)

    texts = LiveTexts(rooms=rooms, log=log)
    outcomes = Outcomes(redis=redis)
    changes = Changes(
        nats=nats,
        redis=redis,
        code=log,
        stream=newest,
        records=uncommitted,
        states=states,
        outcomes=outcomes,
        position=texts.position,
        every=settings.changes_every,
        lease=settings.changes_lease,
    )
    opening = Opening(store=store, announce=announce, created=changes.created)
    rooms.may_trim = changes.covered
    committer = Committer(
        redis=redis,
        records=uncommitted,
        texts=texts,
        root=settings.repository_root,
        pace=Pace(
            quiet=int(settings.commit_quiet_seconds * 1000),
            busy=int(settings.commit_busy_seconds * 1000),
            together=int(settings.commit_together_seconds * 1000),
        ),
        every=settings.commit_every,
        lease=settings.commit_lease,
    )

    authenticator = authentication.Authenticator(settings.jwks_file)
    serving = servicer.CollaborationServicer(
        authenticator=authenticator,
        rooms=rooms,
        opening=opening,
        store=store,
        syncing=syncing,
        once=Once(
            redis=redis,
            syncing=syncing,
            rooms=rooms,
            log=log,
            known=outcomes,
            unsettled=settings.log_give_up + settings.dependency_timeout,
        ),
        deleting=Deleting(rooms=rooms, store=store, log=log),
        in_force=in_force,
        activity=Activity(
            instances=instances,
            states=states,
            messages=Messages(nats=nats, stream=messages),
            subscriptions=Subscriptions(
                authenticator=authenticator,
                instances=instances,
                feeds=feeds,
                heartbeat=settings.heartbeat_seconds,
                pace=settings.subscribe_pace,
            ),
        ),
        revisions=Revisions(root=settings.repository_root),
        texts=texts,
    )
    yjs = Yjs(
        authenticator=authenticator,
        rooms=rooms,
        opening=opening,
        in_force=in_force,
    )
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                servicer.register, serving, "codestudio.collaboration.v1.CollaborationService"
            )
        ],
        connectors=[redis, mongo, nats, channel],
        live=in_force,
        beside=yjs.application(),
        tasks={
            "follow the log": lambda: log.follow(rooms.entered, rooms.lost),
            "sweep": rooms.sweep,
            "tell presence": presence.run,
            "follow messages": feeds[0].run,
            "follow states": feeds[1].run,
            "tell changes": changes.run,
            "commit": committer.run,
        },
        on_stop=[rooms.close],
    )


def _feed(
    nats: connectors.Nats, stream: streams.Stream, settings: CollaborationSettings
) -> feed.Feed[activity.Event]:
    return feed.Feed(
        nats=nats,
        stream=stream,
        read=activity.read,
        keep=settings.events_kept,
        keep_bytes=settings.events_kept_bytes,
        size=lambda event: len(event.answer),
    )
