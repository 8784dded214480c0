"""The endpoint /yjs: with the real packages yjs and y-websocket, and with what they never send."""

import asyncio
import contextlib
import shutil
import socket
from pathlib import Path
from typing import Any

import aiohttp
import codestudio
import pycrdt
import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb

from services.chassis import authentication
from services.collaboration import history, yframes, ywire
from tests import counted
from tests.integration.collaboration import rig
from tests.integration.collaboration.editor import Editor
from tests.integration.collaboration.node_editor import node
from tests.integration.collaboration.process import process
from tests.integration.config import rig as config_rig

_FRAMES = "codestudio_collaboration_frames_total"
_RESYNCS = "codestudio_collaboration_resyncs_total"


def url(service: rig.Replica) -> str:
    return f"ws://127.0.0.1:{service.web_port}/yjs"


def room(service: rig.Replica, path: str = "src/main file.py") -> str:
    return f"default/{service.parts.project}/{path}"


async def test_real_editors(parts: rig.Parts, each_node_folder: Path) -> None:
    """Editors from npm on two replicas, and a client of Collaborate, edit one document."""
    node_folder = each_node_folder
    async with (
        rig.replica(parts) as one,
        rig.replica(parts) as two,
        node(node_folder, url(one), room(one), parts.token("ada")) as ada,
        node(node_folder, url(two), room(two), parts.token("bob")) as bob,
    ):
        assert await ada("synced")
        assert await bob("synced")
        await ada("insert", at=0, what="grüße 🙂\n")
        assert await bob("until", text="grüße 🙂\n")
        await bob("insert", at=8, what="!")
        assert await ada("until", text="grüße 🙂!\n")
        async with two.editor("src/main file.py", user="cyd") as cyd:
            await cyd.until(lambda: cyd.text == "grüße 🙂!\n")
            cyd.insert(0, "汉")
            assert await ada("until", text="汉grüße 🙂!\n")
            # Offline, both edit; then both have all of it.
            await ada("offline")
            await ada("insert", at=0, what="A")
            cyd.insert(len(cyd.text), "C")
            await ada("online")
            assert await ada("until", text="A汉grüße 🙂!\nC")
            await cyd.until(lambda: cyd.text == "A汉grüße 🙂!\nC")
        await ada("say", state={"user": {"name": "Ada"}})
        await bob("say", state={"user": {"name": "Bob"}})
        assert await bob("people", count=2)
        assert {"user": {"name": "Ada"}} in await bob("states")
        await ada("offline")
        assert await bob("people", count=1)


async def test_a_viewer(service: rig.Replica, node_folder: Path) -> None:
    """A viewer reads and shows a cursor; what it writes is nobody else's."""
    await service.open("a.txt", "x")
    where = room(service, "a.txt")
    tokens = service.parts.token("ada"), service.parts.token("vic", "viewer")
    async with (
        node(node_folder, url(service), where, tokens[0]) as ada,
        node(node_folder, url(service), where, tokens[1]) as viewer,
    ):
        assert await ada("until", text="x")
        assert await viewer("until", text="x")
        await viewer("insert", at=0, what="evil")
        await viewer("say", state={"cursor": 1})
        assert await ada("people", count=2)
        await ada("insert", at=1, what="y")
        assert await viewer("until", text="evilxy")
        assert await ada("text") == "xy"
        async with asyncio.timeout(10):
            # Seen at once, stored a moment later.
            while (await service.get("a.txt")).text == "x":
                await asyncio.sleep(0.01)
        assert (await service.get("a.txt")).text == "xy"


@pytest.mark.parametrize(
    ("token", "path", "code"),
    [
        ("", "a.txt", 4401),
        ("rubbish", "a.txt", 4401),
        ("eve", "a.txt", 4403),
        ("vic", "never opened.txt", 4404),
        ("ada", "../../etc/passwd", 4400),
        ("ada", ".git/config", 4400),
    ],
)
async def test_refusals(
    service: rig.Replica, node_folder: Path, token: str, path: str, code: int
) -> None:
    """Who is refused for good stops trying, and is told why."""
    known = {
        "ada": service.parts.token("ada"),
        "eve": service.parts.token("eve", namespaces=("other",)),
        "vic": service.parts.token("vic", "viewer"),
    }
    where = room(service, path.replace("../", "%2E%2E%2F"))
    async with node(node_folder, url(service), where, known.get(token, token)) as editor:
        found, reason = await editor("closed")
        assert found == code
        assert reason
        assert not await editor("reconnecting")


async def _connect(
    session: aiohttp.ClientSession, service: rig.Replica, path: str = "a.txt", **over: Any
) -> aiohttp.ClientWebSocketResponse:
    token = service.parts.token("ada")
    return await session.ws_connect(
        f"{url(service)}/{room(service, path)}?token={token}", max_msg_size=0, **over
    )


def _update(size: int) -> bytes:
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    doc.get("content", type=pycrdt.Text).insert(0, "x" * size)
    return yframes.update(doc.get_update())


_MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", 4400),
        (b"\x00", 4400),
        (b"\x00\x02\xff\xff\xff\xff\x7f", 4400),
        (b"\x00\x02\x08\xce\xb2\xa8\x49\xc9\x97\x84\xb9", 4400),
        (b"\x00\x00\x02\xff\xff", 4400),
        (b"\x00\x07\x00", 4400),
        (b"\x01\x03\x01\x07\x01", 4400),
        (yframes.awareness(b"\x01\x07\x01\x04{..}"), 4400),
        (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 4400),
        ("text", 4400),
        (_update(4 * _MIB), 4413),
        (b"\x00\x02" + bytes(6 * _MIB), 4413),
        (b"\x01" + bytes(6 * _MIB), 4413),
        (b"\x00\x02" + bytes(30 * _MIB), 4413),
    ],
)
async def test_hostile_messages(service: rig.Replica, message: bytes | str, code: int) -> None:
    """What no client sends closes the one that did, and nobody else notices."""
    await service.open("a.txt", "x")
    async with service.editor("a.txt") as ada, aiohttp.ClientSession() as session:
        socket = await _connect(session, service)
        if isinstance(message, str):
            await socket.send_str(message)
        else:
            # One that is closed in the middle of a message may break before that is read.
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(message)
        async with asyncio.timeout(10):
            while (await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
        broke = socket.close_code == 1006 and len(message) > 20 * _MIB
        assert broke or socket.close_code == code
        ada.insert(1, "y")
        await ada.stored()
        assert (await service.get("a.txt")).text == "xy"


async def test_a_paste_that_is_too_large(service: rig.Replica, node_folder: Path) -> None:
    """An editor that sends more than an edit may have is told so, and does not send it again."""
    token = service.parts.token("ada")
    async with node(node_folder, url(service), room(service, "a.txt"), token) as ada:
        assert await ada("synced")
        await ada("insert", at=0, what="x" * 5 * _MIB)
        found, reason = await ada("closed")
        assert (found, reason.partition(":")[0]) == (4413, "UPDATE_TOO_LARGE")
        assert not await ada("reconnecting")


async def test_too_many_documents_are_a_matter_of_time(parts: rig.Parts) -> None:
    """Whoever finds no room for a document now is not sent away for good."""
    async with (
        rig.replica(parts, rooms_max=1, **rig.NOTHING_COMMITTED) as service,
        aiohttp.ClientSession() as session,
    ):
        first = await _connect(session, service, "a.txt")
        second = await _connect(session, service, "b.txt")
        await second.receive(10)
        assert second.close_code == 4503
        await first.close()


async def test_a_load_that_hangs(parts: rig.Parts) -> None:
    """A document is told of when all of it is here; what was sent meanwhile is taken then."""
    async with rig.replica(parts) as one:
        await one.open("a.txt", "kept")
    async with rig.replica(parts) as two, aiohttp.ClientSession() as session:
        doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
        doc.get("content", type=pycrdt.Text).insert(0, "behind")
        with rig.hanging(parts.stack, "mongo"):
            socket = await _connect(session, two)
            await socket.send_bytes(yframes.step1(doc.get_state()))
            await socket.send_bytes(yframes.update(doc.get_update()))
            receiving = asyncio.create_task(socket.receive_bytes())
            await asyncio.wait([receiving], timeout=0.5)
            assert not receiving.done()
        reader = ywire.Reader(await receiving)
        assert (reader.uint(), reader.uint()) == (yframes.SYNC, yframes.STEP_1)
        assert ywire.read_state_vector(reader.bytes())
        # Of two who write at the beginning, either may be first.
        whole = ("keptbehind", "behindkept")
        async with asyncio.timeout(20):
            while history.content(doc) not in whole:
                reader = ywire.Reader(await socket.receive_bytes())
                if reader.uint() == yframes.SYNC and reader.uint() != yframes.STEP_1:
                    doc.apply_update(reader.bytes())
            while (await two.get("a.txt")).text != history.content(doc):
                await asyncio.sleep(0.01)
        await socket.close()


async def test_silence(service: rig.Replica) -> None:
    """A quiet connection says something, and asks for nothing that changed nothing."""
    async with aiohttp.ClientSession() as session:
        socket = await _connect(session, service)
        assert (await socket.receive(10)).data[:2] == bytes((yframes.SYNC, yframes.STEP_1))
        assert (await socket.receive(10)).data == yframes.NOTHING
        await socket.close()


async def test_tokens_in_sub_protocols(service: rig.Replica) -> None:
    """A browser may give its token as a sub-protocol."""
    async with aiohttp.ClientSession() as session:
        protocols = ("codestudio", service.parts.token("ada"))
        socket = await session.ws_connect(
            f"{url(service)}/{room(service, 'a.txt')}", protocols=protocols
        )
        assert socket.protocol == "codestudio"
        assert (await socket.receive(10)).data[:2] == bytes((yframes.SYNC, yframes.STEP_1))
        await socket.close()


async def test_cookies_count_from_our_own_pages_only(parts: rig.Parts) -> None:
    """A browser that is signed in needs nothing else, unless another site's page asks."""
    async with (
        rig.replica(parts, gateway_url="http://localhost:3000") as service,
        aiohttp.ClientSession() as session,
    ):
        host = f"127.0.0.1:{service.web_port}"
        cookie = f"codestudio_session={parts.token('ada')}"
        for origin, welcome in ((f"http://{host}", True), ("https://evil.example", False)):
            socket = await session.ws_connect(
                f"{url(service)}/{room(service, 'a.txt')}",
                headers={"Cookie": cookie, "Origin": origin},
            )
            message = await socket.receive(10)
            if welcome:
                assert message.data[:2] == bytes((yframes.SYNC, yframes.STEP_1))
            else:
                while message.type is aiohttp.WSMsgType.BINARY:
                    message = await socket.receive(10)
                assert socket.close_code == 4403
            await socket.close()


async def test_a_connection_ends_with_its_token(service: rig.Replica, node_folder: Path) -> None:
    """Once its token has expired nobody reads or writes on; an editor does not try again."""
    await service.open("a.txt", "x")
    async with node(node_folder, url(service), room(service, "a.txt"), connect=False) as ada:
        assert await ada("text") == ""  # it runs: the token is for what it does from here on
        token = service.parts.token("ada", lifetime=4 - authentication.LEEWAY)
        await ada("online", token=token)
        assert await ada("until", text="x")
        found, reason = await ada("closed")
        assert (found, reason.partition(":")[0]) == (4401, "TOKEN_EXPIRED")
        assert not await ada("reconnecting")
        await ada("insert", at=0, what="late ")
    assert (await service.get("a.txt")).text == "x"


def _narrow() -> aiohttp.TCPConnector:
    """Make connections of which the system holds little that is not read."""

    def made(address: Any) -> socket.socket:
        one = socket.socket(*address[:3])
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        return one

    return aiohttp.TCPConnector(socket_factory=made)


async def test_a_slow_reader_is_given_everything_in_the_end(parts: rig.Parts) -> None:
    """One that does not read for a while falls behind, and has the whole document after."""
    async with (
        rig.replica(parts, backlog_bytes=100_000, flush_per_socket=0) as service,
        aiohttp.ClientSession(connector=_narrow()) as session,
    ):
        opened = await service.open("a.txt", "")
        reader = await _connect(session, service)
        async with service.editor("a.txt") as ada:
            resyncs = counted.value(_RESYNCS, why="slow")
            sent, unsent = -1.0, 0
            # Until the way is full, and more than what is kept for anybody has not left.
            async with asyncio.timeout(60):
                while unsent < 10:
                    ada.insert(0, "x" * 50_000)
                    await ada.stored()
                    before, sent = sent, counted.value(_FRAMES, protocol="yjs")
                    unsent = unsent + 1 if sent == before else 0
            doc = history.replay(history.seed("", opened.epoch), [])
            async with asyncio.timeout(60):
                while history.content(doc) != ada.text:
                    message = ywire.Reader((await reader.receive()).data)
                    if message.uint() == yframes.SYNC and message.uint() != yframes.STEP_1:
                        doc.apply_update(message.bytes())
            assert counted.value(_RESYNCS, why="slow") > resyncs
            await reader.close()


async def test_silent_readers_fill_no_memory(parts: rig.Parts) -> None:
    """What they lack is kept for none of them: edits cost no more memory than without them."""
    edits, size = 300, 250_000
    async with (
        process(parts, backlog_bytes=500_000) as (running, service),
        aiohttp.ClientSession(connector=_narrow()) as session,
    ):
        await service.open("a.txt", "")

        async def grown(ada: Editor) -> int:
            before = running.memory()
            for _ in range(edits):
                ada.insert(0, "x" * size)
                ada.delete(0, size)
                await ada.stored()
            return running.memory() - before

        async with service.editor("a.txt") as ada:
            await grown(ada)  # what editing takes at all
            silent = [await _connect(session, service) for _ in range(10)]
            assert await grown(ada) < edits * size / 2
        for one in silent:
            await one.close()


async def test_many_questions_have_few_answers(parts: rig.Parts) -> None:
    """However often one asks that does not read, one document at a time is made for it."""
    async with rig.replica(parts) as service, aiohttp.ClientSession() as session:
        size = 1_000_000
        await service.open("a.txt", "x" * size)
        socket = await _connect(session, service)
        for _ in range(200):
            await socket.send_bytes(yframes.step1(b"\x00"))
            await socket.send_bytes(bytes((yframes.QUERY_AWARENESS,)))
        await socket.send_str("the end")
        answers = 0
        async with asyncio.timeout(20):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.BINARY:
                answers += len(message.data) > size
        assert 0 < answers < 100


async def test_open_connections_are_compared_as_often_as_is_set_now(
    parts: rig.Parts, tmp_path: Path
) -> None:
    """A shorter time between comparisons is not for connections to come only."""
    shutil.copytree("deploy/config", tmp_path / "base")
    configured = config_rig.Parts(parts.stack, f"test-{parts.project}", tmp_path)
    interval = "collaboration.sync_interval"
    async with (
        config_rig.replica(configured) as config,
        rig.replica(
            parts, mesh_address=f"127.0.0.1:{config.port}", heartbeat_seconds=30.0
        ) as service,
        aiohttp.ClientSession() as session,
    ):
        await config.set(interval, 60_000, service="collaboration-service")
        await _applied(1)
        await service.open("a.txt", "x")
        socket = await _connect(session, service)
        await _until_frame(socket, yframes.STEP_1)
        async with service.editor("a.txt") as ada:
            ada.insert(0, "y")
            await ada.stored()
        await _until_frame(socket, yframes.UPDATE)
        await config.set(interval, 50, service="collaboration-service")
        await _until_frame(socket, yframes.STEP_1)
        await socket.close()


async def _applied(revision: int) -> None:
    async with asyncio.timeout(10):
        while counted.value("codestudio_config_applied_revision") != revision:
            await asyncio.sleep(0.01)


async def _until_frame(socket: aiohttp.ClientWebSocketResponse, kind: int) -> None:
    """Receive up to a message of the sync protocol of some kind."""
    async with asyncio.timeout(10):
        while (await socket.receive_bytes())[:2] != bytes((yframes.SYNC, kind)):
            pass


async def test_another_history_is_never_merged(service: rig.Replica, node_folder: Path) -> None:
    """Who was away while the document was deleted and begun anew, empty or not, is told."""
    name = service.parts.name("a.txt")
    for content in ("", "new\n"):
        await service.open("a.txt", "")
        place = room(service, "a.txt")
        async with node(node_folder, url(service), place, service.parts.token("ada")) as ada:
            assert await ada("synced")
            await ada("insert", at=0, what="old")
            async with service.editor("a.txt", user="bob") as bob:
                await bob.until(lambda bob=bob: bob.text == "old")
            await ada("offline")
            await ada("insert", at=3, what=" and offline")
            request = pb.DeleteDocumentRequest(name=name)
            await service.stub.DeleteDocument(request, metadata=service.metadata, timeout=20)
            await service.open("a.txt", content)
            await ada("online")
            code, reason = await ada("refused")
            assert (code, reason.partition(":")[0]) == (4409, "EPOCH_MISMATCH")
            assert not await ada("reconnecting")
            assert await ada("text") == "old and offline"
        assert (await service.get("a.txt")).text == content
        await service.stub.DeleteDocument(request, metadata=service.metadata, timeout=20)


def test_the_texts_name() -> None:
    """Yjs editors find the text where the contract says."""
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.apply_update(history.seed("x"))
    assert str(doc.get("content", type=pycrdt.Text)) == "x"


async def test_cursors_across_languages(service: rig.Replica, node_folder: Path) -> None:
    """Cursors of a Yjs editor and of our client mean the same places, whatever the characters."""
    text = "é🙂 中文\r\n👩\u200d💻 word\n"
    await service.open("a.txt", text)
    address = f"http://{service.address}"
    async with (
        codestudio.AsyncClient(address, token=service.parts.token("cyd")) as client,
        client.documents.open(service.parts.project, "a.txt", user="Cyd") as doc,
        node(node_folder, url(service), room(service, "a.txt"), service.parts.token("ada")) as ada,
    ):
        assert await ada("until", text=text)
        # Blocks of several clients, cut within each other, and text that is gone.
        await ada("insert", at=3, what="🙃é")
        doc.insert(0, "x中")
        doc.delete(6, 1)
        await doc.flush()
        assert await ada("until", text=doc.text)
        offsets = range(len(doc.text) + 1)
        utf16 = [len(doc.text[:offset].encode("utf-16-le")) // 2 for offset in offsets]
        for offset in offsets:
            doc.set_cursor(offset)
            async with asyncio.timeout(20):
                while await ada("pointed", name="Cyd") != [utf16[offset]] * 2:
                    await asyncio.sleep(0.01)
        await ada("say", state={"user": {"name": "Ada"}})
        for offset in offsets:
            await ada("point", anchor=0, head=utf16[offset])
            async with asyncio.timeout(20):
                while [(c.name, c.anchor, c.head) for c in doc.cursors] != [("Ada", 0, offset)]:
                    await asyncio.sleep(0.01)
