"""The stack that is measured: one of its own, on free ports, in a temporary directory."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator
from pathlib import Path

import grpc

from services.devstack import ports
from services.devstack.stack import Stack


@dataclasses.dataclass(frozen=True)
class Target:
    """A running stack and how to reach it."""

    stack: Stack
    token: str

    @property
    def gateway_url(self) -> str:
        """Where the public listener answers."""
        return self.stack.plan.gateway_url

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What a gRPC call needs to be let in."""
        return (("authorization", f"Bearer {self.token}"),)

    def channel(self, name: str) -> grpc.aio.Channel:
        """Open a channel to a named port of the stack, such as "gateway" or "instance"."""
        return grpc.aio.insecure_channel(f"127.0.0.1:{self.stack.plan.ports[name]}")


@contextlib.contextmanager
def running(editor_command: str) -> Iterator[Target]:
    """Run a stack for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix="codestudio-bench-") as directory:
        stack = Stack(
            Path(directory), port_offset=ports.free_offset(), editor_command=editor_command
        )
        stack.up()
        try:
            yield Target(stack, stack.plan.credentials.admin_token.read_text().strip())
        finally:
            stack.down()
