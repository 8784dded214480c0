"""Who is in a document: y-protocols' rules."""

from codestudio._live import wire
from codestudio._live.awareness import DIES, RENEW, Awareness


def test_states_travel() -> None:
    """A state reaches the others as it is, once; it is renewed in time, and dies without."""
    one, other = Awareness(1), Awareness(2)
    one.set_state({"user": {"name": "Adé 🙂"}})
    said = one.outgoing(0.0)
    assert other.apply(said, 0.0)
    assert other.others(1.0) == {1: {"user": {"name": "Adé 🙂"}}}
    assert other.name_of(1) == "Adé 🙂"
    assert not other.apply(said, 5.0)
    assert one.outgoing(1.0) == b""
    renewed = one.outgoing(RENEW + 1)
    assert not other.apply(renewed, RENEW + 1)
    assert 1 in other.others(RENEW + DIES)
    assert other.others(RENEW + DIES + 2) == {}


def test_who_is_not_heard_is_forgotten() -> None:
    """Clients that come and go leave nothing behind, however they go; who stays is known."""
    one, stays = Awareness(1), Awareness(2)
    stays.set_state({"user": {"name": "Bo"}})
    for number in range(100):
        now = number * RENEW
        one.apply(stays.outgoing(now), now)
        passing = Awareness(1000 + number)
        passing.set_state({"user": {"name": "Ada"}})
        one.apply(passing.outgoing(now), now)
        assert one.name_of(1000 + number) == "Ada"
        passing.set_state(None)
        if number % 2:
            one.apply(passing.outgoing(now), now)
            assert 1000 + number not in one.others(now)
    assert one.name_of(2) == "Bo"
    assert len(one._known) < 10


def test_going() -> None:
    """Null means gone, at the same clock too; an older word is not believed."""
    one, other = Awareness(1), Awareness(2)
    one.set_state({"n": 1})
    first = one.outgoing(0.0)
    other.apply(first, 0.0)
    one.set_state(None)
    assert other.apply(one.outgoing(0.0), 0.0)
    assert other.others(0.0) == {}
    assert not other.apply(first, 0.0)
    assert other.others(0.0) == {}


def test_one_is_declared_gone() -> None:
    """Who is said to be gone, and is not, says so with a newer clock."""
    one, other = Awareness(1), Awareness(2)
    one.set_state({"n": 1})
    other.apply(one.outgoing(0.0), 0.0)
    farewell = wire.uint(1) + wire.uint(1) + wire.uint(1) + wire.string("null")
    other.apply(farewell, 0.0)
    one.apply(farewell, 0.0)
    assert other.apply(one.outgoing(0.0), 0.0)
    assert other.others(0.0) == {1: {"n": 1}}


def test_what_cannot_be_read() -> None:
    """Bytes that are no awareness change nothing."""
    one = Awareness(1)
    for data in (b"", b"\xff", b"\x01\x02", b"\x01\x02\x01\x03{{{", b"\x05" * 40):
        assert not one.apply(data, 0.0)
    assert one.others(0.0) == {}
