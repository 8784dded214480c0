"""What is kept of an instance's paths holds, or is not used."""

import asyncio
import datetime
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from services.chassis import cancellation, clock, connectors
from services.chassis.settings import ServiceSettings
from services.devstack import binaries, ports
from services.devstack.stack import Stack
from services.path.changes import Changes
from services.path.filesystem import Finding
from services.path.information import PathInformation
from services.path.local import LocalFiles
from services.path.local.workers import Workers
from services.path.names import Parts
from services.path.store import Store
from tests import counted
from tests.integration.path import rig
from tests.integration.quota.valkey import Valkey

INVALID = rig.pb.PATH_STATUS_INVALID
VALID = rig.pb.PATH_STATUS_VALID


async def kept(service: rig.Rig, name: str) -> rig.pb.PathInfo:
    """Ask until the answer comes from the cache: it listens for changes only just now."""

    async def ask() -> rig.pb.PathInfo | None:
        found = await service.info(name)
        return found if found.cached else None

    found: rig.pb.PathInfo = await rig.until(ask)
    return found


async def test_kept_as_specified(service: rig.Rig) -> None:
    """For 300 s, under the specification's key and in its form; an answer says that it was."""
    place = service.make("fox")
    first = await service.info("fox")
    assert not first.cached
    again = await kept(service, "fox")
    assert again.paths == first.paths
    assert list(again.details) == list(first.details)
    with redis.Redis.from_url(service.redis_url, decode_responses=True) as client:
        text, seconds = client.get("path_info:fox"), client.ttl("path_info:fox")
    assert 290 < seconds <= 300
    assert isinstance(text, str)
    stored = json.loads(text)
    assert stored["overall_status"] == "valid"
    assert stored["paths"]["user_data"] == str(place / "user-data")
    assert stored["details"][3] == {
        "path_type": "workspace", "path": str(place / "workspace"), "exists": True,
        "accessible": True, "status": "valid", "message": "",
    }  # fmt: skip
    assert stored["timestamp"].endswith("Z")
    assert again.timestamp.ToJsonString() == stored["timestamp"]


async def test_counted(service: rig.Rig) -> None:
    """Hits and misses are counted; a refresh asks nobody."""
    service.make("fox")
    await kept(service, "fox")
    before = counted.cache("path_info")
    await service.info("fox")
    await service.info("fox", refresh=True)
    with redis.Redis.from_url(service.redis_url) as client:
        client.delete("path_info:fox")
    await service.info("fox")
    assert counted.cache("path_info") - before == {"hit": 1, "miss": 1}


async def test_refresh(service: rig.Rig) -> None:
    """A refresh looks again, and what it saw is kept from then on."""
    place = service.make("fox")
    await kept(service, "fox")
    (place / "temp").rmdir()
    assert (await service.info("fox")).overall_status == VALID
    fresh = await service.info("fox", refresh=True)
    assert (fresh.cached, fresh.overall_status) == (False, INVALID)
    again = await service.info("fox")
    assert (again.cached, again.overall_status) == (True, INVALID)


async def test_dropped_when_the_instance_changes(service: rig.Rig) -> None:
    """An event of the instance is enough; those of others change nothing."""
    place = service.make("fox")
    service.make("owl")
    await kept(service, "fox")
    await kept(service, "owl")
    (place / "temp").rmdir()
    await service.change("fox")

    async def seen() -> bool:
        return (await service.info("fox")).overall_status == INVALID

    await rig.until(seen)
    assert (await service.info("owl")).cached


async def test_dropped_when_a_test_fails(service: rig.Rig) -> None:
    """A test that finds a directory gone does not leave the cache saying otherwise."""
    place = service.make("fox")
    await kept(service, "fox")
    (place / "temp").rmdir()
    result = await service.call("TestPaths", rig.pb.TestPathsRequest(instance_id="fox"))
    assert result.overall_status == INVALID
    found = await service.info("fox")
    assert (found.cached, found.overall_status) == (False, INVALID)


@pytest.mark.parametrize(
    "text", ["", "nonsense", "[]", '{"details": [{}]}', '{"instance_id": "fox"}']
)
async def test_what_cannot_be_read_is_nothing(service: rig.Rig, text: str) -> None:
    """What another release may have kept is passed over and written anew."""
    service.make("fox")
    await kept(service, "fox")
    with redis.Redis.from_url(service.redis_url) as client:
        client.set("path_info:fox", text)
    assert not (await service.info("fox")).cached
    assert (await service.info("fox")).cached


async def test_other_places_are_not_ours(service: rig.Rig) -> None:
    """What is kept of directories that lie elsewhere now is not used."""
    service.make("fox")
    await kept(service, "fox")
    with redis.Redis.from_url(service.redis_url, decode_responses=True) as client:
        text = str(client.get("path_info:fox"))
        client.set("path_info:fox", text.replace(str(service.root), "/elsewhere"))
    assert not (await service.info("fox")).cached


async def test_without_nats_nothing_kept_is_used(infrastructure: Stack, tmp_path: Path) -> None:
    """Who cannot hear of changes looks each time, also at what another replica keeps fresh."""
    plan = infrastructure.plan
    async with rig.serving(
        tmp_path, redis_url=plan.redis_url, nats_url="nats://127.0.0.1:1", ready=False
    ) as deaf:
        place = deaf.make("deaf")
        answers = [await deaf.info("deaf") for _ in range(3)]
        assert [each.cached for each in answers] == [False] * 3
        async with rig.serving(
            tmp_path, redis_url=plan.redis_url, nats_url=plan.nats_url
        ) as hearing:
            hearing.known.owners["deaf"] = "ada"
            await kept(hearing, "deaf")
            (place / "temp").rmdir()
            assert (await deaf.info("deaf")).overall_status == INVALID


class NatsServer:
    """A NATS of a test's own, to be killed."""

    def __init__(self) -> None:
        self.port = ports.any_free_port()
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._spawn()
        await rig.until(self._answers)

    def _spawn(self) -> None:
        self._process = subprocess.Popen(
            (binaries.nats_server(), "--addr", "127.0.0.1", "--port", str(self.port)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


async def test_what_nats_did_not_tell(infrastructure: Stack, tmp_path: Path) -> None:
    """A NATS that was killed and came back: what was kept before counts for nothing."""
    server = NatsServer()
    await server.start()
    try:
        async with rig.serving(
            tmp_path,
            redis_url=infrastructure.plan.redis_url,
            nats_url=f"nats://127.0.0.1:{server.port}",
        ) as service:
            place = service.make("fox")
            await kept(service, "fox")
            server.kill()
            # Of this change nobody hears.
            (place / "temp").rmdir()

            async def fresh() -> bool:
                return (await service.info("fox")).overall_status == INVALID

            await rig.until(fresh)
            with redis.Redis.from_url(service.redis_url) as client:
                assert b'"overall_status": "valid"' in client.get("path_info:fox")  # type: ignore[operator]
            await server.start()
            found = await kept(service, "fox")
            assert found.overall_status == INVALID
    finally:
        server.kill()


async def test_changed_while_it_was_looked_at(infrastructure: Stack, tmp_path: Path) -> None:
    """What was seen before a change that came meanwhile is answered, and not kept."""
    plan = infrastructure.plan
    settings = ServiceSettings(
        microservice_name="test",
        port=0,
        redis_url=plan.redis_url,
        redis_pool_min=0,
        nats_url=plan.nats_url,
    )
    valkey, messages = connectors.Redis(settings), connectors.Nats(settings)
    store = Store(redis=valkey)
    changes = Changes(nats=messages, store=store, clock_skew=datetime.timedelta(0))
    files = Held(
        container_root=tmp_path,
        workers=Workers(threads=1, queue=1, calls_each=9, seconds=lambda: 9.0),
        page_seconds=lambda: 1.0,
    )
    information = PathInformation(
        files=files, store=store, changes=changes, keep_seconds=lambda: 300
    )
    for connector in (valkey, messages):
        await connector.start()
        await connector.wait_ready()
    listening = asyncio.create_task(changes.run())
    try:
        await rig.until(lambda: changes.trusts(clock.now()))
        files.gate.set()
        await information.get("held", refresh=True)
        assert (await information.get("held")).cached
        files.gate.clear()
        looking = asyncio.create_task(information.get("held", refresh=True))
        await files.reached.wait()
        await messages.client.publish("events.instance.default.held", b"")
        await messages.client.flush()

        async def heard() -> bool:
            return await store.get("held") is None

        await rig.until(heard)
        files.gate.set()
        assert not (await looking).cached
        assert not (await information.get("held")).cached
    finally:
        await cancellation.cancel([listening], grace=5)
        await files.close()
        for connector in (valkey, messages):
            await connector.stop()


class Held(LocalFiles):
    """Looks when a test lets it."""

    def __init__(self, *, workers: Workers, **more: Any) -> None:
        super().__init__(workers=workers, **more)
        self._own = workers
        self.gate, self.reached = asyncio.Event(), asyncio.Event()

    async def inspect(self, instance_id: str, paths: Sequence[Parts]) -> list[Finding]:
        if not self.gate.is_set():
            self.reached.set()
        await self.gate.wait()
        return await super().inspect(instance_id, paths)

    async def close(self) -> None:
        await self._own.close()


async def test_without_redis(infrastructure: Stack, tmp_path: Path) -> None:
    """With Redis away answers are fresh, not errors; what it kept before counts for nothing."""
    valkey = Valkey(tmp_path / "valkey")
    (tmp_path / "valkey").mkdir()
    valkey.start()
    try:
        async with rig.serving(
            tmp_path, redis_url=valkey.url, nats_url=infrastructure.plan.nats_url
        ) as service:
            place = service.make("fox")
            await kept(service, "fox")
            valkey.kill()
            before = counted.cache("path_info")["error"]
            assert not (await service.info("fox")).cached
            assert counted.cache("path_info")["error"] == before + 1
            # A change while Redis cannot be told: it comes back with what was true before.
            (place / "temp").rmdir()
            await service.change("fox")
            # Heard is what comes before it on the same connection.
            await service.change("another")
            await asyncio.sleep(0.5)  # as a rule it is heard by then
            valkey.start()
            with redis.Redis.from_url(valkey.url) as client:
                assert client.exists("path_info:fox")

            async def known() -> bool:
                return (await service.info("fox")).overall_status == INVALID

            await rig.until(known)
            for _ in range(20):
                assert await known()
            assert (await kept(service, "fox")).overall_status == INVALID
    finally:
        valkey.kill()
