"""The client package against the whole stack: what it promises holds behind Envoy too."""

import asyncio
import urllib.request
import uuid

import codestudio
import pytest

from services.devstack.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.editor, pytest.mark.timeout(240)]


def new_id(kind: str) -> str:
    """Make a name nobody else uses."""
    return f"{kind}-{uuid.uuid4().hex[:8]}"


async def test_life_of_an_instance(client: codestudio.AsyncClient) -> None:
    """Create, wait, stop, start and delete; the watch tells all of it, in order."""
    name = new_id("life")
    states: list[str] = []

    async def follow() -> None:
        async with client.instances.watch(filter='namespace = "sdk-life"') as watch:
            async for event in watch:
                states.append(event.instance.state)
                if event.type is codestudio.EventType.REMOVED:
                    return

    following = asyncio.ensure_future(follow())
    instance = await client.instances.create(
        name, namespace="sdk-life", resources=codestudio.Resources(0.5, "512Mi", "1Gi")
    )
    steps: list[int] = []
    await instance.wait_until_running(
        timeout=60,
        observe=lambda status: steps.append(sum(each.reached for each in status.conditions)),
    )
    assert instance.state is codestudio.InstanceState.RUNNING
    assert all(condition.reached for condition in instance.conditions)
    assert steps == sorted(steps)
    assert steps[-1] == 5
    assert instance.ports is not None
    assert len(instance.ports.callback) == 50
    assert instance.owner == "admin"
    assert await instance.logs()
    await instance.stop()
    await instance.wait_until_stopped(timeout=60)
    assert instance.stop_reason is codestudio.StopReason.USER
    await instance.start()
    await instance.wait_until_running(timeout=60)
    await instance.delete()
    await instance.wait_until_deleted(timeout=60)
    async with asyncio.timeout(30):
        await following
    order = [state for state, before in zip(states, ["", *states], strict=False) if state != before]
    assert [state for state in order if state in ("RUNNING", "STOPPED")] == [
        "RUNNING",
        "STOPPED",
        "RUNNING",
    ]


async def test_open_url_reaches_the_editor(client: codestudio.AsyncClient) -> None:
    """The one-time link signs in and leads to the editor's own page."""
    instance = await client.instances.create(new_id("open"), wait=True)
    link = await instance.open_url()

    def browse() -> tuple[str, str]:
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(link, timeout=20) as page:
            return page.url, page.read().decode()

    url, page = await asyncio.to_thread(browse)
    assert url.startswith(instance.url)
    assert "workbench" in page
    await instance.delete()


async def test_errors_behind_envoy(stack: Stack, client: codestudio.AsyncClient) -> None:
    """Services' errors and the gateway's own arrive typed, with the request's id."""
    with pytest.raises(codestudio.NotFound) as missing:
        await client.instances.get("nobody-at-all")
    assert missing.value.code == "INSTANCE_NOT_FOUND"
    assert missing.value.service == "instance-service"
    assert missing.value.request_id
    with pytest.raises(codestudio.InvalidArgument) as wrong:
        await client.instances.create("Bad_Name", resources={"memory": "2Gb"})
    assert {"config.id", "config.resources.memory"} <= {
        violation.field for violation in wrong.value.violations
    }
    async with codestudio.AsyncClient(stack.plan.gateway_url, token="forged") as stranger:
        with pytest.raises(codestudio.Unauthenticated):
            await stranger.instances.get("a")


async def test_repeated_creation(client: codestudio.AsyncClient) -> None:
    """The same request id gives the same instance; another body under it is refused."""
    request_id = str(uuid.uuid4())
    stopped = codestudio.DesiredState.STOPPED
    first = await client.instances.create(request_id=request_id, desired_state=stopped)
    again = await client.instances.create(request_id=request_id, desired_state=stopped)
    assert first.id == again.id
    with pytest.raises(codestudio.CodeStudioError):
        await client.instances.create(
            request_id=request_id, desired_state=stopped, display_name="other"
        )
    await first.delete()


async def test_batch_list_and_quota(client: codestudio.AsyncClient) -> None:
    """A batch over the quota creates what fits; the list and the quota tell the same."""
    namespace = new_id("ns")
    await client.quotas.update(namespace, instances=2)
    configs = [
        codestudio.InstanceConfig(
            id=f"{namespace}-{number}",
            namespace=namespace,
            desired_state=codestudio.DesiredState.STOPPED,
        )
        for number in range(3)
    ]
    results = await client.instances.batch_create(configs)
    refused = [each.error for each in results if each.error]
    assert len(refused) == 1
    assert isinstance(refused[0], codestudio.QuotaExceeded)
    listed = client.instances.list(filter=f'namespace = "{namespace}"', page_size=1)
    assert len(await listed.all()) == 2
    quota = await client.quotas.get(namespace)
    assert (quota.usage.instances, quota.limits.instances) == (2, 2)
    assert not await client.quotas.check(namespace)
    for result in results:
        if result.instance:
            await result.instance.delete()
            await result.instance.wait_until_deleted(timeout=60)


async def test_usage(client: codestudio.AsyncClient) -> None:
    """A running editor uses something, and its port range is counted."""
    instance = await client.instances.create(new_id("usage"), wait=True)
    async with asyncio.timeout(60):
        while True:
            usage = await client.resources.usage(instance_id=instance.id)
            if usage.instances and usage.instances[0].current.memory_bytes:
                break
            await asyncio.sleep(0.5)
    assert usage.instances[0].processes >= 1
    assert usage.port_ranges_used >= 1
    await instance.delete()


async def test_restarted_gateway_and_service(stack: Stack, client: codestudio.AsyncClient) -> None:
    """A watch and the calls survive a restart of the service and of Envoy."""
    async with client.instances.watch(filter='namespace = "sdk-restart"') as watch:
        stopped = codestudio.DesiredState.STOPPED
        for program in ("instance", "envoy"):
            made = await client.instances.create(
                new_id(program), namespace="sdk-restart", desired_state=stopped
            )
            async with asyncio.timeout(60):
                while (await anext(watch)).instance.id != made.id:
                    pass
            await asyncio.to_thread(stack.restart, program)
            await made.delete()
            async with asyncio.timeout(60):
                async for event in watch:
                    if event.type is codestudio.EventType.REMOVED:
                        assert event.instance.id == made.id
                        break


def test_twin(stack: Stack) -> None:
    """The client for ordinary code does the same."""
    token = stack.plan.credentials.admin_token.read_text().strip()
    with codestudio.Client(stack.plan.gateway_url, token=token) as client:
        instance = client.instances.create(new_id("twin"), wait=True)
        assert instance.id in [each.id for each in client.instances.list()]
        with client.instances.watch() as watch:
            assert next(watch).type is codestudio.EventType.ADDED
        instance.delete()
        instance.wait_until_deleted(timeout=60)
