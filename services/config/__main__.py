"""Runs the config service: ``python -m services.config``."""

from services.chassis import lifecycle
from services.config import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.ConfigSettings, app.compose)
