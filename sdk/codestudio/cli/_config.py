"""`codestudio config`."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

import typer
import yaml

import codestudio
from codestudio.cli import _exit, _output
from codestudio.cli._session import Session, command

app = typer.Typer(
    no_args_is_help=True,
    help="The settings of the services: read them, change them while the services run, go back.",
)

Service = Annotated[str, typer.Argument(help="Name of the service, such as resource-service.")]
Assignments = Annotated[
    list[str],
    typer.Argument(
        help="PATH=VALUE, such as port_allocation.base_port=9000; the value is YAML.",
        metavar="PATH=VALUE...",
    ),
]
Reason = Annotated[str, typer.Option(help="Why, for the record; at most 500 characters.")]
Etag = Annotated[str, typer.Option(help="Only if the settings still have this etag.")]
_LARGEST_PAGE = 1000


@command(app, "list")
def list_(session: Session) -> None:
    """List the services that have settings."""
    with session.client() as client:
        found = client.config.list()
    fields = {"configurations": [each.to_dict() for each in found]}
    session.show(
        fields,
        lambda: _output.table(
            ("SERVICE", "REVISION", "CHANGED", "SET WHILE RUNNING"),
            (
                (
                    each.service,
                    str(each.revision),
                    _output.moment(each.update_time),
                    str(sum(source == "dynamic" for source in each.sources.values())),
                )
                for each in found
            ),
        ),
    )


@command(app, "get", epilog="Example: codestudio config get resource-service port_allocation")
def get(
    session: Session,
    service: Service,
    path: Annotated[str, typer.Argument(help="Only this setting or section.")] = "",
    *,
    revision: Annotated[int, typer.Option(help="As they were at this revision.", min=0)] = 0,
) -> None:
    """Show the settings in force, and where each comes from."""
    with session.client() as client:
        found = client.config.get(service, revision=revision)
    shown = {
        one: value
        for one, value in found.by_path.items()
        if not path or one == path or one.startswith(path + ".")
    }
    if not shown:
        raise codestudio.NotFound(f"{service} has no setting {path}", code="SETTING_NOT_FOUND")
    session.show(shown if path else found.to_dict(), lambda: _settings(found, shown, of=bool(path)))


@command(app, "schema", epilog="Example: codestudio config schema quota-service")
def schema(session: Session, service: Service) -> None:
    """Show which settings there are: type, bounds, base, and when a change takes effect."""
    with session.client() as client:
        found = client.config.schema(service)
    fields = {"service": service, "settings": [each.to_dict() for each in found]}
    session.show(
        fields,
        lambda: _output.table(
            ("PATH", "TYPE", "BASE", "EFFECT", "DESCRIPTION"),
            (
                (
                    each.path,
                    _type(each),
                    "" if each.secret else _text(each.base),
                    f"in {each.follows}" if each.follows else each.effect.lower(),
                    each.description,
                )
                for each in found
            ),
        ),
    )


@command(
    app,
    "set",
    epilog="Example: codestudio config set resource-service port_allocation.base_port=9000 "
    '--reason "8000 is taken here"',
)
def set_(
    session: Session,
    service: Service,
    settings: Assignments,
    *,
    reason: Reason = "",
    etag: Etag = "",
) -> None:
    """Change settings, all or none; in force within two seconds, without a restart."""
    values = _assigned(settings)
    with session.client() as client:
        found = client.config.update(service, values, reason=reason, etag=etag)
    session.show(found.to_dict(), lambda: _changed(found, values))


@command(app, "unset", epilog="Example: codestudio config unset resource-service port_allocation")
def unset(
    session: Session,
    service: Service,
    paths: Annotated[list[str], typer.Argument(help="Settings, or sections of them.")],
    *,
    reason: Reason = "",
    etag: Etag = "",
) -> None:
    """Let settings go back to their base."""
    with session.client() as client:
        found = client.config.update(service, unset=paths, reason=reason, etag=etag)
    session.show(found.to_dict(), lambda: _changed(found, paths))


@command(
    app,
    "validate",
    epilog="Example: codestudio config validate resource-service port_allocation.base_port=80",
)
def validate(session: Session, service: Service, settings: Assignments) -> None:
    """Tell everything wrong with settings, and change nothing; exit code 2 if something is."""
    with session.client() as client:
        wrong = client.config.validate(service, _assigned(settings))
    fields = {
        "valid": not wrong,
        "errors": [{"field": each.field, "description": each.description} for each in wrong],
    }
    session.show(fields, lambda: _output.table(("PATH", "PROBLEM"), wrong, empty="valid"))
    if wrong:
        raise typer.Exit(_exit.ExitCode.USAGE)


@command(app, "history", epilog="Example: codestudio config history resource-service")
def history(
    session: Session,
    service: Service,
    *,
    limit: Annotated[int, typer.Option(help="Newest to show, however many.", min=1)] = 20,
) -> None:
    """Show who changed what, when and why, newest first."""
    found: list[codestudio.ConfigurationRevision] = []
    token = ""
    with session.client() as client:
        while len(found) < limit and (token or not found):
            size = min(limit - len(found), _LARGEST_PAGE)
            pager = client.config.revisions(service, page_size=size, page_token=token)
            page = next(pager.pages())
            found += page.items
            token = page.next_page_token
            if not page.items:
                break
    fields = {"revisions": [each.to_dict() for each in found], "next_page_token": token}
    session.show(fields, lambda: _revisions(found))


@command(app, "rollback", epilog="Example: codestudio config rollback resource-service 3")
def rollback(
    session: Session,
    service: Service,
    revision: Annotated[int, typer.Argument(help="Revision to go back to; 0 for the base.", min=0)],
    *,
    reason: Reason = "",
    etag: Etag = "",
) -> None:
    """Make the settings what they were at a revision, as a new revision."""
    with session.client() as client:
        found = client.config.rollback(service, revision, reason=reason, etag=etag)
    session.show(
        found.to_dict(),
        lambda: _settings(
            found,
            {path: value for path, value in found.by_path.items() if _is_set(found, path)},
            of=True,
        ),
    )


@command(app, "watch", epilog="Example: codestudio config watch quota-service -o json")
def watch(session: Session, service: Service) -> None:
    """Show the settings, then every change of them, until interrupted."""
    before: dict[str, Any] = {}
    with session.client() as client, client.config.watch(service) as changes:
        for found in changes:
            if not session.for_people:
                _output.structured_item(found.to_dict(), session.format)
                continue
            now = found.by_path
            for path, value in now.items():
                if path not in before or before[path] != value:
                    print(f"{found.revision}\t{path}\t{_text(value)}", flush=True)
            before = now


def _assigned(items: Iterable[str]) -> dict[str, Any]:
    """Read PATH=VALUE items. Raises typer.BadParameter."""
    values: dict[str, Any] = {}
    for item in items:
        path, separator, text = item.partition("=")
        if not separator or not path:
            raise typer.BadParameter(f"{item!r} is not PATH=VALUE")
        try:
            value = yaml.safe_load(text)
            json.dumps(value)
        except (yaml.YAMLError, TypeError):
            value = text  # a date, for instance, is text to us
        values[path] = text if value is None else value
    return values


def _settings(found: codestudio.Configuration, shown: dict[str, Any], *, of: bool = False) -> None:
    if not of or not shown:
        changed = f", changed {_output.moment(found.update_time)}" if found.update_time else ""
        _output.say(f"{found.service}: revision {found.revision}{changed}")
    _output.table(
        ("PATH", "VALUE", "SOURCE"),
        ((path, _text(value), found.sources.get(path, "")) for path, value in shown.items()),
        empty="Everything is as its base has it.",
    )


def _changed(found: codestudio.Configuration, paths: Iterable[str]) -> None:
    _output.say(f"{found.service}: revision {found.revision}")
    named = tuple(paths)
    shown = {
        path: value
        for path, value in found.by_path.items()
        if any(path == one or path.startswith(one + ".") for one in named)
    }
    _settings(found, shown, of=True)


def _revisions(revisions: Iterable[codestudio.ConfigurationRevision]) -> None:
    def cells(revision: codestudio.ConfigurationRevision) -> tuple[str, ...]:
        back = "" if revision.rollback_of is None else f"back to {revision.rollback_of}: "
        return (
            str(revision.revision),
            _output.moment(revision.create_time),
            revision.author,
            back
            + ", ".join(
                f"{each.path} {_text(each.before)} -> {_text(each.after)}"
                for each in revision.changes
            ),
            revision.reason,
        )

    _output.table(
        ("REVISION", "TIME", "AUTHOR", "CHANGES", "REASON"),
        map(cells, revisions),
        empty="Nothing was ever changed.",
    )


def _is_set(found: codestudio.Configuration, path: str) -> bool:
    return found.sources.get(path) == "dynamic"


def _type(setting: codestudio.Setting) -> str:
    if setting.allowed:
        return "|".join(setting.allowed)
    if setting.minimum is None or setting.maximum is None:
        return setting.type
    return f"{setting.type} {setting.minimum:.0f}..{setting.maximum:.0f}"


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value)
