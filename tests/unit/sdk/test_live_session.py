"""What a document's side of the protocol sends, when the server lacks something."""

from typing import Any

import pycrdt
import pytest
from codestudio._live.edits import Edit
from codestudio._live.replica import Replica
from codestudio._live.session import FRAME_BYTES, UPDATE_MOST, Happened, Phase, Request, Session
from codestudio.collaboration.v1 import collaborate_pb2, document_pb2

Response = collaborate_pb2.CollaborateResponse


class Server:
    """What a server has of a document."""

    def __init__(self) -> None:
        self.doc: Any = pycrdt.Doc()
        self._text = self.doc.get("content", type=pycrdt.Text)

    @property
    def text(self) -> str:
        return str(self._text)

    def joined(self) -> Response:
        document = document_pb2.Document(epoch="e", role=document_pb2.ROLE_EDITOR)
        state = self.doc.get_state()
        joined = collaborate_pb2.Joined(
            document=document, update=self.doc.get_update(), state_vector=state
        )
        return Response(joined=joined)

    def take(self, messages: list[Request]) -> list[Response]:
        """Take in updates; gives the acknowledgements."""
        acks = []
        for message in messages:
            if message.WhichOneof("message") == "update":
                assert len(message.update.update) <= UPDATE_MOST
                self.doc.apply_update(message.update.update)
                acks.append(Response(ack=collaborate_pb2.Ack(sequence=message.update.sequence)))
        return acks


def session() -> Session:
    """Give one that pauses as many seconds as it was refused in a row."""
    return Session(1, document_pb2.DocumentName(path="a"), wake=lambda: None, pause=float)


def join(one: Session, server: Server, now: float = 0) -> Happened:
    """Join, and send what is to be sent."""
    (asked,) = one.outgoing(now)
    assert asked.WhichOneof("message") == "join"
    happened = one.incoming(server.joined(), now)
    for ack in server.take(one.outgoing(now)):
        one.incoming(ack, now)
    return happened


def hear(one: Session, size: int) -> None:
    """Let others' edit come, which the server then dies with."""
    updates: list[bytes] = []
    Replica(updates.append).edit([Edit(0, "", "x" * size)])
    for update in updates:
        one.incoming(Response(update=collaborate_pb2.Update(update=update)), 0)
    assert one.replica.text == "x" * size
    one.disconnected()


@pytest.mark.parametrize("typed", ["", "own"])
def test_much_of_others_was_lost(typed: str) -> None:
    """Others' edit that the server lost is brought back whatever its size, under one's own."""
    server, one = Server(), session()
    join(one, server)
    hear(one, FRAME_BYTES * 3 // 2)
    if typed:
        one.replica.edit([Edit(FRAME_BYTES, "", typed)])
    join(one, server)
    assert server.text == one.replica.text
    assert one.clean


def test_much_of_ones_own_was_lost() -> None:
    """What was acknowledged and lost all the same is brought back under what was typed since."""
    server, one = Server(), session()
    join(one, server)
    one.replica.edit([Edit(0, "", "x" * FRAME_BYTES * 2)])
    for ack in server.take(one.outgoing(0)):
        one.incoming(ack, 0)
    assert one.clean
    one.disconnected()
    one.replica.edit([Edit(FRAME_BYTES, "", "own")])
    server = Server()
    join(one, server)
    assert server.text == one.replica.text
    assert one.clean


def test_much_of_ones_own_goes_bit_by_bit() -> None:
    """More than the server takes at once, typed while it was away, goes in several updates."""
    server, one = Server(), session()
    join(one, server)
    one.disconnected()
    one.replica.edit([Edit(0, "", "x" * (UPDATE_MOST + 1))])
    join(one, server)
    assert server.text == one.replica.text
    assert one.clean


@pytest.mark.parametrize("typed", ["", "own"])
def test_more_was_lost_than_a_server_takes(typed: str) -> None:
    """What cannot be brought back is said, instead of being tried for ever."""
    server, one = Server(), session()
    join(one, server)
    hear(one, UPDATE_MOST + 1)
    if typed:
        one.replica.edit([Edit(0, "", typed)])
    happened = join(one, server)
    assert happened.error is not None
    assert happened.error.code == "UPDATE_TOO_LARGE"
    assert one.phase is Phase.OVER


def test_resynchronised_again_and_again() -> None:
    """The first time one joins again at once, then after ever longer pauses; calm ends that."""
    server, one = Server(), session()
    join(one, server)
    now = 10.0
    for wait in (0.0, 1.0, 2.0, 3.0):
        one.incoming(Response(resync=collaborate_pb2.Resync()), now)
        if wait:
            assert one.outgoing(now + wait - 0.1) == []
        now += wait
        join(one, server, now)
        assert one.phase is Phase.JOINED
    one.incoming(Response(resync=collaborate_pb2.Resync()), now + 100)
    join(one, server, now + 100)
