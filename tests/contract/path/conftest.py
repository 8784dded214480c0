"""The path service in this process, as in its integration tests."""

from tests.integration.path.conftest import infrastructure, service

__all__ = ["infrastructure", "service"]
