"""A person at a browser: real Chromium, real VS Code."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on PATH")

_EDITOR_SECONDS = 60_000
"""How long VS Code's page may take to become usable on a loaded machine, in milliseconds."""

# Chromium calls home at start; without these it waits for a network that may not be there.
_QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Page]:
    """Open a window of 1280 by 800 in a fresh profile."""
    async with people(1) as (page,):
        yield page


@contextlib.asynccontextmanager
async def people(count: int) -> AsyncIterator[list[Page]]:
    """Open a window of 1280 by 800 for each of several people, who share no cookies."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        try:
            yield [
                await browser.new_page(viewport={"width": 1280, "height": 800})
                for _ in range(count)
            ]
        finally:
            await browser.close()


async def open_file(page: Page, name: str) -> None:
    """Open a file of the workspace in VS Code, by the explorer, and put the cursor in it."""
    entry = page.locator(f'.explorer-folders-view [aria-label^="{name}"]')
    await expect(entry).to_be_visible(timeout=_EDITOR_SECONDS)
    await entry.dblclick()
    text = page.locator(".monaco-editor .view-lines").first
    await expect(text).to_be_visible(timeout=_EDITOR_SECONDS)
    await text.click()


async def type_and_save(page: Page, text: str) -> None:
    """Type at the end of the open file and save it."""
    await page.keyboard.press("Control+End")
    await page.keyboard.type(text)
    await page.keyboard.press("Control+s")


async def saved(path: Path, text: str) -> None:
    """Wait until the file on disk holds exactly `text`. Raises TimeoutError after 30 seconds."""
    async with asyncio.timeout(30):
        while await asyncio.to_thread(path.read_text) != text:
            await asyncio.sleep(0.05)
