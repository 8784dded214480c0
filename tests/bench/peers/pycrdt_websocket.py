"""A pycrdt-websocket server with nothing in it: run with the port to listen on."""

import asyncio
import sys

from hypercorn.asyncio import serve
from hypercorn.config import Config
from pycrdt.websocket import ASGIServer, WebsocketServer


async def main() -> None:
    server = WebsocketServer()
    config = Config()
    config.bind = [f"127.0.0.1:{sys.argv[1]}"]
    config.accesslog = None
    async with server:
        await serve(ASGIServer(server), config, mode="asgi")


asyncio.run(main())
