"""Updates are read before they are applied: real ones are understood, no others pass."""

import contextlib
import random

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.chassis import errors
from services.collaboration import epochs, history, updates, ywire
from services.collaboration.replica import Replica


def real() -> list[bytes]:
    """Make updates of every kind there is."""
    doc: pycrdt.Doc = pycrdt.Doc(client_id=2**52 + 5)
    made: list[bytes] = []
    subscription = doc.observe(lambda event: made.append(event.update))
    text = doc.get("content", type=pycrdt.Text)
    text.insert(0, "héllo 🙂")
    del text[1:4]
    text.insert(2, "bold", {"b": True})
    text.insert_embed(0, {"img": 1})
    doc["array"] = pycrdt.Array([1, 2.5, "x", None, True, 2**60, {"k": [1, b"z"]}])
    doc["map"] = pycrdt.Map({"z": b"bytes", "t": pycrdt.Text("hey"), "d": pycrdt.Doc()})
    doc["xml"] = pycrdt.XmlFragment([pycrdt.XmlElement("p", {"a": "b"}, ["hi"])])
    doc.unobserve(subscription)
    return [*made, doc.get_update()]


def test_real_updates_are_understood() -> None:
    """Of every kind, and as far as their state vectors say."""
    for update in real():
        updates.measure(update)
    whole = real()[-1]
    doc: pycrdt.Doc = pycrdt.Doc()
    doc.apply_update(whole)
    assert updates.measure(whole).edits == ywire.read_state_vector(doc.get_state())


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\x00",
        b"\xce\xb2\xa8\x49\xc9\x97\x84\xb9",  # half a gigabyte of clients
        b"\x01\xff\xff\xff\xff\x0f\x01\x00",  # four thousand million structs
        b"\x01\x01\x05\x00\x00\xff\xff\xff\xff\xff\xff\xff\x0f\x00",  # an endless deletion
        b"\x01\x01\x05\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00\x01\x00",  # a clock of 70 bits
        b"\x00\x01\x01\x01\x00\x00",  # nothing, deleted
        b"\x00\x00\x00",  # something behind the end
    ],
)
def test_hostile_updates_are_refused(hostile: bytes) -> None:
    """Whatever they announce, nothing is allocated for it."""
    with pytest.raises(ywire.Malformed):
        updates.measure(hostile)


@settings(max_examples=300)
@given(st.integers(0, 2**32))
def test_broken_updates_harm_nothing(seed: int) -> None:
    """One that was changed at random is refused, or applied; the document stays in order."""
    some = random.Random(seed)
    replica = Replica(history.replay(history.seed("héllo"), []))
    for _ in range(5):
        update = bytearray(some.choice(real()))
        for _ in range(some.randint(1, 4)):
            update[some.randrange(len(update))] = some.randrange(256)
        with contextlib.suppress(errors.InvalidArgument):
            replica.apply(bytes(update[: some.randint(0, len(update))]))
        again = Replica(history.replay(replica.state(), []))
        assert again.text == replica.text


def test_early_ones_wait() -> None:
    """What lacks its predecessor is no part of the state, and comes with it when it is there."""
    doc: pycrdt.Doc = pycrdt.Doc(client_id=1)
    made: list[bytes] = []
    subscription = doc.observe(lambda event: made.append(event.update))
    text = doc.get("content", type=pycrdt.Text)
    for part in ("one ", "two ", "three "):
        text.insert(len(text), part)
    del text[0:4]
    doc.unobserve(subscription)
    first, second, third, deletion = made
    replica = Replica(history.replay(history.seed(""), []))
    assert replica.apply(third) == (b"", False)
    assert replica.apply(deletion) == (b"", False)
    other = Replica(history.replay(history.seed(""), []))
    new, whole = replica.apply(first)
    assert whole
    assert replica.text == ""
    # What is stored and sent is what was new: with the deletion that had waited.
    assert other.apply(new) == (new, True)
    new, whole = replica.apply(second)
    assert whole
    assert other.apply(new) == (new, True)
    assert other.text == replica.text == "two three "
    assert replica.apply(second) == (b"", True)


@pytest.mark.parametrize("content", ["", "old"])
def test_another_history_is_told_by_who_began_it(content: str) -> None:
    """By its state vector and by edits and deletions of it; also where it began empty."""
    other = Replica(history.replay(history.seed(content, "other"), []), "other")
    replica = Replica(history.replay(history.seed("new", "own"), []), "own")
    before = replica.state()
    update = other.state()
    for refuse in (
        lambda: replica.missing(other.state_vector()),
        lambda: replica.apply(update),
        lambda: replica.apply(
            b"\x00\x01" + ywire.write_uint(epochs.first_client("other")) + b"\x01\x00\x01"
        ),
    ):
        with pytest.raises(errors.FailedPrecondition, match="another history") as refused:
            refuse()
        assert refused.value.metadata == {"epoch": "own"}
    assert replica.state() == before
    assert replica.missing(replica.state_vector())
