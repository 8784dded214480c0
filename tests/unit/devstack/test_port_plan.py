import socket
import subprocess
import sys
from collections.abc import Iterator

import hypothesis
import pytest
from hypothesis import strategies

from services.devstack import plan, ports


@pytest.fixture
def listener() -> Iterator[int]:
    with socket.create_server((ports.LOOPBACK, 0)) as server:
        yield server.getsockname()[1]


def test_the_ports_of_the_specification_at_offset_zero() -> None:
    """Without an offset every server listens where the specification puts it."""
    table = ports.Ports().table(plan.SERVICES)
    assert {name: table[name] for name in ("gateway", "instance", "resource", "quota")} == {
        "gateway": 3000,
        "instance": 3001,
        "resource": 3003,
        "quota": 3006,
    }
    assert table["instance-admin"] == 9001
    assert ports.Ports().instance_base == 8000


@hypothesis.given(strategies.integers(min_value=0, max_value=ports.MAX_OFFSET))
def test_no_two_programs_share_a_port(offset: int) -> None:
    """At every legal offset the ports are distinct and exist, instances' web ports included."""
    shifted = ports.Ports(offset)
    wanted = [*shifted.table(plan.SERVICES).values(), shifted.instance_base]
    assert len(set(wanted)) == len(wanted)
    assert all(1024 <= port <= 65535 for port in wanted)
    # An instance's web port is the first of its range: no program may sit on one.
    in_ranges = [port for port in wanted if port > shifted.instance_base]
    assert all((port - shifted.instance_base) % ports.INSTANCE_RANGE for port in in_ranges)


@pytest.mark.parametrize("offset", [-1, ports.MAX_OFFSET + 1])
def test_an_impossible_offset_is_refused(offset: int) -> None:
    """An offset that leads outside the port numbers is refused before anything starts."""
    with pytest.raises(ValueError, match="port offset"):
        ports.Ports(offset)


def test_a_taken_port_is_one_line_with_cause_and_way_out(listener: int) -> None:
    """The line names the port, what wanted it, the process holding it, and what to do."""
    free = ports.any_free_port()
    with pytest.raises(ports.PortsTakenError) as caught:
        ports.require_free({"nats": listener, "valkey": free})
    (line,) = str(caught.value).splitlines()
    assert f"port {listener} (wanted by nats) is held by process" in line
    assert "--port-offset" in line


def test_free_ports_are_accepted() -> None:
    """Ports nobody listens on raise nothing."""
    ports.require_free({"valkey": ports.any_free_port()})


def test_a_free_port_is_given_once() -> None:
    """Neither again nor by another process, and it is none that outgoing connections may take."""
    given = [ports.any_free_port() for _ in range(300)]
    assert len(set(given)) == len(given)
    assert max(given) < 32768
    assert all(map(ports.is_free, given))
    first = list(ports._APART).index(given[-50])
    code = f"""
from services.devstack import ports
ports._turns = iter(range({first}, 100_000))
print(ports.any_free_port())
"""
    other = subprocess.run((sys.executable, "-c", code), check=True, capture_output=True, text=True)
    assert int(other.stdout) not in given


def test_a_free_offset_leaves_every_port_free() -> None:
    """A stack started at the offset given finds all its ports free."""
    offset = ports.free_offset()
    assert ports.taken(ports.Ports(offset).table(plan.SERVICES)) == []
