"""Every call of the contract, through a real server with the chassis."""

import os
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from codestudio.common.v1 import error_pb2
from codestudio.path.v1 import path_service_pb2 as pb
from google.protobuf import json_format

from tests.integration.path import rig

NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID_ARGUMENT = grpc.StatusCode.INVALID_ARGUMENT
TYPES = ["user_data", "extensions", "workspace", "logs", "temp"]


async def refusal(call: Awaitable[object], status: grpc.StatusCode) -> error_pb2.ErrorDetail:
    """Give the detail of the error the call must end with."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    assert refused.value.code() is status, refused.value
    return rig.detail(refused.value)


async def structure(service: rig.Rig, **asked: Any) -> pb.ProjectStructure:
    request = pb.GetProjectStructureRequest(instance_id="fox", **asked)
    found: pb.ProjectStructure = await service.call("GetProjectStructure", request)
    return found


async def validate(service: rig.Rig, *paths: str) -> pb.ValidationResult:
    request = pb.ValidatePathsRequest(instance_id="fox", paths=paths)
    found: pb.ValidationResult = await service.call("ValidatePaths", request)
    return found


async def test_info(service: rig.Rig) -> None:
    """All directories with the specification's fields, the instance's own first."""
    place = service.make("fox")
    found = await service.info("fox")
    assert found.instance_id == "fox"
    assert json_format.MessageToDict(found.paths, preserving_proto_field_name=True) == {
        "project_root": str(place),
        "user_data": str(place / "user-data"),
        "extensions": str(place / "extensions"),
        "workspace": str(place / "workspace"),
        "logs": str(place / "logs"),
        "temp": str(place / "temp"),
    }
    assert [each.path_type for each in found.details] == ["project_root", *TYPES]
    assert {each.status for each in found.details} == {pb.PATH_STATUS_VALID}
    assert found.overall_status == pb.PATH_STATUS_VALID
    assert found.HasField("timestamp")


async def test_info_of_what_was_never_started(service: rig.Rig) -> None:
    """Without directories every path is told as missing; nothing is made."""
    service.known.owners["fox"] = "ada"
    found = await service.info("fox")
    assert found.overall_status == pb.PATH_STATUS_INVALID
    assert {(each.exists, each.message) for each in found.details} == {(False, "does not exist")}
    assert not (service.root / "instances").exists()


async def test_info_of_what_is_in_the_way(service: rig.Rig) -> None:
    """A file, and a link that leads outside, are no directories of an instance."""
    place = service.make("fox")
    (place / "temp").rmdir()
    (place / "temp").write_text("")
    (place / "logs").rmdir()
    (place / "logs").symlink_to("/tmp")  # noqa: S108 - outside, and there everywhere
    found = {each.path_type: each for each in (await service.info("fox")).details}
    temp, logs = found["temp"], found["logs"]
    assert (temp.exists, temp.accessible, temp.message) == (True, False, "is no directory")
    assert (logs.exists, logs.accessible) == (False, False)
    assert logs.message == "a link on the way leads outside the instance"


async def test_validate(service: rig.Rig) -> None:
    """One answer a path, in order; what is no path at all is told as such."""
    place = service.make("fox")
    (place / "workspace" / "a").write_text("")
    (place / "workspace" / os.fsdecode(b"caf\xe9")).write_text("")
    (place / "workspace" / "two\nlines").write_text("")
    (place / "workspace" / "out").symlink_to("/etc")
    (place / "workspace" / "in").symlink_to("../logs")
    good = [
        "", "workspace", "workspace/a", "./workspace//a", "workspace/in", r"workspace/caf\xe9",
        "workspace/two\nlines",
    ]  # fmt: skip
    bad = [
        "workspace/b", "../owl", "/etc/passwd", "workspace/out/passwd", "workspace/a/b",
        "a\0b", r"a\x00b", "x" * 300, "workspace/../../..", r"\x2e\x2e/owl", "y/" * 3000,
    ]  # fmt: skip
    found = await validate(service, *good, *bad)
    rows = list(found.details)
    assert [each.path for each in rows] == [each[:4096] for each in (*good, *bad)]
    assert [each.status for each in rows] == [1] * len(good) + [2] * len(bad)
    assert [each.exists for each in rows] == [True] * len(good) + [False] * len(bad)
    assert [each.path_type for each in rows[:3]] == ["project_root", "workspace", "custom"]
    assert all(each.message for each in rows[len(good) :])
    assert found.overall_status == pb.PATH_STATUS_INVALID
    assert (await validate(service, *good)).overall_status == pb.PATH_STATUS_VALID


async def test_validate_the_layout(service: rig.Rig) -> None:
    """Without paths, the instance's directories; looked at, never taken from the cache."""
    place = service.make("fox")
    await rig.until(lambda: _is_kept(service))
    (place / "temp").rmdir()
    found = await validate(service)
    assert [each.path_type for each in found.details] == ["project_root", *TYPES]
    assert [each.exists for each in found.details] == [True] * 5 + [False]


async def _is_kept(service: rig.Rig) -> bool:
    return (await service.info("fox")).cached


async def test_structure(service: rig.Rig) -> None:
    """Entries with type, size, time and link; names that are not UTF-8 can be asked for again."""
    place = service.make("fox") / "workspace"
    (place / "a").mkdir()
    (place / "a" / "file").write_bytes(b"12345")
    os.utime(place / "a" / "file", ns=(0, 1_700_000_000_500_000_000))
    (place / os.fsdecode(b"d\xff")).mkdir()
    (place / os.fsdecode(b"d\xff") / "x").touch()
    (place / "link").symlink_to("/etc/passwd")
    found = await structure(service)
    shown = [(each.path, each.type, each.size) for each in found.entries]
    assert shown == [
        ("a", pb.ENTRY_TYPE_DIRECTORY, 0),
        ("a/file", pb.ENTRY_TYPE_FILE, 5),
        (r"d\xff", pb.ENTRY_TYPE_DIRECTORY, 0),
        (r"d\xff/x", pb.ENTRY_TYPE_FILE, 0),
        ("link", pb.ENTRY_TYPE_SYMLINK, len("/etc/passwd")),
    ]
    assert found.entries[1].modify_time.ToJsonString() == "2023-11-14T22:13:20.500Z"
    assert (found.entries[4].link_target, found.entries[4].link_outside) == ("/etc/passwd", True)
    assert found.next_page_token == ""
    inner = await structure(service, path=r"d\xff")
    assert (inner.root, [each.path for each in inner.entries]) == (r"d\xff", [r"d\xff/x"])


async def test_structure_pages(service: rig.Rig) -> None:
    """Pages make the whole; a token goes with its own question only."""
    place = service.make("fox") / "workspace"
    for name in "abcde":
        (place / name).mkdir()
        (place / name / "x").touch()
    whole = [each.path for each in (await structure(service)).entries]
    found: list[str] = []
    token = ""
    while True:
        page = await structure(service, page_size=3, page_token=token)
        found += [each.path for each in page.entries]
        token = page.next_page_token
        if not token:
            break
        last = token
        again = structure(service, depth=1, page_token=token)
        error = await refusal(again, INVALID_ARGUMENT)
        assert [each.field for each in error.violations] == ["page_token"]
    assert found == whole
    # The size of a page is no part of the question.
    await structure(service, page_size=1, page_token=last)


async def test_structure_of_any_times(service: rig.Rig) -> None:
    """A file from before or after all time is listed all the same."""
    place = service.make("fox") / "workspace"
    for name, seconds in {"early": -(2**40), "late": 2**40}.items():
        (place / name).touch()
        os.utime(place / name, (0, seconds))
    found = await structure(service)
    for each in found.entries:
        each.modify_time.ToJsonString()
    assert len(found.entries) == 2


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("none", NOT_FOUND, "PATH_NOT_FOUND"),
        ("file", grpc.StatusCode.FAILED_PRECONDITION, "PATH_UNUSABLE"),
        ("link", grpc.StatusCode.FAILED_PRECONDITION, "PATH_UNUSABLE"),
        ("link/inner", grpc.StatusCode.FAILED_PRECONDITION, "PATH_UNUSABLE"),
    ],
)
async def test_structure_of_no_directory(
    service: rig.Rig, path: str, status: grpc.StatusCode, code: str
) -> None:
    """Where a listing cannot begin is told by code, with the instance."""
    place = service.make("fox") / "workspace"
    (place / "file").touch()
    (place / "real" / "inner").mkdir(parents=True)
    (place / "link").symlink_to("real")
    error = await refusal(structure(service, path=path), status)
    assert (error.code, error.instance_id, error.metadata["path"]) == (code, "fox", path)


async def test_structure_of_what_was_never_started(service: rig.Rig) -> None:
    """There is no workspace before the first start."""
    service.known.owners["fox"] = "ada"
    error = await refusal(structure(service), NOT_FOUND)
    assert error.code == "PATH_NOT_FOUND"


async def test_tests(service: rig.Rig) -> None:
    """Each directory is used; what fails says at which step; nothing stays."""
    place = service.make("fox")
    request = pb.TestPathsRequest(instance_id="fox")
    found = await service.call("TestPaths", request)
    assert found.overall_status == pb.PATH_STATUS_VALID
    assert [each.path_type for each in found.details] == TYPES
    for each in found.details:
        assert each.passed
        assert each.path == str(place / each.path_type.replace("_", "-"))
        assert each.write_latency.ToNanoseconds() > 0
        assert each.read_latency.ToNanoseconds() > 0
        assert each.free_bytes > 0
    (place / "logs").rmdir()
    config = pb.PathTestConfig(path_types=["logs", "temp", "logs"], probe_size=16 * 1024**2)
    found = await service.call(
        "TestPaths", pb.TestPathsRequest(instance_id="fox", test_config=config)
    )
    assert [(each.path_type, each.passed) for each in found.details] == [
        ("logs", False), ("temp", True),
    ]  # fmt: skip
    assert found.details[0].message == "open: does not exist (ENOENT)"
    assert found.overall_status == pb.PATH_STATUS_INVALID
    assert [each for each in place.rglob("*") if each.is_file()] == []


METHODS = {
    "GetPathInfo": pb.GetPathInfoRequest,
    "ValidatePaths": pb.ValidatePathsRequest,
    "GetProjectStructure": pb.GetProjectStructureRequest,
    "TestPaths": pb.TestPathsRequest,
}


@pytest.mark.parametrize("method", METHODS)
async def test_who_may_see_it(service: rig.Rig, method: str) -> None:
    """Owners and administrators; anybody else hears what the Instance service says, from it."""
    service.make("fox", owner="ada")
    request = METHODS[method](instance_id="fox")
    await service.call(method, request, "ada")
    await service.call(method, request, "root", "admin")
    error = await refusal(service.call(method, request, "bob"), grpc.StatusCode.PERMISSION_DENIED)
    assert (error.code, error.service) == ("INSTANCE_NOT_YOURS", "instance-service")
    for subject, role in (("ada", "user"), ("root", "admin")):
        unknown = service.call(method, METHODS[method](instance_id="owl"), subject, role)
        error = await refusal(unknown, NOT_FOUND)
        assert (error.code, error.service) == ("INSTANCE_NOT_FOUND", "instance-service")


async def test_a_kept_answer_is_no_way_in(service: rig.Rig) -> None:
    """What is kept for its owner is not told to others."""
    service.make("fox", owner="ada")
    await rig.until(lambda: _is_kept(service))
    request = pb.GetPathInfoRequest(instance_id="fox")
    await refusal(service.call("GetPathInfo", request, "bob"), grpc.StatusCode.PERMISSION_DENIED)


async def test_a_viewer_looks_and_does_not_test(service: rig.Rig) -> None:
    """Writing a probe is no viewing."""
    service.make("fox", owner="vic")
    await service.call("GetPathInfo", pb.GetPathInfoRequest(instance_id="fox"), "vic", "viewer")
    call = service.call("TestPaths", pb.TestPathsRequest(instance_id="fox"), "vic", "viewer")
    await refusal(call, grpc.StatusCode.PERMISSION_DENIED)


@pytest.mark.parametrize(
    ("method", "asked", "fields"),
    [
        *((method, {"instance_id": "../x"}, ["instance_id"]) for method in METHODS),
        *((method, {}, ["instance_id"]) for method in METHODS),
        ("ValidatePaths", {"instance_id": "a", "paths": ["x"] * 1001}, ["paths"]),
        (
            "GetProjectStructure",
            {
                "instance_id": "A",
                "path": "../x",
                "depth": 65,
                "page_size": 10_001,
                "page_token": "x",
                "ignore": ["a\nb", "ok", "\0"],
            },
            [
                "instance_id", "path", "depth", "page_size", "ignore[0]", "ignore[2]",
                "page_token",
            ],
        ),
        ("GetProjectStructure", {"instance_id": "a", "path": "/etc"}, ["path"]),
        ("GetProjectStructure", {"instance_id": "a", "path": "a\0b"}, ["path"]),
        ("GetProjectStructure", {"instance_id": "a", "depth": -1}, ["depth"]),
        ("GetProjectStructure", {"instance_id": "a", "page_size": -1}, ["page_size"]),
        ("GetProjectStructure", {"instance_id": "a", "ignore": ["x"] * 2001}, ["ignore"]),
        ("GetProjectStructure", {"instance_id": "a", "ignore": ["x" * 70_000]}, ["ignore"]),
        ("GetProjectStructure", {"instance_id": "a", "page_token": "é"}, ["page_token"]),
        (
            "TestPaths",
            {
                "instance_id": "a",
                "test_config": pb.PathTestConfig(
                    path_types=["logs", "project_root", "../x"], probe_size=-1
                ),
            },
            ["test_config.path_types[1]", "test_config.path_types[2]", "test_config.probe_size"],
        ),
        (
            "TestPaths",
            {"instance_id": "a", "test_config": pb.PathTestConfig(probe_size=16 * 1024**2 + 1)},
            ["test_config.probe_size"],
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(
    service: rig.Rig, method: str, asked: dict[str, Any], fields: list[str]
) -> None:
    """All of it at once, before anything else is asked or touched."""
    error = await refusal(service.call(method, METHODS[method](**asked)), INVALID_ARGUMENT)
    assert error.code == "INVALID_ARGUMENT"
    assert [each.field for each in error.violations] == fields
    assert service.known.asked == 0
