"""OpenDocument, GetDocument and ListDocuments."""

import asyncio
import dataclasses

from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2

from tests.integration.collaboration import rig

TEXT = "grüße, 世界 🙂\r\nzweite Zeile\n"


async def test_open_get(service: rig.Replica) -> None:
    """A document is created with its content, and read back as it is."""
    opened = await service.open("src/main.py", TEXT)
    assert opened.revision == 1
    assert opened.length == len(TEXT)
    assert opened.role == document_pb2.ROLE_EDITOR
    found = await service.get("src/main.py")
    assert (found.text, found.epoch, found.revision) == (TEXT, opened.epoch, 1)
    assert found.name.namespace == "default"


async def test_second_content_is_not_taken(service: rig.Replica) -> None:
    """Whoever opens what is there gets what is there."""
    first = await service.open("a.txt", "one")
    second = await service.open("a.txt", "two")
    assert second.epoch == first.epoch
    assert (await service.get("a.txt")).text == "one"


async def test_many_openers_on_many_replicas_seed_once(parts: rig.Parts) -> None:
    """However many open at once, the content stands once."""
    async with rig.replica(parts) as one, rig.replica(parts) as two:
        opened = await asyncio.gather(
            *(replica.open("a.txt", "hello\n") for replica in (one, two) * 10)
        )
        assert len({document.epoch for document in opened}) == 1
        assert (await one.get("a.txt")).text == (await two.get("a.txt")).text == "hello\n"


async def test_a_large_document(service: rig.Replica) -> None:
    """Sixteen megabytes, more than one record of the database holds, come back."""
    text = "é" * (8 * 1024 * 1024)
    await service.open("large.txt", text)
    assert (await service.get("large.txt")).text == text
    wrong = await rig.refusal(service.open("larger.txt", text + "x"))
    assert wrong.violations[0].field == "initial_content"


async def test_list(service: rig.Replica) -> None:
    """A project's documents are listed in order of path, page by page."""
    paths = ["b.txt", "a/z.txt", "c.txt", "a.txt"]
    for path in paths:
        await service.open(path, path)
    listed: list[str] = []
    token = ""
    while True:
        page = await service.stub.ListDocuments(
            pb.ListDocumentsRequest(
                namespace="default", project=service.parts.project, page_size=3, page_token=token
            ),
            metadata=service.metadata,
        )
        listed += [one.name.path for one in page.documents]
        token = page.next_page_token
        if not token:
            break
    assert listed == sorted(paths)


async def test_what_is_not_there(service: rig.Replica) -> None:
    """Nobody gets an empty document for one that was never opened."""
    assert (await rig.refusal(service.get("none.txt"))).code == "DOCUMENT_NOT_FOUND"


async def test_names(service: rig.Replica) -> None:
    """Everything wrong with a name is told, by field."""
    for path in ("/etc/passwd", "a/../b", "a//b", ".git/hooks/x", "x\x00", "", "é" * 513):
        detail = await rig.refusal(service.open(path))
        assert [one.field for one in detail.violations] == ["name.path"], path
    request = pb.GetDocumentRequest(
        name=document_pb2.DocumentName(namespace="No", project="", path="a/./b")
    )
    detail = await rig.refusal(service.stub.GetDocument(request, metadata=service.metadata))
    assert {one.field for one in detail.violations} == {
        "name.namespace",
        "name.project",
        "name.path",
    }


async def test_namespaces_and_roles(service: rig.Replica) -> None:
    """A namespace is for those whose token names it; a viewer reads and opens nothing."""
    await service.open("a.txt", "x")
    stranger = service.as_user("eve", namespaces=("other",))
    assert (await rig.refusal(service.get("a.txt", stranger))).code == "NAMESPACE_DENIED"
    viewer = service.as_user("vic", "viewer")
    found = await service.get("a.txt", viewer)
    assert (found.text, found.role) == ("x", document_pb2.ROLE_VIEWER)
    assert (await rig.refusal(service.open("b.txt", "", viewer))).code == "PERMISSION_DENIED"


async def test_a_restart_keeps_everything(parts: rig.Parts) -> None:
    """A document outlives the replica that made it, with its history's identity."""
    async with rig.replica(parts) as one:
        opened = await one.open("a.txt", TEXT)
    async with rig.replica(parts) as two:
        found = await two.get("a.txt")
    assert (found.text, found.epoch, found.revision) == (TEXT, opened.epoch, 1)


async def test_what_nobody_uses_makes_room(parts: rig.Parts) -> None:
    """A full replica refuses one more only where all of its documents are open."""
    async with rig.replica(parts, rooms_max=2, **rig.NOTHING_COMMITTED) as service:
        for path in ("a.txt", "b.txt", "c.txt"):
            await service.open(path, path)
        assert (await service.get("a.txt")).text == "a.txt"
        async with service.editor("a.txt"), service.editor("b.txt"):
            detail = await rig.refusal(service.get("c.txt"))
            assert detail.code == "TOO_MANY_DOCUMENTS"


async def test_what_was_typed_just_now_makes_room_too(parts: rig.Parts) -> None:
    """Nobody is refused since others typed a moment ago; what those typed is stored first."""
    over = {"rooms_max": 2, "quiet_seconds": 60.0, **rig.NOTHING_COMMITTED}
    async with rig.replica(parts, **over) as service:
        for path in ("a.txt", "b.txt", "c.txt", "a.txt"):
            await service.open(path)
            async with service.editor(path) as ada:
                ada.insert(0, path)
                await ada.stored()
        assert (await service.get("a.txt")).text == "a.txta.txt"
        everything = pb.ListDocumentsRequest(namespace="default", project=parts.project)
        async with asyncio.timeout(10):
            while True:
                page = await service.stub.ListDocuments(everything, metadata=service.metadata)
                # The length is that of the newest snapshot.
                if all(one.length for one in page.documents[:2]):
                    break
                await asyncio.sleep(0.02)


async def test_one_namespace_does_not_fill_a_replica(parts: rig.Parts) -> None:
    """A namespace at its share is refused, by name and limit; another one still opens."""
    parts = dataclasses.replace(parts, namespace=parts.project)
    over = {"rooms_max": 3, "rooms_namespace_share": 0.5, **rig.NOTHING_COMMITTED}
    async with rig.replica(parts, **over) as service:
        for path in ("a.txt", "b.txt", "c.txt"):
            await service.open(path, path)
        other = pb.OpenDocumentRequest(
            name=parts.name("a.txt", namespace="other"), initial_content="other"
        )
        async with service.editor("a.txt"), service.editor("b.txt"):
            detail = await rig.refusal(service.get("c.txt"))
            assert detail.code == "TOO_MANY_DOCUMENTS"
            assert dict(detail.metadata) == {"limit": "2", "namespace": parts.namespace}
            opened = await service.stub.OpenDocument(other, metadata=service.metadata, timeout=20)
            assert (opened.name.namespace, opened.length) == ("other", len("other"))
        assert (await service.get("c.txt")).text == "c.txt"
