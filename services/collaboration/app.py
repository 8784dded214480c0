"""Puts the collaboration service together."""

import uuid

from services.chassis import authentication, connectors, lifecycle, live, mesh
from services.collaboration import servicer, text
from services.collaboration.deleting import Deleting
from services.collaboration.loading import Loader
from services.collaboration.log import Log
from services.collaboration.once import Once
from services.collaboration.opening import Opening
from services.collaboration.presence import Presence
from services.collaboration.room import Limits, Room
from services.collaboration.rooms import Rooms
from services.collaboration.settings import CollaborationSettings
from services.collaboration.store import Store
from services.collaboration.syncing import Syncing
from services.collaboration.yjs import Yjs


def compose(settings: CollaborationSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    text.check_unit()
    redis = connectors.Redis(settings)
    mongo = connectors.Mongo(settings)
    nats = connectors.Nats(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel)
    origin = settings.replica_id or uuid.uuid4().hex[:12]

    store = Store(mongo=mongo)
    log = Log(nats=nats, origin=origin, timeout=settings.dependency_timeout)
    limits = Limits(
        document_bytes=settings.document_max_bytes,
        update_bytes=settings.update_max_bytes,
        backlog_bytes=settings.backlog_bytes,
        flush_per_client=settings.flush_per_client,
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
    opening = Opening(store=store)
    syncing = Syncing(rooms=rooms)
    presence = Presence(nats=nats, origin=origin, loaded=rooms.loaded)

    def introduce(room: Room) -> None:
        room.on_awareness = presence.say
        presence.ask(room)

    rooms.on_load = introduce
    # Methods it does not have are answered UNIMPLEMENTED.
    serving = servicer.CollaborationServicer(  # type: ignore[abstract]
        rooms=rooms,
        opening=opening,
        store=store,
        syncing=syncing,
        once=Once(
            redis=redis,
            syncing=syncing,
            rooms=rooms,
            log=log,
            unsettled=settings.log_give_up + settings.dependency_timeout,
        ),
        deleting=Deleting(rooms=rooms, store=store, log=log),
        in_force=in_force,
    )
    yjs = Yjs(
        authenticator=authentication.Authenticator(settings.jwks_file),
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
        },
        on_stop=[rooms.close],
    )
