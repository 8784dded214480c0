"""Reading and changing settings: the contract, on real parts."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from codestudio.config.v1 import config_service_pb2 as pb
from google.protobuf import json_format

from services.config.sections import SCHEMAS
from tests.integration.config import rig
from tests.integration.config.rig import INSTANCE, PORT, QUOTA, RESOURCE, SIZE

INVALID = grpc.StatusCode.INVALID_ARGUMENT


async def test_what_nobody_changed_is_the_base(service: rig.Replica) -> None:
    found = await service.get()
    assert (rig.value(found, PORT), found.sources[PORT], found.revision) == (8000, "base", 0)
    assert not found.HasField("update_time")
    assert found.etag
    assert await service.revisions() == []


async def test_a_change_is_there_at_once_with_author_and_reason(service: rig.Replica) -> None:
    before = await service.get()
    changed = await service.update(
        {"port_allocation": {"base_port": 9000, "range_size": 50}}, reason="8000 is taken"
    )
    assert await service.get() == changed
    assert (rig.value(changed, PORT), changed.sources[PORT], changed.revision) == (
        9000,
        "dynamic",
        1,
    )
    assert changed.sources["port_allocation.max_instances"] == "base"
    assert changed.etag != before.etag
    (revision,) = await service.revisions()
    assert (revision.author, revision.reason, revision.revision) == ("root", "8000 is taken", 1)
    assert revision.create_time == changed.update_time
    assert [
        (one.path, one.before.number_value, one.after.number_value) for one in revision.changes
    ] == [(PORT, 8000, 9000), (SIZE, 100, 50)]


async def test_what_a_mask_names_and_values_lack_goes_back(service: rig.Replica) -> None:
    """All or nothing, like any change."""
    await service.update({"port_allocation": {"base_port": 9000, "range_size": 50}})
    found = await service.update(
        {"port_allocation": {"max_instances": 7}},
        mask=[f"values.{PORT}", "values.port_allocation.max_instances"],
    )
    assert (rig.value(found, PORT), rig.value(found, SIZE)) == (8000, 50)
    assert found.sources[PORT] == "base"
    everything = await service.update(mask=["*"])
    assert set(everything.sources.values()) <= {"base", "environment", "secret"}
    assert everything.revision == 3


async def test_the_same_again_is_no_revision(service: rig.Replica) -> None:
    """So a repeated request is harmless."""
    first = await service.set(PORT, 9000)
    assert await service.set(PORT, 9000) == first
    assert await service.roll_back(1) == first
    assert len(await service.revisions()) == 1


async def test_a_bad_value_changes_nothing(service: rig.Replica) -> None:
    """Not even the good ones beside it; everything wrong is told."""
    await service.set(PORT, 9000)
    status, detail = await rig.refusal(
        service.update(
            {
                "port_allocation": {"base_port": 80, "range_size": 20, "max_instnces": 1},
                "resource_limits": {"max_cpu_limit": "many"},
                "port": 4000,
                "monitoring": {"logging_level": "loud"},
            }
        )
    )
    assert status is INVALID
    assert {one.field for one in detail.violations} == {
        f"configuration.values.{path}"
        for path in (
            *(PORT, "port_allocation.max_instnces", "resource_limits.max_cpu_limit", "port"),
            "monitoring.logging_level",
        )
    }
    found = await service.get()
    assert (found.revision, rig.value(found, PORT), rig.value(found, SIZE)) == (1, 9000, 100)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "configuration.service"),
        ({"configuration": {"service": RESOURCE}}, "configuration.values"),
        ({"configuration": {"service": RESOURCE}, "update_mask": "x"}, "update_mask"),
        (
            {
                "configuration": {
                    "service": RESOURCE,
                    "values": {"port_allocation": {"base_port": 9000}},
                },
                "reason": "x" * 501,
            },
            "reason",
        ),
        (
            {"configuration": {"service": RESOURCE, "values": {"port_allocation": None}}},
            "configuration.values.port_allocation",
        ),
        (
            {
                "configuration": {
                    "service": RESOURCE,
                    "values": {
                        "port_allocation": {"base_port": 65500},
                        "resource_limits": {"default_cpu_request": "5"},
                    },
                }
            },
            "configuration.values.port_allocation.range_size",
        ),
    ],
)
async def test_bad_requests(service: rig.Replica, request_: dict[str, Any], field: str) -> None:
    """Each is told by the field at fault."""
    request = json_format.ParseDict(request_, pb.UpdateConfigurationRequest())
    status, detail = await rig.refusal(
        service.stub.UpdateConfiguration(request, metadata=service.metadata)
    )
    assert (status, detail.violations[0].field) == (INVALID, field)
    assert (await service.get()).revision == 0


async def test_validation_tells_everything_and_changes_nothing(service: rig.Replica) -> None:
    async def validate(**values: Any) -> dict[str, str]:
        request = pb.ValidateConfigurationRequest(service=RESOURCE, values=rig.struct(values))
        answer = await service.stub.ValidateConfiguration(request, metadata=service.metadata)
        assert answer.valid is (not answer.errors)
        return {one.field: one.description for one in answer.errors}

    assert await validate(port_allocation={"base_port": 9000}) == {}
    assert await validate() == {}
    assert await validate(
        port=80,
        port_allocation={"base_port": 65500, "range_size": 100.5},
        resource_limits={
            "max_cpu_limit": "x",
            "max_memory_limit": "1KB",
            "default_storage_request": "2Ti",
        },
        prot=1,
    ) == {
        "port": "Port must be between 1024 and 65535, is 80",
        "port_allocation.range_size": "must be a whole number, is 100.5",
        "resource_limits.max_cpu_limit": (
            "Invalid CPU specification: CPU 'x' is no quantity; write it like 500m or 2"
        ),
        "resource_limits.max_memory_limit": (
            "Invalid memory specification: size '1KB': unknown unit 'KB'; did you mean Ki?"
        ),
        "resource_limits.default_storage_request": "must be at most max_storage_limit, 1Ti, is 2Ti",
        "prot": "unknown setting of resource-service; did you mean port?",
    }
    assert (await service.get()).revision == 0


async def test_an_etag_guards_a_change(service: rig.Replica) -> None:
    before = await service.get()
    await service.set(PORT, 9000, etag=before.etag)
    for call in (
        service.set(PORT, 9100, etag=before.etag),
        service.roll_back(0, etag=before.etag),
    ):
        status, detail = await rig.refusal(call)
        assert (status, detail.code) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    assert rig.value(await service.get(), PORT) == 9000


async def test_a_rollback_is_a_revision_and_restores_exactly(service: rig.Replica) -> None:
    await service.update({"port_allocation": {"base_port": 9000, "range_size": 50}})
    first = await service.get()
    await service.update(
        {"port_allocation": {"base_port": 9100}, "monitoring": {"logging_level": "debug"}},
        mask=["values.port_allocation", "values.monitoring.logging_level"],
    )
    back = await service.roll_back(1, reason="too far")
    assert (back.values, back.sources) == (first.values, first.sources)
    assert back.revision == 3
    newest = (await service.revisions())[0]
    assert (newest.is_rollback, newest.rollback_of, newest.reason) == (True, 1, "too far")
    assert {one.path for one in newest.changes} == {PORT, SIZE, "monitoring.logging_level"}
    base = await service.roll_back(0)
    assert "dynamic" not in base.sources.values()
    newest = (await service.revisions())[0]
    assert (newest.is_rollback, newest.rollback_of) == (True, 0)
    status, detail = await rig.refusal(service.roll_back(9))
    assert (status, detail.code) == (grpc.StatusCode.NOT_FOUND, "REVISION_NOT_FOUND")


async def test_settings_can_be_read_as_they_were(service: rig.Replica) -> None:
    await service.set(PORT, 9000)
    await service.set(PORT, 9100)
    old = await service.get(revision=1)
    assert (old.revision, rig.value(old, PORT)) == (1, 9000)
    status, detail = await rig.refusal(service.get(revision=3))
    assert (status, detail.code) == (grpc.StatusCode.NOT_FOUND, "REVISION_NOT_FOUND")
    status, detail = await rig.refusal(service.get(revision=-1))
    assert (status, detail.violations[0].field) == (INVALID, "revision")


async def test_revisions_come_in_pages(service: rig.Replica) -> None:
    """Newest first, none missing and none twice."""
    for number in range(7):
        await service.set(PORT, 9000 + number)
    await service.set("default_quota.instances", 3, service=QUOTA)
    seen: list[int] = []
    token = ""
    while True:
        request = pb.ListRevisionsRequest(service=RESOURCE, page_size=3, page_token=token)
        page = await service.stub.ListRevisions(request, metadata=service.metadata)
        seen += [one.revision for one in page.revisions]
        token = page.next_page_token
        if not token:
            break
    assert seen == [7, 6, 5, 4, 3, 2, 1]
    for bad in ({"page_size": -1}, {"page_size": 1001}, {"page_token": "x"}):
        request = pb.ListRevisionsRequest(service=RESOURCE, **bad)  # type: ignore[arg-type]
        status, _ = await rig.refusal(
            service.stub.ListRevisions(request, metadata=service.metadata)
        )
        assert status is INVALID


async def test_every_service_is_listed_and_described(service: rig.Replica) -> None:
    answer = await service.stub.ListConfigurations(
        pb.ListConfigurationsRequest(), metadata=service.metadata
    )
    assert [one.service for one in answer.configurations] == sorted(SCHEMAS)
    for name in SCHEMAS:
        schema = await service.stub.GetConfigurationSchema(
            pb.GetConfigurationSchemaRequest(service=name), metadata=service.metadata
        )
        assert [one.path for one in schema.settings] == sorted(SCHEMAS[name].settings)
        assert all(one.effect and one.type for one in schema.settings)
    ports = {one.path: one for one in schema.settings}[PORT]
    assert (ports.minimum, ports.maximum, ports.variable) == (1024, 65535, "PORT_BASE")
    assert (ports.base.number_value, ports.effect) == (8000, pb.SETTING_EFFECT_LIVE)


async def test_what_belongs_to_another_service_follows_it(service: rig.Replica) -> None:
    """One place to change it; there it is told where."""
    before = await service.get(INSTANCE)
    await service.set(PORT, 9000)
    after = await service.get(INSTANCE)
    assert (rig.value(after, PORT), after.revision) == (9000, 0)
    assert after.etag != before.etag
    status, detail = await rig.refusal(service.set(PORT, 9100, service=INSTANCE))
    assert status is INVALID
    assert detail.violations[0].description == "belongs to resource-service: change it there"


async def test_who_may_do_what(parts: rig.Parts, service: rig.Replica) -> None:
    """Administrators read and change, a service reads its own, and nobody else anything."""
    get = pb.GetConfigurationRequest(service=RESOURCE)
    update = pb.UpdateConfigurationRequest(
        configuration=pb.Configuration(
            service=RESOURCE, values=rig.struct({"port_allocation": {"base_port": 9000}})
        )
    )
    rollback = pb.RollbackConfigurationRequest(service=RESOURCE)
    for role in ("user", "viewer"):
        metadata = parts.user("ada", role)
        for call in (
            service.stub.GetConfiguration(get, metadata=metadata),
            service.stub.GetConfigurationSchema(
                pb.GetConfigurationSchemaRequest(service=RESOURCE), metadata=metadata
            ),
            service.stub.ListConfigurations(pb.ListConfigurationsRequest(), metadata=metadata),
            service.stub.ListRevisions(
                pb.ListRevisionsRequest(service=RESOURCE), metadata=metadata
            ),
            service.stub.WatchConfiguration(
                pb.WatchConfigurationRequest(service=RESOURCE), metadata=metadata
            ).read(),
            service.stub.UpdateConfiguration(update, metadata=metadata),
            service.stub.RollbackConfiguration(rollback, metadata=metadata),
        ):
            status, detail = await rig.refusal(call)
            assert (status, detail.code) == (
                grpc.StatusCode.PERMISSION_DENIED,
                "PERMISSION_DENIED",
            )
    own = parts.service(RESOURCE)
    assert (await service.stub.GetConfiguration(get, metadata=own)).service == RESOURCE
    for call, code in (
        (service.stub.UpdateConfiguration(update, metadata=own), "PERMISSION_DENIED"),
        (
            service.stub.GetConfiguration(get, metadata=parts.service(QUOTA)),
            "CONFIGURATION_DENIED",
        ),
        (
            service.stub.ListConfigurations(pb.ListConfigurationsRequest(), metadata=own),
            "PERMISSION_DENIED",
        ),
    ):
        status, detail = await rig.refusal(call)
        assert (status, detail.code) == (grpc.StatusCode.PERMISSION_DENIED, code)
    assert (await service.get()).revision == 0


@pytest.mark.parametrize("name", ["no-service", "Resource-Service", "../x", "x" * 5000])
async def test_an_unknown_service_is_not_found(service: rig.Replica, name: str) -> None:
    """By every call; its name is not repeated at length."""
    stub, metadata = service.stub, service.metadata
    for call in (
        stub.GetConfiguration(pb.GetConfigurationRequest(service=name), metadata=metadata),
        stub.ListRevisions(pb.ListRevisionsRequest(service=name), metadata=metadata),
        stub.ValidateConfiguration(
            pb.ValidateConfigurationRequest(service=name), metadata=metadata
        ),
        stub.RollbackConfiguration(
            pb.RollbackConfigurationRequest(service=name), metadata=metadata
        ),
    ):
        status, detail = await rig.refusal(call)
        assert (status, detail.code) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
        assert len(detail.message) < 300


async def test_nobodys_change_is_lost(parts: rig.Parts, service: rig.Replica) -> None:
    """Many at once, at two replicas, without etags: each ends up in a revision of its own."""
    async with rig.replica(parts) as other:
        wishes = {
            PORT: 9000,
            SIZE: 50,
            "port_allocation.max_instances": 40,
            "resource_limits.max_cpu_limit": "8",
            "resource_limits.max_memory_limit": "16Gi",
            "resource_limits.max_storage_limit": "2Ti",
            "resource_limits.default_cpu_request": "250m",
            "resource_limits.default_memory_request": "2Gi",
            "resource_limits.default_storage_request": "5Gi",
            "monitoring.logging_level": "debug",
        }
        await asyncio.gather(
            *(
                (service, other)[number % 2].set(path, wish)
                for number, (path, wish) in enumerate(wishes.items())
            )
        )
        for replica in (service, other):
            found = await replica.get()
            assert {path: rig.value(found, path) for path in wishes} == wishes
            assert found.revision == len(wishes)
    revisions = await service.revisions()
    assert [one.revision for one in revisions] == list(range(len(wishes), 0, -1))
    assert {one.path for revision in revisions for one in revision.changes} == set(wishes)
    assert all(len(revision.changes) == 1 for revision in revisions)


async def test_of_those_with_one_etag_one_wins(parts: rig.Parts, service: rig.Replica) -> None:
    async with rig.replica(parts) as other:
        etag = (await service.get()).etag
        results = await asyncio.gather(
            *(
                (service, other)[number % 2].set(PORT, 9000 + number, etag=etag)
                for number in range(20)
            ),
            return_exceptions=True,
        )
        won = [one for one in results if isinstance(one, pb.Configuration)]
        assert len(won) == 1
        assert all(
            one.code() is grpc.StatusCode.ABORTED
            for one in results
            if isinstance(one, grpc.aio.AioRpcError)
        )
        assert rig.value(await other.get(), PORT) == rig.value(won[0], PORT)


async def test_a_change_is_announced(parts: rig.Parts, service: rig.Replica) -> None:
    """On NATS, by service, with what changed; and copied to the specification's hash."""
    async with parts.announced() as heard, parts.redis() as redis:
        await service.set(PORT, 9000, reason="why not")
        await rig.until(lambda: _soon(bool(heard)))
        ((subject, data),) = heard
        told = json.loads(data)
        assert subject == f"config.updated.{RESOURCE}"
        assert (told["service"], told["revision"], told["author"]) == (RESOURCE, 1, "root")
        assert told["changes"] == [{"path": PORT, "before": 8000, "after": 9000}]
        copy = await redis.hgetall(f"config:{RESOURCE}")
        assert json.loads(copy[PORT]) == 9000
        assert copy["@revision"] == "1"


async def _soon(known: bool) -> bool:
    return known
