"""A person signs in by the one-time link and works in VS Code, all in a real browser."""

import re

import codestudio
import pytest
from playwright.async_api import expect

from services.devstack.stack import Stack
from tests import browser

pytestmark = [
    pytest.mark.stack,
    pytest.mark.editor,
    pytest.mark.browser,
    pytest.mark.timeout(180),
    browser.needs_chromium,
]


async def test_sign_in_and_edit(stack: Stack, client: codestudio.AsyncClient) -> None:
    """The link signs in once, the page lists the instance, and what is typed reaches the disk."""
    instance = await client.instances.create("browser-trial")
    await instance.wait_until_running(timeout=60)
    file = stack.layout.instances / instance.id / "workspace" / "hello.txt"
    file.write_text("hello")
    async with browser.opened() as page:
        await page.goto(stack.plan.gateway_url)
        await expect(page.locator("body")).to_contain_text(re.compile("sign", re.IGNORECASE))
        link = await instance.open_url()
        await page.goto(f"{stack.plan.gateway_url}/")
        await page.goto(link, wait_until="commit")
        await browser.open_file(page, "hello.txt")
        await browser.type_and_save(page, ", world")
        await browser.saved(file, "hello, world")
        await page.goto(f"{stack.plan.gateway_url}/")
        await expect(page.get_by_text("browser-trial").first).to_be_visible()
    async with browser.opened() as stranger:
        refusal = await stranger.goto(link)
        assert refusal is not None
        assert refusal.status >= 400
        await expect(stranger.locator(".monaco-workbench")).to_have_count(0)
    await instance.delete()
    await instance.wait_until_deleted(timeout=60)
