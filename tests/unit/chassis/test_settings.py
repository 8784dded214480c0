from pathlib import Path

import pydantic
import pytest

from services.chassis.settings import ServiceSettings


class Settings(ServiceSettings):
    microservice_name: str = "test-service"
    port: int = 3001


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ServiceSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def test_the_environment_names_are_the_specifications(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each field is read from its name in capitals."""
    monkeypatch.setenv("MICROSERVICE_NAME", "quota-service")
    monkeypatch.setenv("MONGODB_URL", "mongodb://db:27017/codestudio")
    monkeypatch.setenv("REDIS_CLUSTER_ENDPOINT", "redis://redis-cluster:6379")
    monkeypatch.setenv("KUBERNETES_NAMESPACE", "fleet")
    monkeypatch.setenv("MAX_CONCURRENT_INSTANCES", "7")
    monkeypatch.setenv("JWKS_FILE", "/x/jwks.json")
    settings = Settings()
    assert settings.microservice_name == "quota-service"
    assert settings.mongodb_url == "mongodb://db:27017/codestudio"
    assert settings.redis_cluster_endpoint == "redis://redis-cluster:6379"
    assert settings.kubernetes_namespace == "fleet"
    assert settings.max_concurrent_instances == 7
    assert settings.jwks_file == Path("/x/jwks.json")


def test_the_admin_port_follows_the_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Port + 6000, unless it is set; any free one where the port is any free one."""
    assert Settings().http_port == 9001
    assert Settings(port=0).http_port == 0
    monkeypatch.setenv("HTTP_PORT", "1234")
    assert Settings().http_port == 1234


def test_pools_are_the_specifications() -> None:
    """50 connections at most, 10 kept, 30 s to wait."""
    settings = Settings()
    assert (settings.redis_pool_max, settings.redis_pool_min) == (50, 10)
    assert (settings.mongodb_pool_max, settings.mongodb_pool_min) == (50, 10)
    assert (settings.redis_pool_timeout, settings.mongodb_pool_timeout) == (30, 30)


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As shells and manifests leave them behind."""
    monkeypatch.setenv("PORT", "")
    assert Settings().port == 3001


@pytest.mark.parametrize(
    ("name", "value"), [("PORT", "70000"), ("LOG_LEVEL", "loud"), ("DRAIN_SECONDS", "-1")]
)
def test_wrong_values_are_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """At start, not at first use."""
    monkeypatch.setenv(name, value)
    with pytest.raises(pydantic.ValidationError):
        Settings()


def test_every_field_says_what_it_is() -> None:
    """Unit and reason stand beside each."""
    for name, field in ServiceSettings.model_fields.items():
        assert field.description, name
