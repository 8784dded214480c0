"""`codestudio instances`: everything but creating."""

import itertools
import sys
from collections.abc import Callable
from typing import Annotated

import typer

import codestudio
from codestudio.cli import _creating, _exit, _output, _updating, _values
from codestudio.cli import _instance_tables as tables
from codestudio.cli._creating import Wait, WaitTimeout, wait_for
from codestudio.cli._session import Session, command

app = typer.Typer(no_args_is_help=True, help="Create, find, start, stop and open instances.")


def _complete_id(context: typer.Context, incomplete: str) -> list[str]:
    """Complete an instance's name; silent when the gateway cannot be asked."""
    session = context.find_root().params
    try:
        with codestudio.Client(
            session.get("gateway"), token=session.get("token"), timeout=2
        ) as client:
            found = itertools.islice(client.instances.list(page_size=1000), 1000)
            return [each.id for each in found if each.id.startswith(incomplete)]
    except codestudio.CodeStudioError:
        return []


Id = Annotated[str, typer.Argument(help="Name of the instance.", autocompletion=_complete_id)]
Ids = Annotated[list[str], typer.Argument(help="Names.", autocompletion=_complete_id)]
Filter = Annotated[
    str, typer.Option(help='Terms joined by AND, such as: owner = "ada" AND state != STOPPED.')
]
InNamespace = Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace.")]
InState = Annotated[str, typer.Option("--state", help="Only in this state, such as running.")]
WithLabel = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="K=V", help="Only with this label.")
]

_creating.register(app)
_updating.register(app)


@command(app, "list")
def list_(
    session: Session,
    *,
    filter: Filter = "",  # noqa: A002
    namespace: InNamespace = "",
    state: InState = "",
    label: WithLabel = None,
    limit: Annotated[int, typer.Option(help="Most to show; 0 for all.", min=0)] = 0,
) -> None:
    """List instances."""
    terms = _values.filter_of(filter, namespace, state, label or ())
    page_size = min(limit, 1000) if limit else 1000
    with session.client() as client:
        pager = client.instances.list(filter=terms, page_size=page_size)
        shown = list(itertools.islice(pager, limit or None))
    fields = {"instances": [each.to_dict() for each in shown], "next_page_token": ""}
    session.show(fields, lambda: tables.instances(shown))


@command(app, "get")
def get(session: Session, id: Id) -> None:  # noqa: A002
    """Show all of an instance."""
    with session.client() as client:
        instance = client.instances.get(id)
    session.show(instance.to_dict(), lambda: tables.instance(instance))


@command(app, "status")
def status(session: Session, id: Id) -> None:  # noqa: A002
    """Show where an instance is in its life, step by step."""
    with session.client() as client:
        shown = client.instances.status(id)
    session.show(shown.to_dict(), lambda: tables.status(shown))


@command(app, "start")
def start(
    session: Session, ids: Ids, *, wait: Wait = True, wait_timeout: WaitTimeout = 120
) -> None:
    """Start instances and wait until their editors answer."""
    running = codestudio.DesiredState.RUNNING
    with session.client() as client:
        waiting = (lambda each: wait_for(each, running, wait_timeout)) if wait else None
        _act(session, ids, client.instances.start, waiting)


@command(app, "stop")
def stop(session: Session, ids: Ids, *, wait: Wait = True, wait_timeout: WaitTimeout = 120) -> None:
    """Stop instances; their disks stay."""
    stopped = codestudio.DesiredState.STOPPED
    with session.client() as client:
        waiting = (lambda each: wait_for(each, stopped, wait_timeout)) if wait else None
        _act(session, ids, client.instances.stop, waiting)


@command(app, "keep-alive")
def keep_alive(
    session: Session,
    ids: Ids,
    *,
    length: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long: 90s, 30m, 2h; 0 ends it.")
    ] = "1h",
) -> None:
    """Keep instances from being stopped as idle, such as over a long download.

    Example: codestudio instances keep-alive blue-fox --for 2h
    """
    duration = _values.duration_option(length)
    assert duration is not None
    with session.client() as client:
        _act(session, ids, lambda id_: client.instances.keep_alive(id_, duration), None)


@command(app, "delete")
def delete(
    session: Session,
    ids: Ids,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; nobody is asked without a terminal.")
    ] = False,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Succeed also where there is none.")
    ] = False,
    wait: Wait = True,
    wait_timeout: WaitTimeout = 120,
) -> None:
    """Delete instances and their disks."""
    names = ", ".join(ids)
    if not yes and sys.stdin.isatty():
        typer.confirm(f"Delete {names} and everything on disk?", abort=True, err=True)
    with session.client() as client:

        def remove(id_: str) -> None:
            try:
                instance = client.instances.get(id_)
            except codestudio.NotFound:
                if not allow_missing:
                    raise
                return
            instance.delete(allow_missing=allow_missing)
            if wait:
                wait_for(instance, None, wait_timeout)

        failure = _each(ids, remove)
    if failure is None:
        session.show({}, lambda: _output.say(f"{'Deleted' if wait else 'Deleting'} {names}"))
    else:
        raise typer.Exit(failure)


@command(app, "watch")
def watch(
    session: Session,
    *,
    filter: Filter = "",  # noqa: A002
    namespace: InNamespace = "",
    state: InState = "",
    label: WithLabel = None,
    resume_token: Annotated[
        str, typer.Option(help="Begin after the event that had this resume_token.")
    ] = "",
) -> None:
    """Follow instances: all there are, then every change, until interrupted."""
    terms = _values.filter_of(filter, namespace, state, label or ())
    with (
        session.client() as client,
        client.instances.watch(filter=terms, resume_token=resume_token) as events,
    ):
        for event in events:
            if session.for_people:
                print(tables.event(event.type, event.instance), flush=True)
            else:
                _output.structured_item(_as_sent(event), session.format)


@command(app, "logs")
def logs(
    session: Session,
    id: Id,  # noqa: A002
    *,
    tail: Annotated[int, typer.Option(help="Most lines, up to 10000.", min=1)] = 200,
) -> None:
    """Show the last lines an instance's editor wrote."""
    with session.client() as client:
        lines = client.instances.logs(id, tail_lines=tail)

    def show() -> None:
        for line in lines:
            print(line)

    session.show({"lines": lines}, show)


@command(app, "open")
def open_(
    session: Session,
    id: Id,  # noqa: A002
    *,
    browser: Annotated[bool, typer.Option(help="Open a browser, on a terminal.")] = True,
) -> None:
    """Open an instance's editor in the browser, signed in by a link that works once."""
    with session.client() as client:
        instance = client.instances.get(id)
        if instance.state is not codestudio.InstanceState.RUNNING:
            raise codestudio.FailedPrecondition(
                f"instance {id} is {instance.state}: start it with codestudio instances start {id}",
                code="INSTANCE_NOT_RUNNING",
                instance_id=id,
            )
        link = instance.open_url()
    session.show({"url": link}, lambda: print(link))
    if browser and session.for_people and sys.stdout.isatty():
        typer.launch(link)


def _act(
    session: Session,
    ids: list[str],
    act: Callable[[str], codestudio.Instance],
    wait_each: Callable[[codestudio.Instance], None] | None,
) -> None:
    """Do something to each instance, wait for each, show them."""
    done: list[codestudio.Instance] = []

    def one(id_: str) -> None:
        instance = act(id_)
        if wait_each:
            wait_each(instance)
        done.append(instance)

    failure = _each(ids, one)
    if done:
        fields = [each.to_dict() for each in done]
        shown = fields[0] if len(ids) == 1 else {"instances": fields}
        session.show(shown, lambda: tables.instances(done))
    if failure is not None:
        raise typer.Exit(failure)


def _each(ids: list[str], act: Callable[[str], None]) -> _exit.ExitCode | None:
    """Do something to each, whatever happens to the others; give the first failure's code."""
    first: _exit.ExitCode | None = None
    for id_ in ids:
        try:
            act(id_)
        except codestudio.CodeStudioError as error:
            _exit.tell(error)
            first = first or _exit.code_of(error)
    return first


def _as_sent(event: codestudio.InstanceEvent[codestudio.Instance]) -> dict[str, object]:
    """Give an event as the stream's JSON does."""
    return {
        "event": {"type": f"TYPE_{event.type}", "instance": event.instance.to_dict()},
        "resume_token": event.resume_token,
    }
