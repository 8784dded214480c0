"""What instances' handles need of their client."""

from codestudio._services import InstanceService
from codestudio._transport import Transport
from codestudio._watch import AsyncWatch
from codestudio.instance.v1 import instance_pb2


class Context:
    """The connection and the service of one client."""

    def __init__(self, transport: Transport, service: InstanceService) -> None:
        self.transport = transport
        self.service = service

    def watch(self, filter: str) -> AsyncWatch[instance_pb2.Instance]:  # noqa: A002
        """Watch the bare messages of the instances that match a filter."""
        return AsyncWatch(
            self.service.watch_instances,
            lambda instance: instance,
            filter=filter,
            resume_token="",
            retry=self.transport.retry,
        )
