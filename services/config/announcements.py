"""Revisions told on NATS: ``config.updated.<service>``, for other replicas and whoever listens.

A message may be lost; those who need every change watch, or compare now and then.
"""

import asyncio
import json
from collections.abc import Callable

import nats.errors
import structlog
from nats.aio.msg import Msg

from services.chassis import clock, connectors
from services.config.sections import SCHEMAS
from services.config.state import Revision
from services.config.times import moment

_log = structlog.get_logger(__name__)

_PREFIX = "config.updated."


class Announcements:
    """Tells of revisions and hears of those of other replicas."""

    def __init__(self, *, nats: connectors.Nats) -> None:
        self._nats = nats

    async def tell(self, revision: Revision) -> None:
        """Announce a revision, if NATS is there. Secrets cannot be changed, so it holds none."""
        message = {
            "service": revision.service,
            "revision": revision.number,
            "author": revision.author,
            "reason": revision.reason,
            "time": clock.iso(moment(revision.at)),
            "changes": [
                {"path": one.path, "before": one.before, "after": one.after}
                for one in revision.changes
            ],
        }
        try:
            await self._nats.client.publish(
                _PREFIX + revision.service, json.dumps(message).encode()
            )
        except (nats.errors.Error, OSError) as error:
            _log.info("revision not announced", of=revision.service, why=type(error).__name__)

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Call a function with the service of each revision announced, until cancelled."""
        await self._nats.wait_ready()

        async def receive(message: Msg) -> None:
            service = message.subject.removeprefix(_PREFIX)
            if service in SCHEMAS:
                heard(service)

        subscription = await self._nats.client.subscribe(_PREFIX + "*", cb=receive)
        try:
            await asyncio.Event().wait()
        finally:
            if self._nats.client.is_connected:
                await subscription.unsubscribe()
