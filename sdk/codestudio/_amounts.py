"""Amounts of everything that is limited."""

from typing import NamedTuple

from codestudio import _messages
from codestudio.quota.v1 import quota_service_pb2


class Amounts(NamedTuple):
    """Amounts of everything that is limited."""

    instances: int
    """Instances."""
    cpu: str
    """CPU, as a Kubernetes quantity such as "1500m"."""
    memory: str
    """Memory, such as "8Gi"."""
    storage: str
    """Disk, such as "50Gi"."""


def read(message: quota_service_pb2.Amounts) -> Amounts:
    """Read what a service sent."""
    return Amounts(message.instances, message.cpu, message.memory, message.storage)


def request(
    instances: int | None,
    cpu: str | float | None,
    memory: str | int | None,
    storage: str | int | None,
) -> quota_service_pb2.Amounts:
    """Write what is asked for; a quantity left out is none."""
    return quota_service_pb2.Amounts(
        instances=instances or 0,
        cpu="" if cpu is None else _messages.cpu(cpu),
        memory="" if memory is None else _messages.size(memory),
        storage="" if storage is None else _messages.size(storage),
    )
