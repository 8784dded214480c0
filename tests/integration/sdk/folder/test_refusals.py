"""What the service does not take, for now or for good."""

import asyncio
from pathlib import Path

import codestudio
import grpc
import pytest
from codestudio._folder.owner import Told

from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import Side, Two, until


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("code", "whole_stream"),
    [("COLLABORATION_DISABLED", False), ("TOO_MANY_DOCUMENTS", False), ("INTERNAL_ERROR", True)],
)
async def test_a_refusal_for_now(two: Two, desk: Desk, code: str, whole_stream: bool) -> None:
    """What is refused for now is carried when it is not any more, and what came meanwhile too."""
    one, other = two
    one.put("a", "text\n")
    await until(lambda: other.text("a") == "text\n")
    await asyncio.gather(one.settled(), other.settled())
    desk.refuses_joins = code
    desk.refuse_all(code, whole_stream=whole_stream)
    one.put("a", "text\nof one\n")
    other.put("a", "of other\ntext\n")
    await until(lambda: all(any(t[0] is Told.FAILED for t in side.told) for side in two))
    desk.refuses_joins = ""
    wanted = "of other\ntext\nof one\n"
    await until(lambda: one.text("a") == other.text("a") == desk.text("a") == wanted)


async def test_a_list_that_is_refused_for_now(desk: Desk, tmp_path: Path) -> None:
    """A fault, or too much at once, ends nothing: the list is asked for again."""
    faults = [grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED]
    desk.list_faults = list(faults)
    one = Side(desk, tmp_path / "one")
    await one.begin()
    desk.do(lambda: desk.list_faults.extend(faults))
    await until(lambda: not desk.list_faults)
    await one.client.documents.create("p", "a", "text\n")
    await until(lambda: one.text("a") == "text\n")
    assert await one.end()


@pytest.mark.parametrize(
    "status", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT]
)
async def test_once_ends_where_a_file_is_refused_for_good(
    desk: Desk, tmp_path: Path, status: grpc.StatusCode
) -> None:
    """What nobody takes is told once, and the others are carried; not everything is stored."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "b", "theirs\n")
    one = Side(desk, tmp_path / "one")
    one.put("a", "mine\n")
    desk.open_fault = status
    assert not await one.once()
    assert one.skipped() == ["a"]
    assert one.text("b") == "theirs\n"
    # Later, whoever changes the file has it tried again.
    one.told.clear()
    await one.begin()
    desk.open_fault = None
    one.put("a", "mine again\n")
    await until(lambda: "default/p/a" in desk.documents)
    assert one.skipped() == ["a"]
    assert await one.end()
    assert desk.text("a") == "mine again\n"


async def test_a_document_that_is_full(desk: Desk, tmp_path: Path) -> None:
    """An edit that makes it too large is told once, kept, and stored when there is room."""
    one = Side(desk, tmp_path / "one")
    await one.begin()
    one.put("a", "text\n")
    await until(lambda: "default/p/a" in desk.documents)
    await one.settled()
    desk.refuses_updates = "DOCUMENT_TOO_LARGE"
    one.put("a", "text\nmore\n")
    await until(lambda: one.skipped() == ["a"])
    await one.settled()
    assert not await one.end()
    assert one.skipped() == ["a"]
    desk.refuses_updates = ""
    await one.begin()
    await until(lambda: one.text("a") == desk.text("a") == "text\nmore\n")
    assert await one.end()
