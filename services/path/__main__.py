"""Runs the path service: ``python -m services.path``."""

from services.chassis import lifecycle
from services.path import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.PathSettings, app.compose)
