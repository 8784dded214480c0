"""`codestudio sync` and `codestudio doc` as processes: killed, interrupted, with editors."""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import codestudio
import pytest

from tests import vim
from tests.integration.sdk.desk import Desk
from tests.integration.sdk.folder.side import whole


@pytest.fixture
def desk() -> Iterator[Desk]:
    """Run the service."""
    running = Desk()
    running.start()
    yield running
    running.close()


_started: list[asyncio.subprocess.Process] = []


@pytest.fixture(autouse=True)
async def no_process_stays() -> AsyncIterator[None]:
    """End what a test that failed has left running."""
    yield
    for process in _started:
        if process.returncode is None:
            process.kill()
            await process.wait()
    _started.clear()


async def until(met: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.05)


async def command(desk: Desk, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start the command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "codestudio.cli", "--gateway", desk.url, "--token", "t", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **environment},
    )  # fmt: skip
    _started.append(process)
    return process


async def sync(desk: Desk, root: Path, *more: str) -> asyncio.subprocess.Process:
    """Start `codestudio sync`."""
    return await command(desk, "sync", str(root), "-p", "p", "-o", "json", *more)


async def output(process: asyncio.subprocess.Process) -> str:
    """Wait for the end; give what was printed."""
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    return out.decode()


async def complaint(process: asyncio.subprocess.Process) -> str:
    """Wait for the end; give what was said beside the result."""
    _, said = await asyncio.wait_for(process.communicate(), 60)
    return said.decode()


def text(file: Path) -> str:
    """Read a file; empty while it is not there."""
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return ""


async def test_once(desk: Desk, tmp_path: Path) -> None:
    """--once brings both sides together and ends; what happened is told, a line each."""
    one, other = tmp_path / "one", tmp_path / "other"
    (one / "src").mkdir(parents=True)
    (one / "src/a.py").write_text("a = 1\n")
    first = await sync(desk, one, "--once")
    await output(first)
    assert first.returncode == 0
    second = await sync(desk, other, "--once")
    told = [json.loads(line) for line in (await output(second)).splitlines()]
    assert second.returncode == 0
    assert text(other / "src/a.py") == "a = 1\n"
    assert {"event": "written", "path": "src/a.py", "detail": ""} in told


async def test_interrupted(desk: Desk, tmp_path: Path) -> None:
    """Ctrl-C brings over what there is, and ends well."""
    one = tmp_path / "one"
    running = await sync(desk, one)
    await until(lambda: (one / ".codestudio-sync/project.json").exists())
    (one / "a").write_text("x\n")
    await until(lambda: "default/p/a" in desk.documents)
    (one / "a").write_text("x\ny\n")
    running.send_signal(signal.SIGINT)
    await output(running)
    assert running.returncode == 0
    assert desk.text("a") == "x\ny\n"


async def test_killed(desk: Desk, tmp_path: Path) -> None:
    """Killed at any moment, and begun again: both folders end alike, every line there once.

    But for a line that came in the moment of the kill, which is kept beside the folder.
    """
    chance = random.Random(7)
    roots = {"one": tmp_path / "one", "other": tmp_path / "other"}
    running = {name: await sync(desk, root) for name, root in roots.items()}
    head = "".join(f"# {n}\n" for n in range(20))
    roots["one"].mkdir(exist_ok=True)
    (roots["one"] / "a").write_text(head)
    await until(lambda: text(roots["other"] / "a") == head)
    wanted = set(head.splitlines())
    for n in range(40):
        for name, root in roots.items():
            # Read and replaced as an editor with an old buffer does: a moment may lie between.
            lines = (root / "a").read_text().splitlines(keepends=True)
            place = chance.randrange(len(lines))
            lines.insert(place, f"{name} {n}\n")
            temporary = root / ".a.saving~"
            temporary.write_text("".join(lines))
            temporary.rename(root / "a")
            wanted.add(f"{name} {n}")
        await asyncio.sleep(chance.uniform(0, 0.4))
        if n % 4 == 3:
            name = chance.choice(list(roots))
            with contextlib.suppress(ProcessLookupError):
                running[name].kill()
            await running[name].wait()
            if chance.random() < 0.5:
                (roots[name] / "a").write_text((roots[name] / "a").read_text() + f"off {n}\n")
                wanted.add(f"off {n}")
            running[name] = await sync(desk, roots[name])

    def same() -> bool:
        one, other = (text(root / "a") for root in roots.values())
        return one == other == desk.text("a") and whole(one, wanted, *roots.values())

    try:
        await until(same)
    finally:
        for process in running.values():
            process.send_signal(signal.SIGTERM)
            await output(process)
    final = text(roots["one"] / "a").splitlines()
    assert sorted(final) == sorted(wanted & set(final))


@vim.needs_vim
async def test_editing_a_document(desk: Desk, tmp_path: Path) -> None:
    """$EDITOR works on a file; each save is merged, and what others did meanwhile stays."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "dir/a.txt", "one\ntwo\nthree\n")
        editor = tmp_path / "editor.sh"
        go = tmp_path / "go"
        editor.write_text(
            "#!/bin/sh\n"
            f"touch {tmp_path}/opened; while [ ! -e {go} ]; do sleep 0.1; done\n"
            f'{vim.VIM} -u NONE -es -c "%s/one/ONE/" -c wq "$1" < /dev/null\n'
        )
        editor.chmod(0o755)
        running = await command(
            desk, "doc", "edit", "-p", "p", "-o", "json", "dir/a.txt", EDITOR=str(editor)
        )
        await until(lambda: (tmp_path / "opened").exists())
        async with client.documents.open("p", "dir/a.txt") as document:
            document.set_text("one\ntwo\nTHREE\nfour\n")
            await document.flush()
        go.touch()
        result = json.loads(await output(running))
        assert running.returncode == 0
        assert result["saves"] == 1
        assert desk.text("dir/a.txt") == "ONE\ntwo\nTHREE\nfour\n"


@pytest.mark.parametrize("fate", ["gateway away", "deleted", "no text"])
async def test_an_edit_that_cannot_be_stored_is_kept(desk: Desk, tmp_path: Path, fate: str) -> None:
    """What was saved last stays in a file whose name is told, and the editor ends by itself."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a.txt", "one\n")
        opened, saved, go = (tmp_path / name for name in ("opened", "saved", "go"))
        data = "\\377" if fate == "no text" else "mine\\n"
        editor = tmp_path / "editor.sh"
        editor.write_text(
            "#!/bin/sh\n"
            f"touch {opened}; while [ ! -e {go} ]; do sleep 0.1; done\n"
            f"printf '{data}' > \"$1\"; sleep 0.5; touch {saved}\n"
        )
        editor.chmod(0o755)
        (tmp_path / "t").mkdir()
        running = await command(
            desk, "--timeout", "1", "doc", "edit", "-p", "p", "a.txt",
            EDITOR=str(editor), TMPDIR=str(tmp_path / "t"),
        )  # fmt: skip
        await until(opened.exists)
        if fate == "gateway away":
            desk.stop()
        elif fate == "deleted":
            await client.documents.delete("p", "a.txt")
        go.touch()
        said = await complaint(running)
        assert saved.exists()
        (kept,) = (tmp_path / "t").glob("*/a.txt")
        assert kept.read_bytes() == (b"\xff" if fate == "no text" else b"mine\n")
        assert str(kept) in said
        code = {"gateway away": 124, "deleted": 3, "no text": 2}[fate]
        assert running.returncode == code
        if fate == "gateway away":
            desk.start()


@pytest.mark.parametrize("way", ["viewer", "no editor"])
async def test_nothing_to_edit_with(desk: Desk, tmp_path: Path, way: str) -> None:
    """Who may only read, or has no editor, is told before there is anything to lose."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a.txt", "one\n")
    desk.viewers = way == "viewer"
    started = tmp_path / "started"
    editor = f"touch {started}" if desk.viewers else str(tmp_path / "none")
    (tmp_path / "t").mkdir()
    running = await command(
        desk, "doc", "edit", "-p", "p", "a.txt", EDITOR=editor, TMPDIR=str(tmp_path / "t")
    )
    said = await complaint(running)
    assert ("READ_ONLY" if desk.viewers else "EDITOR_NOT_STARTED") in said
    assert running.returncode == (4 if desk.viewers else 2)
    assert not started.exists()
    assert list((tmp_path / "t").iterdir()) == []


async def test_watching_a_document(desk: Desk) -> None:
    """Every change is a line: where, what, and by whom."""
    async with (
        codestudio.AsyncClient(desk.url, token="t") as client,
        client.documents.open("p", "a", content="é🙂", user="Ada") as document,
    ):
        running = await command(desk, "doc", "watch", "-p", "p", "a", "-o", "json")
        await until(lambda: len(document.cursors) == 1)
        document.insert(2, "中")
        assert running.stdout is not None
        line = json.loads(await asyncio.wait_for(running.stdout.readline(), 30))
        assert line["offset"] == 2
        assert (line["deleted"], line["inserted"]) == ("", "中")
        assert line["authors"] == ["Ada"]
        running.send_signal(signal.SIGINT)
        await output(running)


async def test_reading_and_deleting(desk: Desk) -> None:
    """`doc cat` gives the bytes of the text, line endings included; `doc delete` ends it."""
    async with codestudio.AsyncClient(desk.url, token="t") as client:
        await client.documents.create("p", "a", "é\r\n🙂")
    assert await output(await command(desk, "doc", "cat", "-p", "p", "a")) == "é\r\n🙂"
    listed = await output(await command(desk, "doc", "list", "-p", "p", "-o", "json"))
    assert [each["name"]["path"] for each in json.loads(listed)["documents"]] == ["a"]
    await output(await command(desk, "doc", "delete", "-p", "p", "a"))
    assert desk.documents == {}
    gone = await command(desk, "doc", "cat", "-p", "p", "a")
    await output(gone)
    assert gone.returncode == 3
