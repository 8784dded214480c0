"""What a client asks to have changed of an instance: by the rules of its creation.

Fields are named by their path in the gRPC request (``instance.resources.cpu``); the REST body is
the instance itself, and its paths are the same without the first word.
"""

from collections.abc import Mapping
from typing import Any

from codestudio.instance.v1 import instance_pb2, instance_service_pb2

from services.chassis import validation
from services.instance.specification import Reader

_RESOURCES = ("cpu", "memory", "storage")
_WHOLE = ("display_name", "labels", "environment", "idle_timeout", "max_lifetime")
_PATHS = (*_WHOLE, *(f"resources.{name}" for name in _RESOURCES))
_LONGEST_SHOWN = 40


def read(
    request: instance_service_pb2.UpdateInstanceRequest,
    wrong: validation.Violations,
    reader: Reader,
) -> Mapping[str, Any]:
    """Read new values, by field of the record; they are valid if nothing was wrong.

    With a mask, a named field that is not set gets what it would have had at creation; without
    one, the fields that are set are changed (AIP-134).

    Args:
        request: What was asked for.
        wrong: Takes the violations.
        reader: Knows the rules of creation.
    """
    masked = request.HasField("update_mask")
    paths = _named(request.update_mask.paths, wrong) if masked else _set(request.instance)
    if not paths:
        where = "update_mask" if masked else "instance"
        wrong.add(where, f"must name something to change: {', '.join(_PATHS)}")
    asked = reader.read(_config(request.instance, paths), wrong, "instance")
    return {field: getattr(asked, field) for field in map(_field, paths)}


def _config(instance: instance_pb2.Instance, paths: list[str]) -> instance_pb2.InstanceConfig:
    """Give the new values as a creation would; what is not to be changed is left out."""
    config = instance_pb2.InstanceConfig()
    for path in paths:
        source: Any = instance
        target: Any = config
        if path.startswith("resources."):
            source, target = instance.resources, config.resources
        name = _field(path)
        value = getattr(source, name)
        if name in ("labels", "environment"):
            getattr(target, name).update(value)
        elif name in ("idle_timeout", "max_lifetime"):
            if source.HasField(name):
                getattr(target, name).CopyFrom(value)
        else:
            setattr(target, name, value)
    return config


def _named(given: Any, wrong: validation.Violations) -> list[str]:
    named: set[str] = set()
    for path in given:
        if path == "*":
            named.update(_PATHS)
        elif path == "resources":
            named.update(f"resources.{name}" for name in _RESOURCES)
        elif path in _PATHS:
            named.add(path)
        elif path.split(".")[0] in instance_pb2.Instance.DESCRIPTOR.fields_by_name:
            wrong.add("update_mask", f"{path[:_LONGEST_SHOWN]} cannot be changed so")
        else:
            wrong.add("update_mask", f"unknown path {path[:_LONGEST_SHOWN]!r}")
    return [path for path in _PATHS if path in named]


def _set(instance: instance_pb2.Instance) -> list[str]:
    listed = {field.name for field, _ in instance.ListFields()}
    resources = {f"resources.{field.name}" for field, _ in instance.resources.ListFields()}
    return [path for path in _PATHS if path in listed | resources]


def _field(path: str) -> str:
    return path.removeprefix("resources.")
