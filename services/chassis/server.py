"""Builds the gRPC server: sizes, keepalive, interceptors, health and reflection."""

import dataclasses
import errno
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import grpc.aio
from google.protobuf import descriptor_pool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.chassis import authentication, authorisation, http2
from services.chassis.health import GrpcHealth
from services.chassis.interceptors import Calls, ServerInterceptor
from services.chassis.interceptors.server import check_shapes
from services.chassis.settings import ServiceSettings

_MINUTE = 60_000

_OPTIONS = (
    # Two processes on one port would each get half of the calls, silently.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.http2.max_pings_without_data", 0),
    # So that calls spread over new replicas in the end; streams get time to move.
    ("grpc.max_connection_age_ms", 60 * _MINUTE),
    ("grpc.max_connection_age_grace_ms", 10 * _MINUTE),
)


class PortTaken(Exception):  # noqa: N818 - it is what happened
    """An address cannot be listened on; the message says which and why."""


@dataclasses.dataclass(frozen=True, slots=True)
class Servicer:
    """One gRPC service to serve."""

    add: Callable[[Any, Any], None]
    """The generated ``add_…Servicer_to_server``."""
    servicer: Any
    """Its implementation: coroutines, and async generators for streams."""
    name: str
    """Its full name, such as ``codestudio.instance.v1.InstanceService``."""


def interceptors(
    settings: ServiceSettings,
    servicers: Sequence[Servicer],
    calls: Calls,
    outer: Sequence[Any] = (),
    *,
    settle: Callable[[], Awaitable[None]] | None = None,
) -> list[Any]:
    """Return what every call passes, the outermost first.

    Args:
        settings: Name and key file.
        servicers: What is served.
        calls: Where running calls are counted.
        outer: Interceptors around ours, such as tracing.
        settle: Awaited by each call that is no stream, before its behaviour.

    Raises:
        ValueError: A method declares no permission.
        TypeError: A handler is neither coroutine nor async generator.

    """
    for one in servicers:
        check_shapes(one.servicer, descriptor_pool.Default().FindServiceByName(one.name))
    ours = ServerInterceptor(
        service=settings.microservice_name,
        rules=authorisation.rules([one.name for one in servicers]),
        authenticator=authentication.Authenticator(settings.jwks_file),
        calls=calls,
        settle=settle,
    )
    return [*outer, ours]


def build(
    settings: ServiceSettings,
    servicers: Sequence[Servicer],
    health: GrpcHealth,
    passed: Sequence[Any],
    reflects: Sequence[str] = (),
) -> grpc.aio.Server:
    """Return the server, not bound to a port yet.

    Args:
        settings: Sizes.
        servicers: What it serves beside health and reflection.
        health: Its health service.
        passed: The `interceptors`.
        reflects: Services of others that reflection shows beside its own.

    """
    names = [one.name for one in servicers]
    server = grpc.aio.server(
        interceptors=tuple(passed),
        options=(
            *_OPTIONS,
            ("grpc.max_receive_message_length", settings.grpc_max_receive_bytes),
            ("grpc.max_send_message_length", settings.grpc_max_send_bytes),
        ),
    )
    for one in servicers:
        one.add(one.servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
    shown = dict.fromkeys((*names, *reflects, health_name, reflection.SERVICE_NAME))
    reflection.enable_server_reflection(tuple(shown), server)
    return server


def streams(
    settings: ServiceSettings, servicers: Sequence[Servicer], passed: Sequence[Any]
) -> http2.Server:
    """Return what serves bidirectional streams on the port for the web; see `http2`.

    Args:
        settings: Sizes.
        servicers: Whose streams it serves.
        passed: The `interceptors`.

    """
    server = http2.Server(passed, most_bytes=settings.grpc_max_receive_bytes)
    for one in servicers:
        one.add(one.servicer, server)
    return server


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Listen; returns the port, which for 0 is one the system chose.

    Raises:
        PortTaken: It cannot be listened on.

    """
    check_free(host, port)
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise PortTaken(f"cannot listen on {address}") from error


def check_free(host: str, port: int) -> None:
    """Try a port with a socket of our own: gRPC tells a taken one in many lines, not one.

    Raises:
        PortTaken: It cannot be listened on.

    """
    if not port:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            reason = "is taken" if error.errno == errno.EADDRINUSE else f"({error.strerror})"
            raise PortTaken(f"port {port} on {host} {reason}") from error
