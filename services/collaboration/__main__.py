"""Runs the collaboration service: ``python -m services.collaboration``."""

import uvloop

from services.chassis import lifecycle
from services.collaboration import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.CollaborationSettings, app.compose, loop_factory=uvloop.new_event_loop)
