"""Second snapshots become differences: a law, for any history."""

from codestudio._instance_types import EventType
from codestudio._replica import Replica
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from hypothesis import given
from hypothesis import strategies as st

Response = instance_service_pb2.WatchInstancesResponse
Event = instance_service_pb2.InstanceEvent

worlds = st.dictionaries(
    st.sampled_from("abcd"), st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=4
)
"""Instances by name: when they were created, and their version."""


def instance(name: str, created: int, version: int) -> instance_pb2.Instance:
    made = instance_pb2.Instance(id=name, version=version)
    made.create_time.seconds = created
    return made


def snapshot(world: dict[str, tuple[int, int]], token: str) -> list[Response]:
    """Give the messages of a stream that begins with this world."""
    messages = [
        Response(event=Event(type=Event.TYPE_ADDED, instance=instance(name, *facts)))
        for name, facts in sorted(world.items())
    ]
    synced = instance_service_pb2.Synced(instances=len(world))
    return [*messages, Response(synced=synced, resume_token=token)]


@given(st.lists(worlds, min_size=1, max_size=4), st.data())
def test_reader_ends_up_with_the_truth(
    history: list[dict[str, tuple[int, int]]], data: st.DataObject
) -> None:
    """Whatever was missed between snapshots, even ones cut short, a reader knows what there is.

    ADDED only of what it did not have, MODIFIED and REMOVED only of what it had, nothing twice.
    """
    replica = Replica()
    mine: dict[str, instance_pb2.Instance] = {}
    for number, world in enumerate(history):
        messages = snapshot(world, f"t{number}")
        last = number == len(history) - 1
        length = len(messages) if last else data.draw(st.integers(0, len(messages)))
        replica.begin_again()
        for message in messages[:length]:
            for type_, told in replica.apply(message):
                if type_ is EventType.ADDED:
                    assert told.id not in mine
                    mine[told.id] = told
                elif type_ is EventType.MODIFIED:
                    assert mine[told.id] != told
                    mine[told.id] = told
                else:
                    assert mine.pop(told.id).id == told.id
    assert mine == {name: instance(name, *facts) for name, facts in history[-1].items()}
    assert replica.complete
    assert replica.token == f"t{len(history) - 1}"


def test_resumed_stream_trusts_the_server() -> None:
    """With a token of the caller's own, what was before is unknown: the server's word counts."""
    replica = Replica("token")
    for wire, told in (
        (Event.TYPE_MODIFIED, EventType.MODIFIED),
        (Event.TYPE_REMOVED, EventType.REMOVED),
        (Event.TYPE_ADDED, EventType.ADDED),
    ):
        event = Event(type=wire, instance=instance("a", 1, 1))
        changes = replica.apply(Response(event=event, resume_token="later"))
        assert [kind for kind, _ in changes] == [told]
    assert not replica.complete
    assert replica.token == "later"
