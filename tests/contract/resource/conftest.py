"""The same parts as the integration tests' own."""

from tests.integration.resource.conftest import (
    port_base,
    server,
    stack_id,
    tiny,
    valkey,
)

__all__ = ["port_base", "server", "stack_id", "tiny", "valkey"]
