"""Where to connect and as whom: what is given, else the environment, else what lies nearby."""

import dataclasses
import json
import re
import tomllib
import urllib.parse
from collections.abc import Mapping
from pathlib import Path

from codestudio import _environment, _errors

_HOST = re.compile(r"[\w.-]+|[0-9a-f:.]+(%\w+)?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class LocalStack:
    """A stack on this machine, as its `stack.json` describes it."""

    directory: Path
    """Its data directory."""
    gateway: str
    """Address of its gateway."""
    ports: Mapping[str, int]
    """Its ports by name."""
    editor: str
    """Path of the editor its instances run; empty if it has none."""

    @property
    def token_file(self) -> Path:
        """Where its administrator's token is."""
        return self.directory / "secrets" / "admin.token"


@dataclasses.dataclass(frozen=True)
class Connection:
    """Where to connect and as whom."""

    gateway: str
    """Address of the gateway, such as "http://localhost:3000", without a slash at the end."""
    token: str = dataclasses.field(repr=False)
    """Bearer token; empty for none."""
    gateway_source: str = "given"
    """What named the gateway, for people."""
    token_source: str = "given"  # noqa: S105 - says where it is from
    """What gave the token, for people."""
    stack: LocalStack | None = None
    """The local stack behind it, if it is one."""

    @property
    def target(self) -> str:
        """The gateway as gRPC names it: host and port."""
        parts = urllib.parse.urlsplit(self.gateway)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        return f"{host}:{parts.port or (443 if self.secure else 80)}"

    @property
    def secure(self) -> bool:
        """Whether it is reached by TLS."""
        return self.gateway.startswith("https:")

    @property
    def loopback(self) -> bool:
        """Whether it is on this machine."""
        return urllib.parse.urlsplit(self.gateway).hostname in _LOOPBACK


def connect(gateway: str | None = None, token: str | None = None) -> Connection:
    """Find the gateway and the token.

    Each is, in this order: the argument; CODESTUDIO_GATEWAY and CODESTUDIO_TOKEN; those of the
    local stack whose data directory CODESTUDIO_DATA_DIR names, or which is `.codestudio` in the
    working directory or above it; those in ~/.config/codestudio/config, a TOML file with the
    keys `gateway` and `token`. A token found nearby is only ever used for the gateway it
    belongs to.

    Raises NotConfigured when no gateway is found or its address is not one.
    """
    environment = _environment.read()
    stack = local_stack(environment)
    saved = _saved(environment.config_file)
    candidates = [
        (gateway or "", "given"),
        (environment.gateway, "CODESTUDIO_GATEWAY"),
        (stack.gateway if stack else "", f"{stack.directory / 'stack.json'}" if stack else ""),
        (saved.get("gateway", ""), str(environment.config_file)),
    ]
    address, gateway_source = next(((a, s) for a, s in candidates if a), ("", ""))
    if not address:
        raise _errors.NotConfigured(
            "no gateway is known: start a stack with ./scripts/up and run this in its checkout, "
            "or name its data directory with CODESTUDIO_DATA_DIR, or a gateway with --gateway or "
            "CODESTUDIO_GATEWAY"
        )
    address = _checked(address)
    if stack and _checked(stack.gateway) != address:
        stack = None
    if saved and _checked(saved.get("gateway", address)) != address:
        saved = {}
    tokens = [
        (token or "", "given"),
        (environment.token, "CODESTUDIO_TOKEN"),
        (_contents(stack.token_file) if stack else "", str(stack.token_file) if stack else ""),
        (saved.get("token", ""), str(environment.config_file)),
    ]
    found, token_source = next(((t, s) for t, s in tokens if t), ("", "none"))
    return Connection(address, found, gateway_source, token_source, stack)


def local_stack(environment: _environment.Environment | None = None) -> LocalStack | None:
    """Find the local stack: the one CODESTUDIO_DATA_DIR names, else the nearest upward."""
    environment = environment or _environment.read()
    if environment.data_dir:
        return _read_stack(environment.data_dir)
    working = Path.cwd()
    found = (_read_stack(each / ".codestudio") for each in (working, *working.parents))
    return next((stack for stack in found if stack), None)


def _read_stack(directory: Path) -> LocalStack | None:
    text = _contents(directory / "stack.json")
    if not text:
        return None
    try:
        record = json.loads(text)
        return LocalStack(
            directory=directory.resolve(),
            gateway=record["gateway_url"],
            ports=record.get("ports", {}),
            editor=record.get("editor_command", ""),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _errors.NotConfigured(
            f"{directory / 'stack.json'} cannot be read ({error}): ./scripts/up writes it anew"
        ) from error


def _saved(path: Path) -> dict[str, str]:
    try:
        values = tomllib.loads(_contents(path))
    except tomllib.TOMLDecodeError as error:
        raise _errors.NotConfigured(f"{path} is not TOML: {error}") from error
    unknown = sorted(set(values) - {"gateway", "token"})
    if unknown or not all(isinstance(value, str) for value in values.values()):
        raise _errors.NotConfigured(f'{path} may hold gateway = "…" and token = "…", nothing else')
    return values


def _contents(path: Path) -> str:
    """Read a file that need not be there."""
    try:
        return path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise _errors.NotConfigured(f"{path} cannot be read: {error.strerror}") from error


def _checked(address: str) -> str:
    """Return an address in its plain form; raise NotConfigured if it is none."""
    text = address if "://" in address else f"http://{address}"
    try:
        parts = urllib.parse.urlsplit(text)
        host = _HOST.fullmatch(parts.hostname or "")
        well_formed = bool(parts.scheme in ("http", "https") and host and parts.port != 0)
    except ValueError:
        well_formed = False
    if not well_formed or parts.path.strip("/") or parts.query or parts.username:
        raise _errors.NotConfigured(
            f"{address!r} is no gateway address: write it as http://localhost:3000 or "
            "https://codestudio.example.com"
        )
    return f"{parts.scheme}://{parts.netloc}"
