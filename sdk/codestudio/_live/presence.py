"""How one shows oneself to others in a document, and how they are seen: as Yjs editors do it.

A state has `user` (name and colours) and `cursor` (anchor and head, as relative positions).
"""

import base64
import json
import zlib
from collections.abc import Sequence
from typing import Any

from codestudio._document_types import Cursor
from codestudio._live import positions
from codestudio._live.session import Session

_COLORS = (
    "#c2410c",
    "#b45309",
    "#4d7c0f",
    "#15803d",
    "#0f766e",
    "#0369a1",
    "#4338ca",
    "#7e22ce",
    "#be185d",
)


def user_of(name: str, token: str) -> dict[str, Any]:
    """Give the `user` of an awareness state, as Yjs editors read it; named by the token if not."""
    shown = name or _name_in(token) or "somebody"
    color = _COLORS[zlib.crc32(shown.encode()) % len(_COLORS)]
    return {"name": shown, "color": color, "colorLight": f"{color}33"}


def _name_in(token: str) -> str:
    """Read the name in a JWT; the server checks it, this only shows it."""
    parts = token.split(".")
    if len(parts) != 3:
        return ""
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return ""
    if not isinstance(claims, dict):
        return ""
    return str(claims.get("name") or claims.get("sub") or "")


def state(session: Session, user: dict[str, Any], place: Sequence[int] | None) -> dict[str, Any]:
    """Give one's own state: who one is and, with the two ends of a selection, where."""
    found: dict[str, Any] = {"user": user}
    if place is not None:
        anchor, head = (positions.name(session.replica, end) for end in place)
        found["cursor"] = {"anchor": anchor, "head": head}
    return found


def cursors(session: Session, now: float) -> list[Cursor]:
    """Give the others, and where they are; anything may stand in what they tell."""
    found = []
    for client, told in sorted(session.awareness.others(now).items()):
        user = told.get("user")
        user = user if isinstance(user, dict) else {}
        place = told.get("cursor") or told.get("selection")
        place = place if isinstance(place, dict) else {}
        anchor, head = (
            positions.find(session.replica, place.get(end)) for end in ("anchor", "head")
        )
        name, color = (str(user.get(key) or "") for key in ("name", "color"))
        found.append(Cursor(client, name, color, anchor, anchor if head is None else head))
    return found
