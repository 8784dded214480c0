"""What a watch knows of the instances, and which events bring its reader to the same."""

from codestudio._instance_types import EventType
from codestudio.instance.v1 import instance_pb2, instance_service_pb2

Change = tuple[EventType, instance_pb2.Instance]

_EVENT = instance_service_pb2.InstanceEvent


class Replica:
    """The instances as told so far. Pure: messages in, changes out.

    A stream that begins again sends everything again. The replica turns that second snapshot
    into its difference from the first: what is unchanged is not told twice, and what went away
    in between is told as removed.
    """

    def __init__(self, resume_token: str = "") -> None:
        self.token = resume_token
        """Where the next stream is to resume; empty for from the beginning."""
        self.complete = False
        """Whether all instances are known: a snapshot ended once."""
        self._known: dict[str, instance_pb2.Instance] = {}
        self._snapshot: set[str] | None = None if resume_token else set()

    def begin_again(self) -> None:
        """Expect a snapshot: the next stream begins from the beginning."""
        self.token = ""
        self._snapshot = set()

    def apply(self, message: instance_service_pb2.WatchInstancesResponse) -> list[Change]:
        """Take in a message of the stream; give the changes it means."""
        changes: list[Change] = []
        match message.WhichOneof("message"):
            case "event":
                changes = self._event(message.event)
            case "synced" if self._snapshot is not None:
                changes = self._synced(self._snapshot)
        self.token = message.resume_token or self.token
        return changes

    def _event(self, event: instance_service_pb2.InstanceEvent) -> list[Change]:
        instance = event.instance
        before = self._known.pop(instance.id, None)
        if event.type == _EVENT.TYPE_REMOVED:
            unheard_of = self.complete and before is None
            return [] if unheard_of else [(EventType.REMOVED, instance)]
        self._known[instance.id] = instance
        if self._snapshot is not None:
            self._snapshot.add(instance.id)
        if before is None:
            added = event.type == _EVENT.TYPE_ADDED or self.complete
            return [(EventType.ADDED if added else EventType.MODIFIED, instance)]
        if before == instance:
            return []
        if before.create_time != instance.create_time:
            # Deleted and created again by the same name: not the same instance.
            return [(EventType.REMOVED, before), (EventType.ADDED, instance)]
        return [(EventType.MODIFIED, instance)]

    def _synced(self, snapshot: set[str]) -> list[Change]:
        gone = [self._known.pop(id_) for id_ in sorted(self._known.keys() - snapshot)]
        self._snapshot = None
        self.complete = True
        return [(EventType.REMOVED, instance) for instance in gone]
