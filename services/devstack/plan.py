"""What a stack runs: each program's command, environment, ports and proof of health."""

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from services.devstack import binaries, health, web
from services.devstack.credentials import Credentials
from services.devstack.layout import REPOSITORY, Layout
from services.devstack.ports import INSTANCE_RANGE, LOOPBACK, WEB, Ports, replicas

SERVICES = ("instance", "path", "resource", "collaboration", "config", "quota", "edge")
INFRASTRUCTURE = ("valkey", "nats", "mongo")

DATABASE = "codestudio"
SERVICE_DRAIN_SECONDS = 5
"""How long a service of the local stack may finish what it is doing: a developer waits for it."""

VALKEY_PERSISTENCE = (
    # Each change is written to the append-only file before it is answered, so no `kill -9` loses
    # what was acknowledged. `everysec` holds changes back, up to two seconds, while the file is
    # synced; `always` syncs for each answer, which everything else in the one Valkey waits for
    # (docs/decisions/0005-killed-not-unplugged.md).
    *("--appendonly", "yes", "--appendfsync", "no"),
    # The append-only file is the record; snapshots would only cost a fork and disk.
    *("--save", ""),
)
"""How Valkey keeps what it is told."""

# The server logs every command with its document at INFO and has no option against it: that
# would put users' data into logs and takes longer than the write itself.
_QUIET_MONGO = (
    "import logging; from nx_27017.nx_27017 import main; logging.disable(logging.INFO); main()"
)


@dataclasses.dataclass(frozen=True)
class Program:
    """One supervised process."""

    name: str
    command: tuple[str, ...]
    check: health.Check
    """Raises while the program cannot do its work yet."""
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    directory: Path = REPOSITORY
    """Where it runs."""
    stale_files: tuple[Path, ...] = ()
    """Removed before every start, the supervisor's restarts included."""
    stop_seconds: int = 10
    """How long it may take to stop before it is killed."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stack before it runs. Everything that starts or describes it reads from here."""

    layout: Layout
    ports: Ports
    stack_id: str
    """Unique to this stack; marks every process it starts as `CODESTUDIO_STACK_ID`."""
    services: tuple[str, ...]
    """The services to run, a subset of SERVICES."""
    gateway_host: str = LOOPBACK
    """The address Envoy's public listener binds; everything else stays on loopback."""
    gateway_url: str = ""
    """Where clients reach the gateway."""
    editor_command: str = ""
    """The editor's executable; empty when none is installed."""
    extra_environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Settings handed to every service, over the stack's own."""

    @property
    def credentials(self) -> Credentials:
        """The keys and tokens of this stack."""
        return Credentials(self.layout.secrets)

    @property
    def redis_url(self) -> str:
        """Where Valkey answers."""
        return f"redis://{LOOPBACK}:{self.ports['valkey']}/0"

    @property
    def nats_url(self) -> str:
        """Where NATS answers."""
        return f"nats://{LOOPBACK}:{self.ports['nats']}"

    @property
    def mongodb_url(self) -> str:
        """Where the Mongo-wire server answers, with the database's name."""
        return f"mongodb://{LOOPBACK}:{self.ports['mongo']}/{DATABASE}"


def available_services() -> tuple[str, ...]:
    """List the services that can be run: those whose package has a `__main__`."""
    return tuple(
        name
        for name in SERVICES
        if importlib.util.find_spec(f"services.{name}") is not None
        and importlib.util.find_spec(f"services.{name}.__main__") is not None
    )


def programs(plan: Plan, gateway: Callable[[Plan], list[str]] | None) -> list[Program]:
    """List the stack's programs, those others lean on first.

    `gateway` writes Envoy's derived files and gives its command line; None leaves Envoy out.
    """
    found = [_valkey(plan), _nats(plan), _mongo(plan)]
    found += [
        _service(plan, service, program)
        for service in plan.services
        for program in replicas(service)
    ]
    if gateway is not None:
        found.append(_envoy(plan, gateway(plan)))
    return found


def port_table(plan: Plan, running: Collection[str]) -> dict[str, int]:
    """Give the ports that the programs named in `running` listen on, by name."""
    table = plan.ports.table(plan.services)
    if "envoy" not in running:
        for name in ("gateway", "mesh", "envoy-admin"):
            table.pop(name)
    return table


def _valkey(plan: Plan) -> Program:
    port = plan.ports["valkey"]
    directory = plan.layout.data / "valkey"
    command = (
        str(binaries.valkey_server()),
        *("--bind", LOOPBACK, "--port", str(port)),
        *("--dir", str(directory), *VALKEY_PERSISTENCE, "--daemonize", "no"),
        # Its title is written over its environment, where the stack's marker has to stay.
        *("--set-proc-title", "no"),
    )
    return Program("valkey", command, check=health.redis(plan.redis_url))


def _nats(plan: Plan) -> Program:
    command = (
        str(binaries.nats_server()),
        *("--addr", LOOPBACK, "--port", str(plan.ports["nats"])),
        *("--http_port", str(plan.ports["nats-monitor"])),
        *("--jetstream", "--store_dir", str(plan.layout.data / "nats")),
    )
    return Program("nats", command, check=health.nats(plan.ports["nats"]))


def _mongo(plan: Plan) -> Program:
    pid_file = plan.layout.run / "mongo.pid"
    command = (
        *(sys.executable, "-c", _QUIET_MONGO),
        *("--host", LOOPBACK, "--port", str(plan.ports["mongo"])),
        *("--data-dir", str(plan.layout.data / "mongo")),
        # It logs to its standard error as well, which the supervisor rotates.
        *("--pid-file", str(pid_file), "--log-file", os.devnull),
    )
    return Program(
        "mongo",
        command,
        check=health.mongo(plan.mongodb_url),
        # After kill -9 the file is still there, and the server takes whatever process has that
        # number now for itself and refuses to start.
        stale_files=(pid_file,),
    )


def _service(plan: Plan, name: str, program: str) -> Program:
    admin = plan.ports.admin(program)
    environment = {
        "MICROSERVICE_NAME": f"{name}-service",
        "BIND_HOST": LOOPBACK,
        "PORT": str(plan.ports[program]),
        "HTTP_PORT": str(admin),
        "REDIS_URL": plan.redis_url,
        "NATS_URL": plan.nats_url,
        "MONGODB_URL": plan.mongodb_url,
        "MESH_ADDRESS": f"{LOOPBACK}:{plan.ports['mesh']}",
        "GATEWAY_URL": plan.gateway_url,
        "JWKS_FILE": str(plan.credentials.jwks),
        "SERVICE_KEY_FILE": str(plan.credentials.services_key),
        "CONTAINER_ROOT": str(plan.layout.root),
        "PORT_BASE": str(plan.ports.instance_base),
        "PORT_RANGE_SIZE": str(INSTANCE_RANGE),
        "DRAIN_SECONDS": str(SERVICE_DRAIN_SECONDS),
        "STACK_ID": plan.stack_id,
    }
    if name == "config":
        environment["SERVICE_PORTS"] = ",".join(
            f"{one}-service={plan.ports[one]}" for one in SERVICES
        )
    if name == "edge":
        environment["USER_KEY_FILE"] = str(plan.credentials.users_key)
        environment["WEB_ASSETS"] = str(web.folder(os.environ))
    if name == "resource":
        environment["EDITOR_COMMAND"] = plan.editor_command
    if name in WEB:
        environment["WEB_PORT"] = str(plan.ports.web(program))
    return Program(
        program,
        (sys.executable, "-m", f"services.{name}"),
        check=health.http(admin, "/ready"),
        environment={**environment, **plan.extra_environment},
        stop_seconds=SERVICE_DRAIN_SECONDS + 5,
    )


def _envoy(plan: Plan, command: list[str]) -> Program:
    return Program(
        "envoy",
        tuple(command),
        check=health.http(plan.ports["envoy-admin"], "/ready"),
        directory=plan.layout.gateway,
    )
