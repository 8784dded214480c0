"""Connectors to real servers that are killed and return."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nats.errors
import pytest
import redis as sync_redis

from services.chassis import connectors, errors, scripts
from services.devstack import binaries, ports
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey


class Server:
    """A program on a port, to be killed and started again."""

    def __init__(self, *command: object) -> None:
        self._command = [str(part) for part in command]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def nats_port() -> int:
    return ports.any_free_port()


@pytest.fixture
def nats_server(tmp_path: Path, nats_port: int) -> Iterator[Server]:
    server = Server(
        binaries.nats_server(),
        *("-a", "127.0.0.1", "-p", nats_port, "--jetstream", "--store_dir", tmp_path / "nats"),
    )
    yield server
    server.kill()


async def test_nats_is_found_late_and_again(
    keys: parts.Keys, nats_server: Server, nats_port: int
) -> None:
    """Absent at start, killed, returned: subscriptions go on; publishing meanwhile fails fast."""
    connector = connectors.Nats(parts.configured(keys, nats_url=f"nats://127.0.0.1:{nats_port}"))
    await connector.start()
    try:
        with pytest.raises(nats.errors.Error) as never:
            connector.jetstream  # noqa: B018
        assert errors.from_exception(never.value).code == "NATS_UNAVAILABLE"
        nats_server.start()
        await asyncio.wait_for(connector.wait_ready(), 15)
        received: asyncio.Queue[bytes] = asyncio.Queue()

        async def keep(message):
            received.put_nowait(message.data)

        await connector.client.subscribe("a", cb=keep)
        await connector.client.publish("a", b"1")
        assert await asyncio.wait_for(received.get(), 5) == b"1"
        await connector.jetstream.add_stream(name="S", subjects=["s"])
        await connector.jetstream.publish("s", b"x")

        nats_server.kill()
        await parts.until(lambda: not connector.ready)
        assert connector.ready.reason
        started = time.monotonic()
        with pytest.raises(nats.errors.Error) as down:
            await connector.client.publish("a", b"lost")
        assert time.monotonic() - started < 1
        assert errors.from_exception(down.value).code == "NATS_UNAVAILABLE"

        nats_server.start()
        await asyncio.wait_for(connector.wait_ready(), 15)
        await connector.client.publish("a", b"2")
        assert await asyncio.wait_for(received.get(), 5) == b"2"
    finally:
        await connector.stop()


@pytest.fixture
def mongo_port() -> int:
    return ports.any_free_port()


@pytest.fixture
def mongo_server(tmp_path: Path, mongo_port: int) -> Iterator[Server]:
    pid_file = tmp_path / "mongo.pid"

    class Mongo(Server):
        def start(self) -> None:
            pid_file.unlink(missing_ok=True)
            super().start()

    server = Mongo(
        *(sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1", "--port", mongo_port),
        *("--data-dir", tmp_path / "mongo", "--pid-file", pid_file, "--log-file", "/dev/null"),
    )
    yield server
    server.kill()


async def test_mongo_is_found_late_and_again(
    keys: parts.Keys, mongo_server: Server, mongo_port: int
) -> None:
    """Absent at start, killed, returned; calls meanwhile fail in seconds and say what is down."""
    url = f"mongodb://127.0.0.1:{mongo_port}/codestudio"
    connector = connectors.Mongo(parts.configured(keys, mongodb_url=url, mongodb_pool_min=2))
    await connector.start()
    try:
        assert not connector.ready
        mongo_server.start()
        await asyncio.wait_for(connector.wait_ready(), 30)
        await connector.client["things"].insert_one({"_id": "a", "n": 1})

        mongo_server.kill()
        started = time.monotonic()
        with pytest.raises(Exception) as down:  # noqa: PT011 - any of the library's
            await connector.client["things"].find_one({"_id": "a"})
        assert time.monotonic() - started < 6
        assert errors.from_exception(down.value).code == "MONGODB_UNAVAILABLE"
        await parts.until(lambda: not connector.ready)

        mongo_server.start()
        await asyncio.wait_for(connector.wait_ready(), 30)
        found = await connector.client["things"].find_one({"_id": "a"})
        assert found == {"_id": "a", "n": 1}
    finally:
        await connector.stop()


async def test_redis_waits_for_a_connection_of_its_pool(
    keys: parts.Keys, own_valkey: Valkey
) -> None:
    """More callers than connections take turns instead of failing."""
    connector = connectors.Redis(
        parts.configured(keys, redis_url=own_valkey.url, redis_pool_max=2, redis_pool_min=2)
    )
    await connector.start()
    try:
        await asyncio.wait_for(connector.wait_ready(), 10)
        await asyncio.gather(*(connector.client.incr("n") for _ in range(100)))
        assert await connector.client.get("n") == "100"
        with sync_redis.Redis.from_url(own_valkey.url, decode_responses=True) as other:
            ours = [one for one in other.client_list() if one["name"] == "instance-service"]
        assert len(ours) == 2
    finally:
        await connector.stop()


async def test_redis_pool_survives_a_restart(keys: parts.Keys, own_valkey: Valkey) -> None:
    """Connections that broke unseen cost no caller an error."""
    connector = connectors.Redis(parts.configured(keys, redis_url=own_valkey.url, redis_pool_min=5))
    await connector.start()
    try:
        await asyncio.wait_for(connector.wait_ready(), 10)
        own_valkey.kill()
        own_valkey.start()
        answers = await asyncio.gather(*(connector.client.ping() for _ in range(5)))
        assert all(answers)
    finally:
        await connector.stop()


async def test_a_redis_cluster_takes_the_same_commands(keys: parts.Keys, tmp_path: Path) -> None:
    """One node that owns every slot is a cluster, too."""
    port, bus = ports.any_free_port(), ports.any_free_port()
    server = Server(
        *(binaries.valkey_server(), "--port", port, "--bind", "127.0.0.1", "--dir", tmp_path),
        *("--cluster-enabled", "yes", "--cluster-port", bus, "--save", ""),
    )
    server.start()
    connector = connectors.Redis(
        parts.configured(keys, redis_cluster_endpoint=f"redis://127.0.0.1:{port}")
    )
    try:
        with sync_redis.Redis(port=port) as node:
            deadline = time.monotonic() + 10
            while True:
                try:
                    node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
                    break
                except sync_redis.ConnectionError:
                    assert time.monotonic() < deadline
        await connector.start()
        await asyncio.wait_for(connector.wait_ready(), 15)
        await connector.client.set("quota:{a}:used", "1")
        assert await connector.client.eval("return redis.call('get', KEYS[1])", 1, "quota:{a}:used")
        call = scripts.Call(scripts.Script.of("return redis.call('incr', KEYS[1])"), ["{a}:n"], [])
        running = scripts.Scripts(redis=connector)
        counted = await asyncio.gather(*(running.run(call) for _ in range(20)))
        assert sorted(counted) == list(range(1, 21))
    finally:
        await connector.stop()
        server.kill()
