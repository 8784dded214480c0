"""`codestudio doc`."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

import codestudio
from codestudio.cli import _editing, _output
from codestudio.cli._session import Session, command

app = typer.Typer(no_args_is_help=True, help="Read, edit and follow documents of a project.")

PathOf = Annotated[str, typer.Argument(metavar="PATH", help="Path within the project.")]
Project = Annotated[str, typer.Option("--project", "-p", help="The project.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the project.")]
RevisionId = Annotated[
    str, typer.Argument(help="Id of the revision, or how it begins, from `doc history`.")
]
_ID_LENGTH = 40
Limit = Annotated[int, typer.Option(help="Most to show; 0 for all.", min=0)]


@command(app, "list")
def list_(session: Session, *, project: Project, namespace: Namespace = "default") -> None:
    """List the documents of a project. Example: codestudio doc list -p shop."""
    with session.client() as client:
        found = client.documents.list(project, namespace, page_size=1000).all()
    fields = {"documents": [each.to_dict() for each in found], "next_page_token": ""}

    def table() -> None:
        _output.table(
            ("PATH", "REVISION", "LENGTH", "CHANGED"),
            [
                (each.path, str(each.revision), str(each.length), _output.age(each.update_time))
                for each in found
            ],
            empty="The project has no documents.",
        )

    session.show(fields, table)


@command(app, "cat")
def cat(
    session: Session,
    path: PathOf,
    *,
    project: Project,
    namespace: Namespace = "default",
    revision: Annotated[str, typer.Option(help="As it was at this revision.")] = "",
) -> None:
    """Print a document as it is. Example: codestudio doc cat -p shop src/main.py."""
    with session.client() as client:
        if revision:
            id_, former = _whole(client, project, path, namespace, revision)
            old = client.documents.revision(project, path, id_, namespace, former_path=former)
            text, fields = old.text, {"revision": old.revision.to_dict(), "text": old.text}
        else:
            document = client.documents.get(project, path, namespace)
            text, fields = document.text, document.to_dict()

    def write() -> None:
        # Not print: the text is given as it is, its line endings too.
        sys.stdout.buffer.write(text.encode())
        sys.stdout.buffer.flush()

    session.show(fields, write)


@command(app, "edit")
def edit(
    session: Session,
    path: PathOf,
    *,
    project: Project,
    namespace: Namespace = "default",
    create: Annotated[bool, typer.Option("--create", help="Create it if there is none.")] = False,
) -> None:
    """Edit a document in $EDITOR while others do: every save is merged, theirs stays.

    Example: EDITOR=vim codestudio doc edit -p shop src/main.py
    """
    program = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with _editing.kept_if_unstored(Path(path).name) as file:
        result = asyncio.run(
            _edit(session, program, file, path, project, namespace, "" if create else None)
        )
    session.show(result, lambda: _output.say(_edited(result)))
    if result["editor_exit_code"]:
        raise typer.Exit(1)


@command(app, "watch")
def watch(
    session: Session,
    path: PathOf,
    *,
    project: Project,
    namespace: Namespace = "default",
) -> None:
    """Print changes of a document as they come. Example: codestudio doc watch -p shop a.py."""
    with (
        session.client() as client,
        client.documents.open(project, path, namespace) as document,
    ):
        _output.say(f"{document.path}, {len(document.text)} characters. Ctrl-C ends.")
        for change in document.changes():
            for fields in _changes(change, document.revision):
                if session.for_people:
                    by = ", ".join(fields["authors"]) or "somebody"
                    print(
                        f"{by} at {fields['offset']}: "
                        f"{fields['deleted']!r} -> {fields['inserted']!r}",
                        flush=True,
                    )
                else:
                    _output.structured_item(fields, session.format)


@command(app, "history")
def history(
    session: Session,
    path: Annotated[str, typer.Argument(help="Path; all of the project without.")] = "",
    *,
    project: Project,
    namespace: Namespace = "default",
    follow: Annotated[bool, typer.Option("--follow", help="Under former paths too.")] = False,
    limit: Limit = 50,
) -> None:
    """List the revisions of a document, newest first. Example: codestudio doc history -p shop."""
    with session.client() as client:
        found: list[codestudio.DocumentRevision] = []
        for each in client.documents.history(project, path, namespace, follow_renames=follow):
            found.append(each)
            if len(found) == limit:
                break
    fields = {"revisions": [each.to_dict() for each in found], "next_page_token": ""}

    def table() -> None:
        _output.table(
            ("REVISION", "AGE", "AUTHORS", *(("PATH",) if follow else ()), "MESSAGE"),
            [
                (
                    each.id[:12],
                    _output.age(each.create_time),
                    ", ".join(author.name or author.subject for author in each.authors),
                    *((each.path,) if follow else ()),
                    each.message.partition("\n")[0],
                )
                for each in found
            ],
            empty="There are no revisions yet.",
        )

    session.show(fields, table)


@command(app, "restore")
def restore(
    session: Session,
    path: PathOf,
    revision: RevisionId,
    *,
    project: Project,
    namespace: Namespace = "default",
) -> None:
    """Make a document what it was at a revision: an edit everyone sees live."""
    with session.client() as client:
        id_, former = _whole(client, project, path, namespace, revision)
        document = client.documents.restore(project, path, id_, namespace, former_path=former)
    session.show(
        document.to_dict(),
        lambda: _output.say(f"{path} is as it was at {revision}, revision {document.revision} now"),
    )


@command(app, "delete")
def delete(
    session: Session,
    path: PathOf,
    *,
    project: Project,
    namespace: Namespace = "default",
    revision: Annotated[int, typer.Option(help="Only if it is still at this.", min=0)] = 0,
) -> None:
    """Delete a document, for all. Example: codestudio doc delete -p shop old.py."""
    with session.client() as client:
        client.documents.delete(project, path, namespace, revision=revision)
    session.show({"path": path, "deleted": True}, lambda: _output.say(f"{path} is deleted"))


def _whole(
    client: codestudio.Client, project: str, path: str, namespace: str, revision: str
) -> tuple[str, str]:
    """Complete the id of a revision; also give the path the document had then.

    Raises NotFound, and InvalidArgument for two of them.
    """
    found: dict[str, str] = {}
    # What had the path before a rename to it comes second.
    for follow in (True, False):
        history = client.documents.history(
            project, path, namespace, page_size=1000, follow_renames=follow
        )
        found = {each.id: each.path for each in history if each.id.startswith(revision.lower())}
        if found:
            break
    if len(revision) >= _ID_LENGTH:
        # It may be one that did not change the document.
        return revision, found.get(revision, "")
    if not found:
        raise codestudio.NotFound(f"{path} has no revision {revision}", code="REVISION_NOT_FOUND")
    if len(found) > 1:
        raise codestudio.InvalidArgument(f"{len(found)} revisions begin with {revision}")
    return found.popitem()


async def _edit(
    session: Session,
    program: str,
    file: Path,
    path: str,
    project: str,
    namespace: str,
    content: str | None,
) -> dict[str, Any]:
    """Let an editor work on a file; every save of it is merged into the document."""
    async with codestudio.AsyncClient(
        session.gateway, token=session.token, timeout=session.timeout or 10.0
    ) as client:
        document = client.documents.open(project, path, namespace, content=content)
        await document.connect()
        try:
            if document.role is codestudio.Role.VIEWER:
                raise codestudio.PermissionDenied(
                    f"you may read {path}, not write it", code="READ_ONLY"
                )
            editing = _editing.Editing(document, file)
            exit_code = await editing.run(program)
        finally:
            # It was waited for already, as long as the user wants.
            with contextlib.suppress(codestudio.CodeStudioError):
                await document.close(0)
        return {
            "path": path,
            "saves": editing.saves,
            "revision": document.revision,
            "editor_exit_code": exit_code,
        }


def _edited(result: dict[str, Any]) -> str:
    if not result["saves"]:
        return f"{result['path']} is as it was"
    times = "once" if result["saves"] == 1 else f"{result['saves']} times"
    return f"{result['path']}: saved {times}, revision {result['revision']} now"


def _changes(change: codestudio.DocumentChange, revision: int) -> Iterator[dict[str, Any]]:
    for each in change.edits:
        yield {
            "offset": each.offset,
            "deleted": each.deleted,
            "inserted": each.inserted,
            "authors": list(change.authors),
            "revision": revision,
        }
