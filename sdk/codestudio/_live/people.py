"""How one shows oneself to others in a document: a name and a colour."""

import base64
import json
import zlib
from typing import Any

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
