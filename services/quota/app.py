"""Puts the quota service together."""

from codestudio.quota.v1 import quota_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.quota.instances import Instances
from services.quota.ledger import Ledger
from services.quota.reconcile import Reconciler
from services.quota.repairs import Journal
from services.quota.servicer import QuotaServicer
from services.quota.settings import QuotaSettings
from services.quota.store import Store


def compose(settings: QuotaSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    redis = connectors.Redis(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel, redis=redis)
    nats = connectors.Nats(settings)
    # Only what was repaired goes there, and it is kept in Redis too.
    nats.required = False
    store = Store(redis=redis)
    journal = Journal(store=store, nats=nats)
    reconciler = Reconciler(
        store=store,
        instances=Instances(mesh=channel),
        redis=redis,
        journal=journal,
        every_seconds=settings.quota_reconcile_seconds,
        confirm_seconds=settings.quota_confirm_seconds,
        grace_seconds=settings.quota_grace_seconds,
    )
    servicer = QuotaServicer(
        ledger=Ledger(store=store, default_limits=lambda: in_force.current.default_limits),
        reconciler=reconciler,
        journal=journal,
    )
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                quota_service_pb2_grpc.add_QuotaServiceServicer_to_server,
                servicer,
                "codestudio.quota.v1.QuotaService",
            )
        ],
        connectors=[redis, nats, channel],
        live=in_force,
        tasks={"reconcile": reconciler.run},
    )
