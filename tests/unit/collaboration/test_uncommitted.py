"""What Git lacks of a document, and when it is committed: decided from records alone."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from services.collaboration.committing import Pace, authors, due
from services.collaboration.entry import Author
from services.collaboration.names import Name
from services.collaboration.uncommitted import Change, Record

ADA, BOB, EVE = Author("ada", "Ada"), Author("bob", "Bob"), Author("eve", "Eve")
NAME = Name("default", "web", "a.py")
PACE = Pace(quiet=5_000, busy=60_000, together=2_000)


def record(path: str = "a.py", *, dirty_at: int = 0, changed_at: int = 0) -> Record:
    """Give a document with one uncommitted entry."""
    return Record(
        Name("default", "web", path),
        sequence=7,
        committed=3,
        dirty_at=dirty_at,
        changed_at=changed_at,
        version=1,
    )


def test_who_wrote_is_kept_until_git_has_it() -> None:
    """A commit takes away the writers it holds and no others: who wrote on meanwhile stays."""
    one = Record(NAME).changed([Change(1, 10, [ADA]), Change(2, 20, [BOB, ADA])])
    assert (one.sequence, one.revision, one.dirty_at, one.changed_at) == (2, 3, 10, 20)
    on = one.changed([Change(3, 30, [EVE]), Change(4, 40, [BOB])])
    after = on.committed_to(2)
    assert [writer.author for writer in after.writers] == [BOB, EVE]
    assert (after.dirty, after.dirty_at) == (True, 40)
    assert not after.committed_to(4).dirty
    assert after.committed_to(4).writers == ()


def test_the_first_content_is_to_be_committed_too() -> None:
    """A document that nobody edits is committed with whoever opened it."""
    one = Record(NAME).opened(ADA, 5)
    assert one.dirty
    assert [writer.author for writer in one.writers] == [ADA]
    assert not one.committed_to(0).dirty


def test_a_document_that_is_opened_again_begins_anew() -> None:
    """Git lacks all of it, and is still told who wrote the one before and who deleted it."""
    before = dataclasses.replace(
        Record(NAME).changed([Change(5, 1, [ADA])]), version=3, epoch="old", stream="s"
    )
    again = before.opened(BOB, 9)
    assert (again.epoch, again.sequence, again.revision, again.version) == ("", 0, 1, 3)
    assert again.dirty
    assert not again.committed_to(0).dirty
    assert [writer.author for writer in again.writers] == [ADA, BOB]


def test_parts_of_an_entry_make_one_revision() -> None:
    """A large entry in three parts is one revision, and complete with the last."""
    parts = [Change(number, 1, [ADA], counts=number == 3) for number in (1, 2, 3)]
    assert Record(NAME).changed(parts).revision == 2


CHANGES = st.lists(
    st.builds(
        lambda gap, who: (gap, who),
        st.integers(1, 3),
        st.lists(st.sampled_from([ADA, BOB, EVE]), max_size=2),
    ),
    max_size=12,
).map(
    lambda steps: [
        Change(sum(gap for gap, _ in steps[: number + 1]), number, who)
        for number, (_, who) in enumerate(steps)
    ]
)


@given(changes=CHANGES, cut=st.integers(0, 12), again=st.integers(0, 12), commit=st.booleans())
def test_what_is_told_twice_counts_once(
    changes: list[Change], cut: int, again: int, commit: bool
) -> None:
    """A follower that died is followed by one that tells some entries again: nothing differs."""
    once = Record(NAME).changed(changes)
    twice = Record(NAME).changed(changes[:cut])
    if commit and changes[:cut]:
        once = Record(NAME).changed(changes[:cut]).committed_to(changes[:cut][-1].sequence)
        once = once.changed(changes[cut:])
        twice = twice.committed_to(changes[:cut][-1].sequence)
    twice = twice.changed(changes[max(0, cut - again) :])
    assert dataclasses.replace(twice, dirty_at=0) == dataclasses.replace(once, dirty_at=0)


def test_quiet_documents_are_due() -> None:
    """After the quiet time, or the busy time since the first edit, whatever comes first."""
    quiet = record("quiet", changed_at=10_000, dirty_at=9_000)
    busy = record("busy", changed_at=69_500, dirty_at=10_000)
    assert due([quiet], PACE, 14_999) == []
    assert due([quiet], PACE, 15_000) == [quiet]
    assert due([busy], PACE, 69_999) == []
    assert due([busy], PACE, 70_000) == [busy]


def test_what_goes_quiet_together_is_committed_together() -> None:
    """A document waits a little for others that are nearly quiet, and no longer than that."""
    first = record("first", changed_at=10_000, dirty_at=10_000)
    second = record("second", changed_at=11_500, dirty_at=10_000)
    typing = record("typing", changed_at=14_900, dirty_at=10_000)
    assert due([first, second], PACE, 15_000) == []
    assert due([first, second], PACE, 16_500) == [first, second]
    assert due([first, typing], PACE, 15_000) == [first]
    endless = [record("endless", changed_at=at, dirty_at=10_000) for at in range(11_000, 13_000)]
    assert due([first, endless[-1]], PACE, 17_000) == [first]


def test_the_first_writer_of_all_documents_is_the_author() -> None:
    """Each is named once, in order of their first entries in the stream."""
    one = Record(NAME).changed([Change(5, 1, [BOB]), Change(9, 1, [EVE])])
    other = Record(NAME).changed([Change(2, 1, [ADA]), Change(3, 1, [EVE])])
    assert authors([one, other]) == [ADA, EVE, BOB]
