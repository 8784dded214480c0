"""Bidirectional streams of gRPC over HTTP/2, whose answers go straight to the connection.

In grpc.aio an answer passes a task, a batch of the C core, its polling thread and a wake-up of the
loop: 42 µs each, here. An edit in a room goes to every client at once, so that is what decides how
late the last one has it. Here an answer is a frame in the connection's buffer: 6 µs, and all that
leave a connection in one turn of the loop are one write.

Handlers and interceptors are those of `grpc.aio`; the protocol itself is the library h2's.
"""

from services.chassis.http2.door import Door
from services.chassis.http2.server import Server

__all__ = ["Door", "Server"]
