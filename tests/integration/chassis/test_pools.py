"""Pools of connections: full ones let callers wait, then say so; unused connections are closed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis as sync_redis

from services.chassis import connectors, errors
from services.devstack import binaries, ports
from tests import counted
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey


def _count(pool: str, name: str) -> float:
    return counted.value(f"codestudio_pool_{name}", pool=pool)


def _connections(pool: str, state: str) -> float:
    return counted.value("codestudio_pool_connections", pool=pool, state=state)


@pytest.fixture
async def small(keys: parts.Keys, own_valkey: Valkey) -> AsyncIterator[connectors.Redis]:
    """Give a pool of one connection, for which nobody waits long."""
    made = connectors.Redis(
        parts.configured(keys, redis_url=own_valkey.url, redis_pool_max=1, redis_pool_timeout=0.3)
    )
    yield made
    await made.close()


async def _refused_while_held(connector: connectors.Redis) -> None:
    waits, timeouts = _count("redis", "waits_total"), _count("redis", "timeouts_total")
    await connector.client.get("n{a}")
    before = counted.pool("redis")
    holding = asyncio.create_task(connector.client.blpop(["nothing{a}"], timeout=2))
    await parts.until(lambda: _connections("redis", "in_use") == 1)
    began = time.monotonic()
    with pytest.raises(Exception) as full:  # noqa: PT011 - the library's, whatever it is
        await connector.client.get("n{a}")
    assert time.monotonic() - began >= 0.3
    known = errors.from_exception(full.value)
    assert (known.code, known.status.name) == ("REDIS_POOL_EXHAUSTED", "UNAVAILABLE")
    assert "none came free in time" in known.message
    assert _count("redis", "waits_total") == waits + 1
    assert _count("redis", "timeouts_total") == timeouts + 1
    asking = asyncio.create_task(connector.client.rpush("nothing{a}", "x"))
    with sync_redis.Redis(port=_port(connector), decode_responses=True) as other:
        other.rpush("nothing{a}", "freed")
    assert (await holding)[1] == "freed"
    assert await asking == 1
    assert _count("redis", "waits_total") == waits + 2
    # The one that held it found it there; one came too late, and one waited for it.
    assert counted.pool("redis") - before == {"hit": 1, "timeout": 1, "miss": 1}


def _port(connector: connectors.Redis) -> int:
    client: Any = connector.client
    if hasattr(client, "nodes_manager"):
        return int(next(iter(client.get_nodes())).port)
    return int(client.connection_pool.connection_kwargs["port"])


async def test_a_full_pool_waits_and_then_says_so(small: connectors.Redis) -> None:
    """Who gets no connection in time is told that, and who does is served."""
    before = counted.pool("redis")
    await small.client.get("n")
    assert counted.pool("redis") - before == {"miss": 1}, "it had to be made"
    await small.client.get("n")
    assert counted.pool("redis") - before == {"miss": 1, "hit": 1}
    await _refused_while_held(small)
    assert _count("redis", "connections_max") == 1


@pytest.fixture
def cluster_port(tmp_path: Path) -> Iterator[int]:
    """Run a cluster of one node; gives its port."""
    port, bus = ports.any_free_port(), ports.any_free_port()
    server = subprocess.Popen(
        [
            *(binaries.valkey_server(), "--port", str(port), "--bind", "127.0.0.1"),
            *("--dir", tmp_path, "--cluster-enabled", "yes", "--save", ""),
            *("--cluster-port", str(bus)),
        ],
        stdout=subprocess.DEVNULL,
    )
    yield port
    server.kill()
    server.wait()


async def test_a_full_cluster_waits_too(keys: parts.Keys, cluster_port: int) -> None:
    """A cluster's own pools would raise at once; ours waits and says the same."""
    await parts.until(lambda: _owns_all_slots(cluster_port))
    connector = connectors.Redis(
        parts.configured(
            keys,
            redis_cluster_endpoint=f"redis://127.0.0.1:{cluster_port}",
            redis_pool_max=1,
            redis_pool_timeout=0.3,
        )
    )
    try:
        async with asyncio.timeout(15):
            while await _is_down(connector):
                await asyncio.sleep(0.05)
        await _refused_while_held(connector)
    finally:
        await connector.close()


async def _is_down(connector: connectors.Redis) -> bool:
    try:
        await connector.probe()
    except sync_redis.RedisError:
        return True
    return False


def _owns_all_slots(port: int) -> bool:
    try:
        with sync_redis.Redis(port=port) as node:
            node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    except sync_redis.ConnectionError:
        return False
    return True


async def test_unused_connections_are_closed(keys: parts.Keys, own_valkey: Valkey) -> None:
    """What a rush opened is closed when it is over, down to the fewest there have to be."""
    connector = connectors.Redis(
        parts.configured(
            keys,
            redis_url=own_valkey.url,
            redis_pool_min=2,
            dependency_timeout=30.0,
            redis_pool_idle_timeout=0.3,
            redis_pool_reap_interval=0.05,
        )
    )
    await connector.start()
    try:
        await asyncio.wait_for(connector.wait_ready(), 10)
        rush = asyncio.gather(*(connector.client.blpop(["some"], timeout=20) for _ in range(8)))
        with sync_redis.Redis.from_url(own_valkey.url, decode_responses=True) as other:

            def open_ones() -> int:
                clients = other.client_list()
                return sum(one["name"] == "instance-service" for one in clients)

            await parts.until(lambda: open_ones() == 8)
            other.rpush("some", *range(8))
            await rush
            await parts.until(lambda: open_ones() == 2)
            await asyncio.sleep(0.5)
            assert open_ones() == 2
        assert _connections("redis", "idle") == 2
        assert _connections("redis", "in_use") == 0
        assert await connector.client.ping()
    finally:
        await connector.stop()


async def test_making_a_connection_has_an_end(keys: parts.Keys) -> None:
    """A server that takes connections and says nothing holds nobody longer than is allowed."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        connector = connectors.Redis(
            parts.configured(
                keys,
                redis_url=f"redis://127.0.0.1:{mute.getsockname()[1]}/0",
                redis_pool_create_timeout=0.3,
            )
        )
        before = counted.pool("redis")
        began = time.monotonic()
        with pytest.raises(Exception) as late:  # noqa: PT011
            await connector.client.get("n")
        assert time.monotonic() - began < 4  # dependency_timeout alone would be 5 s
        assert errors.from_exception(late.value).code == "REDIS_UNAVAILABLE"
        assert (counted.pool("redis") - before).keys() == {"miss"}
        await connector.close()


@pytest.fixture
def mongo(tmp_path: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run the Mongo-wire server; gives its address and its process."""
    port = ports.any_free_port()
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "nx_27017.nx_27017", "--host", "127.0.0.1"),
            *("--port", str(port), "--data-dir", tmp_path / "mongo"),
            *("--pid-file", tmp_path / "mongo.pid", "--log-file", "/dev/null"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield f"mongodb://127.0.0.1:{port}/codestudio", server
    os.kill(server.pid, signal.SIGCONT)
    server.kill()
    server.wait()


async def test_a_full_pool_of_mongodb_says_so(
    keys: parts.Keys, mongo: tuple[str, subprocess.Popen[bytes]]
) -> None:
    """While every connection waits for the server, who gets none in time is told that."""
    url, server = mongo
    connector = connectors.Mongo(
        parts.configured(
            keys,
            mongodb_url=url,
            mongodb_pool_max=1,
            mongodb_pool_min=1,
            mongodb_pool_timeout=0.3,
        )
    )
    await connector.start()
    try:
        await asyncio.wait_for(connector.wait_ready(), 30)
        things = connector.client["things"]
        await things.insert_one({"_id": "a"})
        waits, timeouts = _count("mongodb", "waits_total"), _count("mongodb", "timeouts_total")
        before = counted.pool("mongodb")
        os.kill(server.pid, signal.SIGSTOP)
        holding = asyncio.gather(things.find_one({"_id": "a"}), return_exceptions=True)
        await parts.until(lambda: _connections("mongodb", "in_use") == 1)
        with pytest.raises(Exception) as full:  # noqa: PT011
            await things.find_one({"_id": "a"})
        known = errors.from_exception(full.value)
        assert (known.code, known.status.name) == ("MONGODB_POOL_EXHAUSTED", "UNAVAILABLE")
        assert _count("mongodb", "waits_total") > waits
        assert _count("mongodb", "timeouts_total") > timeouts
        os.kill(server.pid, signal.SIGCONT)
        assert await holding == [{"_id": "a"}]
        assert await things.find_one({"_id": "a"}) == {"_id": "a"}
        await parts.until(lambda: _connections("mongodb", "in_use") == 0)
        assert _connections("mongodb", "idle") == 1
        late = counted.pool("mongodb")["timeout"] - before["timeout"]
        assert late == _count("mongodb", "timeouts_total") - timeouts
    finally:
        await connector.stop()
    await _is_counted(keys, url)


async def _is_counted(keys: parts.Keys, url: str) -> None:
    connector = connectors.Mongo(
        parts.configured(keys, mongodb_url=url, mongodb_pool_max=2, mongodb_pool_min=0)
    )
    before = counted.pool("mongodb")
    try:
        assert await connector.client["things"].find_one({"_id": "a"})
        assert counted.pool("mongodb") - before == {"miss": 1}, "it had to be made"
        assert await connector.client["things"].find_one({"_id": "a"})
        assert counted.pool("mongodb") - before == {"miss": 1, "hit": 1}
    finally:
        await connector.close()
