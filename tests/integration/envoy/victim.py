"""An Instance service in a process of its own that never answers, to be killed with calls in hand.

Run as `python -m tests.integration.envoy.victim PORT JWKS SERVICE_KEY`; writes a line for each
call it holds.
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from codestudio.instance.v1 import instance_service_pb2_grpc

from services.chassis import lifecycle, settings
from tests.integration.envoy.door import INSTANCE, Instances


async def hold(_request: Any, _context: Any) -> Any:
    """Take a call and keep it."""
    sys.stderr.write("holding\n")
    sys.stderr.flush()
    await asyncio.sleep(3600)


async def main(port: str, jwks: str, key: str) -> None:
    """Serve until killed."""
    servicer = Instances()
    servicer.on_get = servicer.on_create = hold
    given = settings.ServiceSettings(
        microservice_name="instance-service",
        port=int(port),
        http_port=0,
        jwks_file=Path(jwks),
        service_key_file=Path(key),
    )
    app = lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                instance_service_pb2_grpc.add_InstanceServiceServicer_to_server,
                servicer,
                INSTANCE,
            )
        ]
    )
    async with lifecycle.running(given, app):
        await asyncio.sleep(3600)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
