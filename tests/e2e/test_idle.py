"""Idle editors are stopped and used ones are not: real editors, a real browser, short limits."""

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import codestudio
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from services.devstack import editor, ports
from services.devstack.stack import Stack
from tests import browser, programs

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.stack,
    pytest.mark.editor,
    pytest.mark.browser,
    pytest.mark.timeout(300),
    browser.needs_chromium,
]

IDLE = 9.0
"""Seconds without use after which an instance here is stopped."""
LONGER = 30.0
"""The same where something is to be done between the warning, for which a third is left, and the
stop."""
ACTIVE = 70.0
"""Seconds for which VS Code takes somebody for active after a key, or the page's opening."""
SLOW = 60.0
"""What a loaded machine may take for anything."""


@pytest.fixture(scope="module")
def quick() -> Iterator[Stack]:
    """Run a stack that looks every second and allows limits of seconds."""
    command = editor.find(os.environ)
    if command is None:
        pytest.skip("no editor is installed: run scripts/up once")
    directory = Path(tempfile.mkdtemp(prefix="codestudio-idle-"))
    running = Stack(
        directory,
        port_offset=ports.free_offset(),
        editor_command=str(command),
        environment={
            "LEAST_LIMIT_SECONDS": "1",
            "USAGE_SAMPLE_SECONDS": "1",
            "BUSY_STRETCH_SECONDS": "1",
            "RESYNC_SECONDS": "2",
        },
    )
    try:
        running.up()
        yield running
    finally:
        running.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(quick: Stack) -> AsyncIterator[codestudio.AsyncClient]:
    """Talk to it as its administrator."""
    token = quick.plan.credentials.admin_token.read_text().strip()
    async with codestudio.AsyncClient(quick.plan.gateway_url, token=token) as connected:
        yield connected


@contextlib.asynccontextmanager
async def made(
    client: codestudio.AsyncClient, *names: str, idle: float = IDLE, lease: float = 0
) -> AsyncIterator[list[codestudio.AsyncInstance]]:
    """Create instances that may be idle for a few seconds, and wait for their editors.

    With a lease none is stopped before all are there, however long that takes.
    """
    created = [await client.instances.create(name, idle_timeout=idle) for name in names]

    async def ready(instance: codestudio.AsyncInstance) -> None:
        await instance.wait_until_running(timeout=SLOW)
        if lease:
            await instance.keep_alive(lease)

    try:
        await asyncio.gather(*map(ready, created))
        yield created
    finally:
        for one in created:
            await one.delete()


def in_use(instance: codestudio.AsyncInstance) -> codestudio.Condition | None:
    """Give what was said last about its use."""
    found = (one for one in instance.conditions if one.step is codestudio.Step.IN_USE)
    return next(found, None)


async def reason(instance: codestudio.AsyncInstance, *reasons: str, seconds: float = SLOW) -> None:
    """Wait until one of these reasons is said."""
    async with asyncio.timeout(seconds):
        while (said := in_use(instance)) is None or said.reason not in reasons:
            await asyncio.sleep(0.2)
            await instance.refresh()


async def stopped(instance: codestudio.AsyncInstance, seconds: float) -> None:
    """Wait until it is stopped, by whomever."""
    async with asyncio.timeout(seconds):
        while instance.state is not codestudio.InstanceState.STOPPED:
            await asyncio.sleep(0.2)
            await instance.refresh()


@contextlib.asynccontextmanager
async def page_of(instance: codestudio.AsyncInstance) -> AsyncIterator[Page]:
    """Open an instance in a browser of its own, ready to be worked in."""
    async with browser.opened() as page:
        failed: list[str] = []
        page.on("requestfailed", lambda asked: failed.append(f"{asked.url} {asked.failure}"))
        page.on("response", lambda got: got.ok or failed.append(f"{got.url} {got.status}"))
        try:
            await page.goto(await instance.open_url(), wait_until="commit")
            await browser.open_file(page, "hello.txt")
            yield page
        except AssertionError as error:
            error.add_note("what the page asked for in vain: " + "\n".join(failed))
            raise


async def terminal(page: Page, command: str) -> None:
    """Run a command in a terminal of VS Code."""
    await page.keyboard.press("Control+Backquote")
    await expect(page.locator(".terminal-wrapper.active .xterm-screen")).to_be_visible(
        timeout=SLOW * 1000
    )
    await page.locator(".terminal-wrapper.active .xterm-screen").click()
    await page.keyboard.type(command + "\n", delay=20)


async def appears(path: Path) -> None:
    """Wait until a file is there."""
    async with asyncio.timeout(SLOW):
        while not await asyncio.to_thread(path.exists):
            await asyncio.sleep(0.1)


def hello(stack: Stack, instance: codestudio.AsyncInstance) -> Path:
    """Put a file into an instance's workspace."""
    file = stack.layout.instances / instance.id / "workspace" / "hello.txt"
    file.write_text("hello")
    return file


@pytest.mark.usefixtures("telling")
async def test_what_is_use_and_what_is_not(quick: Stack, client: codestudio.AsyncClient) -> None:
    """An open tab with a sleeping terminal is none; typing, a busy terminal and a lease are."""
    leased = ("tab", "typed", "busy", "leased")
    async with made(client, "left") as left, made(client, *leased, lease=600) as others:
        await use(quick, *others, *left)


async def use(
    quick: Stack,
    tab: codestudio.AsyncInstance,
    typed: codestudio.AsyncInstance,
    busy: codestudio.AsyncInstance,
    leased: codestudio.AsyncInstance,
    left: codestudio.AsyncInstance,
) -> None:
    """Use each in its way, end all leases but one, and see which are stopped."""
    files = {one.id: hello(quick, one) for one in (tab, typed, busy)}
    async with page_of(busy) as page:
        started = files["busy"].with_name("started")
        await terminal(page, f"touch {started}; while :; do :; done")
        await appears(started)
    await busy.keep_alive(0)  # its browser is closed: the loop alone keeps it

    async with page_of(tab) as idle_page, page_of(typed) as busy_page:
        started = files["tab"].with_name("started")
        await terminal(idle_page, f"touch {started}; sleep 600")
        await appears(started)
        typing = asyncio.create_task(type_on(busy_page))
        for one in (tab, typed):
            await one.keep_alive(0)
        try:
            # Whoever sits in front of it is told as well.
            offer = idle_page.get_by_role("button", name="Keep it running")
            await expect(offer).to_be_visible(timeout=(ACTIVE + SLOW) * 1000)
            # With a limit this short the warning comes between two reports of the last key.
            await stopped(tab, ACTIVE + SLOW)
            # Their leases are over, and they were idle for longer than allowed but for this.
            for one in (typed, busy, leased):
                await one.refresh()
                assert one.state is codestudio.InstanceState.RUNNING, one.id
            await expect(idle_page.locator(".monaco-workbench")).to_be_visible()
        finally:
            typing.cancel()
            await asyncio.wait([typing])
    assert not typing.done() or typing.cancelled()

    assert tab.stop_reason is codestudio.StopReason.IDLE
    said = in_use(tab)
    assert said is not None
    assert (said.reason, said.reached) == ("Idle", False)
    assert "input in the editor" in said.message
    await left.refresh()
    assert left.stop_reason is codestudio.StopReason.IDLE
    said = in_use(left)
    assert said is not None
    # Looks a second apart may see the work of its start as well; nothing else happened to it.
    signals = ("its start", "beginning of its observation", "a busy terminal or task")
    assert any(one in said.message for one in signals), said.message
    # Nobody touches them any more.
    await stopped(typed, ACTIVE + SLOW)


async def type_on(page: Page) -> None:
    """Type a letter now and then, for ever."""
    while True:
        await page.keyboard.type("x")
        await asyncio.sleep(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def telling(client: codestudio.AsyncClient) -> AsyncIterator[asyncio.Task[list[str]]]:
    """Watch one that is left, beside what takes longer; gives what was told of it."""

    async def tell() -> list[str]:
        async with made(client, "told", idle=LONGER) as (instance,):
            return await what_is_told(client, instance)

    task = asyncio.create_task(tell())
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_it_is_told_once_before(telling: asyncio.Task[list[str]]) -> None:
    """A watch shows a warning with the time of the stop, then the stop; a lease clears it."""
    told = await telling
    told = told[told.index("IdleWarning") :]
    # Its own work may count as use now and then, and then it is warned again.
    pairs = (len(told) - 2) // 2
    assert pairs >= 1
    assert told == ["IdleWarning", "InUse"] * pairs + ["IdleWarning", "Idle"]


async def what_is_told(
    client: codestudio.AsyncClient, instance: codestudio.AsyncInstance
) -> list[str]:
    """Let it be warned of, lease it, let it be stopped; give what a watch told of its use."""
    told: list[str] = []

    async def listen() -> None:
        async with contextlib.aclosing(client.instances.watch()) as events:
            async for event in events:
                if event.instance.id != instance.id:
                    continue
                said = in_use(event.instance)
                if said is not None and (not told or told[-1] != said.reason):
                    told.append(said.reason)
                if event.instance.state is codestudio.InstanceState.STOPPED:
                    return

    listening = asyncio.create_task(listen())
    await reason(instance, "IdleWarning", seconds=LONGER + SLOW)
    assert instance.scheduled_stop_time is not None
    await instance.keep_alive(3)
    await reason(instance, "InUse")
    assert instance.scheduled_stop_time is None
    await stopped(instance, LONGER + SLOW)
    await asyncio.wait_for(listening, SLOW)
    return told


async def test_a_restart_restarts_the_clock(quick: Stack, client: codestudio.AsyncClient) -> None:
    """Killed after the warning, neither service stops anything on what it does not know."""
    async with made(client, "restarted", idle=LONGER) as (instance,):
        for service in ("instance", "resource"):
            await reason(instance, "IdleWarning", seconds=LONGER + SLOW)
            programs.kill(quick, service)
            await asyncio.to_thread(quick.wait_healthy, timeout=SLOW)
            await refreshed(instance)
            await reason(instance, "ClockRestarted")
            assert instance.state is codestudio.InstanceState.RUNNING
        await stopped(instance, LONGER + SLOW)
        assert instance.stop_reason is codestudio.StopReason.IDLE


async def refreshed(instance: codestudio.AsyncInstance) -> None:
    """Read it, however long the gateway takes to notice that the service is back."""
    async with asyncio.timeout(SLOW):
        while True:
            try:
                await instance.refresh()
            except codestudio.Unavailable:
                await asyncio.sleep(0.2)
            else:
                return
