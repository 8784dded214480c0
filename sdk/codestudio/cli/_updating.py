"""`codestudio instances update`."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

import codestudio
from codestudio.cli import _instance_tables as tables
from codestudio.cli import _output, _values
from codestudio.cli._session import Session, command

Cpu = Annotated[str | None, typer.Option(help='CPU, such as "500m" or "2".')]
Memory = Annotated[str | None, typer.Option(help='Memory, such as "2Gi".')]
Storage = Annotated[str | None, typer.Option(help='Disk, such as "10Gi".')]
Labels = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="K=V", help="Add or change a label.")
]
NoLabels = Annotated[
    list[str] | None, typer.Option("--remove-label", metavar="K", help="Remove a label.")
]
Environment = Annotated[
    list[str] | None, typer.Option("--env", "-e", metavar="K=V", help="Add or change a variable.")
]
NoEnvironment = Annotated[
    list[str] | None, typer.Option("--remove-env", metavar="K", help="Remove a variable.")
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "update")(update)


def update(
    session: Session,
    id: Annotated[str, typer.Argument(help="Name of the instance.")],  # noqa: A002
    *,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
    display_name: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    label: Labels = None,
    remove_label: NoLabels = None,
    env: Environment = None,
    remove_env: NoEnvironment = None,
    idle_timeout: Annotated[
        str | None, typer.Option(help="Stop it after this long without use: 30m, 8h; 0 for never.")
    ] = None,
    max_lifetime: Annotated[
        str | None, typer.Option(help="Stop it this long after its start; 0 for never.")
    ] = None,
    etag: Annotated[str, typer.Option(help="Only if it still has this etag.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,
) -> None:
    """Change an instance; a running one is resized at once and goes on.

    Example: codestudio instances update fox --cpu 2 --memory 4Gi --label course=cs101
    """
    sizes = {"cpu": cpu, "memory": memory, "storage": storage}
    changes: dict[str, Any] = {
        "resources": {name: value for name, value in sizes.items() if value is not None} or None,
        "display_name": display_name,
        "idle_timeout": _values.duration_option(idle_timeout),
        "max_lifetime": _values.duration_option(max_lifetime),
    }
    labels = _values.pairs(label or (), "--label")
    environment = _values.pairs(env or (), "--env")
    edits = [
        ("labels", labels, remove_label or ()),
        ("environment", environment, remove_env or ()),
    ]
    edited = any(added or removed for _, added, removed in edits)
    if not edited and all(value is None for value in changes.values()):
        raise typer.BadParameter("say what to change; see --help")
    with session.client() as client:
        if edited:
            before = client.instances.get(id)
            # What is added to is what was read: nobody else's change gets lost in between.
            etag = etag or before.etag
            for name, added, removed in edits:
                if added or removed:
                    changes[name] = _edited(getattr(before, name), added, removed)
        instance = client.instances.update(id, **changes, etag=etag, validate_only=dry_run)
    session.show(instance.to_dict(), lambda: _updated(instance, dry_run=dry_run))


def _edited(
    present: Mapping[str, str], added: Mapping[str, str], removed: Iterable[str]
) -> dict[str, str]:
    gone = set(removed)
    return {name: value for name, value in {**present, **added}.items() if name not in gone}


def _updated(instance: codestudio.Instance, *, dry_run: bool) -> None:
    if dry_run:
        _output.say("Nothing was changed; this would be:")
    tables.instance(instance)
