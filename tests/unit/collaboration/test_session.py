"""A stream of Collaborate: how it ends."""

import asyncio
from collections.abc import AsyncIterator
from typing import cast

from codestudio.collaboration.v1 import collaborate_pb2

from services.chassis import authentication, errors, identity
from services.collaboration.rooms import Rooms
from services.collaboration.session import Session
from services.collaboration.settings import CollaborationSettings

Request, Response = collaborate_pb2.CollaborateRequest, collaborate_pb2.CollaborateResponse


async def test_a_busy_stream_is_told_that_its_token_ended() -> None:
    """Also where the next request comes before the last answer has left."""
    requests: asyncio.Queue[Request] = asyncio.Queue()
    sent = asyncio.Event()

    async def arriving() -> AsyncIterator[bytes]:
        while True:
            yield (await requests.get()).SerializeToString()

    async def write(_: bytes) -> None:
        await sent.wait()

    settings = CollaborationSettings()
    session = Session(
        requests=arriving(),
        caller=identity.Caller("ada", "Ada", "user"),
        authenticator=authentication.Authenticator(settings.jwks_file),
        rooms=cast("Rooms", None),  # its documents have no names
        settings=settings,
    )
    nameless = Request(channel=1, join=collaborate_pb2.Join())
    requests.put_nowait(nameless)
    answers = session.answers(write)
    assert Response.FromString(await anext(answers)).error.code == "INVALID_ARGUMENT"
    requests.put_nowait(nameless)
    last = asyncio.ensure_future(anext(answers))
    await asyncio.sleep(0.05)
    session._standing.ended = errors.Unauthenticated("TOKEN_EXPIRED", "It has ended")
    requests.put_nowait(nameless)
    await asyncio.sleep(0.05)
    sent.set()
    async with asyncio.timeout(5):
        assert Response.FromString(await last).error.code == "TOKEN_EXPIRED"
    await answers.aclose()  # type: ignore[attr-defined]
