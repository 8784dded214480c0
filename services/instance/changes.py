"""Tells what changed: every change clients can see gets a version and leaves a message behind.

The message waits in the record's own outbox, written together with the change, so that neither
can exist without the other.
"""

import base64
import dataclasses
import json

from services.instance import translation
from services.instance.record import Pending, Quota, Record

ADDED, MODIFIED, REMOVED = "ADDED", "MODIFIED", "REMOVED"

OUTBOX_MOST = 50
"""Changes kept while NATS is away; more are told as one, which only shows the last of them."""


def note(before: Record, after: Record, now: int) -> Record:
    """Return a record ready to be written over another: with version and message, if seen.

    Args:
        before: What is stored.
        after: What is to be stored.
        now: The time, for `updated_at`.
    """
    if before.visible and not after.visible:
        kind = REMOVED
    elif after.visible and not before.visible:
        kind = ADDED
    elif after.visible and _seen(before) != _seen(after):
        kind = MODIFIED
    else:
        return after
    after = dataclasses.replace(after, version=after.version + 1, updated_at=max(now, 1))
    message = Pending(
        created_at=after.created_at,
        version=after.version,
        kind=kind,
        previous_state=before.state.value if before.visible else "",
        previous_desired=before.desired.value if before.visible else "",
        body=base64.b64encode(translation.instance(after).SerializeToString()).decode(),
        previous_labels=json.dumps(dict(before.labels)) if before.visible else "",
    )
    return dataclasses.replace(after, outbox=_collapsed((*after.outbox, message)))


def _seen(record: Record) -> Record:
    """Reduce a record to what clients see of it."""
    return dataclasses.replace(
        record,
        rev=0,
        version=0,
        updated_at=0,
        claim="",
        claimed_at=0,
        request_key="",
        request_hash="",
        quota=Quota.UNKNOWN,
        start_mark=0,
        resize_mark=0,
        held=frozenset(),
        progress_at=0,
        hold_until=0,
        exits=(),
        run_since=0,
        unusable_port=0,
        wanted_web_port=0,
        outbox=(),
    )


def _collapsed(outbox: tuple[Pending, ...]) -> tuple[Pending, ...]:
    if len(outbox) <= OUTBOX_MOST:
        return outbox
    first, last = outbox[0], outbox[-1]
    if last.kind == MODIFIED and first.kind in (ADDED, MODIFIED):
        return (
            dataclasses.replace(
                last,
                kind=first.kind,
                previous_state=first.previous_state,
                previous_desired=first.previous_desired,
                previous_labels=first.previous_labels,
            ),
        )
    # Something came or went in between, which has to be told as such.
    return outbox[-OUTBOX_MOST:]
