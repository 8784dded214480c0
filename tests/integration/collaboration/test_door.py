"""Live editing through Envoy, as everybody reaches it."""

import asyncio
import json
import urllib.request
from pathlib import Path

import pytest

from services.devstack import ports
from services.devstack.stack import Stack
from tests.integration.collaboration import rig
from tests.integration.collaboration.node_editor import node

pytestmark = [pytest.mark.stack, pytest.mark.timeout(180)]


def metric(stack: Stack, program: str, line: str) -> float:
    """Read a metric of a replica."""
    address = f"http://127.0.0.1:{stack.plan.ports.admin(program)}/metrics"
    with urllib.request.urlopen(address, timeout=5) as answer:
        for found in answer.read().decode().splitlines():
            if found.startswith(line):
                return float(found.split()[-1])
    return 0.0


def rest(stack: Stack, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
    """Call by REST."""
    request = urllib.request.Request(  # noqa: S310 - our own
        f"{stack.plan.gateway_url}{path}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Authorization": f"Bearer {rig.mint(stack)}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        found: dict[str, object] = json.loads(answer.read())
        return found


async def test_editors_from_npm_and_rest(stack: Stack, node_folder: Path) -> None:
    """Yjs editors come through the door to one replica a document, and REST edits with them."""
    project = rig.new_project()
    url = stack.plan.gateway_url.replace("http", "ws") + "/yjs"
    room = f"default/{project}/src/a b.py"
    async with (
        node(node_folder, url, room, rig.mint(stack, "ada")) as ada,
        node(node_folder, url, room, rig.mint(stack, "bob")) as bob,
    ):
        assert await ada("synced")
        assert await bob("synced")
        await ada("insert", at=0, what="hello 🙂\n")
        assert await bob("until", text="hello 🙂\n")
        counts = [
            metric(stack, program, 'codestudio_collaboration_clients{protocol="yjs"}')
            for program in ports.replicas("collaboration")
        ]
        assert sorted(counts) == [0.0, 2.0]
        name = {"project": project, "path": "src/a b.py"}
        change = {"name": name, "offset": {"start": 0, "length": 5}, "text": "HELLO"}
        body = {"instance_id": "fox", "changes": [change]}
        done = await asyncio.to_thread(rest, stack, "/api/collaboration/sync", body)
        assert done["results"]
        assert await ada("until", text="HELLO 🙂\n")
        found = await asyncio.to_thread(
            rest, stack, f"/api/collaboration/documents/default/{project}/src/a%20b.py"
        )
        assert found["text"] == "HELLO 🙂\n"


async def test_who_has_no_token(stack: Stack, node_folder: Path) -> None:
    """The door lets the connection through, and the service says why it is refused."""
    url = stack.plan.gateway_url.replace("http", "ws") + "/yjs"
    async with node(node_folder, url, f"default/{rig.new_project()}/a.txt") as editor:
        code, reason = await editor("closed")
        assert code == 4401
        assert "token" in reason.lower()
