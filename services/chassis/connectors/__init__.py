"""Connections to what services stand on, reconnecting for ever.

``Redis``, ``Mongo`` and ``Nats`` are imported only when asked for: each of
their libraries costs time and tens of megabytes that a service without it
should not pay.
"""

import importlib
from typing import TYPE_CHECKING, Any

from services.chassis.connectors.base import Connector, Readiness

if TYPE_CHECKING:
    from services.chassis.connectors.mongo import Mongo
    from services.chassis.connectors.nats import Nats
    from services.chassis.connectors.redis import Redis

__all__ = ["Connector", "Mongo", "Nats", "Readiness", "Redis"]

_HOMES = {"Mongo": "mongo", "Nats": "nats", "Redis": "redis"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
