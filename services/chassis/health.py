"""Whether the service lives, is ready, and is leaving; told by HTTP and by gRPC."""

import asyncio
from collections.abc import Sequence
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_health.v1._async import HealthServicer

from services.chassis import connectors, tasks


class Health:
    """The state of one service.

    Not ready: a required connector is down, a background task has died, or
    the service drains. gRPC health says SERVING from the first connection
    until the drain: while a dependency is down, our own clear error is of more use
    to a caller than a proxy that has nowhere to send the call.
    """

    def __init__(
        self, connected: Sequence[connectors.Connector], background: tasks.Supervisor
    ) -> None:
        self._connectors = connected
        self._background = background
        self.draining = asyncio.Event()
        """Set when the service is told to stop."""

    @property
    def ready(self) -> bool:
        """Whether the service can do its work now."""
        return (
            not self.draining.is_set()
            and bool(self._background.ready)
            and all(one.ready for one in self._connectors if one.required)
        )

    async def wait_connected(self) -> None:
        """Wait, for ever, until every required connector is ready."""
        required = [one for one in self._connectors if one.required]
        while not all(one.ready for one in required):
            for one in required:
                await one.wait_ready()

    def report(self) -> dict[str, Any]:
        """Say in detail what is ready and what is not, and why."""
        return {
            "ready": self.ready,
            "draining": self.draining.is_set(),
            "connectors": {
                one.name: {
                    "ready": one.ready.ok,
                    "required": one.required,
                    "reason": one.ready.reason,
                }
                for one in self._connectors
            },
            "tasks": {"ready": self._background.ready.ok, "faults": dict(self._background.faults)},
        }


class GrpcHealth(HealthServicer):  # type: ignore[misc]  # the library is untyped
    """gRPC's health service, for the whole server ("") and for each service by name.

    Not serving from the start: the library's begins as SERVING.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._server_status = dict.fromkeys(
            ("", *names), health_pb2.HealthCheckResponse.NOT_SERVING
        )

    async def serve(self) -> None:
        """Say SERVING for everything."""
        for name in list(self._server_status):
            await self.set(name, health_pb2.HealthCheckResponse.SERVING)
