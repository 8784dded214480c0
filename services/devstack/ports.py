"""The ports of a stack: one table, one offset, and who is in the way."""

import collections
import dataclasses
import itertools
import random
import socket
from collections.abc import Iterable, Mapping

import psutil

LOOPBACK = "127.0.0.1"

BASE: Mapping[str, int] = {
    "gateway": 3000,
    "mesh": 3100,
    "instance": 3001,
    "path": 3002,
    "resource": 3003,
    "collaboration": 3004,
    "config": 3005,
    "quota": 3006,
    "edge": 3007,
    "collaboration-2": 3008,
    "valkey": 6379,
    "nats": 4222,
    "nats-monitor": 8222,
    "mongo": 27017,
    "envoy-admin": 9901,
}
"""Port by name at offset 0; the services' as in the specification."""

REPLICAS: Mapping[str, tuple[str, ...]] = {"collaboration": ("collaboration", "collaboration-2")}
"""Services that run more than once, and the names of their programs: a document is served by any
of them, and what only works with one would not be noticed."""

WEB = ("collaboration",)
"""Services that also speak to browsers, on a port of its own."""

WEB_SHIFT = 4000
"""That port is the service's own plus this."""

ADMIN_SHIFT = 6000
"""A service's plain HTTP port (/health, /ready, /metrics) is its own port plus this."""

INSTANCE_BASE = 8000
INSTANCE_RANGE = 100
MAX_OFFSET = 65535 - max(BASE.values())

# Above this the kernel hands out outgoing ports (ip_local_port_range), which come and go.
_EPHEMERAL_START = 32768
# Web ports looked at when choosing an offset for tests: more instances than a test starts.
_WEB_PORTS_CHECKED = 20

# Between the ports of stacks at any offset that is chosen freely, beside their instances' web
# ports, and not among the outgoing ones: what is free there stays free until somebody listens.
_APART = tuple(port for port in range(16_000, 27_000) if port % 10)
_turns = itertools.count(random.SystemRandom().randrange(len(_APART)))

# The ports given last are claimed by UDP sockets, which are in no server's way and end with us.
_CLAIMS = 200
_claims: collections.deque[socket.socket] = collections.deque()


class PortsTakenError(Exception):
    """A port of the plan is in use; the message names each with its holder and the way out."""


class NoFreeOffsetError(Exception):
    """No offset leaves all ports free."""


class NoFreePortError(Exception):
    """Every port there is to give is in use."""


@dataclasses.dataclass(frozen=True)
class Taken:
    """A port that something else listens on."""

    port: int
    wanted_by: str
    holder: str

    def __str__(self) -> str:
        return f"port {self.port} (wanted by {self.wanted_by}) is held by {self.holder}"


@dataclasses.dataclass(frozen=True)
class Ports:
    """The ports of the stack at one offset."""

    offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.offset <= MAX_OFFSET:
            raise ValueError(f"a port offset lies between 0 and {MAX_OFFSET}, not {self.offset}")

    def __getitem__(self, name: str) -> int:
        return BASE[name] + self.offset

    def admin(self, service: str) -> int:
        """Give the plain HTTP port of a service."""
        return self[service] + ADMIN_SHIFT

    def web(self, program: str) -> int:
        """Give the port for browsers of a service."""
        return self[program] + WEB_SHIFT

    @property
    def instance_base(self) -> int:
        """Where the first instance's port range starts."""
        return INSTANCE_BASE + self.offset

    def table(self, services: Iterable[str]) -> dict[str, int]:
        """Give all ports by name for a stack that runs `services`, infrastructure included."""
        running = {program for service in services for program in replicas(service)}
        web = {program for service in WEB for program in replicas(service)}
        infrastructure = ("gateway", "mesh", "envoy-admin", "valkey", "nats", "nats-monitor")
        names = [name for name in BASE if name in (*infrastructure, "mongo") or name in running]
        table = {name: self[name] for name in names}
        table.update({f"{name}-admin": self.admin(name) for name in names if name in running})
        table.update({f"{name}-web": self.web(name) for name in names if name in running & web})
        return table


def replicas(service: str) -> tuple[str, ...]:
    """Give the names of the programs that run a service."""
    return REPLICAS.get(service, (service,))


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Tell whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a connection of the past in TIME_WAIT does not occupy the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def any_free_port() -> int:
    """Give a loopback port that is free, and that nobody else is given while this process runs.

    Raises NoFreePortError when there is none.
    """
    for _ in _APART:
        port = _APART[next(_turns) % len(_APART)]
        claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            claim.bind((LOOPBACK, port))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        if len(_claims) > _CLAIMS:
            _claims.popleft().close()
        if is_free(port):
            return port
    raise NoFreePortError("no port is free")


def taken(table: Mapping[str, int]) -> list[Taken]:
    """List the ports of `table` that are in use."""
    busy = {name: port for name, port in table.items() if not is_free(port)}
    if not busy:
        return []
    holders = _listeners()
    return [
        Taken(port, name, _describe(holders.get(port)))
        for name, port in sorted(busy.items(), key=lambda item: item[1])
    ]


def require_free(table: Mapping[str, int]) -> None:
    """Check that every port of `table` is free.

    Raises PortsTakenError with one line for each that is not.
    """
    if in_the_way := taken(table):
        lines = [str(item) for item in in_the_way]
        try:
            way_out = f"--port-offset {free_offset()}"
        except NoFreeOffsetError:
            way_out = "--port-offset N"
        raise PortsTakenError(
            "\n".join(f"{line}: stop it, or start beside it with {way_out}" for line in lines)
        )


def free_offset() -> int:
    """Choose an offset at which the whole stack and its first instances have their ports free.

    Offsets are multiples of 10 but not of 100, so that neither the fixed ports nor the
    instances' web ports of two stacks meet. Chosen at random: two programs that start stacks
    at the same moment rarely want the same one.

    Raises NoFreeOffsetError when all are taken.
    """
    highest = _EPHEMERAL_START - max(BASE.values())
    candidates = [offset for offset in range(210, highest, 10) if offset % 100]
    random.SystemRandom().shuffle(candidates)
    in_use = set(_listeners())
    for offset in candidates:
        ports = Ports(offset)
        web = range(ports.instance_base, 65536, INSTANCE_RANGE)[:_WEB_PORTS_CHECKED]
        wanted = [*ports.table(BASE).values(), *web]
        if in_use.isdisjoint(wanted) and all(is_free(port) for port in wanted):
            return offset
    raise NoFreeOffsetError("no port offset leaves every port of a stack free")


def _listeners() -> dict[int, int | None]:
    """Map each listening TCP port to its process, or None where the system does not tell."""
    try:
        connections = psutil.net_connections(kind="tcp")
    except psutil.AccessDenied:  # macOS tells only root
        return {}
    return {
        connection.laddr.port: connection.pid
        for connection in connections
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }


def _describe(pid: int | None) -> str:
    if pid is None:
        return "a process of another user"
    try:
        return f"process {pid} ({psutil.Process(pid).name()})"
    except psutil.Error:
        return f"process {pid}"
