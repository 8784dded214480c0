"""The base: documents, variables and the names of secrets, in that order."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config import base, documents, template
from services.config.schema import REDACTED

SHIPPED = {file.name: file.read_text() for file in Path("deploy/config").iterdir()}


def _build(**given_: Any) -> base.Base:
    arguments: dict[str, Any] = {"environment": {}, "ports": {}, "secrets": (), **given_}
    texts = arguments.pop("texts", SHIPPED)
    return base.build(texts, arguments.pop("environment"), **arguments)


def _value(built: base.Base, service: str, path: str) -> tuple[Any, str]:
    sourced = built.values[service][path]
    return sourced.value, sourced.source


def test_the_shipped_documents_are_the_specifications() -> None:
    """Names, numbers and formats to the letter."""
    assert set(SHIPPED) == set(documents.NAMES)
    built = _build()
    for service, path, value in (
        ("resource-service", "port_allocation.base_port", 8000),
        ("resource-service", "port_allocation.range_size", 100),
        ("resource-service", "port_allocation.max_instances", 100),
        ("resource-service", "resource_limits.default_cpu_request", "500m"),
        ("resource-service", "resource_limits.default_memory_request", "1Gi"),
        ("resource-service", "resource_limits.max_cpu_limit", "4"),
        ("resource-service", "resource_limits.max_memory_limit", "8Gi"),
        ("path-service", "path_management.container_root", "/app"),
        ("path-service", "path_management.auto_create_paths", True),
        ("instance-service", "port", 3001),
        ("instance-service", "replicas", 3),
        ("path-service", "image", "codestudio/path-service:latest"),
        ("collaboration-service", "port", 3004),
        ("collaboration-service", "collaboration.sync_interval", 1000),
        ("collaboration-service", "collaboration.conflict_resolution", "auto"),
        ("quota-service", "monitoring.logging_level", "info"),
        ("quota-service", "default_quota.memory", "200Gi"),
        ("resource-service", "monitoring.health_check_interval", 30),
        ("resource-service", "monitoring.metrics_enabled", True),
    ):
        assert _value(built, service, path) == (value, "base"), path


def test_variables_outdo_documents() -> None:
    """They are what the services were started with; an empty one is an absent one."""
    built = _build(
        environment={
            "PORT_BASE": "18000",
            "DEFAULT_QUOTA_CPU": "8",
            "LOG_LEVEL": "",
            "PORT": "3005",
        },
        ports={"quota-service": 13006},
    )
    assert _value(built, "resource-service", "port_allocation.base_port") == (18000, "environment")
    assert _value(built, "quota-service", "default_quota.cpu") == ("8", "environment")
    assert _value(built, "quota-service", "monitoring.logging_level") == ("info", "base")
    assert _value(built, "quota-service", "port") == (13006, "environment")
    assert _value(built, "instance-service", "port") == (3001, "base")


def test_the_specifications_variables_outdo_ours() -> None:
    """Where we have another name for one."""
    both = {"REAL_TIME_SYNC_INTERVAL": "500", "COLLABORATION_SYNC_INTERVAL": "700"}
    for environment, value in (({**both, "REAL_TIME_SYNC_INTERVAL": ""}, 700), (both, 500)):
        built = _build(environment=environment)
        found = _value(built, "collaboration-service", "collaboration.sync_interval")
        assert found == (value, "environment")


def test_secrets_are_there_or_not_and_nothing_else() -> None:
    """Their names are known; their values were never read."""
    built = _build(
        environment={"REDIS_URL": "redis://:hunter2@redis"}, secrets={"services.pem", "mongodb_url"}
    )
    assert _value(built, "instance-service", "secrets.redis_url") == (REDACTED, "environment")
    assert _value(built, "instance-service", "secrets.mongodb_url") == (REDACTED, "secret")
    assert _value(built, "instance-service", "secrets.service_key") == (REDACTED, "secret")
    assert "secrets.nats_url" not in built.values["instance-service"]
    assert "secrets.user_key" not in built.values["edge-service"]
    assert "hunter2" not in repr(built)


def test_the_template_is_expanded() -> None:
    """With variables, else with defaults. A later document outdoes its defaults and no variable."""
    texts = {"microservices.yaml": SHIPPED["microservices.yaml"]}
    texts["instance.yaml"] = SHIPPED["instance.yaml"]
    path = "resource_limits.default_cpu_request"
    assert _value(_build(texts=texts), "resource-service", path) == ("500m", "base")
    built = _build(texts=texts, environment={"CPU_REQUEST": "750m"})
    assert _value(built, "resource-service", path) == ("750m", "environment")
    texts["instance-config.json"] = SHIPPED["instance-config.json"].replace("500m", "250m")
    assert _value(_build(texts=texts), "resource-service", path) == ("250m", "base")
    built = _build(texts=texts, environment={"CPU_REQUEST": "750m"})
    assert _value(built, "resource-service", path) == ("750m", "environment")
    both = {"CPU_REQUEST": "750m", "DEFAULT_CPU_REQUEST": "1"}
    built = _build(texts=texts, environment=both)
    assert _value(built, "resource-service", path) == ("1", "environment")


def test_everything_in_the_shipped_documents_is_somebodys() -> None:
    """A document that sets what no service has would promise what nobody keeps."""
    for path in documents.OF_TEMPLATE.values():
        assert any(path in found for found in _build().values.values()), path


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("instance-config.json", "{", "instance-config.json: cannot be read"),
        ("instance-config.json", "[]", "instance-config.json: must be an object"),
        ("microservices.yaml", "a: [", "microservices.yaml: cannot be read"),
        (
            "instance-config.json",
            '{"port_alocation": {}}',
            "instance-config.json: port_alocation: is no section",
        ),
        (
            "instance-config.json",
            '{"port_allocation": {"base": 1}}',
            "instance-config.json: port_allocation.base: unknown setting",
        ),
        (
            "instance-config.json",
            '{"port_allocation": {"base_port": 80}}',
            "resource-service: port_allocation.base_port: Port must be between 1024 and 65535",
        ),
        (
            "instance-config.json",
            '{"resource_limits": {"default_cpu_request": "8"}}',
            "resource-service: resource_limits.default_cpu_request: must be at most max_cpu_limit",
        ),
        (
            "microservices.yaml",
            "services: {billing-service: {}}",
            "microservices.yaml: services.billing-service: is no service",
        ),
        (
            "microservices.yaml",
            "services: {quota-service: {secrets: {redis_url: x}}}",
            "services.quota-service.secrets.redis_url: secrets are not written into documents",
        ),
        (
            "microservices.yaml",
            "services: {instance-service: {port_allocation: {base_port: 9000}}}",
            "port_allocation.base_port: belongs to resource-service",
        ),
        ("instance.yaml", "instance: {colour: red}", "instance.colour: is no part"),
    ],
)
def test_mistakes_in_documents_are_told(name: str, text: str, problem: str) -> None:
    """With the document and the path."""
    with pytest.raises(base.BaseError) as caught:
        _build(texts={**SHIPPED, name: text})
    assert problem in str(caught.value)


def test_all_mistakes_are_told_at_once() -> None:
    texts = {**SHIPPED, "instance-config.json": '{"a": 1, "port_allocation": {"range_size": 0}}'}
    with pytest.raises(base.BaseError) as caught:
        _build(texts=texts, environment={"MAX_CPU_LIMIT": "many"})
    assert len(caught.value.violations) == 3


def test_the_digest_changes_with_the_values() -> None:
    assert _build().digest == _build().digest
    assert _build().digest != _build(environment={"PORT_BASE": "9000"}).digest
    assert _build().digest != _build(secrets={"services.pem"}).digest


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${A}", "1"),
        ("${A:-2}", "1"),
        ("${B:-2}", "2"),
        ("${EMPTY:-2}", "2"),
        ("${B:-}", ""),
        ("${B}", "${B}"),
        ("x${A}y${B:-z}", "x1yz"),
        ("$A", "$A"),
        ("${A:-${B}}", "${A:-${B}}"),
        ("${NESTED}", "${A}"),
        ("${1}", "${1}"),
    ],
)
def test_placeholders(text: str, expanded: str) -> None:
    """As in a shell; what was put in is not looked at again."""
    variables = {"A": "1", "EMPTY": "", "NESTED": "${A}"}
    assert template.expand(text, variables) == expanded


@given(st.text(alphabet=st.characters(exclude_characters="$")), st.text())
def test_text_without_placeholders_stays(text: str, value: str) -> None:
    assert template.expand(text, {"A": value}) == text
    assert template.expand(f"{text}${{A:-d}}{text}", {"A": value}) == f"{text}{value or 'd'}{text}"


@given(value=st.text(max_size=40))
def test_a_variable_cannot_change_a_documents_structure(value: str) -> None:
    """Whatever is in it, one text stays one text."""
    read = template.expand_all({"a": "${V:-d}", "b": ["${V:-d}"]}, {"V": value})
    assert read == {"a": value or "d", "b": [value or "d"]}
