"""Rooms and their clients: the product's two ways beside three servers of others.

The others come from npm and PyPI when this runs, into the cache folder. Each is measured alone,
with the same load (`load`), on its own, straight: no proxy in front of anybody.
"""

import contextlib
import dataclasses
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from services.devstack import binaries, cache, npm, ports
from tests.bench.target import Target

SCENARIOS = ((1, 50, 10, 10), (1, 100, 20, 10), (1, 100, 50, 20), (200, 5, 1, 1))
"""Rooms, clients in each, how many of them type, and edits a second of each of those."""

_SECONDS = 10
_PEERS = Path(__file__).parent / "peers"
_NPM = {"y-websocket": "2.1.0", "@hocuspocus/server": "3.4.0", "yjs": "13.6.33"}
_PYPI = ("pycrdt-websocket==0.16.5", "pycrdt-store==0.1.5", "hypercorn==0.18.0")
_START_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class Server:
    """Something to connect to."""

    kind: str
    url: str
    """Its address; "{room}" stands for the room where that is part of it."""
    pids: tuple[int, ...]
    """Its process, and those it stands on."""
    token: str = ""

    @property
    def plan(self) -> dict[str, Any]:
        """How to connect, for `load`."""
        return {"kind": self.kind, "url": self.url, "token": self.token, "pids": self.pids}


def measure(target: Target, names: Sequence[str] = ()) -> dict[str, Any]:
    """Measure every server in every scenario."""
    found: dict[str, Any] = {}
    for rooms, clients, typing, rate in SCENARIOS:
        key = f"{clients} clients, {typing} typing {rate}/s"
        if rooms > 1:
            key = f"{rooms} rooms of {key}"
        found[key] = {}
        for name, start in SERVERS.items():
            if names and name not in names:
                continue
            named = [f"default/bench-{uuid.uuid4().hex[:8]}/a.txt" for _ in range(rooms)]
            with start(target) as server:
                print(f"  {key}: {name} …", file=sys.stderr)
                if server.kind == "collaborate":
                    for room in named:
                        _open(target, room)
                found[key][name] = load(
                    **server.plan,
                    rooms=named,
                    clients=clients,
                    typing=typing,
                    rate=rate,
                    seconds=_SECONDS,
                )
    return found


def load(**plan: Any) -> dict[str, Any]:
    """Run the load in a process of its own."""
    done = subprocess.run(
        (sys.executable, "-m", "tests.bench.load", json.dumps(plan)),
        capture_output=True,
        text=True,
        timeout=plan["seconds"] + 120,
        check=False,
    )
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1:]}
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@contextlib.contextmanager
def _y_websocket(_: Target) -> Iterator[Server]:
    folder = _packages()
    port = ports.any_free_port()
    script = folder / "node_modules" / "y-websocket" / "bin" / "server.cjs"
    environment = {"HOST": ports.LOOPBACK, "PORT": str(port)}
    with _process((binaries.node(), script), port, folder, environment) as pid:
        yield Server("yjs", f"ws://{ports.LOOPBACK}:{port}/{{room}}", (pid,))


@contextlib.contextmanager
def _hocuspocus(_: Target) -> Iterator[Server]:
    folder = _packages()
    port = ports.any_free_port()
    script = folder / "hocuspocus.mjs"
    script.write_text((_PEERS / "hocuspocus.mjs").read_text())
    with _process((binaries.node(), script, str(port)), port, folder) as pid:
        yield Server("hocuspocus", f"ws://{ports.LOOPBACK}:{port}/", (pid,))


@contextlib.contextmanager
def _pycrdt_websocket(_: Target) -> Iterator[Server]:
    folder = cache.folder(os.environ) / "bench" / "pypi"
    if not (folder / "done").exists():
        subprocess.run(
            (sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, *_PYPI),
            check=True,
            capture_output=True,
        )
        (folder / "done").touch()
    port = ports.any_free_port()
    command = (sys.executable, _PEERS / "pycrdt_websocket.py", str(port))
    with _process(command, port, folder, {"PYTHONPATH": str(folder)}) as pid:
        yield Server("yjs", f"ws://{ports.LOOPBACK}:{port}/{{room}}", (pid,))


@contextlib.contextmanager
def _yjs(target: Target) -> Iterator[Server]:
    port = target.stack.plan.ports.web("collaboration")
    url = f"ws://{ports.LOOPBACK}:{port}/yjs/{{room}}?token={target.token}"
    yield Server("yjs", url, _pids(target))


@contextlib.contextmanager
def _collaborate(target: Target) -> Iterator[Server]:
    port = target.stack.plan.ports.web("collaboration")
    yield Server("collaborate", f"{ports.LOOPBACK}:{port}", _pids(target), target.token)


SERVERS = {
    "y-websocket 2.1": _y_websocket,
    "Hocuspocus 3.4": _hocuspocus,
    "pycrdt-websocket 0.16": _pycrdt_websocket,
    "ours, /yjs": _yjs,
    "ours, Collaborate": _collaborate,
}


def _pids(target: Target) -> tuple[int, ...]:
    names = ("collaboration", "collaboration-2", "nats")
    return tuple(target.stack.pid(name) for name in names)


def _open(target: Target, room: str) -> None:
    namespace, project, path = room.split("/", 2)
    name = {"namespace": namespace, "project": project, "path": path}
    request = urllib.request.Request(  # noqa: S310 - the stack's own gateway
        f"{target.gateway_url}/api/collaboration/documents:open",
        data=json.dumps({"name": name}).encode(),
        headers={"Authorization": f"Bearer {target.token}"},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
        answer.read()


def _packages() -> Path:
    folder = cache.folder(os.environ) / "bench" / "npm"
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(json.dumps({"private": True, "dependencies": _NPM}))
        subprocess.run(
            npm.command("install"),
            cwd=folder,
            check=True,
            capture_output=True,
            env={**npm.environment(os.environ), "npm_config_ignore_scripts": "true"},
        )
        (folder / "done").touch()
    return folder


@contextlib.contextmanager
def _process(
    command: Sequence[Any], port: int, folder: Path, environment: dict[str, str] | None = None
) -> Iterator[int]:
    """Run a server until the block ends; gives its process id when it listens."""
    process = subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                socket.create_connection((ports.LOOPBACK, port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(f"{command[1]} does not start") from None
                time.sleep(0.1)
        yield process.pid
    finally:
        process.kill()
        process.wait()
