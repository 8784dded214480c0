"""What is asked for when an instance is changed."""

from collections.abc import Mapping

from google.protobuf import field_mask_pb2

from codestudio import _messages
from codestudio._instance_types import Resources
from codestudio.instance.v1 import instance_pb2, instance_service_pb2


def request(
    id: str,  # noqa: A002 - the contract's word
    *,
    resources: Resources | Mapping[str, str] | None = None,
    display_name: str | None = None,
    labels: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    idle_timeout: _messages.Seconds | None = None,
    max_lifetime: _messages.Seconds | None = None,
    etag: str = "",
    validate_only: bool = False,
) -> instance_service_pb2.UpdateInstanceRequest:
    """Make the request; what is None, or an empty resource, stays as it is.

    Raises ValueError when there is nothing to change, and TypeError for a resource that is not
    cpu, memory or storage.

    >>> request("fox", resources={"cpu": "2"}, labels={}).update_mask.paths
    ['resources.cpu', 'labels']
    """
    instance = instance_pb2.Instance(id=id, etag=etag)
    paths: list[str] = []
    if resources is not None:
        asked = resources if isinstance(resources, Resources) else Resources(**resources)
        instance.resources.CopyFrom(asked.to_proto())
        paths += [f"resources.{field.name}" for field, _ in instance.resources.ListFields()]
    if display_name is not None:
        instance.display_name = display_name
        paths.append("display_name")
    if labels is not None:
        instance.labels.update(labels)
        paths.append("labels")
    if environment is not None:
        instance.environment.update(environment)
        paths.append("environment")
    for name, value in (("idle_timeout", idle_timeout), ("max_lifetime", max_lifetime)):
        length = _messages.to_duration(value)
        if length is not None:
            getattr(instance, name).CopyFrom(length)
            paths.append(name)
    if not paths:
        raise ValueError("name at least one thing to change")
    return instance_service_pb2.UpdateInstanceRequest(
        instance=instance,
        update_mask=field_mask_pb2.FieldMask(paths=paths),
        validate_only=validate_only,
    )
