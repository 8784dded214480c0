"""What every command has: the global options, a client, and a way to show things."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer
import typer.core

import codestudio
from codestudio.cli import _exit, _output

_PANEL = "Options of every command"

Gateway = Annotated[
    str | None,
    typer.Option(
        help="Address of the gateway, such as http://localhost:3000.", rich_help_panel=_PANEL
    ),
]
Token = Annotated[
    str | None,
    typer.Option(help="Bearer token; better kept in CODESTUDIO_TOKEN.", rich_help_panel=_PANEL),
]
Output = Annotated[
    _output.Format | None,
    typer.Option("--output", "-o", help="How to show the result.", rich_help_panel=_PANEL),
]
Timeout = Annotated[
    float | None,
    typer.Option(help="Seconds a call may take, 10 by default.", min=0.1, rich_help_panel=_PANEL),
]

GLOBAL = {"gateway": Gateway, "token": Token, "output": Output, "timeout": Timeout}
"""Options accepted before and after the command's name."""


@dataclasses.dataclass(frozen=True)
class Session:
    """One run of the command."""

    gateway: str | None = None
    token: str | None = dataclasses.field(default=None, repr=False)
    output: _output.Format | None = None
    timeout: float | None = None

    def client(self) -> codestudio.Client:
        """Give a client; to be used in a `with` statement."""
        return codestudio.Client(self.gateway, token=self.token, timeout=self.timeout or 10.0)

    @property
    def format(self) -> _output.Format:
        """How to show the result."""
        return self.output or _output.Format.TABLE

    @property
    def for_people(self) -> bool:
        """Whether the result is for people, not for programs."""
        return self.format is _output.Format.TABLE

    def show(self, fields: Any, table: Callable[[], None]) -> None:
        """Show a result: `fields` as REST gives it, or by `table` to people."""
        if self.for_people:
            table()
        else:
            _output.structured(fields, self.format)


def command(app: typer.Typer, name: str, **options: Any) -> Callable[[Any], Any]:
    """Register a command whose first parameter is the Session; it gets the global options too."""

    def register(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(context: typer.Context, **given: Any) -> None:
            session: Session = context.obj
            ours = {key: given.pop(key) for key in GLOBAL}
            chosen = {key: value for key, value in ours.items() if value is not None}
            function(dataclasses.replace(session, **chosen), **given)

        signature = inspect.signature(function, eval_str=True)
        _, *own = signature.parameters.values()
        kind = inspect.Parameter.KEYWORD_ONLY
        parameters = [
            inspect.Parameter("context", kind, annotation=typer.Context),
            *(parameter.replace(kind=kind) for parameter in own),
            *(inspect.Parameter(n, kind, default=None, annotation=a) for n, a in GLOBAL.items()),
        ]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {each.name: each.annotation for each in parameters}
        app.command(name, **options)(run)
        return function

    return register


class Group(typer.core.TyperGroup):
    """The whole command; here, and only here, errors become messages and exit codes."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except codestudio.CodeStudioError as error:
            _exit.tell(error)
            raise typer.Exit(_exit.code_of(error)) from None
