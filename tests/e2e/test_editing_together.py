"""The page of a document: people in real browsers who type at the same time."""

import asyncio
import uuid

import codestudio
import pytest
from playwright.async_api import Page, expect

from services.devstack.stack import Stack
from tests import browser
from tests.e2e.people import People

pytestmark = [
    pytest.mark.stack,
    pytest.mark.browser,
    pytest.mark.timeout(180),
    browser.needs_chromium,
]

_SECONDS = 30_000
"""How long the page may take to open or an edit to arrive, on a loaded machine, in ms."""


@pytest.fixture
def path() -> str:
    """Give the page of a document that nobody has opened."""
    return f"/edit/default/page-test/{uuid.uuid4().hex}/it's 100% ünïcode.py"


async def _open(page: Page, stack: Stack, token: str, path: str) -> None:
    """Sign somebody in by a link that leads to the document, and wait until it is there."""
    async with codestudio.AsyncClient(stack.plan.gateway_url, token=token) as client:
        link = await client.sign_in_link(path)
    await page.goto(link.url, wait_until="commit")
    await expect(page.locator(".cm-content")).to_be_visible(timeout=_SECONDS)
    await expect(page.locator("#status")).to_have_text("Live", timeout=_SECONDS)


async def _text(page: Page) -> str:
    lines = await page.locator(".cm-content .cm-line").all()
    # Cursors of others are in the lines too, with their names.
    own = "node => { node = node.cloneNode(true); node.querySelectorAll('.cm-ySelectionCaret')"
    own += ".forEach(one => one.remove()); return node.textContent }"
    return "\n".join([await line.evaluate(own) for line in lines])


async def _same(pages: list[Page], *wanted: str) -> str:
    """Wait until all show the same text, with all that is wanted in it."""
    async with asyncio.timeout(_SECONDS / 1000):
        while True:
            texts = {await _text(page) for page in pages}
            if len(texts) == 1 and all(one in min(texts) for one in wanted):
                return min(texts)
            await asyncio.sleep(0.1)


async def test_two_people_type_at_once(stack: Stack, people: People, path: str) -> None:
    """What both type at the same time stands in both, once; each sees the other's name."""
    async with browser.people(2) as pages:
        ada, bob = pages
        for page, name in ((ada, "ada"), (bob, "bob")):
            await _open(page, stack, people.user(name), path)
        await ada.keyboard.type("# Grüße 👋\n# end")
        await _same(pages, "# end")
        await ada.keyboard.press("Control+Home")
        await bob.keyboard.press("Control+End")
        await asyncio.gather(
            ada.keyboard.type("abcdefghij" * 4, delay=20),
            bob.keyboard.type("0123456789" * 4, delay=20),
        )
        text = await _same(pages, "abcdefghij" * 4, "0123456789" * 4)
        assert text == "abcdefghij" * 4 + "# Grüße 👋\n# end" + "0123456789" * 4
        await expect(ada.locator("#people")).to_contain_text("Bob")
        await expect(ada.locator(".cm-ySelectionInfo")).to_have_text("Bob")
        await expect(bob.locator("#people")).to_contain_text("Ada")
        await ada.close()
        await expect(bob.locator("#people")).not_to_contain_text("Ada")


async def test_undo_takes_back_only_ones_own(stack: Stack, people: People, path: str) -> None:
    """Whoever undoes does not undo what somebody else typed after them."""
    async with browser.people(2) as pages:
        ada, bob = pages
        for page, name in ((ada, "ada"), (bob, "bob")):
            await _open(page, stack, people.user(name), path)
        # At once: what is typed half a second apart is undone one after the other.
        await ada.keyboard.insert_text("mine")
        await _same(pages, "mine")
        await bob.keyboard.press("Control+End")
        await bob.keyboard.type(" and yours")
        await _same(pages, "mine and yours")
        await ada.keyboard.press("Control+z")
        assert await _same(pages, "yours") == " and yours"


async def test_typing_goes_on_without_the_service(stack: Stack, people: People, path: str) -> None:
    """While no server can be reached the page says so; what was typed then reaches the others."""
    async with browser.people(2) as pages:
        ada, bob = pages
        for page, name in ((ada, "ada"), (bob, "bob")):
            await _open(page, stack, people.user(name), path)
        await ada.keyboard.type("before")
        await _same(pages, "before")
        replicas = [name for name in stack.states() if name.startswith("collaboration")]
        for name in replicas:
            stack.stop(name)
        try:
            await expect(ada.locator("#status")).to_contain_text("Offline", timeout=_SECONDS)
            await ada.keyboard.type(" and alone")
        finally:
            for name in replicas:
                stack.start(name)
        assert await _same(pages, "alone") == "before and alone"
        await expect(ada.locator("#status")).to_have_text("Live", timeout=_SECONDS)


async def test_a_viewer_sees_and_cannot_type(stack: Stack, people: People, path: str) -> None:
    """Somebody who may only read follows every edit; their keys change nothing for anybody."""
    async with browser.people(2) as pages:
        ada, eve = pages
        await _open(ada, stack, people.user("ada"), path)
        await ada.keyboard.type("to be read")
        await _open(eve, stack, people.user("eve", role="viewer"), path)
        await _same(pages, "to be read")
        await eve.keyboard.type("x")
        await ada.keyboard.press("Control+End")
        await ada.keyboard.type(" and followed")
        assert await _same(pages, "followed") == "to be read and followed"
        await expect(ada.locator("#people")).to_contain_text("Eve")


async def test_a_viewer_is_told_when_there_is_nothing(
    stack: Stack, people: People, path: str
) -> None:
    """A document that does not exist is not made by looking at it: the page says why."""
    async with browser.opened() as page:
        token = people.user("eve", role="viewer")
        async with codestudio.AsyncClient(stack.plan.gateway_url, token=token) as client:
            link = await client.sign_in_link(path)
        await page.goto(link.url, wait_until="commit")
        await expect(page.locator("#status")).to_have_class("connection refused", timeout=_SECONDS)
        await expect(page.locator(".cm-content")).to_have_count(0)


async def test_lines_that_end_in_crlf(stack: Stack, people: People, path: str) -> None:
    """Keys change what they are aimed at, below line breaks of two characters too, and no half."""
    text = "one\r\ntwo\r\nthree"
    _, _, namespace, project, name = path.split("/", 4)
    token = people.user("ada")
    async with (
        browser.people(2) as pages,
        codestudio.AsyncClient(stack.plan.gateway_url, token=token) as client,
    ):
        await client.documents.create(project, name, text, namespace)
        for page, subject in zip(pages, ("ada", "bob"), strict=True):
            await _open(page, stack, people.user(subject), path)
        ada, bob = pages
        for page, keys in (
            (ada, ("Control+End", "!", "Enter", "#")),
            (bob, ("Control+Home", "End", "a", "Enter", "b")),
            (ada, ("Control+Home", "End", "ArrowRight", "ArrowRight", "c")),
            (bob, ("End", "ArrowRight", "Backspace", "d", "End", "Delete", "+")),
        ):
            for key in keys:
                await page.keyboard.press(key)
            await _same(pages, keys[-1])
        # Right of a line's end is that line, not the next.
        await ada.locator(".cm-line").first.click()
        await ada.keyboard.press("=")
        assert await _same(pages, "=") == "onea=\nbcdtwo+three!\n#"
        wanted = "onea=\r\nbcdtwo+three!\r\n#"
        async with asyncio.timeout(_SECONDS / 1000):
            while (await client.documents.get(project, name, namespace)).text != wanted:
                await asyncio.sleep(0.1)


async def test_a_click_behind_a_wrapped_row(stack: Stack, people: People, path: str) -> None:
    """The cursor is in the row that was clicked, not at the beginning of the next."""
    _, _, namespace, project, name = path.split("/", 4)
    token = people.user("ada")
    async with (
        browser.people(1) as (page,),
        codestudio.AsyncClient(stack.plan.gateway_url, token=token) as client,
    ):
        await client.documents.create(project, name, "word " * 200, namespace)
        await _open(page, stack, token, path)
        line = await page.locator(".cm-line").first.bounding_box()
        assert line is not None
        await page.mouse.click(line["x"] + line["width"] - 1, line["y"] + 8)
        cursor = await page.locator(".cm-cursor-primary").bounding_box()
        assert cursor is not None
        assert cursor["y"] < line["y"] + 8


async def test_a_document_that_is_deleted_takes_no_more(
    stack: Stack, people: People, path: str
) -> None:
    """Once it is gone its text stays to be copied, and nobody types on for nothing."""
    _, _, _, project, name = path.split("/", 4)
    token = people.user("ada")
    async with (
        browser.opened() as page,
        codestudio.AsyncClient(stack.plan.gateway_url, token=token) as client,
    ):
        await _open(page, stack, token, path)
        await page.keyboard.type("kept")
        await client.documents.delete(project, name)
        await expect(page.locator("#status")).to_have_class("connection refused", timeout=_SECONDS)
        await expect(page.locator("#status")).to_contain_text("DOCUMENT_DELETED")
        await expect(page.locator("#status")).to_contain_text("nothing more is saved")
        for keys in ("x", "Enter", "Control+z"):
            await page.keyboard.press(keys)
            assert await _text(page) == "kept"
