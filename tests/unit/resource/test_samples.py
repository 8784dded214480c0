"""The history of usage: aligned, an hour long, gaps left as gaps."""

import datetime

from hypothesis import given
from hypothesis import strategies as st

from services.resource.samples import History, Sample, at

START = 1_800_000_000.0


def sample(tick: float, cpu: float = 0.1) -> Sample:
    return Sample(at(tick), cpu, 1, 2, 3)


def ticks(history: History, name: str, now: float) -> list[float]:
    return [one.time.timestamp() for one in history.of(name, at(now))]


@given(st.floats(1, 4e9), st.sampled_from([0.2, 1.0, 15.0, 60.0]))
def test_ticks_are_multiples_of_the_resolution(now: float, resolution: float) -> None:
    """The next tick is the next whole multiple, for everybody and after every restart."""
    tick = History(resolution=resolution, samples=4).next_tick(now)
    assert now < tick <= now + resolution * 1.001
    assert round(tick * 1000) % round(resolution * 1000) == 0


def test_what_was_not_sampled_is_not_there() -> None:
    """Gaps stay gaps, and samples older than the history are not given."""
    history = History(resolution=15, samples=4)
    for tick in (START, START + 15, START + 60):
        history.add({"red": sample(tick)})
    assert ticks(history, "red", START + 60) == [START, START + 15, START + 60]
    assert ticks(history, "red", START + 75) == [START + 15, START + 60]
    assert ticks(history, "red", START + 3600) == []
    assert history.of("pink", at(START)) == []


def test_only_so_many_are_kept() -> None:
    """The oldest go first."""
    history = History(resolution=1, samples=3)
    for second in range(10):
        history.add({"red": sample(START + second)})
    assert ticks(history, "red", START + 9) == [START + 7, START + 8, START + 9]


def test_a_clock_set_back_repeats_nothing() -> None:
    """Times only grow: what is known already is not taken again."""
    history = History(resolution=15, samples=9)
    for tick in (START, START + 15, START, START + 15, START + 30):
        history.add({"red": sample(tick)})
    assert ticks(history, "red", START + 30) == [START, START + 15, START + 30]


def test_an_instance_that_is_gone_is_forgotten() -> None:
    """Another of the same name begins anew."""
    history = History(resolution=15, samples=9)
    history.add({"red": sample(START), "blue": sample(START)})
    assert history.add({"blue": sample(START + 15)}) == {"red"}
    assert history.of("red", at(START + 15)) == []


def test_an_earlier_life_comes_before_this_one() -> None:
    """What was kept is put before what was sampled since; nothing is there twice."""
    history = History(resolution=15, samples=9)
    history.add({"red": sample(START + 60)})
    history.restore("red", [sample(START + tick) for tick in (15, 0, 60, 75)])
    assert ticks(history, "red", START + 60) == [START, START + 15, START + 60]
    assert history.of("red", at(START + 60))[0].time.tzinfo is datetime.UTC


def test_an_earlier_life_pushes_out_nothing_new() -> None:
    """Where there are more samples than are kept, the newest stay."""
    history = History(resolution=1, samples=3)
    for second in (8, 9):
        history.add({"red": sample(START + second)})
    history.restore("red", [sample(START + second) for second in range(8)])
    assert ticks(history, "red", START + 9) == [START + 7, START + 8, START + 9]
    history.add({"red": sample(START + 10)})
    assert ticks(history, "red", START + 10) == [START + 8, START + 9, START + 10]
