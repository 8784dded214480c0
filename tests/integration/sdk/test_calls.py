"""Calls: what is sent, what comes back, what is repeated, what is raised."""

import asyncio
import re
import uuid

import codestudio
import grpc
import pytest
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_service_pb2

from tests.integration.sdk.faulty import TOKEN, Fault
from tests.integration.sdk.gateway import Gateway

UNAVAILABLE = Fault(grpc.StatusCode.UNAVAILABLE, text="upstream connect error")


async def test_create_carries_everything(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Each argument reaches the field of its name, with a request id and who is calling."""
    instance = await aclient.instances.create(
        "blue-fox",
        namespace="team-a",
        resources=codestudio.Resources(cpu=0.5, memory="2Gi", storage=1024**3),
        environment={"EDITOR": "vi"},
        labels={"course": "cs101"},
        display_name="Blue fox",
        idle_timeout=90,
    )
    name, request, headers = gateway.calls[0]
    assert name == "CreateInstance"
    assert uuid.UUID(request.request_id).version == 4
    assert request.config.resources.cpu == "500m"
    assert request.config.resources.storage == "1073741824"
    assert request.config.environment == {"EDITOR": "vi"}
    assert request.config.idle_timeout.seconds == 90
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["user-agent"].startswith("codestudio-python/")
    assert uuid.UUID(headers["x-request-id"])
    assert instance.id == "blue-fox"
    assert instance.state is codestudio.InstanceState.PENDING
    assert instance.url == f"{gateway.url}/i/blue-fox/"
    assert instance.ports == codestudio.Ports(8000, range(8050, 8100))
    assert instance.labels == {"course": "cs101"}


@pytest.mark.parametrize("lost", [False, True], ids=["never arrived", "answer lost"])
async def test_create_survives_unavailability(
    gateway: Gateway, aclient: codestudio.AsyncClient, lost: bool
) -> None:
    """A creation is repeated with the same request id and makes one instance, not two."""
    gateway.faults["CreateInstance"] = [
        Fault(grpc.StatusCode.UNAVAILABLE, text="reset", after=lost),
        UNAVAILABLE,
    ]
    instance = await aclient.instances.create()
    requests = gateway.requests("CreateInstance")
    assert len(requests) == 3
    assert len({request.request_id for request in requests}) == 1
    assert list(gateway.instances) == [instance.id]


async def test_calls_with_an_etag_are_not_repeated(
    gateway: Gateway, aclient: codestudio.AsyncClient
) -> None:
    """A conditional write whose answer was lost would be refused the second time: raise."""
    instance = await aclient.instances.create("a")
    gateway.faults["StopInstance"] = [UNAVAILABLE]
    with pytest.raises(codestudio.Unavailable):
        await aclient.instances.stop("a", etag=instance.etag)
    assert len(gateway.requests("StopInstance")) == 1


async def test_retries_end(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """What stays unavailable is raised after the policy's attempts, naming the gateway."""
    gateway.faults["GetInstance"] = [UNAVAILABLE] * 20
    with pytest.raises(codestudio.Unavailable, match=re.escape(gateway.url)):
        await aclient.instances.get("a")
    assert len(gateway.requests("GetInstance")) == 6


async def test_timeout_bounds_everything(gateway: Gateway) -> None:
    """The timeout counts for all attempts together; the first cause is what is told."""
    async with codestudio.AsyncClient(gateway.url, token=TOKEN) as client:
        gateway.faults["GetInstance"] = [UNAVAILABLE] * 20
        start = asyncio.get_running_loop().time()
        with pytest.raises(codestudio.Unavailable):
            await client.instances.get("a", timeout=0.5)
        assert asyncio.get_running_loop().time() - start < 1


async def test_error_details(aclient: codestudio.AsyncClient) -> None:
    """A service's error arrives with all it says."""
    with pytest.raises(codestudio.NotFound) as caught:
        await aclient.instances.get("nobody")
    error = caught.value
    assert error.code == "INSTANCE_NOT_FOUND"
    assert error.message == "there is no instance nobody"
    assert error.service == "instance-service"
    assert error.instance_id == "nobody"
    assert error.request_id == "the-services-request-id"
    assert error.status is grpc.StatusCode.NOT_FOUND


async def test_violations(aclient: codestudio.AsyncClient) -> None:
    """A wrong request names the fields at fault."""
    with pytest.raises(codestudio.InvalidArgument) as caught:
        await aclient.instances.create(resources={"cpu": "-1", "memory": "-2Gi"})
    assert [field for field, _ in caught.value.violations] == [
        "config.resources.cpu",
        "config.resources.memory",
    ]
    assert "config.resources.memory: is negative" in str(caught.value)


async def test_quota(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """A refusal for quota has a class of its own and tells the limit."""
    gateway.quota.instances = 0
    with pytest.raises(codestudio.QuotaExceeded) as caught:
        await aclient.instances.create()
    assert caught.value.metadata == {"resource": "instances", "limit": "0"}


async def test_another_body_under_the_same_request_id(aclient: codestudio.AsyncClient) -> None:
    """A request id used for something else is refused, not silently answered."""
    request_id = str(uuid.uuid4())
    first = await aclient.instances.create("a", request_id=request_id)
    again = await aclient.instances.create("a", request_id=request_id)
    assert first.id == again.id
    with pytest.raises(codestudio.AlreadyExists, match="REQUEST_ID_REUSED"):
        await aclient.instances.create("b", request_id=request_id)


async def test_bad_token(gateway: Gateway) -> None:
    """A refused token says so and what to do, though no service was asked."""
    async with codestudio.AsyncClient(gateway.url, token="wrong") as client:
        with pytest.raises(codestudio.Unauthenticated, match="CODESTUDIO_TOKEN") as caught:
            await client.instances.get("a")
    assert "Jwt is missing" in caught.value.message
    assert TOKEN not in str(caught.value)
    assert uuid.UUID(caught.value.request_id)


async def test_envoys_own_envelope(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """What Envoy answers by itself is the envelope in JSON; it is read like a service's."""
    gateway.faults["GetInstance"] = [
        Fault(
            grpc.StatusCode.PERMISSION_DENIED,
            text='{"success":false,"error":{"code":"RBAC","message":"no","request_id":"r"},"x":1}',
        )
    ]
    with pytest.raises(codestudio.PermissionDenied) as caught:
        await aclient.instances.get("a")
    assert (caught.value.code, caught.value.message) == ("RBAC", "no")


async def test_nobody_there() -> None:
    """An unreachable gateway is named, with what to try; no gRPC error leaks out."""
    async with codestudio.AsyncClient(
        "http://127.0.0.1:1", token="x", retry=codestudio.RetryPolicy(attempts=1)
    ) as client:
        with pytest.raises(codestudio.Unavailable, match=r"http://127\.0\.0\.1:1") as caught:
            await client.instances.get("a")
    assert caught.value.code == "GATEWAY_UNREACHABLE"
    assert not isinstance(caught.value, grpc.RpcError)


async def test_pages(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """A list is asked for page by page, and only as far as it is read."""
    for name in "abcde":
        await aclient.instances.create(name)
    assert [each.id async for each in aclient.instances.list(page_size=2)] == list("abcde")
    assert len(gateway.requests("ListInstances")) == 3
    pages = [page async for page in aclient.instances.list(page_size=2).pages()]
    assert [len(page.items) for page in pages] == [2, 2, 1]
    gateway.calls.clear()
    async for instance in aclient.instances.list(page_size=2):
        assert instance.id == "a"
        break
    assert len(gateway.requests("ListInstances")) == 1


async def test_batch(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Each item has its result, in order, however many requests it takes."""
    await aclient.instances.create("i-7")
    configs = [codestudio.InstanceConfig(id=f"i-{number}") for number in range(120)]
    results = await aclient.instances.batch_create(configs)
    assert [len(each.configs) for each in gateway.requests("BatchCreateInstances")] == [100, 20]
    assert len({each.request_id for each in gateway.requests("BatchCreateInstances")}) == 2
    assert isinstance(results[7].error, codestudio.AlreadyExists)
    with pytest.raises(codestudio.AlreadyExists):
        results[7].unwrap()
    del results[7]
    assert all(each.error is None for each in results)
    assert results[-1].unwrap().id == "i-119"


async def test_quotas(aclient: codestudio.AsyncClient) -> None:
    """Only the limits that are given change."""
    quota = await aclient.quotas.update("team-a", cpu=2.5)
    assert quota.limits == codestudio.Amounts(10, "2500m", "40Gi", "1Ti")
    assert quota.update_time is None
    assert await aclient.quotas.check("team-a")
    check = await aclient.quotas.check("team-a", instances=11)
    assert not check
    assert check.shortages[0].exceeded_by == "1"
    quota = await aclient.quotas.update("team-a", reset=["cpu"])
    assert quota.limits == codestudio.Amounts(10, "20", "40Gi", "1Ti")
    with pytest.raises(ValueError, match="at least one"):
        await aclient.quotas.update("team-a")


async def test_update(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """What is given is named by the mask and changed; the handle tells the new values."""
    fox = await aclient.instances.create("fox", labels={"a": "1", "b": "2"})
    await fox.wait_until_running()
    await fox.update(resources={"cpu": "2"}, labels={"a": "1"}, idle_timeout=0, etag=fox.etag)
    (request,) = gateway.requests("UpdateInstance")
    assert request.update_mask.paths == ["resources.cpu", "labels", "idle_timeout"]
    assert request.instance.HasField("idle_timeout")
    assert (fox.resources.cpu, fox.labels) == ("2", {"a": "1"})
    with pytest.raises(codestudio.Aborted):
        await aclient.instances.update("fox", display_name="x", etag="old")
    with pytest.raises(ValueError, match="at least one"):
        await fox.update()
    gateway.change("fox", display_name="y")
    again = await aclient.instances.update("fox", display_name="", environment={"A": "1"})
    assert (again.display_name, again.environment) == ("", {"A": "1"})
    assert again.pending_fields == ()
    assert again.effective_resources is None


async def test_resources(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """Usage, sizes and ports arrive as Python's own types."""
    usage = await aclient.resources.usage(instance_id="fox", include_history=True)
    (fox,) = usage.instances
    assert (fox.namespace, fox.processes, fox.limits.memory) == ("default", 3, "2Gi")
    assert fox.enforcement == (
        codestudio.Enforcement(
            codestudio.LimitedResource.STORAGE,
            codestudio.EnforcementMeans.PROCESS_LIMIT,
            True,
            "full",
        ),
    )
    assert fox.limit_events[0].message == "ended python"
    assert (fox.history[0].cpu_cores, fox.history[0].processes) == (0.5, 2)
    found = await aclient.resources.optimize(namespace="default", apply=True)
    (one,) = found.optimizations
    assert one.type is codestudio.OptimizationType.SCALE_UP_CPU
    assert one.outcome is codestudio.OptimizationOutcome.APPLIED
    assert (one.evidence.samples, one.evidence.window.total_seconds()) == (4, 60)
    assert found.estimated_improvement.cpu_cores_freed == -0.2
    made = await aclient.resources.allocate("fox", resources={"cpu": "2"}, web_port=8300)
    assert made.ports == codestudio.Ports(8300, range(8350, 8400))
    assert made.resources.cpu == "2"
    await aclient.resources.deallocate("fox")
    assert gateway.requests("DeallocateResources")[0].instance_id == "fox"


async def test_middle_tier(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """The services' own messages go through the same edge: repetition, typed errors."""
    gateway.faults["GetInstance"] = [UNAVAILABLE]
    await aclient.instances.create("a")
    request = instance_service_pb2.GetInstanceRequest(id="a")
    assert (await aclient.instance_service.get_instance(request)).id == "a"
    with pytest.raises(codestudio.NotFound):
        await aclient.instance_service.get_instance(instance_service_pb2.GetInstanceRequest(id="b"))


async def test_closed(aclient: codestudio.AsyncClient) -> None:
    """A closed client says that it is, and closes again without complaint."""
    await aclient.instances.create("a")
    await aclient.close()
    await aclient.close()
    with pytest.raises(RuntimeError, match="closed"):
        await aclient.instances.get("a")


async def test_internal_fault(gateway: Gateway, aclient: codestudio.AsyncClient) -> None:
    """A fault of the control plane is Internal, by its status or by its code alone."""
    detail = error_pb2.ErrorDetail(code="INTERNAL_ERROR", message="something broke")
    gateway.faults["GetInstance"] = [Fault(grpc.StatusCode.INTERNAL, detail)]
    with pytest.raises(codestudio.Internal):
        await aclient.instances.get("a")
