"""SyncCode: edits of clients without a CRDT, rebased over what came since their base.

Everything is decided before anything is done: which text each edit refers to, where it lies in
it, where that is now. Edits of one document are made there at once, and the answer waits until
they are stored. Edits of several are made apart, upon what is stored of each, and stored in one
step, all or none; only then are they in the documents.
"""

import asyncio
import contextlib
import dataclasses
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pycrdt

from services.chassis import context, errors
from services.chassis.validation import Violations
from services.collaboration import history, rebase, segments, text
from services.collaboration.entry import Author
from services.collaboration.history import TooOld
from services.collaboration.names import Name
from services.collaboration.room import Room
from services.collaboration.rooms import Rooms
from services.collaboration.subscriber import Promise
from services.collaboration.text import Lines, OffsetError, Unit
from services.collaboration.together import Part, Together

_CATCH_UP = 3.0
"""Seconds to wait for a revision that another replica has already."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """A line and a column, from 0."""

    line: int
    column: int


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """One edit, as it was asked for."""

    field: str
    """Where it stands in the request."""
    name: Name
    start: Place | int
    """Where the stretch to replace begins."""
    end: Place | int
    """Where it ends; a number is a length."""
    inserted: str
    base: int
    """Revision its place refers to; 0 for the newest."""
    epoch: str
    """Epoch that revision is of; empty where the caller does not know."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """Edits that are to be made together, all or none."""

    changes: Sequence[Change]
    """The edits; those of one document refer to the same text."""
    unit: Unit
    """What columns, offsets and lengths count."""
    rejects: bool
    """Whether to refuse where others changed the same place."""
    author: Author
    """Whose they are."""
    source: str
    """The instance they come from."""
    request: str
    """Identity of the request, kept with the edits; empty for none."""
    latest: float = math.inf
    """When its edits are made at the latest, by the monotonic clock; after it, never."""

    @property
    def names(self) -> list[Name]:
        """The documents, in order of name."""
        return sorted({one.name for one in self.changes}, key=lambda one: one.key)


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What became of one edit."""

    name: Name
    revision: int
    start: int | None
    """Where its text stands, in the unit asked for; None where that is not known any more."""
    length: int
    """Length of its text, in that unit."""
    rebased: bool


class Conflict(errors.Aborted):
    """Others have changed the same place since."""

    def __init__(self, code: str, message: str, room: Room) -> None:
        super().__init__(
            code,
            message,
            metadata={
                "revision": str(room.revision),
                "namespace": room.name.namespace,
                "project": room.name.project,
                "path": room.name.path,
            },
        )


@dataclasses.dataclass(slots=True)
class _Plan:
    """What is to be done to one document."""

    room: Room
    changes: list[Change]
    moved: list[rebase.Moved]
    rebased: bool
    conflict: bool
    """Whether others changed the same place since, stored or not."""

    @property
    def inserted(self) -> list[str]:
        return [one.inserted for one in self.changes]

    @property
    def splices(self) -> list[rebase.Splice]:
        return rebase.splices(self.moved, self.inserted)

    @property
    def idle(self) -> bool:
        """Whether it changes nothing."""
        return not any(one.length or one.inserted for one in self.splices)


class Syncing:
    """Makes edits given as plain text."""

    def __init__(self, *, rooms: Rooms, together: Together) -> None:
        self._rooms = rooms
        self._together = together

    async def sync(
        self, order: Order, *, on_made: Callable[[Sequence[Name]], Awaitable[None]] | None = None
    ) -> list[Result]:
        """Make edits, all or none, and return when they are stored.

        Args:
            order: What is asked for.
            on_made: Called when the edits are made, with the documents in which they change
                nothing; whatever is raised before changes nothing.

        Raises:
            errors.InvalidArgument: Places that are none, or edits that overlap.
            Conflict: Others changed the same place (CONFLICT), or the base is too old to know
                (BASE_TOO_OLD).
            errors.NotFound: A document nobody opened.
            errors.FailedPrecondition: A document that was begun anew since (EPOCH_MISMATCH).
            errors.Unavailable: They cannot be stored now. They may be, later: ask again with the
                same request_id.
        """
        wrong = Violations()
        of_document = _by_document(order.changes, wrong)
        wrong.check()
        async with contextlib.AsyncExitStack() as held, asyncio.timeout(context.timeout()):
            rooms = {
                name: await held.enter_async_context(
                    self._rooms.holding(name, of_document[name][0].epoch)
                )
                for name in order.names
            }
            several = len(rooms) > 1
            if several:
                for room in rooms.values():
                    # In order of name, so that no two wait for each other.
                    await held.enter_async_context(room.apart)
            for name, room in rooms.items():
                await _catch_up(room, of_document[name])
            if several:
                plans, drafts, stands = await self._made_apart(rooms, of_document, order, wrong)
                if on_made is not None:
                    await on_made([plan.room.name for plan in plans if plan.idle])
                revisions = await self._together.store(drafts)
            else:
                # From here to the edit nobody else has a turn.
                plans = [
                    _plan(rooms[name], some, order.unit, wrong, apart=False)
                    for name, some in of_document.items()
                ]
                wrong.check()
                _check(plans, order)
                promises = _carry_out(plans, order)
                stands = [_stands(plan, order.unit, plan.room.text) for plan in plans]
                if on_made is not None:
                    await on_made([plan.room.name for plan in plans if plan.idle])
                revisions = await asyncio.gather(*(one.revision for one in promises))
        found = {
            change.field: Result(plan.room.name, revision, start, length, plan.rebased)
            for plan, revision, where in zip(plans, revisions, stands, strict=True)
            for change, (start, length) in zip(plan.changes, where, strict=True)
        }
        return [found[change.field] for change in order.changes]

    async def _made_apart(
        self,
        rooms: Mapping[Name, Room],
        of_document: Mapping[Name, list[Change]],
        order: Order,
        wrong: Violations,
    ) -> tuple[list[_Plan], list[Part], list[list[tuple[int, int]]]]:
        """Make edits of several documents apart; gives them, and where their texts stand.

        They are in no document yet, so others may have a turn between two documents, each of which
        is replayed as a whole. Within one they may not: what is planned is planned for its text.
        """
        plans, drafts, stands, seen = [], [], [], []
        for name, some in of_document.items():
            await asyncio.sleep(0)
            plan = _plan(rooms[name], some, order.unit, wrong, apart=True)
            plans.append(plan)
            seen.append(plan.room.text)
            if not wrong:
                draft, text = self._draft(plan, order)
                drafts.append(draft)
                stands.append(_stands(plan, order.unit, text))
        wrong.check()
        for plan, then in zip(plans, seen, strict=True):
            if order.rejects and plan.changes[0].base and plan.room.text != then:
                # Others have changed it since it was planned.
                again = _plan(plan.room, plan.changes, order.unit, wrong, apart=True)
                plan.conflict |= again.conflict
        _check(plans, order)
        return plans, drafts, stands

    def _draft(self, plan: _Plan, order: Order) -> tuple[Part, str]:
        """Make a plan's edits apart; returns them, and the text with them."""
        fork = plan.room.fork()
        try:
            update = fork.edit(plan.splices)
            part = self._together.part(
                plan.room, update, order.author, source=order.source, request=order.request
            )
            return part, fork.text
        finally:
            fork.close()


def _by_document(changes: Sequence[Change], wrong: Violations) -> dict[Name, list[Change]]:
    found: dict[Name, list[Change]] = {}
    same = "must be the same for all changes of a document"
    for change in changes:
        some = found.setdefault(change.name, [])
        some.append(change)
        if change.base != some[0].base:
            wrong.add(f"{change.field}.base_revision", same)
        if change.epoch != some[0].epoch:
            wrong.add(f"{change.field}.epoch", same)
    return found


def _check(plans: Sequence[_Plan], order: Order) -> None:
    """Pass edits that may all be made."""
    if time.monotonic() > order.latest:
        raise errors.DeadlineExceeded(
            "DOCUMENT_BUSY", "The documents could not be had in time; try again"
        )
    for plan in plans:
        if order.rejects and plan.conflict:
            raise Conflict("CONFLICT", "Others have changed the same place since", plan.room)
    for plan in plans:
        plan.room.admit(sum(len(one.encode()) for one in plan.inserted))


def _carry_out(plans: Sequence[_Plan], order: Order) -> list[Promise]:
    """Make all edits."""
    promises = []
    for plan in plans:
        promise = Promise()
        plan.room.edit(
            plan.splices,
            order.author,
            promise,
            source=order.source,
            request=order.request,
        )
        promises.append(promise)
    return promises


async def _catch_up(room: Room, changes: Sequence[Change]) -> None:
    """Wait for a revision that another replica has told of already."""
    base = changes[0].base
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_CATCH_UP):
            while room.revision < base and room.failure is None:
                await room.next_revision()
    if room.revision < base:
        raise errors.InvalidArgument(
            "INVALID_ARGUMENT",
            f"{changes[0].field}.base_revision: there is no revision {base} yet",
            violations=[
                errors.Violation(
                    f"{changes[0].field}.base_revision",
                    f"must be at most {room.revision}, the newest revision",
                )
            ],
            metadata={"revision": str(room.revision)},
        )


def _plan(
    room: Room, changes: list[Change], unit: Unit, wrong: Violations, *, apart: bool
) -> _Plan:
    """Decide what is to be done to a document; `apart` upon what is stored of it only."""
    base = changes[0].base
    deltas: list[list[dict[str, Any]]] = []
    unstored = [] if apart else room.unstored()
    now = room.stored_text() if apart else room.text
    if base == 0 or (base == room.revision and not unstored):
        before = now
    else:
        try:
            before, deltas = _since(room, base, unstored, now)
        except TooOld:
            raise Conflict(
                "BASE_TOO_OLD",
                f"What changed since revision {base} is not known any more; read it again",
                room,
            ) from None
    edits = _edits(before, changes, unit, wrong)
    if wrong:
        return _Plan(room, changes, [], rebased=False, conflict=False)
    moved = rebase.carry(edits, deltas)
    conflict = any(one.conflict for one in moved)
    if apart and base and not room.settled:
        conflict |= _plan(room, changes, unit, wrong, apart=False).conflict
    return _Plan(room, changes, moved, rebased=bool(deltas), conflict=conflict)


def _since(
    room: Room, base: int, unstored: Sequence[bytes], now: str
) -> tuple[str, list[list[dict[str, Any]]]]:
    """Return the text at a revision, and how it became what it is now."""
    doc = room.history.document(base)
    root = doc.get(text.ROOT, type=pycrdt.Text)
    before = str(root)
    deltas: list[list[dict[str, Any]]] = []
    subscription = root.observe(lambda event: deltas.append(_delta(event)))
    since = [*room.history.updates(base, room.revision), *unstored]
    if since:
        # In one step: a single delta, and what was put in and taken out since is not in it.
        doc.apply_update(segments.merge(since))
    root.unobserve(subscription)
    if history.content(doc) != now:
        raise errors.Internal(errors.INTERNAL_ERROR, "The history does not lead to the text")
    return before, deltas


def _delta(event: Any) -> list[dict[str, Any]]:
    # The library's type information lacks it.
    found: list[dict[str, Any]] = event.delta
    return found


def _edits(
    before: str, changes: Iterable[Change], unit: Unit, wrong: Violations
) -> list[rebase.Edit]:
    lines: Lines | None = None
    found = []
    fields = []
    for one in changes:
        if isinstance(one.start, Place) and lines is None:
            lines = Lines(before)
        stretch = _stretch(before, lines, one, unit, wrong)
        if stretch is not None:
            start, end = (text.byte_offset(before, place) for place in stretch)
            found.append(rebase.Edit(start, end, one.inserted))
            fields.append(one.field)
    if (pair := rebase.overlapping(found)) is not None:
        wrong.add(fields[pair[1]], f"must not overlap {fields[pair[0]]}")
    return found


def _stretch(
    before: str, lines: Lines | None, change: Change, unit: Unit, wrong: Violations
) -> tuple[int, int] | None:
    """Return where a change begins and ends, in code points; None where that is nowhere."""
    if isinstance(change.start, Place) and isinstance(change.end, Place):
        assert lines is not None
        ends: list[int] = []
        for name, place in (("start", change.start), ("end", change.end)):
            try:
                ends.append(lines.offset(place.line, place.column, unit))
            except OffsetError as error:
                wrong.add(f"{change.field}.range.{name}", str(error))
        if len(ends) < 2:
            return None
        if ends[1] < ends[0]:
            wrong.add(f"{change.field}.range", "must not end before it starts")
            return None
        return ends[0], ends[1]
    assert isinstance(change.start, int)
    assert isinstance(change.end, int)
    try:
        start = text.from_unit(before, change.start, unit)
    except OffsetError as error:
        wrong.add(f"{change.field}.offset.start", str(error))
        return None
    if change.end < 0:
        wrong.add(f"{change.field}.offset.length", f"must not be negative, is {change.end}")
        return None
    try:
        return start, text.from_unit(before, change.start + change.end, unit)
    except OffsetError as error:
        wrong.add(f"{change.field}.offset.length", f"its end {error}")
        return None


def _stands(plan: _Plan, unit: Unit, now: str) -> list[tuple[int, int]]:
    """Return where each edit's text stands in a text that has them all, and its length."""
    utf8 = now.encode() if not now.isascii() else b""
    found = []
    for place, inserted in zip(
        rebase.places(plan.moved, plan.inserted), plan.inserted, strict=True
    ):
        before = now[:place] if not utf8 else utf8[:place].decode()
        found.append((text.length_in(before, unit), text.length_in(inserted, unit)))
    return found
