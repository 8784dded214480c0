"""Whoever is editing goes on editing while the control plane dies and comes back."""

import time

import codestudio
import pytest

from services.devstack.stack import Stack
from tests import browser, programs
from tests.chaos import truths

pytestmark = [
    pytest.mark.stack,
    pytest.mark.editor,
    pytest.mark.browser,
    pytest.mark.timeout(300),
    browser.needs_chromium,
]


async def test_session_survives(stack: Stack, client: codestudio.AsyncClient) -> None:
    """The same page, never reloaded, saves before, during and after the death of all services."""
    instance = await client.instances.create("browser-session")
    await instance.wait_until_running(timeout=60)
    file = stack.layout.instances / instance.id / "workspace" / "notes.txt"
    file.write_text("")
    async with browser.opened() as page:
        await page.goto(await instance.open_url(), wait_until="commit")
        await browser.open_file(page, "notes.txt")
        typed = ""
        for moment in ("before ", "during ", "after"):
            if moment == "during ":
                since = time.monotonic()
                for service in ("instance", "resource", "quota", "edge"):
                    programs.kill(stack, service)
            if moment == "after":
                await truths.healed(stack, client, {instance.id: "RUNNING"}, since)
            await browser.type_and_save(page, moment)
            typed += moment
            await browser.saved(file, typed)
