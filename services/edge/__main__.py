"""Runs the service: `python -m services.edge`."""

from services.chassis import lifecycle
from services.edge import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.EdgeSettings, app.compose)
