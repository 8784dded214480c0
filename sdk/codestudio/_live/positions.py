"""Places that stay where they are in a text that others edit: Yjs's relative positions.

A place is named by the character behind it, and a character by who put it in and a clock, which
counts UTF-16 code units. pycrdt mixes that with bytes of UTF-8 for text beyond ASCII, both when
it names a place and when it finds one. It is exact only at the first character of a block of
text, so here the block is looked up in what an update tells, and the rest counted by hand.
"""

from collections.abc import Mapping
from typing import Any

from codestudio._live import units, wire
from codestudio._live.replica import ROOT, Replica

_STEP = 64


def name(replica: Replica, offset: int) -> dict[str, Any]:
    """Name a place by its offset in code points, from 0 to the length of the text."""
    text = replica.text
    if offset >= len(text):
        return {"type": None, "tname": ROOT, "item": None, "assoc": 0}
    place = units.byte_length(text[:offset])
    item = replica.sticky(place)["item"]
    client, clock = int(item["client"]), int(item["clock"])
    if not text.isascii():
        clock = _clock(replica, client, clock, place)
    return {
        "type": None,
        "tname": ROOT,
        "item": {"client": client, "clock": clock},
        "assoc": 0,
    }


def find(replica: Replica, position: object) -> int | None:
    """Find a named place: its offset in code points; None where it is none in this text.

    Where the character is deleted, the place is where it stood.
    """
    if not isinstance(position, Mapping):
        return None
    item, assoc = position.get("item"), position.get("assoc", 0)
    if not isinstance(assoc, int):
        return None
    if item is None:
        known = position.get("tname") == ROOT
        return None if not known else len(replica.text) if assoc >= 0 else 0
    if not isinstance(item, Mapping):
        return None
    client, clock = item.get("client"), item.get("clock")
    if not isinstance(client, int) or not isinstance(clock, int):
        return None
    if not 0 <= clock < replica.clocks().get(client, 0):
        return None
    place = replica.offset_of({"client": client, "clock": clock}, 0)
    behind = 1 if assoc < 0 else 0
    text = replica.text
    if text.isascii():
        return min(place + behind, len(text))
    block = _block(replica, client, clock)
    start = replica.offset_of({"client": client, "clock": block.clock}, 0)
    offset = units.after_bytes(text, start)
    visible = place != start or block.clock == clock
    if visible and block.text is not None:
        offset += units.after_utf16(block.text, clock - block.clock)
    return min(offset + behind, len(text))


def _clock(replica: Replica, client: int, mixed: int, place: int) -> int:
    """Give the clock of the character at a place in bytes.

    `mixed` is what pycrdt gives: the clock its block begins with, plus the bytes of the block
    that stand before the place. So it is never too small.
    """
    step = _STEP
    while True:
        low = max(0, mixed - step)
        for block in reversed(_blocks(replica, client, low)):
            # The first may have been cut at `low`; then it is met again, whole, next time.
            if block.clock > mixed or block.text is None or (block.clock == low and low):
                continue
            start = replica.offset_of({"client": client, "clock": block.clock}, 0)
            within = place - start
            if within != mixed - block.clock or not 0 <= within < units.byte_length(block.text):
                continue
            head = block.text.encode()[:within].decode()
            return block.clock + units.utf16_length(head)
        if low == 0:
            return mixed
        step *= 8


def _block(replica: Replica, client: int, clock: int) -> wire.Block:
    """Give the block a character is in."""
    step = _STEP
    while True:
        low = max(0, clock - step)
        found = next(
            block for block in _blocks(replica, client, low) if block.clock <= clock < block.end
        )
        if found.clock > low or low == 0:
            return found
        step *= 8


def _blocks(replica: Replica, client: int, clock: int) -> list[wire.Block]:
    """Give a client's blocks from a clock on: what somebody lacks who has only those not."""
    clocks = replica.clocks()
    update = replica.update_since(wire.write_state_vector(clocks | {client: clock}))
    found = [block for block in wire.blocks(update) if block.client == client]
    if clock and found and found[-1].end != clocks[client]:
        # Within a surrogate pair pycrdt cuts off the whole pair, and miscounts from there on.
        return _blocks(replica, client, clock - 1)
    return found
