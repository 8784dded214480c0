"""A real VS Code in a real browser, through the door."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from codestudio.instance.v1 import instance_pb2
from playwright.async_api import expect

from services.devstack import editor as installed
from services.devstack import ports
from tests import browser
from tests.integration.edge.people import Person
from tests.integration.envoy.door import Api, Door

pytestmark = [pytest.mark.editor, pytest.mark.browser, browser.needs_chromium]


@contextlib.asynccontextmanager
async def code_server(directory: Path) -> AsyncIterator[int]:
    """Run the installed editor on a workspace with one file; gives its port."""
    command = installed.find(os.environ)
    if command is None:
        pytest.skip("no editor is installed: run scripts/up once")
    workspace = directory / "workspace"
    workspace.mkdir()
    (workspace / "hello.txt").write_text("hello\n")
    user = directory / "data" / "User"
    user.mkdir(parents=True)
    # The chat's panel takes the keyboard whenever it appears.
    (user / "settings.json").write_text(
        '{"workbench.secondarySideBar.defaultVisibility": "hidden"}'
    )
    port = ports.Ports(ports.free_offset()).instance_base
    process = await asyncio.create_subprocess_exec(
        *(str(command), "--bind-addr", f"127.0.0.1:{port}", "--auth", "none"),
        *("--user-data-dir", str(directory / "data"), "--disable-telemetry"),
        *("--disable-workspace-trust", "--disable-update-check", str(workspace)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "HOME": str(directory)},
    )
    try:
        async with aiohttp.ClientSession() as http, asyncio.timeout(60):
            while not await _answers(http, port):
                await asyncio.sleep(0.05)
        yield port
    finally:
        # Its extension hosts outlive it by minutes, waiting for the browser to come back.
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _answers(http: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with http.get(f"http://127.0.0.1:{port}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False


async def test_a_person_works_in_vs_code(
    person: Person, door: Door, api: Api, tmp_path: Path
) -> None:
    """From the sign-in link to a saved file: page, WebSockets and file system work."""
    async with code_server(tmp_path) as port, browser.opened() as page:
        api.servicer.add("vs", ports=instance_pb2.Ports(web_port=port))
        sockets: list[str] = []
        page.on("websocket", lambda socket: sockets.append(socket.url))
        await page.goto(door.url + await person.link(next_path="/i/vs/"), wait_until="commit")
        await browser.open_file(page, "hello.txt")
        await browser.type_and_save(page, "typed by a person")
        await browser.saved(tmp_path / "workspace" / "hello.txt", "hello\ntyped by a person")
        assert sockets
        assert all(f":{door.ports['gateway']}/i/vs/" in url for url in sockets)
        # A page of another user's shows nothing of it.
        await page.context.clear_cookies()
        await page.goto(f"{door.url}/i/vs/")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
