"""Settings through the public door, and changes of them in force in what runs."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import codestudio
import grpc
import pytest
from codestudio.config.v1 import config_service_pb2 as pb
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2
from google.protobuf import field_mask_pb2, json_format, struct_pb2

from services.devstack.stack import Stack
from services.resource.runtimes.local import procfs
from tests.e2e import envelope, scenes
from tests.e2e.people import People
from tests.e2e.ways import (
    CONFIG,
    HTTP_OF,
    INSTANCES,
    QUOTA,
    RESOURCES,
    Http,
    RefusedError,
    Rest,
    Way,
)

pytestmark = pytest.mark.stack

RESOURCE = "resource-service"
PORT = "port_allocation.base_port"
PROMISED = "2.0"
"""Seconds from a change until it is in force, as the metric's bucket is called."""
LAG = "codestudio_config_reload_lag_seconds"


@pytest.fixture(autouse=True)
async def restored(http: Http, people: People) -> AsyncIterator[None]:
    """Afterwards nothing is set any more: other tests use the same stack."""
    yield
    rest = Rest(http)
    for service in (RESOURCE, "quota-service", "edge-service", "instance-service"):
        request = pb.RollbackConfigurationRequest(service=service, reason="end of test")
        await rest.call(CONFIG, "RollbackConfiguration", request, people.admin)


def _update(
    service: str, values: dict[str, Any], mask: list[str] | None = None, **more: Any
) -> pb.UpdateConfigurationRequest:
    return pb.UpdateConfigurationRequest(
        configuration=pb.Configuration(
            service=service, values=json_format.ParseDict(values, struct_pb2.Struct())
        ),
        update_mask=None if mask is None else field_mask_pb2.FieldMask(paths=mask),
        **more,
    )


async def _get(way: Way, token: str, service: str = RESOURCE, revision: int = 0) -> Any:
    request = pb.GetConfigurationRequest(service=service, revision=revision)
    return await way.call(CONFIG, "GetConfiguration", request, token)


async def test_change_look_back_and_forth(way: Way, people: People) -> None:
    """A change is there at once, is told with its author, and can be taken back."""
    first = await _get(way, people.admin)
    changed = await way.call(
        CONFIG,
        "UpdateConfiguration",
        _update(RESOURCE, {"port_allocation": {"max_instances": 37}}, reason="fewer"),
        people.admin,
    )
    assert changed.revision == first.revision + 1
    assert changed.sources["port_allocation.max_instances"] == "dynamic"
    assert await _get(way, people.admin) == changed
    assert await _get(way, people.admin, revision=changed.revision) == changed
    listed = await way.call(
        CONFIG, "ListRevisions", pb.ListRevisionsRequest(service=RESOURCE), people.admin
    )
    newest = listed.revisions[0]
    assert (newest.author, newest.reason, newest.revision) == ("admin", "fewer", changed.revision)
    (change,) = newest.changes
    assert (change.path, change.after.number_value) == ("port_allocation.max_instances", 37)
    back = await way.call(
        CONFIG,
        "RollbackConfiguration",
        pb.RollbackConfigurationRequest(service=RESOURCE, revision=0),
        people.admin,
    )
    assert "dynamic" not in back.sources.values()
    schema = await way.call(
        CONFIG,
        "GetConfigurationSchema",
        pb.GetConfigurationSchemaRequest(service=RESOURCE),
        people.admin,
    )
    assert PORT in [one.path for one in schema.settings]
    everything = await way.call(
        CONFIG, "ListConfigurations", pb.ListConfigurationsRequest(), people.admin
    )
    assert back in everything.configurations


@pytest.mark.parametrize(
    ("values", "mask", "fields"),
    [
        ({"port_allocation": {"base_port": 80}}, None, [PORT]),
        ({"port_allocation": {"base_port": "8000"}}, None, [PORT]),
        ({"port_allocation": {"base_prt": 8000}}, None, ["port_allocation.base_prt"]),
        ({"port_allocation": []}, None, ["port_allocation"]),
        ({"port": 70000, "replicas": 9}, None, ["port", "replicas"]),
        ({"secrets": {"redis_url": "x"}}, None, ["secrets.redis_url"]),
        ({"resource_limits": {"max_cpu_limit": "-1"}}, None, ["resource_limits.max_cpu_limit"]),
        (
            {"resource_limits": {"default_memory_request": "9Gi"}},
            None,
            ["resource_limits.default_memory_request"],
        ),
        ({}, None, []),
        ({"monitoring": {"logging_level": "debug"}}, ["values.monitoring.loging_level"], []),
    ],
)
async def test_bad_settings_are_refused_by_name(
    way: Way, people: People, values: dict[str, Any], mask: list[str] | None, fields: list[str]
) -> None:
    """INVALID_ARGUMENT with each path, and nothing is changed."""
    before = await _get(way, people.admin)
    with pytest.raises(RefusedError) as caught:
        await way.call(CONFIG, "UpdateConfiguration", _update(RESOURCE, values, mask), people.admin)
    status = grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.status == (HTTP_OF[status] if way.name == "rest" else status)
    told = envelope.named_fields(caught.value.detail)
    expected = [f"configuration.values.{field}" for field in fields]
    assert [field for field in expected if field not in told] == []
    assert await _get(way, people.admin) == before
    if fields:
        checked = await way.call(
            CONFIG,
            "ValidateConfiguration",
            pb.ValidateConfigurationRequest(
                service=RESOURCE, values=json_format.ParseDict(values, struct_pb2.Struct())
            ),
            people.admin,
        )
        assert not checked.valid
        assert set(fields) <= {one.field for one in checked.errors}


async def test_who_may(way: Way, people: People) -> None:
    """Administrators look and change, nobody else does anything."""
    update = _update(RESOURCE, {"port_allocation": {"max_instances": 5}})
    for token in (people.user("ann"), people.user("vic", role="viewer"), ""):
        with pytest.raises(RefusedError):
            await way.call(CONFIG, "UpdateConfiguration", update, token)
        with pytest.raises(RefusedError):
            await _get(way, token)
        with pytest.raises(RefusedError):
            await way.call(
                CONFIG, "ListRevisions", pb.ListRevisionsRequest(service=RESOURCE), token
            )
    with pytest.raises(RefusedError) as caught:
        await _get(way, people.admin, "no-service")
    assert caught.value.detail.code == "SERVICE_NOT_FOUND"


async def test_a_watch_tells_every_change(way: Way, people: People) -> None:
    """By a stream of JSON too."""
    request = pb.WatchConfigurationRequest(service=RESOURCE)
    stream = way.stream(CONFIG, "WatchConfiguration", request, people.admin)
    async with contextlib.aclosing(stream) as messages:  # type: ignore[type-var]
        first = await anext(messages)
        assert first.configuration == await _get(way, people.admin)
        changed = await way.call(
            CONFIG,
            "UpdateConfiguration",
            _update(RESOURCE, {"port_allocation": {"max_instances": 41}}),
            people.admin,
        )
        message = await anext(messages)
        while not message.HasField("configuration"):
            message = await anext(messages)
        assert message.configuration == changed
        assert message.resume_token


class Traffic:
    """Requests without a pause; each must succeed."""

    def __init__(self, *ask: Callable[[], Awaitable[Any]]) -> None:
        self._ask = ask
        self.answered = 0

    async def __aenter__(self) -> "Traffic":
        self._tasks = [asyncio.create_task(self._run(ask)) for ask in self._ask]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in results), results

    async def _run(self, ask: Callable[[], Awaitable[Any]]) -> None:
        while True:
            await ask()
            self.answered += 1

    async def more(self, count: int = 20) -> None:
        """Wait for so many more answers."""
        goal = self.answered + count

        async def reached() -> bool:
            for task in self._tasks:
                if task.done():
                    task.result()
            return self.answered >= goal

        await scenes.until(reached)


async def _in_force(*conditions: Callable[[], Awaitable[bool]]) -> None:
    """Wait for all of what was changed just now to be in force, however busy we are ourselves."""
    for condition in conditions:
        await scenes.until(condition)


def _applied(stack: Stack, service: str) -> tuple[float, float]:
    """How many changes a service put in force, and how many of them in the time promised."""
    address = f"http://127.0.0.1:{stack.plan.ports.admin(service)}/metrics"
    with urllib.request.urlopen(address, timeout=scenes.SECONDS) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines()]
    found = {name: float(count) for name, _, count in lines if name.startswith(LAG)}
    all_of_them, promised = f"{LAG}_count", f'{LAG}_bucket{{le="{PROMISED}"}}'
    return found[all_of_them], found[promised]


async def _quiet(client: codestudio.AsyncClient, traffic: Traffic, log: Path) -> None:
    """Wait until calls of the Quota service leave no debug lines in its log.

    Lines reach it late. So some may be from before, and of the calls looked at all have when a
    change that was made after them is there.
    """
    async with asyncio.timeout(scenes.SECONDS):
        for limit in itertools.count(50):
            size = (await asyncio.to_thread(log.stat)).st_size
            await traffic.more()
            await client.config.update("quota-service", {"default_quota.instances": limit})
            while not any(_is_change_to(limit, line) for line in _lines(log, size)):
                await asyncio.sleep(0.05)
            if not await _logs_debug(log, size):
                return


def _is_change_to(limit: int, line: dict[str, Any]) -> bool:
    change: str = line.get("changes", {}).get("default_quota.instances", "")
    return change.endswith(f" -> {limit}")


async def _quota(way: Way, people: People, namespace: str) -> quota_service_pb2.Quota:
    request = quota_service_pb2.GetQuotaRequest(namespace=namespace)
    found: quota_service_pb2.Quota = await way.call(QUOTA, "GetQuota", request, people.admin)
    return found


async def test_changes_are_in_force_in_running_services(
    stack: Stack, ways: list[Way], people: People, client: codestudio.AsyncClient
) -> None:
    """A port range, a default quota and a log level: no restart, and no request is dropped."""
    rest, direct = ways
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    pids = {name: stack.pid(name) for name in ("resource", "quota", "edge", "instance")}
    log = stack.layout.logs / "quota.log"
    base = (await client.config.get(RESOURCE))[PORT]
    before = {name: _applied(stack, name) for name in ("resource", "instance", "quota")}

    async with Traffic(
        lambda: _quota(rest, people, namespace),
        lambda: _quota(direct, people, namespace),
        lambda: rest.call(
            RESOURCES,
            "GetResourceUsage",
            resource_service_pb2.GetResourceUsageRequest(),
            people.admin,
        ),
    ) as traffic:
        await traffic.more()
        await client.config.update(
            RESOURCE, {PORT: base + 3000, "port_allocation.max_instances": 17}
        )
        await _in_force(
            lambda: _ranges_are(rest, people, 17),
            lambda: _may_have(rest, people, namespace, base + 3100),
        )
        assert not await _may_have(rest, people, namespace, base)
        await client.config.update("quota-service", {"default_quota.instances": 3})
        await _in_force(lambda: _limit_is(rest, people, namespace, 3))
        size = log.stat().st_size
        await client.config.update("quota-service", {"monitoring.logging_level": "debug"})
        await _in_force(lambda: _logs_debug(log, size))
        await traffic.more()
        await client.config.update(
            "quota-service", unset=["default_quota", "monitoring"], reason="enough"
        )
        await _in_force(lambda: _limit_is(rest, people, namespace, 100))
        await client.config.rollback(RESOURCE, 0)
        await _in_force(
            lambda: _ranges_are(rest, people, 100),
            lambda: _may_have(rest, people, namespace, base),
        )
        await _quiet(client, traffic, log)
    for name, (count, promised) in before.items():
        now, in_time = _applied(stack, name)
        assert now - count == in_time - promised >= 2, name
    assert {name: stack.pid(name) for name in pids} == pids


@pytest.mark.editor
async def test_an_editor_that_hangs_is_told_as_often_as_is_set(
    client: codestudio.AsyncClient, namespace: str
) -> None:
    """Each way in an event of its own, and it is left to run: its process is the same."""
    name = f"mute-{uuid.uuid4().hex[:6]}"
    instance = await client.instances.create(name, namespace=namespace)
    await instance.wait_until_running(timeout=scenes.SECONDS)
    await client.config.update(RESOURCE, {"monitoring.health_check_interval": 1})
    editor = [one for one in procfs.read_table().values() if one.instance_id == name]
    assert editor

    async def said(number: signal.Signals) -> codestudio.Condition:
        async with asyncio.timeout(scenes.SECONDS):
            async with client.instances.watch(filter=f'namespace = "{namespace}"') as events:
                for one in editor:
                    procfs.send(one.identity, number)
                async for event in events:
                    for told in event.instance.conditions:
                        responds = told.step is codestudio.Step.RESPONDING
                        if responds and told.reached is (number is signal.SIGCONT):
                            assert event.instance.state is codestudio.InstanceState.RUNNING
                            return told
        raise AssertionError("the watch ended")

    silent = await said(signal.SIGSTOP)
    again = await said(signal.SIGCONT)
    assert (silent.reason, again.reason) == ("NoAnswer", "AnswersAgain")
    after = procfs.read_table()
    assert all(after[one.pid].identity == one.identity for one in editor if one.is_root)


async def test_the_control_plane_runs_without_config(
    stack: Stack, ways: list[Way], people: People, client: codestudio.AsyncClient
) -> None:
    """With what was in force; and follows again when it is back."""
    rest, _ = ways
    namespace = f"t-{uuid.uuid4().hex[:10]}"
    await client.config.update("quota-service", {"default_quota.instances": 7})
    await scenes.until(lambda: _limit_is(rest, people, namespace, 7))
    stack.stop("config")
    try:
        assert await _limit_is(rest, people, namespace, 7)
        with pytest.raises(codestudio.Unavailable):
            await client.config.update(
                "quota-service", {"default_quota.instances": 8}, etag="x", timeout=2
            )
        assert await _limit_is(rest, people, namespace, 7)
    finally:
        stack.start("config")
    await client.config.update("quota-service", {"default_quota.instances": 8})
    await scenes.until(lambda: _limit_is(rest, people, namespace, 8))


async def test_the_client(client: codestudio.AsyncClient) -> None:
    """Everything of `client.config`, as its user has it."""
    first = await client.config.get(RESOURCE)
    assert (first[PORT], first.values["port_allocation"]["base_port"]) == (
        first.by_path[PORT],
        first[PORT],
    )
    assert isinstance(first[PORT], int)
    assert first.sources["secrets.service_key"] == "secret"
    assert (await client.config.list())[0].service == "collaboration-service"
    settings = {one.path: one for one in await client.config.schema(RESOURCE)}
    assert settings[PORT].effect is codestudio.SettingEffect.LIVE
    assert (settings[PORT].minimum, settings[PORT].maximum) == (1024, 65535)
    (wrong,) = await client.config.validate(RESOURCE, {PORT: 80})
    assert wrong.field == PORT
    with pytest.raises(codestudio.InvalidArgument) as caught:
        await client.config.update(RESOURCE, {PORT: 80, "resource_limits.max_cpu_limit": "x"})
    assert len(caught.value.violations) == 2
    async with client.config.watch(RESOURCE) as watch:
        assert await anext(watch) == first
        changed = await client.config.update(
            RESOURCE, {"port_allocation.max_instances": 9}, reason="few", etag=first.etag
        )
        assert await asyncio.wait_for(anext(watch), 20) == changed
        token = watch.resume_token
    with pytest.raises(codestudio.Aborted):
        await client.config.update(RESOURCE, {"port_allocation.max_instances": 10}, etag=first.etag)
    async with client.config.watch(RESOURCE, resume_token=token) as watch:
        back = await client.config.update(RESOURCE, unset=["port_allocation"])
        assert await asyncio.wait_for(anext(watch), 20) == back
    newest = (await anext(client.config.revisions(RESOURCE, page_size=2).pages())).items
    assert [one.revision for one in newest] == [back.revision, changed.revision]
    assert newest[1].changes[0] == ("port_allocation.max_instances", 100, 9)
    assert newest[1].rollback_of is None
    with pytest.raises(ValueError, match="at least one"):
        await client.config.update(RESOURCE)


def test_the_client_for_ordinary_code(stack: Stack) -> None:
    """The same, without `await`."""
    token = stack.plan.credentials.admin_token.read_text().strip()
    with codestudio.Client(stack.plan.gateway_url, token=token) as client:
        first = client.config.get(RESOURCE)
        with client.config.watch(RESOURCE) as watch:
            assert next(watch) == first
            changed = client.config.update(RESOURCE, {"port_allocation.max_instances": 11})
            assert next(watch) == changed
        assert client.config.revisions(RESOURCE).all()[0].revision == changed.revision
        assert client.config.rollback(RESOURCE, 0).revision == changed.revision + 1


@pytest.mark.timeout(300)
def test_the_command(stack: Stack) -> None:
    """Everything of `codestudio config`, in its exit codes and words, and as REST gives it."""
    kept = {key: value for key, value in os.environ.items() if "CODESTUDIO" not in key}
    environment = {**kept, "CODESTUDIO_DATA_DIR": str(stack.layout.root)}

    def run(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "codestudio.cli", "config", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stdout + done.stderr

    assert RESOURCE in run("list")
    assert "port_allocation.base_port" in run("get", RESOURCE, "port_allocation")
    assert "live" in run("schema", RESOURCE)
    shown = run(
        *("set", "instance-service", "lifetime.stop_warning=120"),
        *('lifetime.idle_timeouts={"cs101": 3600}', "--reason", "course"),
    )
    assert '{"cs101": 3600}' in shown
    got = json.loads(run("get", "instance-service", "-o", "json"))
    assert got["values"]["lifetime"]["idle_timeouts"] == {"cs101": 3600}
    assert got["sources"]["lifetime.stop_warning"] == "dynamic"
    assert "base" in run("unset", "instance-service", "lifetime.stop_warning")
    history = json.loads(run("history", "instance-service", "-o", "json"))["revisions"]
    assert [one["reason"] for one in history[:2]] == ["", "course"]
    assert "course" in run("history", "instance-service")
    run("rollback", "instance-service", "0")
    assert run("validate", RESOURCE, f"{PORT}=9000", "-o", "json").startswith("{")
    assert "Port must be between 1024 and 65535" in run("validate", RESOURCE, f"{PORT}=80", code=2)
    assert "did you mean" in run("set", RESOURCE, "port_allocation.base_prt=9000", code=2)
    assert "SERVICE_NOT_FOUND" in run("get", "no-service", code=3)
    assert "SETTING_NOT_FOUND" in run("get", RESOURCE, "nothing", code=3)
    assert "ETAG_MISMATCH" in run("set", RESOURCE, f"{PORT}=9000", "--etag", "x", code=5)
    assert "PATH=VALUE" in run("set", RESOURCE, PORT, code=2)


async def _may_have(way: Way, people: People, namespace: str, port: int) -> bool:
    """Tell whether the Instance service would accept an instance with this port."""
    request = instance_service_pb2.CreateInstanceRequest(
        config=instance_pb2.InstanceConfig(
            namespace=namespace, ports=instance_pb2.PortRequest(web_port=port)
        ),
        validate_only=True,
    )
    try:
        await way.call(INSTANCES, "CreateInstance", request, people.admin)
    except RefusedError as refused:
        if "config.ports.web_port" in envelope.named_fields(refused.detail):
            return False
        raise
    return True


async def _ranges_are(way: Way, people: People, total: int) -> bool:
    """Tell whether the Resource service has so many port ranges."""
    request = resource_service_pb2.GetResourceUsageRequest()
    usage = await way.call(RESOURCES, "GetResourceUsage", request, people.admin)
    return bool(usage.port_ranges_total == total)


async def _limit_is(way: Way, people: People, namespace: str, instances: int) -> bool:
    return (await _quota(way, people, namespace)).limits.instances == instances


async def _logs_debug(log: Path, offset: int) -> bool:
    """Tell whether lines of that level, one for each call, were logged behind a place."""
    return any(line["level"] == "debug" for line in _lines(log, offset))


def _lines(log: Path, offset: int) -> list[dict[str, Any]]:
    with log.open("rb") as lines:
        lines.seek(offset)
        return [
            json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}\n")
        ]
