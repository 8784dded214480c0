"""`codestudio doctor`: is everything there, and if not, what to do."""

import base64
import dataclasses
import datetime
import email.utils
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rich.console
import rich.text

import codestudio
from codestudio import _discovery, _http
from codestudio.cli._session import Session

_SKEW = 30.0
"""Seconds clocks may differ before tokens of one are refused by the other."""
_SOON = datetime.timedelta(days=7)


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one check found."""

    check: str
    """What was checked."""
    ok: bool | None
    """Whether it is as it should be; None where it cannot be told or does not matter."""
    message: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""


def examine(gateway: str | None, token: str | None, *, timeout: float) -> list[Finding]:
    """Check everything; `timeout` is seconds for each request."""
    return list(_examine(gateway, token, timeout))


def show(findings: list[Finding], session: Session) -> None:
    """Show what was found, a line each, and what to do below it."""
    ok = all(finding.ok is not False for finding in findings)
    fields = {"ok": ok, "checks": [dataclasses.asdict(each) for each in findings]}
    session.show(fields, lambda: _show(findings))


def _show(findings: list[Finding]) -> None:
    marks = {True: ("✓", "green"), False: ("✗", "red"), None: ("-", "dim")}
    width = max(len(each.check) for each in findings)
    console = rich.console.Console(highlight=False, soft_wrap=True)
    for each in findings:
        text = rich.text.Text.assemble(
            marks[each.ok], " ", (each.check.ljust(width), "bold"), "  ", each.message
        )
        console.print(text)
        if each.remedy and each.ok is not True:
            console.print(rich.text.Text(f"  {'':{width}}  → {each.remedy}", style="yellow"))


def _examine(gateway: str | None, token: str | None, timeout: float) -> Iterator[Finding]:
    yield Finding(
        "client", True, f"codestudio {codestudio.__version__}, Python {sys.version.split()[0]}"
    )
    try:
        connection = _discovery.connect(gateway, token)
    except codestudio.NotConfigured as error:
        yield Finding("gateway address", False, error.message, "see codestudio --help")
        return
    yield Finding(
        "gateway address", True, f"{connection.gateway} (from {connection.gateway_source})"
    )
    yield _stack(connection)
    if not connection.secure and not connection.loopback:
        yield Finding(
            "encryption",
            None,
            "the token travels unencrypted: the address begins with http://",
            "use an https:// address",
        )
    yield _token(connection)
    yield from (gateway_findings := _gateway(connection, timeout))
    if connection.stack is not None:
        yield from _services(connection.stack, timeout)
        yield _editor(connection.stack)
    if gateway_findings[0].ok:
        yield _call(connection, timeout)


def _stack(connection: _discovery.Connection) -> Finding:
    if connection.stack is None:
        return Finding("local stack", None, "none beside this directory, or not the one in use")
    return Finding("local stack", True, f"data in {connection.stack.directory}")


def _token(connection: _discovery.Connection) -> Finding:
    remedy = "give a valid token with --token or CODESTUDIO_TOKEN; ./scripts/up renews a local one"
    if not connection.token:
        return Finding("token", False, "there is none", remedy)
    claims = _claims(connection.token)
    if claims is None:
        return Finding("token", False, f"not a JWT (from {connection.token_source})", remedy)
    who = f"{claims.get('sub', 'somebody')} ({', '.join(claims.get('roles', ())) or 'no role'})"
    try:
        expires = datetime.datetime.fromtimestamp(claims["exp"], datetime.UTC)
    except (KeyError, TypeError, ValueError, OverflowError):
        return Finding("token", True, f"{who}, does not expire")
    left = expires - datetime.datetime.now(datetime.UTC)
    when = expires.strftime("%Y-%m-%d %H:%M UTC")
    if left <= datetime.timedelta(0):
        return Finding("token", False, f"{who}, expired on {when}", remedy)
    ok = True if left > _SOON else None
    return Finding("token", ok, f"{who}, valid until {when}", "it expires soon: renew it")


def _claims(token: str) -> dict[str, Any] | None:
    """Read a JWT's claims; whether they are true, only the gateway can tell."""
    try:
        _, payload, _ = token.split(".")
        padded = payload + "=" * (-len(payload) % 4)
        claims = json.loads(base64.urlsafe_b64decode(padded))
    except ValueError:
        return None
    return claims if isinstance(claims, dict) else None


def _gateway(connection: _discovery.Connection, timeout: float) -> list[Finding]:
    try:
        answer = _http.request("GET", f"{connection.gateway}/", timeout=timeout)
    except codestudio.CodeStudioError as error:
        remedy = "start the stack with ./scripts/up, or give the right address with --gateway"
        return [Finding("gateway", False, error.message, remedy)]
    server = answer.headers.get("server", "a server without a name")
    return [Finding("gateway", True, f"{server} answers"), _clock(answer)]


def _clock(answer: _http.Answer) -> Finding:
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers["date"])
    except (KeyError, ValueError):
        return Finding("clock", None, "the gateway does not tell its time")
    if theirs.tzinfo is None:  # "-0000" instead of "GMT": UTC all the same
        theirs = theirs.replace(tzinfo=datetime.UTC)
    ours = datetime.datetime.now(datetime.UTC)
    # The header counts whole seconds: half a second is the best guess.
    skew = (ours - theirs).total_seconds() - 0.5
    if abs(skew) <= _SKEW:
        return Finding("clock", True, "agrees with the gateway's")
    return Finding(
        "clock",
        False,
        f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the gateway's",
        "set the clock: tokens are refused when clocks differ",
    )


def _call(connection: _discovery.Connection, timeout: float) -> Finding:
    """Make a real call: through the gateway, with the token, to a service and its database."""
    try:
        with codestudio.Client(
            connection.gateway, token=connection.token, timeout=timeout
        ) as client:
            pages = client.instances.list(page_size=1).pages()
            next(pages)
    except codestudio.CodeStudioError as error:
        return Finding("call", False, f"listing instances: {error.code}: {error.message}")
    return Finding("call", True, "instances can be listed")


def _services(stack: _discovery.LocalStack, timeout: float) -> list[Finding]:
    """Ask each service of a local stack on its own port whether it is ready."""
    ports = {
        name.removesuffix("-admin"): port
        for name, port in stack.ports.items()
        # Envoy's own administration has no such page.
        if name.endswith("-admin") and name != "envoy-admin"
    }
    with ThreadPoolExecutor(max_workers=8) as pool:
        asked = [
            pool.submit(_service, stack, name, port, timeout)
            for name, port in sorted(ports.items())
        ]
        return [each.result() for each in asked]


def _service(stack: _discovery.LocalStack, name: str, port: int, timeout: float) -> Finding:
    log = f"see {stack.directory / 'logs'}; ./scripts/up starts what does not run"
    try:
        answer = _http.request("GET", f"http://127.0.0.1:{port}/ready", timeout=timeout)
    except codestudio.CodeStudioError:
        return Finding(name, False, f"does not answer on port {port}", log)
    if answer.status == 200:
        return Finding(name, True, f"ready (port {port})")
    body = answer.body.decode(errors="replace").strip()
    return Finding(name, False, f"not ready: {body[:300] or answer.status}", log)


def _editor(stack: _discovery.LocalStack) -> Finding:
    if not stack.editor:
        return Finding(
            "editor",
            False,
            "none is installed: instances will fail with EDITOR_NOT_INSTALLED",
            "run ./scripts/down and ./scripts/up without --no-editor",
        )
    if not os.access(stack.editor, os.X_OK):
        remedy = "run ./scripts/down and ./scripts/up: it installs it anew"
        return Finding("editor", False, f"{stack.editor} is not there any more", remedy)
    return Finding("editor", True, stack.editor)
