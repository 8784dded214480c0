"""Which processors instances get, which processes may be ended, and what is told of limits."""

import collections
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.resource.limits import Means
from services.resource.runtimes.local import cgroups, means, victims
from services.resource.runtimes.local.processors import Processors
from services.resource.runtimes.local.procfs import Identity, Process
from services.resource.workload import Resources

MACHINE = frozenset(range(8))


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(1, 12_000))),
        max_size=30,
    )
)
def test_each_gets_as_many_as_its_limit(steps: list[tuple[str, int | None]]) -> None:
    """The limit in whole processors, rounded up; the same ones as long as it stays."""
    processors = Processors(MACHINE)
    known: dict[str, tuple[int, frozenset[int]]] = {}
    for name, millicores in steps:
        if millicores is None:
            processors.forget(name)
            known.pop(name, None)
            continue
        given_ = processors.assign(name, millicores, ())
        count = min(8, math.ceil(millicores / 1000))
        assert len(given_) == count
        assert given_ <= MACHINE
        if name in known and known[name][0] == count:
            assert given_ == known[name][1]
        known[name] = (count, given_)


def test_they_are_spread_evenly() -> None:
    """Eight instances of half a processor have one each; whoever comes next joins the least."""
    processors = Processors(MACHINE)
    uses = collections.Counter[int]()
    for number in range(16):
        uses.update(processors.assign(f"i{number}", 500, ()))
    assert set(uses.values()) == {2}


def test_after_a_restart_they_stay() -> None:
    """What an instance runs on already is taken over, if it is as many as its limit."""
    processors = Processors(MACHINE)
    assert processors.assign("red", 1500, {6, 7}) == {6, 7}
    assert processors.assign("blue", 1000, {0, 1}) == {0}
    assert not processors.all_of_them(7000)
    assert processors.all_of_them(7001)


def process(pid: int, parent: int) -> Process:
    return Process(
        identity=Identity(pid, pid, "b"),
        parent=parent,
        is_zombie=False,
        ticks=0,
        children_ticks=0,
        session=1,
    )


def test_the_editors_own_are_no_victims(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its servers, extension host and terminal host are spared; what they start is not."""
    parts = {2, 3, 4}
    monkeypatch.setattr(victims, "_is_part", lambda pid: pid in parts)
    #  1 editor ─ 2 server ─┬ 3 extension host ─ 6 language server
    #                       └ 4 terminal host ─ 5 shell ─ 7 build
    tree = {1: 0, 2: 1, 3: 2, 4: 2, 5: 4, 6: 3, 7: 5}
    members = [process(pid, parent) for pid, parent in tree.items()]
    # Somebody who calls a process so, under a shell, gains nothing by it.
    parts.add(7)
    found = victims.of(members, members[0].identity)
    assert [one.pid for one in found] == [5, 6, 7]
    assert [one.pid for one in victims.newest(found, 2)] == [7, 6]


@pytest.mark.parametrize(
    ("cpu", "how", "expected"),
    [
        (500, {"by_group": True}, Means.CGROUP),
        (500, {}, Means.PROCESS_LIMIT),
        (8000, {}, Means.NONE),
        (500, {"by_affinity": False}, Means.NONE),
    ],
)
def test_what_is_told_of_cpu(cpu: int, how: dict[str, bool], expected: Means) -> None:
    """Each way is named for what it is."""
    chosen = {"by_group": False, "by_affinity": True, "confined": False, **how}
    told = means.cpu(Resources(cpu, 1, 1), processors=8, **chosen)
    assert told.means is expected
    assert told.message


def test_without_groups_it_says_why() -> None:
    """Whatever this machine has, there is a group or a reason."""
    groups, why = cgroups.find("test-unit")
    assert (groups is None) == bool(why)
    if groups is not None:
        groups.top.rmdir()
