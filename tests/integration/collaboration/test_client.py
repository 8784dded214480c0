"""The client on the real service: through Envoy, two replicas, and kills of both."""

import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import codestudio
import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests import programs
from tests.integration.collaboration import rig
from tests.integration.sdk.folder.side import whole

REPLICAS = ("collaboration", "collaboration-2")


@pytest.fixture(scope="module")
def door() -> Iterator[Stack]:
    """Run the service twice, behind Envoy."""
    directory = Path(tempfile.mkdtemp(prefix="codestudio-documents-"))
    stack = Stack(
        directory,
        port_offset=ports.free_offset(),
        services=("collaboration",),
        environment={"COMMIT_QUIET_SECONDS": "5", "COMMIT_TOGETHER_SECONDS": "5"},
    )
    stack.up()
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def project() -> str:
    """Name a project nobody else has."""
    return f"p-{uuid.uuid4().hex[:10]}"


def token(stack: Stack) -> str:
    """Give the administrator's token."""
    return stack.plan.credentials.admin_token.read_text().strip()


@pytest.fixture
async def clients(door: Stack) -> AsyncIterator[list[codestudio.AsyncClient]]:
    """Five clients: Envoy gives their streams to both replicas."""
    async with contextlib.AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                codestudio.AsyncClient(door.plan.gateway_url, token=token(door))
            )
            for _ in range(5)
        ]


async def until(met: Callable[[], bool], seconds: float = 60) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not met():
            await asyncio.sleep(0.02)


async def test_editing_together(clients: list[codestudio.AsyncClient], project: str) -> None:
    """Edits, cursors and names reach the others; the text is stored as all see it."""
    first, second = clients[:2]
    async with (
        first.documents.open(project, "src/a.py", content="é🙂 = 1\r\n", user="Ada") as a,
        second.documents.open(project, "src/a.py", content="not taken", user="Bo") as b,
    ):
        assert a.text == b.text == "é🙂 = 1\r\n"
        assert (a.role, a.revision) == ("EDITOR", 1)
        a.set_cursor(1, 2)
        await until(lambda: [(c.name, c.anchor, c.head) for c in b.cursors] == [("Ada", 1, 2)])
        b.insert(0, "中")
        a.insert(len(a.text), "# a\r\n")
        await asyncio.gather(a.flush(), b.flush())
        await until(lambda: a.text == b.text == "中é🙂 = 1\r\n# a\r\n")
        assert [(c.anchor, c.head) for c in b.cursors] == [(2, 3)]
        assert b.undo()
        await b.flush()
        await until(lambda: a.text == "é🙂 = 1\r\n# a\r\n")
    stored = await first.documents.get(project, "src/a.py")
    assert stored.text == "é🙂 = 1\r\n# a\r\n"
    assert [each.path async for each in first.documents.list(project)] == ["src/a.py"]
    with pytest.raises(codestudio.NotFound):
        async with first.documents.open(project, "none"):
            pass


async def test_plain_edits(clients: list[codestudio.AsyncClient], project: str) -> None:
    """Edits given as text are rebased over what came since, and seen live."""
    client = clients[0]
    async with client.documents.open(project, "a", content="one\ntwo\n") as document:
        base = document.revision
        document.insert(0, "zero\n")
        await document.flush()
        (done,) = await client.documents.sync(
            project,
            [codestudio.CodeChange("a", "2", start=(1, 0), end=(1, 3), base_revision=base)],
            instance_id="editor-1",
        )
        assert done.rebased
        await until(lambda: document.text == "zero\none\n2\n")
        with pytest.raises(codestudio.Aborted):
            await client.documents.sync(
                project,
                [codestudio.CodeChange("a", "x", offset=4, length=3, base_revision=base)],
                instance_id="editor-1",
                reject_conflicts=True,
            )


async def test_a_plain_edit_whose_answer_was_lost(
    door: Stack, clients: list[codestudio.AsyncClient], project: str
) -> None:
    """Where it came to stand is not known any more, and nothing false is said of it."""
    documents, request_id = clients[0].documents, str(uuid.uuid4())
    await documents.create(project, "a", "zero\n")
    edit = codestudio.CodeChange("a", "one\n", offset=5, length=0)
    (done,) = await documents.sync(project, [edit], instance_id="e", request_id=request_id)
    assert (done.offset, done.length) == (5, 4)

    def again() -> tuple[codestudio.ChangeResult, ...]:
        with codestudio.Client(door.plan.gateway_url, token=token(door)) as client:
            return client.documents.sync(project, [edit], instance_id="e", request_id=request_id)

    unknown = (codestudio.ChangeResult("a", done.revision, None, None, rebased=False),)
    await rig.forget_results(door)
    assert await asyncio.to_thread(again) == unknown
    await rig.forget_results(door)
    answer = await documents.sync(project, [edit], instance_id="e", request_id=request_id)
    assert answer == unknown
    assert (await documents.get(project, "a")).text == "zero\none\n"


async def test_history(door: Stack, clients: list[codestudio.AsyncClient], project: str) -> None:
    """What is committed is listed, read, and restored as an edit that is seen live."""
    client = clients[0]
    async with client.documents.open(project, "a", content="one\n") as document:
        document.set_text("one\ntwo\n")
        await document.flush()
        async with asyncio.timeout(90):
            while not (found := await client.documents.history(project, "a").all()):
                await asyncio.sleep(0.2)
        assert found[0].paths == ("a",)
        assert [author.subject for author in found[0].authors] == ["admin"]
        document.set_text("broken\n")
        await document.flush()
        old = await client.documents.revision(project, "a", found[0].id)
        assert old.text == "one\ntwo\n"
        # Its beginning is enough for the command.
        restoring = await _command(
            door, "doc", "restore", "a", found[0].id[:8], "-p", project, "-o", "json"
        )
        assert await asyncio.wait_for(restoring.wait(), 30) == 0
        await until(lambda: document.text == "one\ntwo\n")
        none = await _command(door, "doc", "restore", "a", "0000", "-p", project)
        assert await asyncio.wait_for(none.wait(), 30) == 3


async def test_history_under_a_former_path(
    door: Stack, clients: list[codestudio.AsyncClient], project: str
) -> None:
    """The command follows a document to the name it had, reads it there and brings it back."""
    documents = clients[0].documents

    async def told(*words: str) -> str:
        running = await _command(door, "doc", *words, "-p", project, stdout=asyncio.subprocess.PIPE)
        output, _ = await asyncio.wait_for(running.communicate(), 30)
        assert running.returncode == 0
        return output.decode()

    async def history(path: str, length: int) -> list[codestudio.DocumentRevision]:
        async with asyncio.timeout(90):
            while len(found := await documents.history(project, path).all()) != length:
                await asyncio.sleep(0.2)
        return found

    text = "".join(f"line {number}\n" for number in range(9))
    async with documents.open(project, "cart.py", content=text):
        await history("cart.py", 1)
    async with documents.open(project, "shop/cart.py", content="new\n" + text):
        await documents.delete(project, "cart.py")
        (renamed,) = await history("shop/cart.py", 1)
        assert renamed.paths == ("cart.py", "shop/cart.py")
    followed = json.loads(await told("history", "shop/cart.py", "--follow", "-o", "json"))
    assert [one["path"] for one in followed["revisions"]] == ["shop/cart.py", "cart.py"]
    shown = (await told("history", "shop/cart.py", "--follow")).splitlines()
    assert [line.split()[0] for line in shown[1:]] == [
        one["id"][:12] for one in followed["revisions"]
    ]
    assert "PATH" in shown[0]
    assert "PATH" not in await told("history", "shop/cart.py")
    first = followed["revisions"][1]["id"]
    for revision in (first, first[:8]):
        assert await told("cat", "shop/cart.py", "--revision", revision) == text
    await told("restore", "shop/cart.py", first[:8])
    assert (await documents.get(project, "shop/cart.py")).text == text


async def test_large_text(clients: list[codestudio.AsyncClient], project: str) -> None:
    """Megabytes go in and come out."""
    text = "".join(f"{n} 中\n" for n in range(200_000))
    async with clients[0].documents.open(project, "a", content="") as document:
        document.insert(0, text)
        await document.flush(60)
        async with clients[1].documents.open(project, "a") as other:
            assert other.text == text


async def test_begun_anew_while_its_editor_is_away(
    door: Stack, clients: list[codestudio.AsyncClient], project: str
) -> None:
    """What was typed offline is done again in the new text; of the old one nothing comes back."""
    direct = f"http://127.0.0.1:{door.plan.ports['collaboration']}"
    async with clients[0].documents.open(project, "a", content="old text\n") as document:
        document.insert(0, "older ")
        await document.flush(20)
        before = document.epoch
        await asyncio.to_thread(door.stop, "envoy")
        try:
            await until(lambda: document.connection == "OFFLINE")
            document.insert(len(document.text), "mine\n")
            async with codestudio.AsyncClient(direct, token=token(door)) as other:
                await other.documents.delete(project, "a")
                created = await other.documents.create(project, "a", "new text\n")
        finally:
            await asyncio.to_thread(door.start, "envoy")
        await document.flush(60)
        assert document.epoch == created.epoch != before
        assert document.text == "new text\nmine\n"
        assert (await clients[1].documents.get(project, "a")).text == document.text


async def test_replicas_are_killed(
    door: Stack, clients: list[codestudio.AsyncClient], project: str
) -> None:
    """Replicas die while five type: nothing acknowledged is lost, and nothing stands twice."""
    chance = random.Random(3)
    await clients[0].documents.create(project, "a", "begin\n")
    typed: list[str] = []
    flushed: set[str] = set()
    async with contextlib.AsyncExitStack() as stack:
        documents = [
            await stack.enter_async_context(client.documents.open(project, "a"))
            for client in clients
        ]
        typing = True

        async def type_(who: int, document: codestudio.AsyncDocument) -> None:
            for number in itertools.count():
                if not typing:
                    return
                line = f"{who}.{number} é🙂\n"
                lines = document.text.splitlines(keepends=True)
                document.insert(sum(map(len, lines[: chance.randint(0, len(lines))])), line)
                typed.append(line)
                await asyncio.sleep(chance.uniform(0, 0.05))
                if chance.random() < 0.1:
                    with contextlib.suppress(codestudio.DeadlineExceeded):
                        await document.flush(0.5)
                        flushed.add(line)

        tasks = [asyncio.create_task(type_(*each)) for each in enumerate(documents)]
        for _ in range(2):
            for replica in REPLICAS:
                await asyncio.sleep(1.5)
                programs.kill(door, replica)
        await asyncio.sleep(1.5)
        typing = False
        await asyncio.gather(*tasks)
        await asyncio.gather(*(document.flush(60) for document in documents))
        await until(lambda: len({document.text for document in documents}) == 1)
        text = documents[0].text
    assert len(flushed) > 10
    final = await clients[0].documents.get(project, "a")
    assert final.text == text
    assert sorted(text.splitlines(keepends=True)) == sorted(["begin\n", *typed])
    door.wait_healthy(timeout=60)


async def test_folders_follow_through_kills(door: Stack, project: str, tmp_path: Path) -> None:
    """Two folders, edited by programs while syncs and replicas are killed, end alike and whole."""
    chance = random.Random(5)
    roots = [tmp_path / "one", tmp_path / "other"]
    for root in roots:
        root.mkdir()
    head = "".join(f"# {n}\n" for n in range(20))
    (roots[0] / "a").write_text(head)
    running = [await _sync(door, project, root) for root in roots]
    await until(lambda: _text(roots[1] / "a") == head)
    wanted = set(head.splitlines())
    for number in range(24):
        for root in roots:
            lines = (root / "a").read_text().splitlines(keepends=True)
            lines.insert(chance.randrange(len(lines)), f"{root.name} {number}\n")
            temporary = root / ".a.saving~"
            temporary.write_text("".join(lines))
            temporary.rename(root / "a")
            wanted.add(f"{root.name} {number}")
        await asyncio.sleep(chance.uniform(0.1, 0.5))
        if number % 6 == 2:
            programs.kill(door, chance.choice(REPLICAS))
        if number % 6 == 5 and number < 20:
            which = chance.randrange(2)
            running[which].kill()
            await running[which].wait()
            running[which] = await _sync(door, project, roots[which])

    def same() -> bool:
        one, other = (_text(root / "a") for root in roots)
        return one == other and whole(one, wanted, *roots)

    try:
        await until(same)
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(process.wait(), 30)
    final = _text(roots[0] / "a").splitlines()
    assert sorted(final) == sorted(wanted & set(final))
    assert [process.returncode for process in running] == [0, 0]
    (roots[1] / "a").rename(roots[1] / "b")
    for root in reversed(roots):
        once = await _sync(door, project, root, "--once")
        assert await asyncio.wait_for(once.wait(), 60) == 0
    assert (_text(roots[0] / "a"), _text(roots[0] / "b")) == ("", _text(roots[1] / "b"))
    door.wait_healthy(timeout=60)


async def _command(
    door: Stack, *arguments: str, stdout: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "codestudio.cli", "--gateway", door.plan.gateway_url, *arguments,
        stdout=stdout,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "CODESTUDIO_TOKEN": token(door)},
    )  # fmt: skip


async def _sync(door: Stack, project: str, root: Path, *more: str) -> asyncio.subprocess.Process:
    return await _command(door, "sync", str(root), "-p", project, *more)


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode()
    except FileNotFoundError:
        return ""
