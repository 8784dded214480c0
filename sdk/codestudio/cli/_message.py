"""`codestudio message`: what instances tell each other."""

import json
from typing import Annotated, Any

import typer

import codestudio
from codestudio.cli import _output
from codestudio.cli._session import Session, command

app = typer.Typer(no_args_is_help=True, help="Send messages between instances, and listen.")

From = Annotated[str, typer.Option("--from", help="The instance it comes from.")]
Text = Annotated[str, typer.Argument(help="What to say; with --json, a JSON object.")]
Kind = Annotated[str, typer.Option("--type", help="Kind of message.")]
AsJson = Annotated[bool, typer.Option("--json", help="Take the text as a JSON object.")]
RequestId = Annotated[
    str, typer.Option(help="UUID: the same one again is the same message, not a second.")
]


@command(app, "send", epilog='Example: codestudio message send --from blue-fox red-owl "hello"')
def send(
    session: Session,
    to: Annotated[str, typer.Argument(help="The instance it goes to.")],
    text: Text,
    *,
    source: From,
    type: Kind = "chat",  # noqa: A002
    as_json: AsJson = False,
    request_id: RequestId = "",
) -> None:
    """Send a message to an instance; it gets it once, also if it is away now."""
    with session.client() as client:
        receipt = client.messages.send(
            source, to, _payload(text, as_json), type=type, request_id=request_id
        )
    session.show(receipt.to_dict(), lambda: print(receipt.message_id))


@command(
    app, "broadcast", epilog='Example: codestudio message broadcast --from blue-fox "back at two"'
)
def broadcast(
    session: Session,
    text: Text,
    *,
    source: From,
    type: Kind = "chat",  # noqa: A002
    as_json: AsJson = False,
    request_id: RequestId = "",
) -> None:
    """Send a message to all other instances of the namespace."""
    with session.client() as client:
        receipt = client.messages.broadcast(
            source, _payload(text, as_json), type=type, request_id=request_id
        )
    session.show(receipt.to_dict(), lambda: print(receipt.message_id))


@command(
    app, "listen", epilog="Example: codestudio message listen blue-fox --type message --type state"
)
def listen(
    session: Session,
    id: Annotated[str, typer.Argument(help="The instance to be told.")],  # noqa: A002
    *,
    type: Annotated[  # noqa: A002
        list[str] | None,
        typer.Option(metavar="KIND", help="Only state, message or code; may be repeated."),
    ] = None,
    project: Annotated[str, typer.Option(help="Only changes of code of this project.")] = "",
    resume_token: Annotated[
        str, typer.Option(help="Begin after the event that had this resume_token.")
    ] = "",
) -> None:
    """Follow what happens around an instance, until interrupted."""
    with (
        session.client() as client,
        client.events.subscribe(
            id, types=_kinds(type or ()), project=project, resume_token=resume_token
        ) as events,
    ):
        for event in events:
            if session.for_people:
                print(_line(event), flush=True)
            else:
                _output.structured_item(_as_sent(event), session.format)


def _payload(text: str, as_json: bool) -> dict[str, Any]:
    if not as_json:
        return {"text": text}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"the text is no JSON: {error}") from None
    if not isinstance(content, dict):
        raise typer.BadParameter('the text must be a JSON object, such as {"text": "hello"}')
    return content


def _kinds(names: Any) -> list[codestudio.ActivityType]:
    try:
        return [codestudio.ActivityType(name.upper()) for name in names]
    except ValueError:
        raise typer.BadParameter("--type must be state, message or code") from None


def _line(event: codestudio.Event) -> str:
    at = _output.moment(event.time)
    match event:
        case codestudio.MessageEvent():
            said = event.payload.get("text")
            text = said if isinstance(said, str) else json.dumps(dict(event.payload))
            return f"{at}  {event.source} -> {event.to or 'all'}  {event.type}: {text}"
        case codestudio.StateEvent():
            place = f"{event.current_file}:{event.line + 1}:{event.column + 1}"
            return f"{at}  {event.instance_id}  {event.status or '-'}  {place}"
        case codestudio.CodeEvent():
            who = event.author.name or event.author.subject or event.source_instance or "?"
            what = "deleted" if event.deleted else f"revision {event.revision}"
            return f"{at}  {event.project}/{event.path}  {what} by {who}"
    return at


def _as_sent(event: codestudio.Event) -> dict[str, object]:
    """Give an event as the stream's JSON does."""
    return {name: value for name, value in event.to_dict().items() if value is not None}
