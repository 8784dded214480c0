"""What was written together becomes history: committed, cloned, listed, read, brought back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio as redis
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from codestudio.collaboration.v1 import document_pb2
from prometheus_client import REGISTRY

from services.chassis import leases
from services.collaboration import committing, measures
from services.collaboration.repository import Repository
from services.devstack.stack import Stack
from tests.integration.collaboration import rig
from tests.integration.instance.rig import until

QUICK = {
    "commit_quiet_seconds": 0.6,
    # Longer than until they are quiet: whatever is not committed yet is waited for.
    "commit_together_seconds": 5.0,
    "commit_every": 0.1,
    "commit_lease": 1.0,
    "changes_every": 0.05,
    "changes_lease": 1.0,
}


def location(parts: rig.Parts) -> Path:
    """Return where the project's repository is."""
    return committing.location(parts.settings().repository_root, "default", parts.project)


def git(*arguments: str, where: Path) -> str:
    """Run Git itself."""
    environment = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin", "GIT_CONFIG_NOSYSTEM": "1"}
    done = subprocess.run(
        ["git", *arguments], cwd=where, env=environment, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
async def service(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    async with rig.replica(parts, **QUICK) as running:
        yield running


async def revisions(
    service: rig.Replica, path: str = "", **over: Any
) -> list[document_pb2.Revision]:
    """List revisions, all pages."""
    found, token = [], ""
    while True:
        request = pb.ListRevisionsRequest(
            project=service.parts.project, path=path, page_token=token, **over
        )
        page = await service.stub.ListRevisions(request, metadata=service.metadata, timeout=20)
        found += page.revisions
        token = page.next_page_token
        if not token:
            return found


async def committed(service: rig.Replica, texts: dict[str, str], seconds: float = 20) -> None:
    """Wait until Git has these texts."""
    repository = Repository(location(service.parts))

    async def there() -> bool:
        head = repository.head()
        return bool(head) and all(
            repository.text(head, path) == text for path, text in texts.items()
        )

    await until(there, f"Git has {texts}", seconds)


async def write(service: rig.Replica, path: str, user: str, text: str) -> None:
    """Write something at the beginning of a document, as somebody."""
    async with service.editor(path, user=user) as editor:
        editor.insert(0, text)
        await editor.stored()


@contextlib.asynccontextmanager
async def committed_at_once(parts: rig.Parts) -> AsyncIterator[None]:
    """Have no commit made meanwhile, however long that is: another holds the project."""
    async with redis.Redis.from_url(parts.stack.plan.redis_url) as client:
        held = leases.Lease(client, f"lease:repository:default/{parts.project}", ttl=60)
        while not await held.try_acquire():
            await asyncio.sleep(0.01)
        try:
            yield
        finally:
            await held.release()


@pytest.fixture
async def patient(parts: rig.Parts) -> AsyncIterator[rig.Replica]:
    """A replica that waits long enough for three to write one after the other, however busy."""
    async with rig.replica(parts, **{**QUICK, "commit_quiet_seconds": 3.0}) as running:
        yield running


async def test_quiet_documents_are_one_commit_of_all_who_wrote(
    patient: rig.Replica, tmp_path: Path
) -> None:
    """The first who wrote is the author, the others are co-authors; `git clone` has the texts."""
    service = patient
    await service.open("README.md", "# Hello\n", metadata=service.as_user("ada"))
    await service.open("src/a.py", "", metadata=service.as_user("ada"))
    await committed(service, {"README.md": "# Hello\n", "src/a.py": ""})
    await write(service, "src/a.py", "bob", "x = 1\n")
    await write(service, "README.md", "eve", "é🙂\n")
    await write(service, "src/a.py", "ada", "y = 2\n")
    await committed(service, {"README.md": "é🙂\n# Hello\n", "src/a.py": "y = 2\nx = 1\n"})
    found = await revisions(service)
    assert len(found) == 2
    assert [one.subject for one in found[0].authors] == ["bob", "eve", "ada"]
    assert [one.name for one in found[0].authors] == ["Bob", "Eve", "Ada"]
    assert sorted(found[0].paths) == ["README.md", "src/a.py"]
    assert [one.subject for one in found[1].authors] == ["ada"]
    git("clone", "-q", str(location(service.parts)), "clone", where=tmp_path)
    assert (tmp_path / "clone/src/a.py").read_text() == "y = 2\nx = 1\n"
    assert "Co-authored-by: Eve <eve@" in git("log", "-1", where=tmp_path / "clone")


async def test_a_text_that_is_the_same_again_is_no_commit(service: rig.Replica) -> None:
    """What was typed and taken back leaves no trace, and nobody is named for it later."""
    await service.open("a", "one")
    await committed(service, {"a": "one"})
    async with committed_at_once(service.parts), service.editor("a", user="eve") as editor:
        editor.insert(0, "x")
        await editor.stored()
        editor.delete(0, 1)
        await editor.stored()
    await service.open("b", "later", metadata=service.as_user("bob"))
    await committed(service, {"b": "later"})
    await write(service, "a", "bob", "two ")
    await committed(service, {"a": "two one"})
    found = await revisions(service)
    assert [[one.subject for one in each.authors] for each in found] == [["bob"], ["bob"], ["ada"]]


async def test_a_document_that_is_never_quiet_is_committed_too(parts: rig.Parts) -> None:
    """After the busy time, with what is stored then; the rest follows."""
    busy = {**QUICK, "commit_quiet_seconds": 60.0, "commit_busy_seconds": 1.0}
    async with rig.replica(parts, **busy) as service:
        await service.open("a", "")
        async with service.editor("a", user="eve") as editor:
            repository = Repository(location(parts))
            heads = set()
            for number in itertools.count():
                editor.insert(0, f"{number} ")
                await editor.stored()
                heads.add(repository.head())
                if len(heads - {""}) >= 3:
                    break
                await asyncio.sleep(0.02)
        text = (await service.get("a")).text
        await committed(service, {"a": text})
        found = await revisions(service)
        assert all("eve" in [one.subject for one in each.authors] for each in found[:-1])


async def test_revisions_are_listed_and_read(service: rig.Replica) -> None:
    """In pages, newest first, of a project or of one path; a revision gives its text."""
    async with committed_at_once(service.parts):
        await service.open("a", "0")
        await service.open("b", "0")
    await committed(service, {"a": "0", "b": "0"})
    text = "0"
    for number in (1, 2, 3):
        await write(service, "a", "ada", f"{number}")
        text = f"{number}{text}"
        await committed(service, {"a": text})
    everything = await revisions(service, page_size=1)
    assert [list(one.paths) for one in everything] == [["a"], ["a"], ["a"], ["a", "b"]]
    assert await revisions(service, "b") == everything[3:]
    assert await revisions(service, "nowhere") == []
    request = pb.GetRevisionRequest(name=service.parts.name("a"), revision_id=everything[1].id)
    answer = await service.stub.GetRevision(request, metadata=service.metadata, timeout=20)
    assert (answer.text, answer.revision) == ("210", everything[1])


async def test_a_renamed_document_keeps_its_history(patient: rig.Replica) -> None:
    """Its revisions go on under the path it had; they are read and brought back from there."""
    service, name = patient, patient.parts.name
    await service.open("old.py", "1\n2\n3\n4\n")
    await committed(service, {"old.py": "1\n2\n3\n4\n"})
    await write(service, "old.py", "bob", "0\n")
    await committed(service, {"old.py": "0\n1\n2\n3\n4\n"})
    await service.open("src/new.py", "0\n1\n2\n3\n4\n")
    delete = pb.DeleteDocumentRequest(name=name("old.py"))
    await service.stub.DeleteDocument(delete, metadata=service.metadata, timeout=20)
    await committed(service, {"src/new.py": "0\n1\n2\n3\n4\n"})
    await write(service, "src/new.py", "eve", "x\n")
    await committed(service, {"src/new.py": "x\n0\n1\n2\n3\n4\n"})
    assert len(await revisions(service, "src/new.py")) == 2
    found = await revisions(service, "src/new.py", follow_renames=True)
    assert [one.path for one in found] == ["src/new.py", "src/new.py", "old.py", "old.py"]
    assert sorted(found[1].paths) == ["old.py", "src/new.py"]
    assert found == await revisions(service, "src/new.py", follow_renames=True, page_size=1)
    first = {"name": name("src/new.py"), "revision_id": found[3].id}
    get = pb.GetRevisionRequest(**first, former_path=found[3].path)
    answer = await service.stub.GetRevision(get, metadata=service.metadata, timeout=20)
    assert answer.text == "1\n2\n3\n4\n"
    by_name = service.stub.GetRevision(
        pb.GetRevisionRequest(**first), metadata=service.metadata, timeout=20
    )
    assert (await rig.refusal(by_name)).code == "DOCUMENT_NOT_IN_REVISION"
    restore = pb.RestoreRevisionRequest(**first, former_path=found[3].path)
    async with service.editor("src/new.py", user="bob") as editor:
        await service.stub.RestoreRevision(restore, metadata=service.metadata, timeout=20)
        await editor.until(lambda: editor.text == "1\n2\n3\n4\n")
    gone = service.stub.GetDocument(
        pb.GetDocumentRequest(name=name("old.py")), metadata=service.metadata, timeout=20
    )
    assert (await rig.refusal(gone)).code == "DOCUMENT_NOT_FOUND"


async def test_a_token_is_for_the_listing_it_came_from(service: rig.Replica) -> None:
    """One that follows renames is not gone on with by one that does not, nor the other way."""
    await service.open("a", "0")
    await committed(service, {"a": "0"})
    await write(service, "a", "ada", "1")
    await committed(service, {"a": "10"})
    for follow in (True, False):
        request = pb.ListRevisionsRequest(
            project=service.parts.project, path="a", page_size=1, follow_renames=follow
        )
        page = await service.stub.ListRevisions(request, metadata=service.metadata, timeout=20)
        request.page_token, request.follow_renames = page.next_page_token, not follow
        detail = await rig.refusal(
            service.stub.ListRevisions(request, metadata=service.metadata, timeout=20)
        )
        assert [one.field for one in detail.violations] == ["page_token"]
    of_all = pb.ListRevisionsRequest(project=service.parts.project, follow_renames=True)
    detail = await rig.refusal(
        service.stub.ListRevisions(of_all, metadata=service.metadata, timeout=20)
    )
    assert [one.field for one in detail.violations] == ["follow_renames"]


async def test_a_revision_is_brought_back_live(service: rig.Replica) -> None:
    """Whoever has the document open sees the old text come, keeps what stays, and can go on."""
    lines = [f"line {number}\n" for number in range(200)]
    await service.open("a", "".join(lines))
    await committed(service, {"a": "".join(lines)})
    (first,) = await revisions(service)
    async with service.editor("a", user="eve") as editor:
        at = editor.text.index("line 100")
        editor.splice(at, len("line 100\n"), "something else\n")
        editor.insert(0, "new\n")
        await editor.stored()
        await committed(service, {"a": editor.text})
        editor.received.clear()
        request = pb.RestoreRevisionRequest(name=service.parts.name("a"), revision_id=first.id)
        bob = service.as_user("bob")
        async with committed_at_once(service.parts):
            restored = await service.stub.RestoreRevision(request, metadata=bob, timeout=20)
            assert restored.text == "".join(lines)
            await editor.until(lambda: editor.text == "".join(lines))
            assert sum(map(len, editor.received)) < 300
            editor.insert(0, "on\n")
            await editor.stored()
    await committed(service, {"a": "on\n" + "".join(lines)})
    (newest, *_) = await revisions(service)
    assert {one.subject for one in newest.authors} == {"bob", "eve"}


async def test_a_deleted_document_goes_and_can_be_brought_back(service: rig.Replica) -> None:
    """Its deletion is a revision of whoever did it; restored, it is there again for all."""
    async with committed_at_once(service.parts):
        await service.open("a", "one")
        await service.open("b", "stays")
    await committed(service, {"a": "one", "b": "stays"})
    (first,) = await revisions(service)
    name = service.parts.name("a")
    bob = service.as_user("bob")
    delete = pb.DeleteDocumentRequest(name=name)
    await service.stub.DeleteDocument(delete, metadata=bob, timeout=20)
    repository = Repository(location(service.parts))

    async def gone() -> bool:
        return repository.text(repository.head(), "a") is None

    await until(gone, "Git has the deletion")
    (newest, *_) = await revisions(service, "a")
    assert ([one.subject for one in newest.authors], newest.message) == (["bob"], "Delete a\n")
    assert repository.text(newest.id, "b") == "stays"
    restore = pb.RestoreRevisionRequest(name=name, revision_id=first.id)
    restored = await service.stub.RestoreRevision(restore, metadata=bob, timeout=20)
    assert (restored.text, restored.revision) == ("one", 1)
    await committed(service, {"a": "one"})


async def test_what_was_in_the_way_goes(service: rig.Replica) -> None:
    """A document that had a file's name for its folder is in Git once that file is deleted."""
    await service.open("a", "file")
    await committed(service, {"a": "file"})
    before = left_out()
    await service.open("a/b", "inner", metadata=service.as_user("bob"))

    async def told() -> bool:
        return left_out() > before

    await until(told, "it was left out")
    await service.open("c", "other")
    await committed(service, {"c": "other"})
    assert left_out() == before + 1
    delete = pb.DeleteDocumentRequest(name=service.parts.name("a"))
    await service.stub.DeleteDocument(delete, metadata=service.metadata, timeout=20)
    await committed(service, {"a/b": "inner"})
    (made,) = await revisions(service, "a/b")
    assert [one.subject for one in made.authors] == ["bob"]


def left_out() -> float:
    """Count the documents that could not be in Git so far."""
    return REGISTRY.get_sample_value("codestudio_collaboration_git_left_out_total") or 0.0


async def test_a_document_that_is_opened_again_is_committed(service: rig.Replica) -> None:
    """Deleted and opened in one breath, edited or not: Git gets what is there in the end."""
    for path in ("same", "other", "edited"):
        await service.open(path, "old")
    await committed(service, {"same": "old", "other": "old", "edited": "old"})
    for path in ("same", "other", "edited"):
        delete = pb.DeleteDocumentRequest(name=service.parts.name(path))
        await service.stub.DeleteDocument(delete, metadata=service.metadata, timeout=20)
        await service.open(path, "old" if path == "same" else "new")
    await write(service, "edited", "eve", "and ")
    await committed(service, {"same": "old", "other": "new", "edited": "and new"})
    (newest, *_) = await revisions(service, "edited")
    assert "eve" in [one.subject for one in newest.authors]
    await write(service, "same", "eve", "more ")
    await committed(service, {"same": "more old"})


async def test_a_large_text_is_brought_back(service: rig.Replica) -> None:
    """Also where it is larger than one update may be."""
    large = "".join(f"{number:>9}\n" for number in range(500_000))
    await service.open("a", large)
    await committed(service, {"a": large}, seconds=60)
    (first,) = await revisions(service)
    async with service.editor("a") as editor:
        editor.delete(0, len(large))
        await editor.stored()
    request = pb.RestoreRevisionRequest(name=service.parts.name("a"), revision_id=first.id)
    restored = await service.stub.RestoreRevision(request, metadata=service.metadata, timeout=60)
    assert restored.text == large


async def test_what_cannot_be_had(service: rig.Replica) -> None:
    """Each refusal has its own code and names what it is about."""
    async with committed_at_once(service.parts):
        await service.open("a", "1")
        await service.open("c", "1")
    await committed(service, {"a": "1", "c": "1"})
    (first,) = await revisions(service)
    await service.open("b", "1")
    name = service.parts.name
    get, restore = pb.GetRevisionRequest, pb.RestoreRevisionRequest
    cases = (
        (get(name=name("a"), revision_id="0" * 40), "REVISION_NOT_FOUND"),
        (get(name=name("b"), revision_id=first.id), "DOCUMENT_NOT_IN_REVISION"),
        (get(name=name("a", project="none"), revision_id=first.id), "REVISION_NOT_FOUND"),
        (restore(name=name("a"), revision_id="0" * 40), "REVISION_NOT_FOUND"),
        (restore(name=name("b"), revision_id=first.id), "DOCUMENT_NOT_IN_REVISION"),
    )
    for request, code in cases:
        call = (
            service.stub.GetRevision if isinstance(request, get) else service.stub.RestoreRevision
        )
        assert (
            await rig.refusal(call(request, metadata=service.metadata, timeout=20))
        ).code == code
    viewer = service.as_user("vic", "viewer")
    reading = get(name=name("a"), revision_id=first.id)
    assert (await service.stub.GetRevision(reading, metadata=viewer, timeout=20)).text == "1"
    writing = restore(name=name("a"), revision_id=first.id)
    denied = await rig.refusal(service.stub.RestoreRevision(writing, metadata=viewer, timeout=20))
    assert denied.code == "PERMISSION_DENIED"
    elsewhere = service.as_user("ada", namespaces=("lab",))
    denied = await rig.refusal(service.stub.GetRevision(reading, metadata=elsewhere, timeout=20))
    assert denied.code == "NAMESPACE_DENIED"


async def test_wrong_requests_are_told_by_field(service: rig.Replica) -> None:
    """Everything that is wrong with a request, at once."""
    request = pb.ListRevisionsRequest(
        namespace="No", project="No", path="../x", page_size=-1, page_token="nonsense"
    )
    detail = await rig.refusal(
        service.stub.ListRevisions(request, metadata=service.metadata, timeout=20)
    )
    assert {one.field for one in detail.violations} == {
        "namespace",
        "project",
        "path",
        "page_size",
        "page_token",
    }
    get = pb.GetRevisionRequest(name=service.parts.name("/x"), revision_id="HEAD")
    detail = await rig.refusal(service.stub.GetRevision(get, metadata=service.metadata, timeout=20))
    assert {one.field for one in detail.violations} == {"name.path", "revision_id"}


async def test_of_two_replicas_one_commits(parts: rig.Parts) -> None:
    """Both look, one writes: every change is in one commit, and the branch is one line."""
    async with rig.replica(parts, **QUICK) as one, rig.replica(parts, **QUICK) as other:
        for number in range(6):
            service = (one, other)[number % 2]
            await service.open(f"f{number}", "")
            await write((one, other)[(number + 1) % 2], f"f{number}", f"user{number}", "x")
            await committed(service, {f"f{number}": "x"})
        found = await revisions(one)
        paths = [path for each in found for path in each.paths]
        writers = {one.subject for each in found for one in each.authors}
        assert writers >= {f"user{number}" for number in range(6)}
        assert set(paths) == {f"f{number}" for number in range(6)}
        log = git("log", "--format=%H", "main", where=location(parts)).split()
        assert log == [each.id for each in found]


async def test_a_lease_that_is_held_elsewhere_is_respected(
    parts: rig.Parts, infrastructure: Stack
) -> None:
    """While another has the project nobody commits; when it has died, somebody does."""
    async with (
        rig.replica(parts, **QUICK) as service,
        redis.Redis.from_url(infrastructure.plan.redis_url) as client,
    ):
        key = f"lease:repository:default/{parts.project}"
        held = leases.Lease(client, key, ttl=2.5)
        assert await held.try_acquire()
        await service.open("a", "1")
        mine = await client.get(key)
        repository = Repository(location(parts))
        while True:
            head = repository.head()
            if await client.get(key) != mine:
                break
            assert head == ""
            await asyncio.sleep(0.05)
        await committed(service, {"a": "1"})


async def test_the_log_is_not_cut_ahead_of_who_keeps_the_writers(
    parts: rig.Parts, infrastructure: Stack
) -> None:
    """While nobody follows the log it stays whole, however many snapshots; then all are named."""
    quick = {**QUICK, "quiet_seconds": 0.2}
    key = "lease:code-changes"
    async with redis.Redis.from_url(infrastructure.plan.redis_url) as client:
        held = leases.Lease(client, key, ttl=60)
        while not await held.try_acquire():
            await asyncio.sleep(0.05)
        async with rig.replica(parts, **quick) as service:
            await service.open("a", "")
            for user in ("bob", "eve", "kim"):
                before = snapshots()
                await write(service, "a", user, f"{user} ")

                async def stored(before: float = before) -> bool:
                    return snapshots() > before

                await until(stored, "a snapshot")
            await held.release()
            await committed(service, {"a": "kim eve bob "})
            found = await revisions(service)
            writers = {one.subject for each in found for one in each.authors}
            assert writers >= {"bob", "eve", "kim"}


def snapshots() -> float:
    """Count the snapshots stored by this process."""
    (metric,) = measures.SNAPSHOTS.collect()
    return next(one.value for one in metric.samples if one.name.endswith("_total"))
