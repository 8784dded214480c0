"""Runs the Instance service: ``python -m services.instance``."""

from services.chassis import lifecycle
from services.instance.app import compose
from services.instance.settings import InstanceSettings

if __name__ == "__main__":
    lifecycle.run(InstanceSettings, compose)
