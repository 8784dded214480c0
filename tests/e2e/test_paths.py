"""An instance's directories through the public door, with a real editor in them."""

import os
from pathlib import Path

import grpc
import pytest
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from codestudio.path.v1 import path_service_pb2 as pb

from services.devstack.stack import Stack
from tests.e2e import scenes
from tests.e2e.people import People
from tests.e2e.ways import HTTP_OF, INSTANCES, PATHS, Http, RefusedError, Rest, Way

pytestmark = [pytest.mark.stack, pytest.mark.editor, pytest.mark.timeout(240)]

TYPES = ["project_root", "user_data", "extensions", "workspace", "logs", "temp"]


class Fox:
    """A running instance of Ann's."""

    def __init__(self, name: str, token: str, place: Path) -> None:
        self.name = name
        self.token = token
        self.place = place

    async def info(self, way: Way, *, refresh: bool = False) -> pb.PathInfo:
        request = pb.GetPathInfoRequest(instance_id=self.name, refresh=refresh)
        found: pb.PathInfo = await way.call(PATHS, "GetPathInfo", request, self.token)
        return found


@pytest.fixture
async def fox(http: Http, people: People, namespace: str, stack: Stack) -> Fox:
    """Start an instance."""
    rest, token = Rest(http), people.user("ann")
    made = await scenes.create(
        rest, token, namespace=namespace, desired_state=instance_pb2.DESIRED_STATE_RUNNING
    )
    await scenes.reached(rest, token, made.id, instance_pb2.INSTANCE_STATE_RUNNING)
    return Fox(made.id, token, stack.layout.root / "instances" / made.id)


async def test_whole(ways: list[Way], fox: Fox) -> None:
    """By REST and gRPC alike: made at the start, valid, validated, listed, tested."""
    (fox.place / "workspace" / "src").mkdir()
    (fox.place / "workspace" / "src" / os.fsdecode(b"caf\xe9.py")).write_text("1\n")
    (fox.place / "workspace" / "out.log").touch()
    (fox.place / "workspace" / ".gitignore").write_text("*.log\n")
    (fox.place / "workspace" / "etc").symlink_to("/etc")
    for way in ways:
        info = await fox.info(way, refresh=True)
        assert [each.path_type for each in info.details] == TYPES
        assert info.overall_status == pb.PATH_STATUS_VALID
        assert info.paths.workspace == str(fox.place / "workspace")

        validated = await way.call(
            PATHS,
            "ValidatePaths",
            pb.ValidatePathsRequest(
                instance_id=fox.name,
                paths=["workspace/src", "workspace/etc/passwd", "../x", "/etc/passwd", "a\0b"],
            ),
            fox.token,
        )
        assert [each.exists for each in validated.details] == [True, *[False] * 4]

        shown, token = [], ""
        while True:
            request = pb.GetProjectStructureRequest(
                instance_id=fox.name, page_size=2, page_token=token, ignore=["x", ".gitignore"]
            )
            page = await way.call(PATHS, "GetProjectStructure", request, fox.token)
            shown += [(each.path, each.type, each.link_outside) for each in page.entries]
            token = page.next_page_token
            if not token:
                break
        assert shown == [
            ("etc", pb.ENTRY_TYPE_SYMLINK, True),
            ("src", pb.ENTRY_TYPE_DIRECTORY, False),
            (r"src/caf\xe9.py", pb.ENTRY_TYPE_FILE, False),
        ]

        config = pb.PathTestConfig(path_types=["workspace", "temp"], probe_size=1000)
        tested = await way.call(
            PATHS,
            "TestPaths",
            pb.TestPathsRequest(instance_id=fox.name, test_config=config),
            fox.token,
        )
        assert [(each.path_type, each.passed) for each in tested.details] == [
            ("workspace", True), ("temp", True),
        ]  # fmt: skip


async def test_kept_until_the_instance_changes(way: Way, fox: Fox) -> None:
    """The second answer is the first; a stop is a change, and then it is looked at again."""

    async def kept() -> bool:
        return (await fox.info(way)).cached

    await scenes.until(kept)
    (fox.place / "temp").rename(fox.place / "temp-away")
    assert (await fox.info(way)).overall_status == pb.PATH_STATUS_VALID
    await way.call(
        INSTANCES, "StopInstance", instance_service_pb2.StopInstanceRequest(id=fox.name), fox.token
    )
    await scenes.reached(way, fox.token, fox.name, instance_pb2.INSTANCE_STATE_STOPPED)

    async def seen() -> bool:
        return (await fox.info(way)).overall_status == pb.PATH_STATUS_INVALID

    await scenes.until(seen)


async def test_what_there_is_not(way: Way, people: People, fox: Fox) -> None:
    """Instances and places that do not exist have each their own error."""
    missing = grpc.StatusCode.NOT_FOUND
    for request, code in (
        (pb.GetProjectStructureRequest(instance_id="nobody-s"), "INSTANCE_NOT_FOUND"),
        (pb.GetProjectStructureRequest(instance_id=fox.name, path="no"), "PATH_NOT_FOUND"),
    ):
        with pytest.raises(RefusedError) as refused:
            await way.call(PATHS, "GetProjectStructure", request, people.admin)
        assert refused.value.status in (missing, HTTP_OF[missing])
        assert refused.value.detail.code == code
    await way.call(PATHS, "GetPathInfo", pb.GetPathInfoRequest(instance_id=fox.name), people.admin)
