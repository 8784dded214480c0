"""Runs the quota service: ``python -m services.quota``."""

from services.chassis import lifecycle
from services.quota import app, settings

if __name__ == "__main__":
    lifecycle.run(settings.QuotaSettings, app.compose)
