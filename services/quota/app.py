"""Puts the quota service together."""

from codestudio.quota.v1 import quota_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.quota.instances import Instances
from services.quota.ledger import Ledger
from services.quota.reconcile import Reconciler
from services.quota.servicer import QuotaServicer
from services.quota.settings import QuotaSettings
from services.quota.store import Store


def compose(settings: QuotaSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    redis = connectors.Redis(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel)
    store = Store(redis=redis)
    reconciler = Reconciler(
        store=store,
        instances=Instances(mesh=channel),
        redis=redis,
        every_seconds=settings.quota_reconcile_seconds,
        confirm_seconds=settings.quota_confirm_seconds,
        grace_seconds=settings.quota_grace_seconds,
    )
    ledger = Ledger(store=store, default_limits=lambda: in_force.current.default_limits)
    servicer = QuotaServicer(ledger=ledger)
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                quota_service_pb2_grpc.add_QuotaServiceServicer_to_server,
                servicer,
                "codestudio.quota.v1.QuotaService",
            )
        ],
        connectors=[redis, channel],
        live=in_force,
        tasks={"reconcile": reconciler.run},
    )
