"""Envoy's files agree with the contracts, with each other, and with the two ways to run."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.api import annotations_pb2
from google.protobuf import descriptor_pb2

from services.devstack import gateway, layout, ports

ENVOY = layout.REPOSITORY / "envoy"
INTERNAL = {"codestudio.resource.v1.WorkloadService"}

_READS = re.compile(r"^(Get|List|Check|Validate|Test)[A-Z]")


def load(name: str) -> Any:
    """Read one of Envoy's files."""
    return yaml.safe_load((ENVOY / name).read_text())


def services() -> dict[str, list[descriptor_pb2.MethodDescriptorProto]]:
    """Give the methods of every service in Envoy's descriptor set."""
    files = descriptor_pb2.FileDescriptorSet.FromString((ENVOY / "descriptors.binpb").read_bytes())
    return {
        f"{file.package}.{service.name}": list(service.method)
        for file in files.file
        for service in file.service
    }


METHODS = [(name, method) for name, methods in services().items() for method in methods]


def route(listener: str, path: str) -> dict[str, Any]:
    """Find the first route a path matches, as Envoy does."""
    found = load(f"rds.{listener}.yaml")["resources"][0]["virtual_hosts"][0]["routes"]
    for one in found:
        match = one["match"]
        if (
            match.get("path") == path
            or ("prefix" in match and path.startswith(match["prefix"]))
            or ("safe_regex" in match and re.fullmatch(match["safe_regex"]["regex"], path))
        ):
            return dict(one)
    raise AssertionError(f"no route for {path}")


@pytest.mark.parametrize("listener", ["public", "mesh"])
@pytest.mark.parametrize(
    ("service", "method"), METHODS, ids=[f"{name}.{method.name}" for name, method in METHODS]
)
def test_every_method_has_its_route(
    listener: str, service: str, method: descriptor_pb2.MethodDescriptorProto
) -> None:
    """Each method goes to its service: streams without an end, reads repeated, writes not."""
    found = route(listener, f"/{service}/{method.name}")
    if listener == "public" and service in INTERNAL:
        assert "direct_response" in found
        return
    action = found["route"]
    live = method.client_streaming and method.server_streaming
    assert action["cluster"] == service.split(".")[1] + ("-live" if live else "-service")
    assert (action["timeout"] == "0s") == method.server_streaming
    repeated = "reset," in action.get("retry_policy", {}).get("retry_on", "") + ","
    assert repeated == (bool(_READS.match(method.name)) and not method.server_streaming)


def test_every_public_service_speaks_rest() -> None:
    """The transcoder knows exactly the public services, and each method of theirs has a rule."""
    public = set(services()) - INTERNAL
    assert set(_find(load("lds.yaml"), "services")) == public
    for service in public:
        for method in services()[service]:
            bidi = method.client_streaming and method.server_streaming
            assert method.options.HasExtension(annotations_pb2.http) != bidi, method.name


def test_routes_name_clusters_that_exist() -> None:
    """Both sets of addresses have every cluster a route or filter names."""
    named = {
        cluster
        for file in ("rds.public.yaml", "rds.mesh.yaml", "lds.yaml")
        for cluster in _values(load(file), "cluster")
    }
    for file in ("cds.local.yaml", "cds.kubernetes.yaml"):
        assert named == {one["name"] for one in load(file)["resources"]}


def test_the_two_sets_of_addresses_differ_in_nothing_else() -> None:
    """What holds on a laptop about health, limits and retries holds in the cluster."""
    local, cluster = load("cds.local.yaml"), load("cds.kubernetes.yaml")
    for one in (*local["resources"], *cluster["resources"]):
        for key in ("type", "load_assignment", "dns_refresh_rate", "respect_dns_ttl"):
            if one["name"] != "editors":
                one.pop(key, None)
    assert local == cluster


def test_a_stacks_files_are_moved_as_data(tmp_path: Path) -> None:
    """Every port moves by the offset, once; listeners bind where they should."""
    jwks = tmp_path / "jwks.json"
    jwks.write_text("{}")
    gateway.write(tmp_path / "envoy", jwks, offset=210, host="0.0.0.0")  # noqa: S104
    derived = {
        name: yaml.safe_load((tmp_path / "envoy" / name).read_text())
        for name in ("bootstrap.yaml", "lds.yaml", "cds.yaml")
    }
    moved = sorted(port for tree in derived.values() for port in _values(tree, "port_value"))
    names = ("gateway", "mesh", "envoy-admin", "instance", "path", "resource", "collaboration",
             "collaboration-2", "config", "quota", "edge")  # fmt: skip
    moved_to = ports.Ports(210)
    web = [moved_to.web(name) for name in ports.replicas("collaboration")]
    # Each is in two clusters: one for either version of HTTP.
    assert moved == sorted([*(moved_to[name] for name in names), *web, *web])
    public, mesh = (one["address"]["socket_address"] for one in derived["lds.yaml"]["resources"])
    assert (public["address"], mesh["address"]) == ("0.0.0.0", "127.0.0.1")  # noqa: S104
    addresses = set(_values(derived["cds.yaml"], "address")) | set(
        _values(derived["bootstrap.yaml"], "address")
    )
    assert addresses == {"127.0.0.1"}


def _find(tree: Any, key: str) -> list[str]:
    return next(value for value in _every(tree, key) if isinstance(value, list))


def _values(tree: Any, key: str) -> list[Any]:
    return [value for value in _every(tree, key) if isinstance(value, str | int)]


def _every(tree: Any, key: str) -> Iterator[Any]:
    if isinstance(tree, dict):
        if key in tree:
            yield tree[key]
        for value in tree.values():
            yield from _every(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from _every(value, key)
