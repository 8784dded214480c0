"""Texts, offsets and places of live documents: their laws, over characters of every width."""

import contextlib
import itertools
import random

import codestudio
import pytest
from codestudio._live import edits, positions, units, wire
from codestudio._live.edits import Edit
from codestudio._live.replica import PIECE_BYTES, Applied, Replica
from hypothesis import given, settings
from hypothesis import strategies as st

ALPHABET = ["a", "b", " ", "\n", "\r\n", "\r", "e\u0301", "é", "中", "文", "🙂", "👩\u200d💻"]
TEXTS = st.lists(st.sampled_from(ALPHABET), max_size=25).map("".join)


def ignore(update: bytes) -> None:
    """Take an update nobody needs."""


@settings(max_examples=500)
@given(TEXTS, TEXTS)
def test_a_difference_leads_from_one_to_the_other(old: str, new: str) -> None:
    """The edits found make one text the other, fit it, stand in order, and do not touch."""
    found = edits.difference(old, new)
    assert edits.apply(old, found) == new
    for edit in found:
        assert old[edit.offset : edit.end] == edit.deleted
        assert edit.deleted != edit.inserted
    assert all(one.end < other.offset for one, other in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a\nb\nc\n", "a\nc\n", [Edit(2, "b\n", "")]),
        ("foo(x)\n", "foo(x, y)\n", [Edit(5, "", ", y")]),
        ("one two\n", "one 2\n", [Edit(4, "two", "2")]),
        ("a\n" * 5, "a\n" * 6, [Edit(10, "", "a\n")]),
        ("x\r\ny", "x\ny", [Edit(1, "\r", "")]),
        ("🙂", "🙃", [Edit(0, "🙂", "🙃")]),
    ],
)
def test_a_difference_is_small(old: str, new: str, expected: list[Edit]) -> None:
    """What stays is not touched: others' cursors and edits in it stay where they are."""
    assert edits.difference(old, new) == expected


@settings(max_examples=500)
@given(TEXTS, TEXTS, TEXTS)
def test_rebased_edits_fit(base: str, mine: str, theirs: str) -> None:
    """Edits rebased over others fit what those made, and what either put in is in the result."""
    own, other = edits.difference(base, mine), edits.difference(base, theirs)
    rebased = edits.rebase(own, other)
    for edit in rebased:
        assert theirs[edit.offset : edit.end] == edit.deleted
    assert all(one.end < other.offset for one, other in itertools.pairwise(rebased))
    merged = edits.apply(theirs, rebased)
    assert merged == edits.merge(base, mine, theirs)
    for edit in (*own, *other):
        assert edit.inserted in merged or _in_pieces(edit.inserted, merged)
    assert edits.merge(base, mine, base) == mine
    assert edits.merge(base, base, theirs) == theirs
    assert edits.merge(base, mine, mine) == mine


def _in_pieces(text: str, merged: str) -> bool:
    """Whether all of a text's characters are there, in order: another's may stand between."""
    rest = iter(merged)
    return all(character in rest for character in text)


def test_both_did_the_same() -> None:
    """A formatter that ran on both sides changes the text once."""
    base, formatted = "x=1\ny = 2\n", "x = 1\ny = 2\n"
    assert edits.merge(base, formatted, formatted) == formatted
    assert edits.merge(base, formatted, formatted + "z = 3\n") == formatted + "z = 3\n"


@settings(max_examples=300)
@given(TEXTS, st.data())
def test_offsets_convert(text: str, data: st.DataObject) -> None:
    """Every offset converts there and back; one within a surrogate pair is refused."""
    offset = data.draw(st.integers(0, len(text)))
    utf16 = units.from_code_points(text, offset, codestudio.OffsetUnit.UTF16)
    assert utf16 == len(text[:offset].encode("utf-16-le")) // 2
    assert units.to_code_points(text, utf16, codestudio.OffsetUnit.UTF16) == offset
    assert units.after_utf16(text, utf16) == offset
    assert units.after_bytes(text, len(text[:offset].encode())) == offset
    if offset < len(text) and ord(text[offset]) > 0xFFFF:
        with pytest.raises(codestudio.OutOfRange, match="surrogate"):
            units.to_code_points(text, utf16 + 1, codestudio.OffsetUnit.UTF16)
    for outside in (-1, len(text.encode("utf-16-le")) // 2 + 1):
        with pytest.raises(codestudio.OutOfRange):
            units.to_code_points(text, outside, codestudio.OffsetUnit.UTF16)


class Group:
    """Replicas of one document, whose updates arrive when the test says so."""

    def __init__(self, chance: random.Random, count: int) -> None:
        self.chance = chance
        self.boxes: list[list[bytes]] = [[] for _ in range(count)]
        self.replicas = [Replica(box.append, client_id=n + 1) for n, box in enumerate(self.boxes)]

    def act(self, replica: Replica) -> Applied:
        """Do something, at random."""
        text, chance = replica.text, self.chance
        kind = chance.random()
        if kind < 0.1:
            return replica.undo()
        if kind < 0.2:
            return replica.redo()
        start = chance.randint(0, len(text))
        end = chance.randint(start, min(len(text), start + 4))
        if kind < 0.4:
            new = text[:start] + self.words() + text[end : end + 2] + self.words() + text[end + 3 :]
            return replica.edit(edits.difference(text, new))
        return replica.edit([Edit(start, text[start:end], self.words())])

    def words(self) -> str:
        """Give some text."""
        return "".join(self.chance.choices(ALPHABET, k=self.chance.randint(0, 5)))

    def exchange(self) -> None:
        """Let every update arrive everywhere, in any order and some twice.

        Whoever finds that something is missing asks for it, as a session does.
        """
        for taker, replica in enumerate(self.replicas):
            others = [box for maker, box in enumerate(self.boxes) if maker != taker]
            sent = [update for box in others for update in box]
            sent += self.chance.choices(sent, k=2) if sent else []
            self.chance.shuffle(sent)
            whole = [self.take(replica, update) for update in sent]
            if not all(whole):
                for other in self.replicas:
                    self.take(replica, other.update_since(replica.state_vector))
        for box in self.boxes:
            box.clear()

    def take(self, replica: Replica, update: bytes) -> bool:
        """Let an update arrive; what it did is told as it is."""
        applied = replica.apply(update)
        assert edits.apply(applied.before, applied.edits) == replica.text
        return applied.whole


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_replicas_converge(seed: int) -> None:
    """Whatever is done in whatever order, all end in one text, and know it without asking."""
    group = Group(random.Random(seed), 3)
    for _ in range(group.chance.randint(1, 10)):
        for replica in group.replicas:
            before = replica.text
            applied = group.act(replica)
            assert edits.apply(before, applied.edits) == replica.text
        if group.chance.random() < 0.5:
            group.exchange()
    group.exchange()
    assert len({replica.text for replica in group.replicas}) == 1
    for replica in group.replicas:
        assert replica.text == str(replica._text)
        replica.close()


@settings(max_examples=150)
@given(st.integers(0, 2**32))
def test_places_are_found_again(seed: int) -> None:
    """A place named in one replica is found at the same offset in another, of any characters."""
    group = Group(random.Random(seed), 2)
    for _ in range(group.chance.randint(1, 10)):
        for replica in group.replicas:
            group.act(replica)
        if group.chance.random() < 0.5:
            group.exchange()
    group.exchange()
    one, other = group.replicas
    for offset in range(len(one.text) + 1):
        assert positions.find(other, positions.name(one, offset)) == offset


def test_a_place_in_a_long_text() -> None:
    """The block a place is in is found however long it is, also where blocks are cut anywhere."""
    boxes: list[list[bytes]] = [[], []]
    one, other = Replica(boxes[0].append), Replica(boxes[1].append)
    one.edit([Edit(0, "", "a🙂中" * 5000)])
    for update in boxes[0]:
        other.apply(update)
    for offset in (0, 1, 2, 4999, 5000, 14_997, 14_998, 15_000):
        assert positions.find(other, positions.name(one, offset)) == offset


def test_a_place_moves_with_its_character() -> None:
    """What is put in before it moves it; where its character is deleted, it stays there."""
    replica = Replica(ignore)
    replica.edit([Edit(0, "", "é🙂word")])
    place = positions.name(replica, 3)
    replica.edit([Edit(0, "", "中")])
    assert positions.find(replica, place) == 4
    replica.edit([Edit(3, "wo", "")])
    assert positions.find(replica, place) == 3


@pytest.mark.parametrize(
    "place",
    [
        None,
        "x",
        {},
        {"tname": "other"},
        {"item": {"client": 99, "clock": 0}},
        {"item": {"client": 1, "clock": 10**6}},
        {"item": {"client": 1, "clock": -1}},
        {"item": {"client": "1", "clock": 0}},
        {"item": [1], "assoc": 0},
        {"tname": "content", "assoc": "x"},
    ],
)
def test_places_that_are_none(place: object) -> None:
    """What others send as a cursor may be anything; it is then none."""
    replica = Replica(ignore, client_id=1)
    replica.edit([Edit(0, "", "é")])
    assert positions.find(replica, place) is None


def test_long_insertions_are_done_in_pieces() -> None:
    """No single update grows beyond what a server takes."""
    made: list[bytes] = []
    replica = Replica(made.append)
    text = "中é🙂x" * 200_000
    replica.edit([Edit(0, "", text)])
    replica.edit([Edit(5, text[5:9], "y" * 300_000), Edit(100, "", "🙂" * 100_000)])
    assert len(made) > 10
    assert max(map(len, made)) < 2 * PIECE_BYTES
    assert replica.text == str(replica._text)


def test_what_is_no_text_is_refused() -> None:
    """A lone surrogate has no UTF-8; it is refused before anything changes."""
    replica = Replica(ignore)
    with pytest.raises(ValueError, match="surrogate"):
        replica.edit([Edit(0, "", "a"), Edit(0, "", "\ud800")])
    assert replica.text == str(replica._text) == ""


@settings(max_examples=500)
@given(st.binary(max_size=60))
def test_hostile_bytes(data: bytes) -> None:
    """Bytes from the network are read or refused, and never read past."""
    for read in (wire.read_state_vector, lambda each: list(wire.blocks(each))):
        with contextlib.suppress(wire.MalformedError):
            read(data)
    replica = Replica(ignore)
    with contextlib.suppress(codestudio.Internal):
        replica.apply(data)
    assert replica.text == str(replica._text)
