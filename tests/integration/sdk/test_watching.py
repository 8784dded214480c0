"""Watches and waits: nothing missed, nothing told twice, whatever happens to the connection."""

import asyncio
from collections.abc import Callable

import codestudio
import grpc
import pytest
from codestudio import _transport
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2

from tests.integration.sdk.faulty import Fault
from tests.integration.sdk.gateway import Gateway

CUT = Fault(grpc.StatusCode.UNAVAILABLE, text="connection reset")
ENDED = Fault(grpc.StatusCode.OK)
SHUTTING_DOWN = Fault(
    grpc.StatusCode.OK, error_pb2.ErrorDetail(code="SERVER_SHUTTING_DOWN", message="bye")
)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most 10 s."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


async def take(watch: codestudio.AsyncWatch[codestudio.AsyncInstance], count: int) -> list[str]:
    """Read so many events, as "TYPE id" each."""
    async with asyncio.timeout(10):
        events = [await anext(watch) for _ in range(count)]
    return [f"{event.type} {event.instance.id}" for event in events]


def stopped(gateway: Gateway, *names: str) -> None:
    """Have instances that do not change by themselves."""
    gateway.stuck = True
    for name in names:
        config = instance_pb2.InstanceConfig(id=name)
        gateway._run(_added(gateway, config))


async def _added(gateway: Gateway, config: instance_pb2.InstanceConfig) -> None:
    gateway._add(config)
    await asyncio.sleep(0.01)


async def test_begins_with_all(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """What is there comes first, then what changes, each with the instance as it is."""
    stopped(gateway, "a", "b")
    async with aclient.instances.watch() as watch:
        assert await take(watch, 2) == ["ADDED a", "ADDED b"]
        assert watch.resume_token == ""
        gateway.change("a", display_name="new")
        event = await anext(watch)
        assert (event.type, event.instance.display_name) == ("MODIFIED", "new")
        assert watch.synced
        assert watch.resume_token == event.resume_token != ""
        gateway.remove("b")
        assert await take(watch, 1) == ["REMOVED b"]


RESET = Fault(grpc.StatusCode.INTERNAL, text="Received RST_STREAM with error code 2")


@pytest.mark.parametrize(
    "fault", [CUT, RESET, ENDED, SHUTTING_DOWN], ids=["cut", "reset", "ended", "shutdown"]
)
async def test_resumes(gateway: Gateway, aclient: codestudio.AsyncClient, fault: Fault) -> None:
    """A stream that ends is taken up where it stood: by token, nothing twice, nothing lost."""
    stopped(gateway, "a")
    async with aclient.instances.watch() as watch:
        await take(watch, 1)
        gateway.change("a", display_name="1")
        await take(watch, 1)
        gateway.cut_watches(fault)
        gateway.change("a", display_name="2")
        gateway.change("a", display_name="3")
        names = [(await anext(watch)).instance.display_name for _ in range(2)]
    assert names == ["2", "3"]
    assert [bool(each.resume_token) for each in gateway.requests("WatchInstances")] == [False, True]


async def test_survives_a_gateway_that_restarts(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """The gateway dies and comes back: the watch goes on."""
    stopped(gateway, "a")
    async with aclient.instances.watch() as watch:
        await take(watch, 1)
        gateway.change("a", display_name="1")
        await take(watch, 1)
        gateway.stop()
        reading = asyncio.ensure_future(take(watch, 1))
        await asyncio.sleep(0.3)
        gateway.change("a", display_name="2")
        gateway.start()
        assert await reading == ["MODIFIED a"]


async def test_expired_watch_tells_the_difference(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """When the place is forgotten, only what differs is told, what went away included."""
    stopped(gateway, "same", "gone", "changed", "again")
    async with aclient.instances.watch() as watch:
        await take(watch, 4)
        await until(lambda: len(gateway._watches) == 1)
        gateway.change("same", display_name="1")
        await take(watch, 1)

        def meanwhile() -> None:
            gateway._remove("gone")
            gateway._change("changed", display_name="new")
            gateway._remove("again")
            gateway._add(
                instance_pb2.InstanceConfig(id="again", desired_state="DESIRED_STATE_RUNNING")
            )
            gateway._add(
                instance_pb2.InstanceConfig(id="new", desired_state="DESIRED_STATE_RUNNING")
            )

        gateway.silently(meanwhile)
        gateway.forget_log()
        gateway.cut_watches(CUT)
        told = await take(watch, 5)
        assert sorted(told) == [
            "ADDED again",
            "ADDED new",
            "MODIFIED changed",
            "REMOVED again",
            "REMOVED gone",
        ]
        assert told.index("REMOVED again") < told.index("ADDED again")


async def test_expired_token_of_the_callers_own(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """A token given and too old is raised: what went away since, nobody knows."""
    stopped(gateway, "a")
    async with aclient.instances.watch() as watch:
        await take(watch, 1)
        gateway.change("a", display_name="1")
        await take(watch, 1)
        token = watch.resume_token
    gateway.change("a", display_name="2")
    async with aclient.instances.watch(resume_token=token) as watch:
        assert await take(watch, 1) == ["MODIFIED a"]
    gateway.forget_log()
    async with aclient.instances.watch(resume_token=token) as watch:
        with pytest.raises(codestudio.WatchExpired):
            await anext(watch)


async def test_silence(
    gateway: Gateway, aclient: codestudio.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream without even a heartbeat counts as dead, and is opened anew."""
    monkeypatch.setattr(_transport.Transport.stream, "__kwdefaults__", {"silence": 0.2})
    stopped(gateway, "a")
    async with aclient.instances.watch() as watch:
        await take(watch, 1)
        reading = asyncio.ensure_future(take(watch, 1))
        await until(lambda: len(gateway.requests("WatchInstances")) >= 3)
        gateway.change("a", display_name="1")
        assert await reading == ["MODIFIED a"]


async def test_a_reader_may_give_up_and_come_back(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """Reading with a timeout loses nothing and does not end the watch."""
    stopped(gateway, "a")
    async with aclient.instances.watch() as watch:
        await take(watch, 1)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.05)
        gateway.change("a", display_name="1")
        assert await take(watch, 1) == ["MODIFIED a"]


async def test_refusal_is_raised_at_once(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """What trying again cannot mend is raised."""
    gateway.faults["WatchInstances"] = [Fault(grpc.StatusCode.PERMISSION_DENIED, text="no")]
    with pytest.raises(codestudio.PermissionDenied):
        await anext(aclient.instances.watch())


async def test_first_connection_is_not_tried_for_ever(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """A watch that never worked gives up as a call does."""
    gateway.stop()
    with pytest.raises(codestudio.Unavailable, match=gateway.url):
        await anext(aclient.instances.watch())


async def test_wait_until_running(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Waiting ends when the editor answers, tells every step, and leaves the handle fresh."""
    seen: list[str] = []
    instance = await aclient.instances.create("a")
    await instance.wait_until_running(timeout=10, observe=lambda status: seen.append(status.state))
    assert instance.state == "RUNNING"
    assert seen[-1] == "RUNNING"
    await instance.wait_until_running(timeout=10)
    await instance.stop()
    await instance.wait_until_stopped(timeout=10)
    assert instance.state == "STOPPED"
    await instance.delete()
    await instance.wait_until_deleted(timeout=10)
    assert not gateway.instances
    await instance.wait_until_deleted(timeout=10)
    with pytest.raises(codestudio.NotFound):
        await instance.wait_until_running(timeout=10)


async def test_create_and_wait_many(aclient: codestudio.AsyncClient) -> None:
    """Twenty at once each wait for their own."""
    made = await asyncio.gather(*(aclient.instances.create(f"i-{n}", wait=True) for n in range(10)))
    assert {each.state for each in made} == {codestudio.InstanceState.RUNNING}


async def test_wait_without_permission_to_watch(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """Who may not watch still can wait: by asking again."""
    gateway.faults["WatchInstances"] = [Fault(grpc.StatusCode.PERMISSION_DENIED, text="no")]
    instance = await aclient.instances.create("a", wait=True)
    assert instance.state == "RUNNING"
    assert gateway.requests("GetInstanceStatus")


@pytest.mark.parametrize("watching", [True, False])
async def test_failure(gateway: Gateway, aclient: codestudio.AsyncClient, watching: bool) -> None:
    """A failed start ends the wait with the failure's class, step, code and message."""
    gateway.fail_starts_with = instance_pb2.Failure(
        step=instance_pb2.CONDITION_TYPE_WORKLOAD_CREATED,
        code="EDITOR_NOT_INSTALLED",
        message="no editor is installed",
    )
    setattr(gateway.fail_starts_with, "class", instance_pb2.FAILURE_CLASS_RUNTIME)
    if not watching:
        gateway.faults["WatchInstances"] = [Fault(grpc.StatusCode.PERMISSION_DENIED, text="no")]
    instance = await aclient.instances.create("a")
    with pytest.raises(codestudio.InstanceFailed) as caught:
        await instance.wait_until_running(timeout=10)
    error = caught.value
    assert (error.code, error.message) == ("EDITOR_NOT_INSTALLED", "no editor is installed")
    assert (error.failure_class, error.step) == ("RUNTIME", "WORKLOAD_CREATED")
    assert error.instance_id == "a"
    gateway.fail_starts_with = None
    await instance.start()
    await instance.wait_until_running(timeout=10)


async def test_wait_ends_when_it_is_no_longer_wanted(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """Somebody stops it while one waits for it to run: say so instead of waiting on."""
    gateway.stuck = True
    instance = await aclient.instances.create("a")
    waiting = asyncio.ensure_future(instance.wait_until_running(timeout=10))
    await until(lambda: bool(gateway._watches))
    await aclient.instances.stop("a")
    with pytest.raises(codestudio.FailedPrecondition, match="STOPPED"):
        await waiting


async def test_wait_has_an_end(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """A wait that takes too long tells how far it came."""
    gateway.stuck = True
    instance = await aclient.instances.create("a")
    for seconds in (0.3, 3.0, 30.0):
        with pytest.raises(codestudio.DeadlineExceeded) as late:
            await instance.wait_until_running(timeout=seconds)
        if "nothing was heard" not in str(late.value):
            break
    assert "STARTING, waiting for QUOTA_RESERVED" in str(late.value)
    with pytest.raises(TimeoutError):
        await instance.wait_until_running(timeout=0.1)


async def test_wait_survives_cuts(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """The connection is cut while one waits: the wait goes on."""
    gateway.stuck = True
    instance = await aclient.instances.create("a")
    waiting = asyncio.ensure_future(instance.wait_until_running(timeout=10))
    await until(lambda: bool(gateway._watches))
    gateway.stop()
    gateway.start()
    gateway.change("a", state=instance_pb2.INSTANCE_STATE_RUNNING)
    await waiting
