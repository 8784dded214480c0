"""Whatever is wrong with a request is told by name, by gRPC and REST alike; nothing comes of it."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.path.v1 import path_service_pb2
from codestudio.quota.v1 import quota_service_pb2
from codestudio.resource.v1 import resource_service_pb2
from google.protobuf import duration_pb2, field_mask_pb2
from google.protobuf.message import Message

from tests.e2e import envelope, scenes
from tests.e2e.people import People
from tests.e2e.ways import (
    HTTP_OF,
    INSTANCES,
    PATHS,
    QUOTA,
    RESOURCES,
    Http,
    RefusedError,
    Rest,
    Way,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
DENIED = grpc.StatusCode.PERMISSION_DENIED
UNKNOWN = grpc.StatusCode.UNAUTHENTICATED

LONG = "n" * 300

pytestmark = pytest.mark.stack


@pytest.fixture(autouse=True)
async def untouched(http: Http, people: People) -> AsyncIterator[None]:
    """Whatever a test here sends, nothing is created and no quota is held afterwards."""
    rest = Rest(http)

    async def everything() -> tuple[list[str], dict[str, int]]:
        quotas = await rest.call(
            QUOTA, "ListQuotas", quota_service_pb2.ListQuotasRequest(page_size=1000), people.admin
        )
        instances = await scenes.listed(rest, people.admin, page_size=1000)
        held = {one.namespace: one.reservations for one in quotas.quotas if one.reservations}
        return [one.id for one in instances], held

    before = await everything()
    yield
    assert await everything() == before


async def refused(
    way: Way, call: Any, status: grpc.StatusCode, code: str, *fields: str
) -> envelope.error_pb2.ErrorDetail:
    """Await a call that must be refused, exactly so and naming the fields."""
    with pytest.raises(RefusedError) as caught:
        await call
    expected = HTTP_OF[status] if way.name == "rest" else status
    assert (caught.value.status, caught.value.detail.code) == (expected, code), caught.value
    told = envelope.named_fields(caught.value.detail)
    assert [field for field in fields if field not in told] == [], told
    return caught.value.detail


def create(**config: Any) -> Message:
    """Ask for an instance."""
    return instance_service_pb2.CreateInstanceRequest(config=instance_pb2.InstanceConfig(**config))


def sized(**resources: str) -> Message:
    """Ask for an instance of a size."""
    return create(resources=resources_pb2.Resources(**resources))


def ported(**ports: int) -> Message:
    """Ask for an instance with ports."""
    return create(ports=instance_pb2.PortRequest(**ports))


@dataclasses.dataclass(frozen=True)
class Case:
    """A request with a field that is wrong."""

    name: str
    method: str
    request: Message
    field: str
    code: str = "INVALID_ARGUMENT"
    service: str = INSTANCES


_of = instance_service_pb2
CASES = [
    *(
        Case(f"id {what}", "CreateInstance", create(id=name), "config.id")
        for what, name in {
            "upper case": "Blue",
            "digit first": "1blue",
            "hyphen last": "blue-",
            "space": "blue fox",
            "underscore": "blue_fox",
            "slash": "a/b",
            "dots": "..",
            "unicode": "blåbär",
            "newline": "blue\n",
            "300 characters": LONG,
            "41 characters": "a" * 41,
        }.items()
    ),
    Case("namespace", "CreateInstance", create(namespace="Not/One"), "config.namespace"),
    Case("long namespace", "CreateInstance", create(namespace=LONG), "config.namespace"),
    *(
        Case(f"cpu {cpu}", "CreateInstance", sized(cpu=cpu), "config.resources.cpu")
        for cpu in ("-1", "0", "0m", "abc", "1e400", "NaN", "5", "0.0001", "1 ", "\uff19")
    ),
    *(
        Case(f"memory {size}", "CreateInstance", sized(memory=size), "config.resources.memory")
        for size in ("2Gb", "-1Gi", "0", "1", "9Gi", "Gi", "1KiB", "inf")
    ),
    *(
        Case(f"storage {size}", "CreateInstance", sized(storage=size), "config.resources.storage")
        for size in ("0", "-5Gi", "10GB", "9Ei", "0Gi")
    ),
    *(
        Case(f"web port {port}", "CreateInstance", ported(web_port=port), "config.ports.web_port")
        for port in (80, -1, 65536, 2**31 - 1, 1024)
    ),
    Case("callback port", "CreateInstance", ported(callback_port=80), "config.ports.callback_port"),
    Case("long name", "CreateInstance", create(display_name=LONG), "config.display_name"),
    Case(
        "own variable",
        "CreateInstance",
        create(environment={"CODESTUDIO_X": "1"}),
        "config.environment[CODESTUDIO_X]",
    ),
    Case(
        "variable's name",
        "CreateInstance",
        create(environment={"A=B": "1"}),
        "config.environment[A=B]",
    ),
    Case("long value", "CreateInstance", create(environment={"A": "x" * 4097}), "environment[A]"),
    Case(
        "many variables",
        "CreateInstance",
        create(environment={f"V{number}": "" for number in range(101)}),
        "config.environment",
    ),
    Case(
        "many labels",
        "CreateInstance",
        create(labels={f"label-{number}": "x" for number in range(2000)}),
        "config.labels",
    ),
    Case("label's key", "CreateInstance", create(labels={"-": "x"}), "config.labels[-]"),
    Case("label's value", "CreateInstance", create(labels={"a": LONG}), "config.labels[a]"),
    Case("desired", "CreateInstance", create(desired_state=3), "config.desired_state"),
    Case(
        "idle timeout",
        "CreateInstance",
        create(idle_timeout=duration_pb2.Duration(seconds=1)),
        "config.idle_timeout",
    ),
    Case(
        "lifetime",
        "CreateInstance",
        create(max_lifetime=duration_pb2.Duration(seconds=-60)),
        "config.max_lifetime",
    ),
    Case("request id", "CreateInstance", _of.CreateInstanceRequest(request_id="1"), "request_id"),
    *(
        Case(f"{method} id", method, getattr(_of, f"{method}Request")(id="No Name"), "id")
        for method in (
            "GetInstance",
            "DeleteInstance",
            "StartInstance",
            "StopInstance",
            "GetInstanceStatus",
            "GetInstanceLogs",
        )
    ),
    Case("logs", "GetInstanceLogs", _of.GetInstanceLogsRequest(id="a", tail_lines=-1), "tail"),
    Case(
        "many logs", "GetInstanceLogs", _of.GetInstanceLogsRequest(id="a", tail_lines=10**6), "tail"
    ),
    *(
        Case(f"page size {size}", "ListInstances", _of.ListInstancesRequest(page_size=size), "page")
        for size in (100_000, -1)
    ),
    *(
        Case(
            f"page token {token[:9]}",
            "ListInstances",
            _of.ListInstancesRequest(page_token=token),
            "page_token",
            code="INVALID_PAGE_TOKEN",
        )
        for token in ("nonsense", "WyJwIl0", "W" * 5000)
    ),
    *(
        Case(
            f"filter {text[:12]}",
            "ListInstances",
            _of.ListInstancesRequest(filter=text),
            "filter",
            code="INVALID_FILTER",
        )
        for text in (
            "colour = red",
            "state",
            "state = NOWHERE",
            "state = RUNNING OR state = STOPPED",
            "labels. = 1",
            'owner = "',
            "$where = 1",
            "a" * 3000,
        )
    ),
    Case("no batch", "BatchCreateInstances", _of.BatchCreateInstancesRequest(), "configs"),
    Case(
        "large batch",
        "BatchCreateInstances",
        _of.BatchCreateInstancesRequest(configs=[instance_pb2.InstanceConfig()] * 101),
        "configs",
    ),
    Case(
        "quota of nothing",
        "CheckQuota",
        quota_service_pb2.CheckQuotaRequest(namespace="default"),
        "amounts",
        service=QUOTA,
    ),
    Case(
        "quota cpu",
        "UpdateQuota",
        quota_service_pb2.UpdateQuotaRequest(
            quota=quota_service_pb2.Quota(
                namespace="default", limits=quota_service_pb2.Amounts(cpu="-1")
            )
        ),
        "quota.limits.cpu",
        service=QUOTA,
    ),
    Case(
        "quota mask",
        "UpdateQuota",
        quota_service_pb2.UpdateQuotaRequest(
            quota=quota_service_pb2.Quota(namespace="default"),
            update_mask=field_mask_pb2.FieldMask(paths=["usage.cpu"]),
        ),
        "update_mask",
        service=QUOTA,
    ),
    Case(
        "quota namespace",
        "GetQuota",
        quota_service_pb2.GetQuotaRequest(namespace="No Name"),
        "namespace",
        service=QUOTA,
    ),
    Case(
        "quota page",
        "ListQuotas",
        quota_service_pb2.ListQuotasRequest(page_size=100_000),
        "page_size",
        service=QUOTA,
    ),
    Case(
        "allocation id",
        "AllocateResources",
        resource_service_pb2.AllocateResourcesRequest(instance_id="No Name"),
        "instance_id",
        service=RESOURCES,
    ),
    Case(
        "allocation port",
        "AllocateResources",
        resource_service_pb2.AllocateResourcesRequest(instance_id="a", web_port=80),
        "web_port",
        service=RESOURCES,
    ),
    Case(
        "allocation cpu",
        "AllocateResources",
        resource_service_pb2.AllocateResourcesRequest(
            instance_id="a", resources=resources_pb2.Resources(cpu="-1")
        ),
        "resources.cpu",
        service=RESOURCES,
    ),
    Case(
        "usage namespace",
        "GetResourceUsage",
        resource_service_pb2.GetResourceUsageRequest(namespace="No Name"),
        "namespace",
        service=RESOURCES,
    ),
    *(
        Case(f"{method} id", method, request(instance_id="../etc"), "instance_id", service=PATHS)
        for method, request in {
            "GetPathInfo": path_service_pb2.GetPathInfoRequest,
            "ValidatePaths": path_service_pb2.ValidatePathsRequest,
            "GetProjectStructure": path_service_pb2.GetProjectStructureRequest,
            "TestPaths": path_service_pb2.TestPathsRequest,
        }.items()
    ),
    Case(
        "many paths",
        "ValidatePaths",
        path_service_pb2.ValidatePathsRequest(instance_id="a", paths=["x"] * 1001),
        "paths",
        service=PATHS,
    ),
    *(
        Case(
            f"structure {field} {value!r:.20}",
            "GetProjectStructure",
            path_service_pb2.GetProjectStructureRequest(instance_id="a", **{field: value}),
            named,
            service=PATHS,
        )
        for field, value, named in (
            ("path", "../../etc", "path"),
            ("path", "/etc", "path"),
            ("path", "a/../../b", "path"),
            ("path", r"\x2e\x2e/b", "path"),
            ("path", LONG, "path"),
            ("depth", -1, "depth"),
            ("depth", 65, "depth"),
            ("page_size", 10_001, "page_size"),
            ("page_token", "nonsense", "page_token"),
            ("ignore", ["fine", "two\nlines"], "ignore[1]"),
        )
    ),
    *(
        Case(
            f"test {config}",
            "TestPaths",
            path_service_pb2.TestPathsRequest(
                instance_id="a", test_config=path_service_pb2.PathTestConfig(**config)
            ),
            field,
            service=PATHS,
        )
        for config, field in (
            ({"path_types": ["workspace", "etc"]}, "test_config.path_types[1]"),
            ({"probe_size": -1}, "test_config.probe_size"),
            ({"probe_size": 2**30}, "test_config.probe_size"),
        )
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_wrong_field_is_named(way: Way, people: People, case: Case) -> None:
    """INVALID_ARGUMENT, 400, and the field's path in message or violations."""
    call = way.call(case.service, case.method, case.request, people.admin)
    await refused(way, call, INVALID, case.code, case.field)


async def test_everything_wrong_is_told_at_once(way: Way, people: People) -> None:
    """Three wrong fields are three violations."""
    request = create(
        id="Blue", display_name=LONG, resources=resources_pb2.Resources(cpu="-1", memory="2Gb")
    )
    call = way.call(INSTANCES, "CreateInstance", request, people.admin)
    detail = await refused(way, call, INVALID, "INVALID_ARGUMENT")
    assert {one.field for one in detail.violations} == {
        "config.id",
        "config.display_name",
        "config.resources.cpu",
        "config.resources.memory",
    }


TOKENS: dict[str, tuple[Callable[[People], str], str]] = {
    "missing": (lambda _: "", "TOKEN_MISSING"),
    "forged": (lambda people: people.forged(), "TOKEN_INVALID"),
    "expired": (lambda people: people.expired(), "TOKEN_EXPIRED"),
    "unsigned": (lambda people: people.unsigned(), "TOKEN_INVALID"),
    "of another issuer": (lambda people: people.of_issuer("nobody"), "TOKEN_INVALID"),
    "of the services' issuer": (
        lambda people: people.of_issuer("codestudio-services"),
        "TOKEN_INVALID",
    ),
    "for another audience": (lambda people: people.for_audience("elsewhere"), "TOKEN_INVALID"),
    "of a service": (lambda people: people.service(), "TOKEN_INVALID"),
    "no token at all": (lambda _: "nonsense", "TOKEN_INVALID"),
}


@pytest.mark.parametrize("kind", TOKENS)
@pytest.mark.parametrize(
    ("service", "method", "request_"),
    [
        (INSTANCES, "CreateInstance", create(id="never")),
        (INSTANCES, "ListInstances", _of.ListInstancesRequest()),
        (QUOTA, "GetQuota", quota_service_pb2.GetQuotaRequest(namespace="default")),
    ],
    ids=["create", "list", "quota"],
)
async def test_who_is_not_known_gets_nothing(
    way: Way, people: People, service: str, method: str, request_: Message, kind: str
) -> None:
    """Every token but a genuine user's is refused at the public door, with the reason."""
    make, code = TOKENS[kind]
    await refused(way, way.call(service, method, request_, make(people)), UNKNOWN, code)


async def test_a_viewer_only_looks(way: Way, people: People) -> None:
    """A viewer is told which permission is lacking."""
    viewer = people.user("vic", role="viewer")
    changes: list[tuple[str, Message]] = [
        ("CreateInstance", create()),
        ("DeleteInstance", _of.DeleteInstanceRequest(id="a")),
        ("StartInstance", _of.StartInstanceRequest(id="a")),
        ("StopInstance", _of.StopInstanceRequest(id="a")),
    ]
    for method, request in changes:
        call = way.call(INSTANCES, method, request, viewer)
        await refused(way, call, DENIED, "PERMISSION_DENIED", "instances.")
    await scenes.listed(way, viewer)


async def test_a_user_does_not_rule(way: Way, people: People) -> None:
    """Limits and allocations are the administrators'."""
    limits = quota_service_pb2.UpdateQuotaRequest(
        quota=quota_service_pb2.Quota(
            namespace="default", limits=quota_service_pb2.Amounts(instances=10**6)
        )
    )
    reserve = quota_service_pb2.ReserveQuotaRequest(
        namespace="default",
        instance_id="a",
        amounts=quota_service_pb2.Amounts(instances=1),
    )
    allocate = resource_service_pb2.AllocateResourcesRequest(instance_id="a")
    for service, method, request in (
        (QUOTA, "UpdateQuota", limits),
        (QUOTA, "ReserveQuota", reserve),
        (RESOURCES, "AllocateResources", allocate),
    ):
        call = way.call(service, method, request, people.user("ann"))
        await refused(way, call, DENIED, "PERMISSION_DENIED")


async def test_a_namespace_that_is_not_yours(way: Way, people: People) -> None:
    """A user of one namespace neither works in another nor sees its quota."""
    ann = people.user("ann", namespaces=("sales",))
    call = way.call(INSTANCES, "CreateInstance", create(namespace="research"), ann)
    await refused(way, call, DENIED, "NAMESPACE_DENIED", "research")
    request = quota_service_pb2.GetQuotaRequest(namespace="research")
    await refused(way, way.call(QUOTA, "GetQuota", request, ann), DENIED, "NAMESPACE_DENIED")
