"""Puts the config service together."""

from codestudio.config.v1 import config_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.config.announcements import Announcements
from services.config.base import BaseError
from services.config.configurations import Configurations
from services.config.keeping import Keeper, Sources
from services.config.servicer import ConfigServicer
from services.config.settings import ConfigSettings
from services.config.store import Mirror, Revisions
from services.config.view import View
from services.config.watch import Watches


def compose(settings: ConfigSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work.

    Raises:
        ValueError: The base documents are wrong: a mistake in them is told now, not found later.
    """
    mongo = connectors.Mongo(settings)
    redis = connectors.Redis(settings)
    nats = connectors.Nats(settings)
    channel = mesh.Mesh(settings)

    sources = Sources(
        directory=settings.config_base_dir,
        secrets=settings.secrets_dir,
        ports=settings.service_ports,
    )
    try:
        base = sources.read()
    except BaseError as error:
        raise ValueError(f"base documents: {error}") from error
    record = Revisions(mongo=mongo)
    mirror = Mirror(redis=redis)
    announcements = Announcements(nats=nats)
    view = View(base=base, record=record, mirror=mirror)
    configurations = Configurations(
        view=view, record=record, mirror=mirror, announcements=announcements, mongo=mongo
    )
    keeper = Keeper(
        view=view,
        sources=sources,
        announcements=announcements,
        mongo=mongo,
        reread_seconds=settings.config_reread_seconds,
        resync_seconds=settings.config_resync_seconds,
    )
    watches = Watches(
        view=view, configurations=configurations, heartbeat=settings.config_heartbeat_seconds
    )
    servicer = ConfigServicer(configurations=configurations, watches=watches)
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                config_service_pb2_grpc.add_ConfigServiceServicer_to_server,
                servicer,
                "codestudio.config.v1.ConfigService",
            )
        ],
        connectors=[mongo, redis, nats, channel],
        live=live.Live(settings, mesh=channel),
        tasks={
            "compare with the record": keeper.resync,
            "hear of revisions": keeper.listen,
            "reread the base": keeper.reread,
        },
    )
