"""Runs the resource service: ``python -m services.resource``."""

from services.chassis import lifecycle
from services.resource import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.ResourceSettings, app.compose)
