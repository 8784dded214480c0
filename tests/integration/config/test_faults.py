"""Killed anywhere, whatever is lost: the record stands, and everything else follows from it."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

import grpc
import pytest
from codestudio.config.v1 import config_service_pb2 as pb
from redis import exceptions

from services.chassis import connectors
from services.config.announcements import Announcements
from services.config.configurations import Configurations
from services.config.keeping import Sources
from services.config.sections import SCHEMAS
from services.config.store import Mirror, Revisions
from services.config.view import View
from services.devstack import ports
from tests.integration.config import dying, rig
from tests.integration.config.rig import PORT, QUOTA, RESOURCE, SIZE


@contextlib.asynccontextmanager
async def process(
    parts: rig.Parts, point: str
) -> AsyncIterator[tuple[rig.Replica, subprocess.Popen[bytes]]]:
    """Run a config service that kills itself at a point."""
    port = ports.any_free_port()
    given = parts.values(port=port, http_port=ports.any_free_port(), config_resync_seconds=60.0)
    environment = {name.upper(): str(value) for name, value in given.items()}
    running = subprocess.Popen(  # noqa: ASYNC220 - it takes a moment only
        (sys.executable, "-m", "tests.integration.config.dying", point),
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )
    client = rig.Replica(port, parts)
    try:
        await asyncio.wait_for(client.channel.channel_ready(), 30)
        await client.get()
        yield client, running
    finally:
        await client.channel.close()
        running.kill()
        running.wait()


@pytest.mark.parametrize("point", dying.POINTS)
async def test_killed_in_the_middle_of_a_change(parts: rig.Parts, point: str) -> None:
    """It happened or it did not; never halfway, and all others soon know."""
    happened = point != "before the commit"
    async with (
        parts.redis() as redis,
        rig.replica(parts) as other,
        other.watch() as watching,
    ):
        assert rig.value(await watching.configuration(), PORT) == 8000
        async with process(parts, point) as (doomed, running):
            with pytest.raises(grpc.aio.AioRpcError):
                await doomed.update({"port_allocation": {"base_port": 9000, "range_size": 50}})
            assert running.wait(10) == -signal.SIGKILL
        if happened:
            seen = await watching.configuration()
            assert (rig.value(seen, PORT), rig.value(seen, SIZE), seen.revision) == (9000, 50, 1)
        found = await other.get()
        assert found.revision == int(happened)
        await rig.until(lambda: _is_copy(redis, found))
        # The next change goes on from there, and takes nothing with it.
        after = await other.set("port_allocation.max_instances", 7)
        assert after.revision == int(happened) + 1
        assert rig.value(after, PORT) == (9000 if happened else 8000)
        seen = await watching.until(lambda one: one.revision == after.revision)
        assert seen == after


async def test_a_replica_learns_of_anothers_change(parts: rig.Parts) -> None:
    """At once by NATS, long before it would compare."""
    slow = {"config_resync_seconds": 60.0}
    async with (
        rig.replica(parts, **slow) as one,
        rig.replica(parts, **slow) as other,
        other.watch() as watching,
    ):
        await watching.configuration()
        # The first may still be seen by the comparison at the start.
        for port in (9000, 9100, 9200):
            await one.set(PORT, port)
            assert rig.value(await watching.configuration(), PORT) == port


async def test_a_lost_announcement_is_made_up_for(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the comparison with the record."""

    async def silent(*_: object) -> None:
        return

    monkeypatch.setattr(Announcements, "tell", silent)
    async with rig.replica(parts) as one, rig.replica(parts) as other, other.watch() as watching:
        await watching.configuration()
        await one.set(PORT, 9000)
        assert rig.value(await watching.configuration(), PORT) == 9000


async def test_redis_may_lose_everything(parts: rig.Parts, service: rig.Replica) -> None:
    """The copy is written again, for every service that has one."""
    found = await service.set(PORT, 9000)
    quota = await service.set("default_quota.instances", 3, service=QUOTA)
    async with parts.redis() as redis:
        await redis.flushall()
        await rig.until(lambda: _is_copy(redis, found))
        await rig.until(lambda: _is_copy(redis, quota))


async def test_what_is_written_into_redis_by_hand_is_put_back(
    parts: rig.Parts, service: rig.Replica
) -> None:
    """It was never checked, and is nobody's revision; nothing is ever made of it."""
    found = await service.set(PORT, 9000)
    async with parts.redis() as redis:
        await redis.hset(f"config:{RESOURCE}", mapping={PORT: "80", "colour": '"red"'})
        assert rig.value(await service.get(), PORT) == 9000
        await rig.until(lambda: _is_copy(redis, found))
        await redis.hset("config:edge-service", "colour", '"red"')
        await rig.until(lambda: _is_untouched(redis, "config:edge-service"))


async def test_a_record_that_went_back_is_still_the_record(
    parts: rig.Parts, service: rig.Replica
) -> None:
    """As after a backup was put in: copy and watches follow it, and changes go on from it."""
    first = await service.set(PORT, 9000)
    second = await service.set(PORT, 9100)
    async with parts.redis() as redis, parts.record() as record, service.watch() as watching:
        await watching.until(lambda one: one.revision == 2)
        await record.delete_one({"_id": f"{RESOURCE}/2"})
        seen = await watching.until(lambda one: one.revision == 1)
        assert seen == first
        await rig.until(lambda: _is_copy(redis, first))
        again = await service.set(PORT, 9100)
        assert again.revision == 2
        assert again.etag != second.etag


async def test_without_mongodb_settings_are_read_and_not_changed(parts: rig.Parts) -> None:
    """From memory; a replica that has just been started reads the copy in Redis."""
    async with rig.replica(parts) as service, parts.redis() as redis_client:
        found = await service.set(PORT, 9000)
        await rig.until(lambda: _is_untouched(redis_client, "config:path-service"))
    async with parts.redis() as redis_client:
        await redis_client.delete("config:edge-service")
    settings = parts.settings(mongodb_url="mongodb://127.0.0.1:1/none")
    mongo, redis = connectors.Mongo(settings), connectors.Redis(settings)
    base = Sources(
        directory=settings.config_base_dir, secrets=settings.secrets_dir, ports={}
    ).read()
    record, mirror = Revisions(mongo=mongo), Mirror(redis=redis)
    alone = Configurations(
        view=View(base=base, record=record, mirror=mirror),
        record=record,
        mirror=mirror,
        announcements=Announcements(nats=connectors.Nats(settings)),
        mongo=mongo,
    )
    try:
        state = await alone.get(RESOURCE)
        assert (state.values[PORT], state.revision, state.etag) == (9000, 1, found.etag)
        with pytest.raises(Exception, match=r"MONGODB_UNAVAILABLE|ServerSelection|refused"):
            await alone.update(RESOURCE, {PORT: 9100}, author="root")
        with pytest.raises(Exception, match="MONGODB_UNAVAILABLE"):
            await alone.get("edge-service")
    finally:
        await mongo.close()
        await redis.close()


async def test_without_redis_and_nats_settings_are_changed_all_the_same(
    parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are told later; the record is what counts."""

    async def away(*_: object, **__: object) -> bool:
        raise exceptions.ConnectionError

    async with rig.replica(parts) as service, service.watch() as watching, parts.redis() as redis:
        await watching.configuration()
        with monkeypatch.context() as patch:
            patch.setattr(Mirror, "write", away)
            found = await service.set(PORT, 9000)
            assert (await watching.configuration()) == found
        await rig.until(lambda: _is_copy(redis, found))


async def test_a_key_of_another_kind_is_no_copy(parts: rig.Parts, service: rig.Replica) -> None:
    """It stops neither a change nor its announcement, and gives way to the copy."""
    key = f"config:{RESOURCE}"
    async with parts.redis() as redis, parts.announced() as heard:
        await rig.until(lambda: _is_untouched(redis, key))
        await redis.delete(key)
        await redis.rpush(key, "x")
        found = await service.set(PORT, 9000)
        await rig.until(lambda: _is_copy_again(redis, found))
        await redis.delete(key)
        await redis.rpush(key, "x")
        await rig.until(lambda: _is_copy_again(redis, found))
        assert [subject for subject, _ in heard] == [f"config.updated.{RESOURCE}"]


async def test_a_redis_that_refuses_stops_no_change(parts: rig.Parts, service: rig.Replica) -> None:
    """Changes are made and announced; the copy is written when it is taken again."""
    async with parts.redis() as redis, parts.announced() as heard, service.watch() as watching:
        await watching.configuration()
        await rig.until(lambda: _is_untouched(redis, f"config:{RESOURCE}"))
        await redis.execute_command("ACL", "SETUSER", "default", "-evalsha")
        try:
            found = await service.set(PORT, 9000)
            assert await watching.configuration() == found
            await asyncio.sleep(1)  # several comparisons
            assert not await _is_copy(redis, found)
        finally:
            await redis.execute_command("ACL", "SETUSER", "default", "+@all")
        await rig.until(lambda: _is_copy(redis, found))
        assert [subject for subject, _ in heard] == [f"config.updated.{RESOURCE}"]


async def test_changes_race_a_replica_that_is_killed(parts: rig.Parts) -> None:
    """Again and again: what was answered is never lost, and revisions have no gap."""
    async with rig.replica(parts) as other:
        answered: dict[str, int] = {}
        for number, (point, path) in enumerate(
            zip(
                ("after the commit", "after the copy", "before the commit"),
                (PORT, SIZE, "port_allocation.max_instances"),
                strict=True,
            )
        ):
            async with process(parts, point) as (doomed, running):
                wish = 5000 + number
                results = await asyncio.gather(
                    doomed.set(PORT, wish),
                    *(other.set("default_quota.instances", wish, service=QUOTA),),
                    *(other.set(one, 30 + number) for one in (SIZE,) if one != path),
                    return_exceptions=True,
                )
                assert isinstance(results[0], grpc.aio.AioRpcError)
                assert running.wait(10) == -signal.SIGKILL
                if len(results) > 2:
                    assert isinstance(results[2], pb.Configuration), results[2]
                    answered[SIZE] = 30 + number
        found = await other.get()
        assert {path: rig.value(found, path) for path in answered} == answered
        numbers = [one.revision for one in await other.revisions()]
        assert numbers == list(range(found.revision, 0, -1))


async def _is_copy(redis: object, found: pb.Configuration) -> bool:
    copy = await redis.hgetall(f"config:{found.service}")  # type: ignore[attr-defined]
    dynamic = {
        path: rig.value(found, path)
        for path, source in found.sources.items()
        if source == "dynamic" and not SCHEMAS[found.service].settings[path].follows
    }
    values = {path: json.loads(text) for path, text in copy.items() if not path.startswith("@")}
    return values == dynamic and int(copy.get("@revision", 0)) == found.revision


async def _is_copy_again(redis: object, found: pb.Configuration) -> bool:
    kind = await redis.type(f"config:{found.service}")  # type: ignore[attr-defined]
    return kind == "hash" and await _is_copy(redis, found)


async def _is_untouched(redis: object, key: str) -> bool:
    return await redis.hgetall(key) == {"@revision": "0", "@at": "0"}  # type: ignore[attr-defined]
