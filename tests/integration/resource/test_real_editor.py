"""With a real code-server."""

import asyncio
import json
import re
from pathlib import Path

import aiohttp
import pytest

from services.resource.runtimes.local import LocalRuntime, procfs
from services.resource.runtimes.local import editor as editors
from services.resource.workload import Phase
from tests.integration.resource import rig

pytestmark = pytest.mark.editor


async def get(port: int, path: str = "/") -> tuple[int, str, str]:
    """Give status, the folder that the editor leads to, and the page."""
    url = f"http://127.0.0.1:{port}{path}"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        return answer.status, answer.url.query.get("folder", ""), await answer.text()


async def test_it_opens_the_workspace(
    tmp_path: Path, real_editor: Path, stack_id: str, port_base: int
) -> None:
    """READY means that the page is served, without a password, on the instance's workspace."""
    data = tmp_path / "data"
    async with rig.running(data, real_editor, stack_id) as runtime:
        # A developer's own PORT is for the developer's own server.
        await runtime.apply(rig.spec("blue", port_base, PORT="1", CODE_SERVER_HOST="0.0.0.0"))  # noqa: S104
        ready = await rig.reach(runtime, "blue", Phase.READY, Phase.EXITED)
        assert ready.phase is Phase.READY, ready.failure
        assert (await get(port_base, "/healthz"))[0] == 200
        status, folder, page = await get(port_base)
        assert status == 200
        assert folder == str(data / "instances" / "blue" / "workspace")
        assert re.search(r"/proxy/\{\{port\}\}", page)
        assert any("HTTP server listening" in line for line in await runtime.logs("blue", 50))
        settings = data / "instances" / "blue" / "user-data" / "User" / "settings.json"
        assert json.loads(settings.read_text()) == editors.FIRST_SETTINGS
        settings.write_text("{}")
        await runtime.stop("blue")
        assert rig.members(stack_id) == []
        await runtime.apply(rig.spec("blue", port_base))
        await rig.reach(runtime, "blue", Phase.READY)
        assert settings.read_text() == "{}"


async def test_its_port_is_taken_at_the_last_moment(
    tmp_path: Path, real_editor: Path, stack_id: str, port_base: int
) -> None:
    """Its own complaint is understood."""
    async with rig.running(tmp_path / "data", real_editor, stack_id) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        with rig.listening(port_base):
            exited = await rig.reach(runtime, "blue", Phase.EXITED)
    assert exited.failure is not None
    assert exited.failure.code == "PORT_IN_USE"


async def test_it_is_adopted_and_its_wrappers_death_is_cleaned_up(
    tmp_path: Path, real_editor: Path, stack_id: str, port_base: int
) -> None:
    """code-server is two processes: when the first is killed, the second does not stay."""
    data = tmp_path / "data"
    async with rig.running(data, real_editor, stack_id) as runtime:
        await runtime.apply(rig.spec("blue", port_base))
        before = await rig.reach(runtime, "blue", Phase.READY)
    async with rig.running(data, real_editor, stack_id) as runtime:
        assert runtime.get("blue") == before
        assert (await get(port_base, "/healthz"))[0] == 200
        (root,) = rig.roots(stack_id)
        procfs.send(root.identity, rig.signal.SIGKILL)
        exited = await rig.reach(runtime, "blue", Phase.EXITED)
        assert exited.failure is not None
        await restart(runtime, port_base)
        (now,) = rig.roots(stack_id)
        assert now.identity != root.identity


async def restart(runtime: LocalRuntime, port: int) -> None:
    """Start it at once: what the old one left still holds the port."""
    await runtime.apply(rig.spec("blue", port))
    ready = await rig.reach(runtime, "blue", Phase.READY, Phase.EXITED)
    assert ready.phase is Phase.READY, ready.failure


async def test_many_start_together(
    tmp_path: Path, real_editor: Path, stack_id: str, port_base: int
) -> None:
    """Each is READY on its own port, and all go together."""
    async with rig.running(tmp_path / "data", real_editor, stack_id) as runtime:
        names = [f"i-{slot}" for slot in range(4)]
        await asyncio.gather(
            *(
                runtime.apply(rig.spec(name, port_base + 100 * slot))
                for slot, name in enumerate(names)
            )
        )
        for name in names:
            await rig.reach(runtime, name, Phase.READY)
        await asyncio.gather(*(runtime.delete(name) for name in names))
        assert rig.members(stack_id) == []
