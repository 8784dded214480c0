"""Writes docs/api.md: every call, its REST route, its permission and what it does.

python scripts/lib/api_reference.py DESCRIPTORS > docs/api.md

DESCRIPTORS is a descriptor set with source information, where the comments are.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from codestudio.common.v1 import options_pb2
from google.api import annotations_pb2, http_pb2
from google.protobuf import descriptor_pb2

_SERVICE, _METHOD = 6, 2
"""Field numbers in FileDescriptorProto and ServiceDescriptorProto, by which comments are found."""

_HEAD = """\
# API reference

Made by `scripts/gen` from [`proto/`](../proto), where every message and field is described.

Every call needs a bearer token whose roles hold the permission named here. Calls without a REST
route are reached by gRPC only. `→ stream` marks long-lived answers: by REST, one JSON object a
line.

In JSON, words of an enum are written whole, in place of the specification's: `PATH_STATUS_VALID`
for `valid`. The `recommended` of an optimization is its `recommended_limit`, beside the
`current_limit`.
"""


def _comments(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {
        tuple(location.path): " ".join(location.leading_comments.split())
        for location in file.source_code_info.location
    }


def _route(method: descriptor_pb2.MethodDescriptorProto) -> str:
    rule: http_pb2.HttpRule = method.options.Extensions[annotations_pb2.http]
    verb = rule.WhichOneof("pattern")
    return f"`{verb.upper()} {getattr(rule, verb)}`" if verb else "—"


def _name(method: descriptor_pb2.MethodDescriptorProto) -> str:
    if method.client_streaming:
        return f"{method.name} (stream → stream)"
    return f"{method.name} → stream" if method.server_streaming else method.name


def _lines(files: descriptor_pb2.FileDescriptorSet) -> Iterator[str]:
    yield _HEAD
    for file in files.file:
        comments = _comments(file)
        for number, service in enumerate(file.service):
            yield f"## {file.package}.{service.name}\n"
            yield comments.get((_SERVICE, number), "") + "\n"
            yield "| call | REST | permission | what it does |"
            yield "|---|---|---|---|"
            for index, method in enumerate(service.method):
                comment = comments.get((_SERVICE, number, _METHOD, index), "")
                permission = method.options.Extensions[options_pb2.permission]
                yield f"| {_name(method)} | {_route(method)} | `{permission}` | {comment} |"
            yield ""


def main() -> None:
    """Print the page."""
    files = descriptor_pb2.FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    print("\n".join(_lines(files)).rstrip())


if __name__ == "__main__":
    main()
