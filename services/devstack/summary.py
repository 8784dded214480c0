"""What a person sees of a running stack: where to sign in, its ports, its files, how to stop."""

import json
import secrets
import shlex

import redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from services.devstack import credentials, layout, plan

SIGN_IN_SECONDS = 3600
"""How long the printed link can be used, once."""


def sign_in_link(running: plan.Plan) -> str:
    """Make a link that signs its first user in as the administrator, for an hour.

    The code and whom it stands for lie in Valkey, where edge takes them away when used.
    Raises redis.RedisError.
    """
    code = secrets.token_urlsafe(32)
    with redis.Redis.from_url(running.redis_url, socket_timeout=5) as client:
        client.set(f"signin:{code}", json.dumps(credentials.ADMIN), ex=SIGN_IN_SECONDS)
    return f"{running.gateway_url}/auth/login?code={code}"


def show(
    console: Console, running: plan.Plan, programs: set[str], editor_problem: str = ""
) -> None:
    """Print the summary of a stack that runs `programs`."""
    console.print()
    if "envoy" in programs:
        console.print(f"[bold]Gateway[/]    {running.gateway_url}", highlight=False)
    if {"envoy", "edge"} <= programs:
        console.print("[bold]Sign in[/]    once, within an hour:", highlight=False)
        console.print(f"  {sign_in_link(running)}", highlight=False, soft_wrap=True)
    ports = Table(box=None, padding=(0, 3, 0, 2), show_header=False)
    table = sorted(plan.port_table(running, programs).items(), key=lambda item: item[1])
    half = (len(table) + 1) // 2
    for left, right in zip(table[:half], [*table[half:], ("", "")], strict=False):
        ports.add_row(left[0], str(left[1]), right[0], str(right[1]))
    console.print("[bold]Ports[/]      (all on this machine)", highlight=False)
    console.print(ports)
    for title, text in (
        ("Editor", running.editor_command or f"none: {editor_problem or 'not asked for'}"),
        ("Logs", running.layout.logs),
        ("Data", running.layout.root),
        ("Stop", _stop_command(running.layout)),
    ):
        console.print(f"[bold]{title:<10}[/] {escape(str(text))}", highlight=False, soft_wrap=True)


def _stop_command(where: layout.Layout) -> str:
    if where.root == layout.DEFAULT_DATA_DIR:
        return "./scripts/down"
    return f"./scripts/down --data-dir {shlex.quote(str(where.root))}"
