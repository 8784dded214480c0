"""Watches: the settings in force, then every change, whatever happens in between."""

import asyncio
import contextlib
import json
import shutil

import grpc
import pytest
from codestudio.config.v1 import config_service_pb2 as pb

from services.chassis import lifecycle
from services.config import app
from tests import counted
from tests.integration.config import rig
from tests.integration.config.rig import INSTANCE, PORT, QUOTA, RESOURCE


async def test_first_what_is_then_every_change(service: rig.Replica) -> None:
    async with service.watch() as watching:
        assert await watching.configuration() == await service.get()
        for port in (9000, 9100, 9200):
            changed = await service.set(PORT, port)
            assert await watching.configuration() == changed


async def test_of_this_service_only(service: rig.Replica) -> None:
    """And of those it follows."""
    async with service.watch(INSTANCE) as watching:
        await watching.configuration()
        await service.set("default_quota.instances", 3, service=QUOTA)
        await service.set(PORT, 9000)
        seen = await watching.configuration()
        assert (seen.service, seen.revision, rig.value(seen, PORT)) == (INSTANCE, 0, 9000)


async def test_a_quiet_watch_lives(service: rig.Replica) -> None:
    """A sign of life when nothing happens (contract: every 20 s at most)."""
    async with service.watch() as watching:
        first = await watching.next()
        for _ in range(2):
            message = await watching.next()
            assert message.WhichOneof("message") == "heartbeat"
            assert message.resume_token == first.resume_token


async def test_a_resumed_watch_begins_with_what_is_new(
    parts: rig.Parts, service: rig.Replica
) -> None:
    """At any replica; with a sign of life when nothing is."""
    async with service.watch() as watching:
        token = (await watching.next()).resume_token
    async with rig.replica(parts) as other:
        async with other.watch(token=token) as watching:
            assert (await watching.next()).WhichOneof("message") == "heartbeat"
            changed = await service.set(PORT, 9000)
            message = await watching.next()
            while not message.HasField("configuration"):
                message = await watching.next()
            assert message.configuration == changed
        async with other.watch(token=token) as watching:
            assert (await watching.next()).configuration == changed


@pytest.mark.parametrize("token", ["x", "e30", "WyJjIiwib3RoZXIiLCJ4Il0", "x" * 2000])
async def test_a_token_that_is_none_is_refused(service: rig.Replica, token: str) -> None:
    """By status, like any bad request."""
    call = service.stub.WatchConfiguration(
        pb.WatchConfigurationRequest(service=RESOURCE, resume_token=token),
        metadata=service.metadata,
    )
    status, detail = await rig.refusal(call.read())
    assert (status, detail.code) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_RESUME_TOKEN")


async def test_a_service_watches_its_own_settings(parts: rig.Parts, service: rig.Replica) -> None:
    """And nobody else's."""
    async with service.watch(metadata=parts.service(RESOURCE)) as watching:
        assert (await watching.configuration()).service == RESOURCE
    call = service.stub.WatchConfiguration(
        pb.WatchConfigurationRequest(service=RESOURCE), metadata=parts.service(QUOTA)
    )
    status, detail = await rig.refusal(call.read())
    assert (status, detail.code) == (grpc.StatusCode.PERMISSION_DENIED, "CONFIGURATION_DENIED")


async def test_a_replica_that_goes_says_so(parts: rig.Parts) -> None:
    """In-band, and where to resume."""
    settings = parts.settings()
    composed = app.compose(settings)
    async with contextlib.AsyncExitStack() as running:
        served = await running.enter_async_context(lifecycle.running(settings, composed))
        client = rig.Replica(served.port, parts)
        await asyncio.wait_for(served.health.wait_connected(), 20)
        async with client.watch() as watching:
            token = (await watching.next()).resume_token
            closing = asyncio.ensure_future(running.aclose())
            message = await watching.next()
            while message.WhichOneof("message") == "heartbeat":
                message = await watching.next()
            assert (message.error.code, message.resume_token) == ("SERVER_SHUTTING_DOWN", token)
            await closing
        await client.channel.close()


async def test_a_slow_reader_gets_the_newest(service: rig.Replica) -> None:
    """What waits for him is one state, not a history."""
    async with service.watch() as watching:
        await watching.configuration()
        for number in range(30):
            last = await service.set(PORT, 9000 + number)
        seen = [await watching.configuration()]
        while seen[-1].revision != last.revision:
            seen.append(await watching.configuration())
        assert seen[-1] == last
        revisions = [one.revision for one in seen]
        assert revisions == sorted(set(revisions))


async def test_base_documents_are_read_again(parts: rig.Parts, service: rig.Replica) -> None:
    """What was set while running stays above them; a mistake in them changes nothing."""
    document = parts.directory / "base" / "instance-config.json"
    content = json.loads(document.read_text())
    async with service.watch() as watching:
        before = await watching.configuration()
        await service.set("port_allocation.range_size", 50)
        await watching.configuration()
        content["port_allocation"] |= {"base_port": 9000, "range_size": 200}
        document.write_text(json.dumps(content))
        seen = await watching.configuration()
        assert (rig.value(seen, PORT), seen.sources[PORT]) == (9000, "base")
        assert rig.value(seen, "port_allocation.range_size") == 50
        assert seen.etag != before.etag
        document.write_text('{"port_allocation": {"base_port": 80}}')
        await asyncio.sleep(0.5)  # several looks at it
        assert await service.get() == seen
        content["port_allocation"]["base_port"] = 9500
        document.write_text(json.dumps(content))
        assert rig.value(await watching.configuration(), PORT) == 9500


async def test_a_base_must_go_with_what_was_set(parts: rig.Parts, service: rig.Replica) -> None:
    """Right by itself is not enough; it counts once the whole is right."""
    document = parts.directory / "base" / "instance-config.json"
    content = json.loads(document.read_text())
    async with service.watch() as watching:
        await watching.configuration()
        await service.set(PORT, 65000)
        before = await watching.configuration()
        told = _bases("rejected")
        content["port_allocation"]["range_size"] = 1000
        whole = document.with_suffix(".new")
        whole.write_text(json.dumps(content))
        whole.rename(document)

        async def refused() -> bool:
            return _bases("rejected") > told

        await rig.until(refused)
        assert await service.get() == before
        after = await service.set(PORT, 9000)
        assert rig.value(after, "port_allocation.range_size") == 100
        seen = await watching.until(
            lambda one: rig.value(one, "port_allocation.range_size") == 1000
        )
        assert rig.value(seen, PORT) == 9000
        assert _bases("rejected") == told + 1


async def test_a_base_of_the_start_must_go_with_what_was_set_too(parts: rig.Parts) -> None:
    """Read before the record, it is told to nobody, and said is which setting, until mended."""
    document = parts.directory / "base" / "instance-config.json"
    content = json.loads(document.read_text())
    async with rig.replica(parts) as service:
        await service.set(PORT, 65000)
    content["port_allocation"]["range_size"] = 1000
    document.write_text(json.dumps(content))
    told = _bases("rejected")
    async with rig.replica(parts) as service:
        # Who follows the one in conflict is not told either; everybody else is.
        for name in (rig.RESOURCE, rig.INSTANCE):
            code, detail = await rig.refusal(service.get(name))
            assert (code, detail.code) == (grpc.StatusCode.FAILED_PRECONDITION, "BASE_CONFLICT")
            assert [one.field for one in detail.violations] == [rig.SIZE]
        assert await service.get(rig.QUOTA)
        # Who is to mend it sees them all the same.
        listed = await service.stub.ListConfigurations(
            pb.ListConfigurationsRequest(), metadata=service.metadata, timeout=10
        )
        assert rig.INSTANCE in [one.service for one in listed.configurations]

        async def logged() -> bool:
            return _bases("rejected") > told

        await rig.until(logged)
        after = await service.set(PORT, 9000)
        assert (rig.value(after, PORT), rig.value(after, rig.SIZE)) == (9000, 1000)
        assert await service.get() == after


async def test_documents_wait_for_the_record(parts: rig.Parts) -> None:
    """Whether new documents go with what was set is not known before the record is: they wait."""
    settings = parts.settings(mongodb_url="mongodb://127.0.0.1:1/none")
    document = parts.directory / "base" / "instance-config.json"
    content = json.loads(document.read_text())
    reread = app.compose(settings).tasks["reread the base"]
    applied = _bases("applied")
    looking = asyncio.create_task(reread())
    content["port_allocation"]["base_port"] = 9000
    document.write_text(json.dumps(content))
    await asyncio.sleep(0.5)  # several looks at it
    assert _bases("applied") == applied
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_a_service_does_not_start_on_wrong_documents(parts: rig.Parts) -> None:
    """It says what is wrong with them."""
    document = parts.directory / "base" / "instance-config.json"
    document.write_text('{"port_allocation": {"base_port": 80}}')
    with pytest.raises(ValueError, match="base_port: Port must be between 1024 and 65535"):
        app.compose(parts.settings())
    shutil.rmtree(parts.directory / "base")
    with pytest.raises(ValueError, match="cannot be read"):
        app.compose(parts.settings())


def _bases(outcome: str) -> float:
    return counted.value("codestudio_config_base_reads_total", outcome=outcome)
