"""Messages that NATS delivered and its client had to drop are noticed, and read again."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Sequence

import nats
import pycrdt
import pytest
from codestudio.collaboration.v1 import collaboration_service_pb2 as pb
from nats.js import JetStreamContext

from services.chassis import streams
from services.collaboration import activity, entry, log, names
from services.devstack.stack import Stack
from tests.integration.collaboration import fleet, rig

_PENDING = 8
_SENT = 12

Message = tuple[str, bytes, dict[str, str]]


@pytest.fixture(autouse=True)
def few_may_be_pending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have consumers drop what comes past a few messages, and look soon."""
    subscribe = functools.partialmethod(JetStreamContext.subscribe, pending_msgs_limit=_PENDING)
    monkeypatch.setattr(JetStreamContext, "subscribe", subscribe)
    monkeypatch.setattr(streams, "CHECK_EVERY", 0.3)


def flood(stack: Stack, stream: str, messages: Sequence[Message]) -> None:
    """Store messages while this process does nothing else: it finds them all at once.

    More of them than may be pending, so its client drops what comes last, and nothing follows.
    """

    async def publish() -> None:
        connection = await nats.connect(stack.plan.nats_url)
        jetstream = connection.jetstream()
        for subject, data, headers in messages:
            await jetstream.publish(subject, data, stream=stream, headers=headers)
        async with asyncio.timeout(20):
            while not await delivered(jetstream, stream):
                await asyncio.sleep(0.01)
        # What was sent is still on its way: in two pieces, the second would show the gap.
        await asyncio.sleep(0.5)
        await connection.close()

    # Not with `to_thread`: the loop that reads from NATS has to stand still.
    thread = threading.Thread(target=lambda: asyncio.run(publish()))
    thread.start()
    thread.join()


async def delivered(jetstream: JetStreamContext, stream: str) -> bool:
    """Tell whether a stream has sent everything to whoever reads it now."""
    found = await jetstream.consumers_info(stream)
    assert found
    return not any(each.num_pending for each in found if each.push_bound)


async def test_the_newest_messages_to_an_instance_were_dropped(
    infrastructure: Stack, parts: rig.Parts
) -> None:
    """They are told all the same, in order, each once, and no later message is needed for it."""
    async with fleet.fleet(infrastructure, parts) as instances, instances.replica() as member:
        ada, bob = await instances.instance("ada"), await instances.instance("bob")
        async with fleet.listening(member, instance_id=bob, user="bob") as listener:
            await member.send(ada, bob, "before")
            await listener.heard(1)
            flood(infrastructure, "MESSAGES", [_told(ada, bob, n) for n in range(_SENT)])
            await listener.heard(1 + _SENT, timeout=15)
            assert listener.messages == ["before", *(f"{n}" for n in range(_SENT))]
            assert listener.errors == []


async def test_earlier_messages_to_an_instance_were_dropped(
    infrastructure: Stack, parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one shows it, without anybody asking: all are told, in order, each once."""
    monkeypatch.setattr(streams, "CHECK_EVERY", 1000.0)
    async with fleet.fleet(infrastructure, parts) as instances, instances.replica() as member:
        ada, bob = await instances.instance("ada"), await instances.instance("bob")
        async with fleet.listening(member, instance_id=bob, user="bob") as listener:
            flood(infrastructure, "MESSAGES", [_told(ada, bob, n) for n in range(_SENT)])
            await listener.heard(_PENDING)
            assert len(listener.messages) < _SENT
            await member.send(ada, bob, "after")
            await listener.heard(_SENT + 1)
            assert listener.messages == [*(f"{n}" for n in range(_SENT)), "after"]
            assert listener.errors == []


async def test_the_newest_edits_were_dropped(infrastructure: Stack, parts: rig.Parts) -> None:
    """Who has the document open sees all of them, though nobody edits anything after that."""
    async with rig.replica(parts, heartbeat_seconds=60.0) as service:
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada:
            ada.insert(0, "before ")
            await ada.stored()
            flood(infrastructure, log.NAME, _edits(ada.epoch, parts))
            await ada.until(lambda: all(f"<{n}>" in ada.text for n in range(_SENT)), 15)
            assert ada.joins == 1


async def test_earlier_edits_were_dropped(
    infrastructure: Stack, parts: rig.Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one shows it, without anybody asking: who has the document open sees all."""
    monkeypatch.setattr(streams, "CHECK_EVERY", 1000.0)
    async with rig.replica(parts, heartbeat_seconds=60.0) as service:
        await service.open("a.txt", "")
        async with service.editor("a.txt") as ada:
            edits = _edits(ada.epoch, parts)
            flood(infrastructure, log.NAME, edits[:-1])
            await ada.until(lambda: f"<{_PENDING - 1}>" in ada.text)
            assert f"<{_SENT - 2}>" not in ada.text
            flood(infrastructure, log.NAME, edits[-1:])
            await ada.until(lambda: all(f"<{n}>" in ada.text for n in range(_SENT)), 15)
            assert ada.joins == 1


def _told(sender: str, to: str, number: int) -> Message:
    event = pb.MessageEvent(
        message_id=f"{to}-{number}", to=to, message=fleet.chat(f"{number}"), **{"from": sender}
    )
    told = pb.SubscribeResponse(message_event=event)
    subject = activity.direct_subject("default", to)
    return subject, told.SerializeToString(), {activity.MESSAGE_ID: event.message_id}


def _edits(epoch: str, parts: rig.Parts) -> list[Message]:
    """Give edits as another replica stores them."""
    doc: pycrdt.Doc = pycrdt.Doc()
    updates: list[bytes] = []
    doc.observe(lambda event: updates.append(event.update))
    text = doc.get("content", type=pycrdt.Text)
    for number in range(_SENT):
        text += f"<{number}>"
    subject = names.Name("default", parts.project, "a.txt").subject(entry.SUBJECT)
    drafts = [entry.Draft(f"{epoch}-{n}", update) for n, update in enumerate(updates)]
    return [
        (subject, draft.update, entry.headers(draft, epoch, "another", 0, 1)) for draft in drafts
    ]
