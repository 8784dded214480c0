"""The client package and the command, on the real path service."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import codestudio
import pytest
import yaml
from codestudio.cli import _app
from codestudio.path.v1 import path_service_pb2 as pb
from google.protobuf import json_format
from typer.testing import CliRunner, Result

from tests.integration.path import rig


@pytest.fixture
def place(service: rig.Rig) -> Path:
    """Give an instance with a small project."""
    place = service.make("fox")
    work = place / "workspace"
    (work / "src" / "deep").mkdir(parents=True)
    (work / "src" / "main.py").write_text("print()\n")
    (work / "src" / "deep" / os.fsdecode(b"caf\xe9")).write_bytes(b"x" * 1536)
    (work / "out.log").touch()
    (work / ".gitignore").write_text("*.log\n")
    (work / "link").symlink_to("/etc/passwd")
    (work / "bell\x1b[2J").touch()
    return place


def connected(service: rig.Rig) -> tuple[str, str]:
    return f"http://{service.address}", service.metadata()[0][1].removeprefix("Bearer ")


@pytest.fixture
async def client(service: rig.Rig) -> AsyncIterator[codestudio.AsyncClient]:
    url, token = connected(service)
    async with codestudio.AsyncClient(url, token=token) as made:
        yield made


async def test_info(client: codestudio.AsyncClient, place: Path) -> None:
    """What the service says, in Python's types; true where all is well."""
    info = await client.paths.info("fox", refresh=True)
    assert info
    assert info.instance_id == "fox"
    assert info.overall_status is codestudio.PathStatus.VALID
    assert info.paths.workspace == str(place / "workspace")
    assert info.details[-1] == codestudio.PathDetail(
        "temp", str(place / "temp"), True, True, codestudio.PathStatus.VALID, ""
    )
    assert info.timestamp is not None
    assert not info.cached
    (place / "temp").rmdir()
    assert not await client.paths.info("fox", refresh=True)


@pytest.mark.usefixtures("place")
async def test_validate(client: codestudio.AsyncClient) -> None:
    """One answer a path."""
    found = await client.paths.validate("fox", ["workspace/src", "../owl"])
    assert not found
    assert [each.exists for each in found.details] == [True, False]
    assert await client.paths.validate("fox")


@pytest.mark.usefixtures("place")
async def test_structure(client: codestudio.AsyncClient) -> None:
    """Any number of pages read like one list; the parts of it can be chosen."""
    entries = await client.paths.structure("fox", page_size=2).all()
    assert [entry.path for entry in entries] == [
        ".gitignore", "bell\x1b[2J", "link", "src", "src/deep", r"src/deep/caf\xe9", "src/main.py",
    ]  # fmt: skip
    link, folder, file = entries[2], entries[3], entries[5]
    assert (link.type, link.link_target, link.link_outside) == (
        codestudio.EntryType.SYMLINK, "/etc/passwd", True,
    )  # fmt: skip
    assert (folder.type, folder.size, folder.unreadable) == (
        codestudio.EntryType.DIRECTORY, 0, False,
    )  # fmt: skip
    assert (file.type, file.size) == (codestudio.EntryType.FILE, 1536)
    assert file.modify_time is not None
    some = client.paths.structure("fox", "src", depth=1, ignore=["deep"])
    assert [entry.path async for entry in some] == ["src/main.py"]
    pages = [page async for page in client.paths.structure("fox", page_size=3).pages()]
    resumed = client.paths.structure("fox", page_token=pages[0].next_page_token)
    assert [e.path for e in await resumed.all()] == [e.path for e in entries[3:]]
    shown = await client.paths.structure("fox", include_ignored=True).all()
    assert "out.log" in [entry.path for entry in shown]


async def test_test(client: codestudio.AsyncClient, place: Path) -> None:
    """What was measured, as lengths of time; false where a directory failed."""
    result = await client.paths.test("fox", ["workspace"], probe_size=100_000)
    assert result
    (test,) = result.details
    assert (test.path_type, test.passed, test.message) == ("workspace", True, "")
    assert test.write_latency.total_seconds() > 0
    assert test.free_bytes > 0
    (place / "logs").rmdir()
    assert not await client.paths.test("fox")


@pytest.mark.usefixtures("place")
async def test_errors_are_the_package_s(client: codestudio.AsyncClient) -> None:
    """Typed, with code and field."""
    with pytest.raises(codestudio.NotFound):
        await client.paths.info("owl")
    with pytest.raises(codestudio.InvalidArgument) as wrong:
        await client.paths.structure("fox", "/etc").all()
    assert [each.field for each in wrong.value.violations] == ["path"]


@pytest.mark.usefixtures("place")
async def test_without_asyncio(service: rig.Rig) -> None:
    """The twin gives the same."""
    url, token = connected(service)

    def use() -> None:
        with codestudio.Client(url, token=token) as client:
            assert client.paths.info("fox", refresh=True)
            assert not client.paths.validate("fox", ["nothing"])
            assert client.paths.structure("fox", page_size=1).all()[3].path == "src"
            assert client.paths.test("fox", ["temp"])

    await asyncio.to_thread(use)


class Command:
    """Runs the command on a thread: the service runs on ours."""

    async def __call__(self, *arguments: str, code: int = 0) -> Result:
        result = await asyncio.to_thread(CliRunner().invoke, _app.app, arguments)
        assert result.exit_code == code, (result.output, result.exception)
        return result


@pytest.fixture
def run(service: rig.Rig, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command beside the service."""
    url, token = connected(service)
    monkeypatch.setenv("CODESTUDIO_GATEWAY", url)
    monkeypatch.setenv("CODESTUDIO_TOKEN", token)
    return Command()


async def test_command_info(run: Command, place: Path) -> None:
    """A table for people, what REST gives for programs."""
    result = await run("paths", "info", "fox", "--refresh")
    assert "fox: valid, looked at" in result.stderr
    head, _, row, *_ = result.stdout.splitlines()
    assert head.split() == ["TYPE", "STATUS", "PATH", "WHY"]
    assert row.split()[:3] == ["user_data", "valid", str(place / "user-data")]
    shown = json.loads((await run("paths", "info", "fox", "-o", "json")).stdout)
    assert json_format.ParseDict(shown, pb.PathInfo()).instance_id == "fox"
    assert shown["overall_status"] == "PATH_STATUS_VALID"
    await run("paths", "info", "owl", code=3)


@pytest.mark.usefixtures("place")
async def test_command_validate(run: Command) -> None:
    """Exit code 1 where a path cannot be used, and why."""
    assert "valid" in (await run("paths", "validate", "fox")).stdout
    result = await run("paths", "validate", "fox", "workspace/src", "workspace/no", code=1)
    assert [line.split()[1] for line in result.stdout.splitlines()[1:]] == ["valid", "invalid"]
    assert "does not exist" in result.stdout


@pytest.mark.usefixtures("place")
async def test_command_tree(run: Command) -> None:
    """Names with what they are; none can command the terminal."""
    result = await run("paths", "tree", "fox")
    assert result.stdout.splitlines() == [
        "     6B  .gitignore",
        r"     0B  bell\x1b[2J",
        "         link -> /etc/passwd (outside)",
        "         src/",
        "           deep/",
        r"   1.5K      caf\xe9",
        "     8B    main.py",
    ]
    assert len((await run("paths", "tree", "fox", "--limit", "2")).stdout.splitlines()) == 2
    some = await run("paths", "tree", "fox", "src", "-i", "deep", "-o", "yaml")
    shown = yaml.safe_load(some.stdout)
    assert [each["path"] for each in shown["entries"]] == ["src/main.py"]
    json_format.ParseDict(shown, pb.ProjectStructure())
    await run("paths", "tree", "fox", "nothing", code=3)
    await run("paths", "tree", "fox", "../owl", code=2)


async def test_command_test(run: Command, place: Path) -> None:
    """Exit code 1 where a directory fails, with step and reason."""
    result = await run("paths", "test", "fox", "workspace", "--size", "100000")
    assert result.stdout.splitlines()[1].split()[:2] == ["workspace", "passed"]
    (place / "logs").rmdir()
    result = await run("paths", "test", "fox", code=1)
    assert "open: does not exist (ENOENT)" in result.stdout
    await run("paths", "test", "fox", "etc", code=2)
