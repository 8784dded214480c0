"""Puts the path service together."""

import datetime

from codestudio.path.v1 import path_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.path.changes import Changes
from services.path.information import PathInformation
from services.path.local import LocalFiles
from services.path.local.workers import Workers
from services.path.servicer import PathServicer
from services.path.settings import PathSettings
from services.path.store import Store
from services.path.visibility import Visibility


def compose(settings: PathSettings) -> lifecycle.App:
    """Give the service: its connections, its servicer and its background work."""
    redis = connectors.Redis(settings)
    nats = connectors.Nats(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel)
    workers = Workers(
        threads=settings.path_threads,
        queue=settings.path_queue,
        calls_each=settings.path_calls_per_instance,
        seconds=lambda: in_force.current.path_seconds,
    )
    files = LocalFiles(
        container_root=settings.container_root,
        workers=workers,
        page_seconds=lambda: in_force.current.path_page_seconds,
    )
    store = Store(redis=redis)
    changes = Changes(
        nats=nats,
        store=store,
        clock_skew=datetime.timedelta(seconds=settings.path_clock_skew_seconds),
    )
    information = PathInformation(
        files=files,
        store=store,
        changes=changes,
        keep_seconds=lambda: in_force.current.path_cache_seconds,
    )
    servicer = PathServicer(
        visibility=Visibility(channel=channel), information=information, files=files
    )
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                path_service_pb2_grpc.add_PathServiceServicer_to_server,
                servicer,
                "codestudio.path.v1.PathService",
            )
        ],
        connectors=[redis, nats, channel],
        live=in_force,
        tasks={"hear of changes": changes.run},
        on_stop=[workers.close],
    )
