"""The command as a whole: `codestudio`."""

import platform
from importlib import metadata

import typer

import codestudio
from codestudio import _discovery
from codestudio.cli import (
    _config,
    _doc,
    _doctor,
    _exit,
    _instances,
    _message,
    _output,
    _paths,
    _quota,
    _resources,
    _sync,
)
from codestudio.cli import _instance_tables as tables
from codestudio.cli._session import Gateway, Group, Output, Session, Timeout, Token, command

app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Real VS Codes in the browser: create, open and manage them.",
    epilog=_exit.HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    # A fault of the command itself is for its makers, whole; it never holds a token.
    pretty_exceptions_enable=False,
)
app.add_typer(_config.app, name="config")
app.add_typer(_doc.app, name="doc")
app.add_typer(_instances.app, name="instances")
app.add_typer(_instances.app, name="instance", hidden=True)
app.add_typer(_message.app, name="message")
app.add_typer(_paths.app, name="paths")
app.add_typer(_quota.app, name="quota")
app.add_typer(_resources.app, name="resources")
_sync.register(app)


@app.callback()
def root(
    context: typer.Context,
    gateway: Gateway = None,
    token: Token = None,
    output: Output = None,
    timeout: Timeout = None,
) -> None:
    """Take the options of every command."""
    context.obj = Session(gateway, token, output, timeout)


@command(app, "ports")
def ports(session: Session) -> None:
    """Show which instance has which ports."""
    with session.client() as client:
        shown = [each for each in client.instances.list(page_size=1000) if each.ports]
    fields = [
        {
            key: value
            for key, value in each.to_dict().items()
            if key in ("id", "namespace", "state", "ports")
        }
        for each in shown
    ]
    session.show({"instances": fields}, lambda: tables.ports(shown))


@command(app, "token")
def token(session: Session) -> None:
    """Print the bearer token that is used: for curl and other programs."""
    connection = _discovery.connect(session.gateway, session.token)
    if not connection.token:
        raise codestudio.Unauthenticated(
            f"there is no token for {connection.gateway}: give one with --token or "
            "CODESTUDIO_TOKEN",
            code="NO_TOKEN",
        )
    session.show({"token": connection.token}, lambda: print(connection.token))


@command(app, "doctor")
def doctor(session: Session) -> None:
    """Check everything between here and a running editor; say what to do about what is wrong."""
    findings = _doctor.examine(session.gateway, session.token, timeout=session.timeout or 5.0)
    _doctor.show(findings, session)
    if any(finding.ok is False for finding in findings):
        raise typer.Exit(_exit.ExitCode.ERROR)


@command(app, "version")
def version(session: Session) -> None:
    """Show the versions of what this command is made of."""
    versions = {
        "codestudio": codestudio.__version__,
        "python": platform.python_version(),
        "grpcio": metadata.version("grpcio"),
        "protobuf": metadata.version("protobuf"),
    }
    session.show(versions, lambda: _output.details(versions.items()))
