"""The service process itself is killed, at any moment, and started again."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.resource.v1 import workload_service_pb2 as pb
from codestudio.resource.v1 import workload_service_pb2_grpc

from services.chassis import tokens
from services.devstack import ports
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey
from tests.integration.resource import rig

REPOSITORY = Path(__file__).parents[3]


class Service:
    """`python -m services.resource`, killed and started at will."""

    def __init__(self, root: Path, editor: Path, valkey: Valkey, stack_id: str, base: int) -> None:
        secrets = root / "secrets"
        secrets.mkdir()
        keys = parts.Keys(secrets)
        self.port = ports.any_free_port()
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "HTTP_PORT": str(ports.any_free_port()),
            "REDIS_URL": valkey.url,
            "JWKS_FILE": str(keys.jwks),
            "SERVICE_KEY_FILE": str(keys.services_pem),
            "CONTAINER_ROOT": str(root / "data"),
            "STACK_ID": stack_id,
            "CODESTUDIO_STACK_ID": stack_id,
            "EDITOR_COMMAND": str(editor),
            "EDITOR_STOP_SECONDS": "1",
            "PORT_BASE": str(base),
        }
        self.log = root / "service.log"
        token = tokens.sign_service_token(keys.services_pem.read_bytes(), "instance-service")
        self.metadata = [("authorization", f"Bearer {token}")]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                (sys.executable, "-m", "services.resource"),
                cwd=REPOSITORY,
                env=self.environment,
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    @contextlib.asynccontextmanager
    async def calls(self) -> AsyncIterator[Any]:
        """Give a stub that works: the service has taken over."""
        async with grpc.aio.insecure_channel(
            f"127.0.0.1:{self.port}", options=[("grpc.max_reconnect_backoff_ms", 100)]
        ) as channel:
            stub = workload_service_pb2_grpc.WorkloadServiceStub(channel)
            async with asyncio.timeout(30):
                while True:
                    call = stub.ListWorkloads(pb.ListWorkloadsRequest(), metadata=self.metadata)
                    if await call.code() is grpc.StatusCode.OK:
                        break
                    await asyncio.sleep(0.02)
            yield stub


@pytest.fixture
def service(
    tmp_path: Path, tiny: Path, valkey: Valkey, stack_id: str, port_base: int
) -> Iterator[Service]:
    made = Service(tmp_path, tiny, valkey, stack_id, port_base)
    made.start()
    yield made
    made.kill()


def request(name: str, port: int) -> pb.ApplyWorkloadRequest:
    return pb.ApplyWorkloadRequest(
        instance_id=name,
        namespace="default",
        web_port=port,
        callback_port=port + 50,
        resources=resources_pb2.Resources(cpu="500m", memory="2Gi", storage="10Gi"),
    )


async def phases(stub: Any, service: Service) -> dict[str, int]:
    answer = await stub.ListWorkloads(pb.ListWorkloadsRequest(), metadata=service.metadata)
    return {one.instance_id: one.phase for one in answer.workloads}


async def test_running_editors_keep_their_process(
    service: Service, stack_id: str, port_base: int
) -> None:
    """They are the same processes after a kill -9 as before it, still READY, still stoppable."""
    async with service.calls() as stub:
        for slot in range(3):
            await stub.ApplyWorkload(
                request(f"i-{slot}", port_base + 100 * slot), metadata=service.metadata
            )
        async with asyncio.timeout(20):
            while set((await phases(stub, service)).values()) != {pb.WORKLOAD_PHASE_READY}:
                await asyncio.sleep(0.05)
    before = {one.identity for one in rig.roots(stack_id)}
    service.kill()
    service.start()
    async with service.calls() as stub:
        assert set((await phases(stub, service)).values()) == {pb.WORKLOAD_PHASE_READY}
        assert {one.identity for one in rig.roots(stack_id)} == before
        await stub.StopWorkload(
            pb.StopWorkloadRequest(instance_id="i-0"), metadata=service.metadata
        )
    assert len(rig.roots(stack_id)) == 2


@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(8))
async def test_killed_at_any_moment_nothing_is_doubled_or_lost(
    service: Service, stack_id: str, port_base: int, seed: int
) -> None:
    """Killed in the middle of starts, stops and deletes: asked again, all comes true.

    There is one editor for each instance that is to run, and nothing of any other.
    """
    chance = random.Random(seed)
    names = [f"i-{slot}" for slot in range(4)]
    ports = {name: port_base + 100 * slot for slot, name in enumerate(names)}

    async def ask(stub: Any, name: str, verb: str) -> None:
        calls = {
            "run": lambda: stub.ApplyWorkload(
                request(name, ports[name]), metadata=service.metadata
            ),
            "stop": lambda: stub.StopWorkload(
                pb.StopWorkloadRequest(instance_id=name), metadata=service.metadata
            ),
            "delete": lambda: stub.DeleteWorkload(
                pb.DeleteWorkloadRequest(instance_id=name), metadata=service.metadata
            ),
        }
        await calls[verb]()

    wanted = {name: chance.choice(("run", "stop", "delete")) for name in names}
    async with service.calls() as stub:
        # Something to stop and delete, too.
        await asyncio.gather(*(ask(stub, name, "run") for name in names[::2]))
        asked = asyncio.gather(
            *(ask(stub, name, verb) for name, verb in wanted.items()), return_exceptions=True
        )
        await asyncio.sleep(chance.uniform(0, 0.04))
        service.kill()
        await asked
    service.start()
    async with service.calls() as stub:
        await asyncio.gather(*(ask(stub, name, verb) for name, verb in wanted.items()))
        running = sorted(name for name, verb in wanted.items() if verb == "run")
        async with asyncio.timeout(20):
            while True:
                now = await phases(stub, service)
                if all(now[name] == pb.WORKLOAD_PHASE_READY for name in running):
                    break
                await asyncio.sleep(0.05)
    await rig.until(lambda: sorted(one.instance_id for one in rig.members(stack_id)) == running)
    assert sorted(one.instance_id for one in rig.roots(stack_id)) == running
    deleted = {name for name, verb in wanted.items() if verb == "delete"}
    assert deleted.isdisjoint(now)


async def test_it_ends_when_told_and_leaves_editors_alone(
    service: Service, stack_id: str, port_base: int
) -> None:
    """SIGTERM ends the service with status 0 and no editor with it."""
    async with service.calls() as stub:
        await stub.ApplyWorkload(request("blue", port_base), metadata=service.metadata)
    assert service.process is not None
    service.process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(service.process.wait, 15) == 0
    assert len(rig.roots(stack_id)) == 1
