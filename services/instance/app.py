"""Puts the Instance service together."""

from collections.abc import Callable

from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.chassis.feed import Feed
from services.instance import decide, reflection, stream
from services.instance.actions import Actions
from services.instance.admission import Admission
from services.instance.cache import Cache
from services.instance.desires import Desires
from services.instance.lifetimes import Lifetimes
from services.instance.outbox import Outbox
from services.instance.passes import Means
from services.instance.peers import MeshPeers
from services.instance.reading import Reading
from services.instance.reconciler import Pace, Reconciler
from services.instance.record import Step
from services.instance.servicer import InstanceServicer
from services.instance.settings import InstanceSettings
from services.instance.specification import Reader
from services.instance.states import States
from services.instance.store import Store
from services.instance.stream import Event
from services.instance.updates import Updates
from services.instance.watch import Watches
from services.instance.withdrawal import Withdrawal
from services.instance.workloads import Workloads
from services.instance.workqueue import Urgency, Workqueue


def compose(settings: InstanceSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    redis = connectors.Redis(settings)
    mongo = connectors.Mongo(settings)
    nats = connectors.Nats(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel, redis=redis)

    store = Store(mongo=mongo)
    peers = MeshPeers(
        mesh=channel,
        stop_seconds=settings.stop_seconds,
        reserve_seconds=settings.reserve_seconds,
    )
    events = stream.open_stream(nats, max_age=settings.events_max_age)
    states = States(redis=redis)
    queue = Workqueue()

    cache = Cache(
        seconds=settings.cache_seconds,
        entries=settings.cache_entries,
        healthy=lambda: feed.healthy,
    )
    feed = Feed(
        nats=nats,
        stream=events,
        read=stream.read,
        keep=settings.events_kept,
        on_event=_remember_in(cache),
    )
    workloads = Workloads(
        mesh=channel,
        on_change=lambda instance_id: queue.add(instance_id, Urgency.REPAIR),
        on_synced=lambda: reconciler.look(),
    )
    withdrawal = Withdrawal(store=store, peers=peers)
    lifetimes = Lifetimes(lambda: in_force.current, lambda: in_force.known)
    policy = _policy(settings, lifetimes)
    reconciler = Reconciler(
        means=Means(
            store=store,
            actions=Actions(peers=peers, workloads=workloads, policy=policy),
            withdrawal=withdrawal,
            workloads=workloads,
            outbox=Outbox(nats=nats, states=states, events=events),
            cache=cache,
            queue=queue,
            policy=policy,
        ),
        redis=redis,
        pace=Pace(
            workers=settings.reconcile_workers,
            lease=settings.lease_seconds,
            retry_first=settings.retry_first,
            retry_last=settings.retry_last,
            resync=settings.resync_seconds,
        ),
    )
    desires = Desires(store=store, peers=peers, on_wanted=reconciler.wanted)
    servicer = InstanceServicer(
        admission=Admission(
            store=store,
            peers=peers,
            withdrawal=withdrawal,
            settings=settings,
            lifetimes=lifetimes,
            on_admitted=reconciler.wanted,
        ),
        desires=desires,
        updates=Updates(store=store, peers=peers, desires=desires, policy=policy),
        reading=Reading(store=store, cache=cache, states=states, peers=peers),
        store=store,
        watches=Watches(store=store, feed=feed, heartbeat=settings.heartbeat_seconds),
        reader=Reader(lambda: in_force.current),
        lifetimes=lifetimes,
    )
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                instance_service_pb2_grpc.add_InstanceServiceServicer_to_server,
                servicer,
                "codestudio.instance.v1.InstanceService",
            )
        ],
        reflects=reflection.PUBLIC,
        connectors=[redis, mongo, nats, channel],
        live=in_force,
        tasks={
            "reconcile": reconciler.work,
            "resync": reconciler.resync,
            "watch workloads": workloads.run,
            "follow events": feed.run,
        },
    )


def _policy(settings: InstanceSettings, lifetimes: Lifetimes) -> decide.Policy:
    budgets = {
        Step.QUOTA: settings.budget_quota,
        Step.RESOURCES: settings.budget_resources,
        Step.PATHS: settings.budget_paths,
        Step.WORKLOAD: settings.budget_workload,
        Step.EDITOR: settings.budget_editor,
    }
    return decide.Policy(
        budgets={step: int(seconds * 1000) for step, seconds in budgets.items()},
        crash_limit=settings.crash_limit,
        crash_window=int(settings.crash_window * 1000),
        crash_backoff=int(settings.crash_backoff * 1000),
        ports_tried=settings.ports_tried,
        claim_abandon=int(settings.claim_abandon_seconds * 1000),
        lifetimes=lifetimes,
    )


def _remember_in(cache: Cache) -> Callable[[Event], None]:
    """Give what keeps a cache as new as the feed."""

    def remember(event: Event) -> None:
        if event.message.type == instance_service_pb2.InstanceEvent.TYPE_REMOVED:
            cache.drop(event.message.instance)
        else:
            cache.renew(event.message.instance)

    return remember
