"""Default limits come from the environment and are checked at the start."""

import pydantic
import pytest

from services.quota.amounts import Amounts
from services.quota.settings import QuotaSettings


def test_default_limits() -> None:
    """Without settings, a namespace may hold 100 instances, 100 CPU, 200 GiB and 1 TiB."""
    assert QuotaSettings().default_limits == Amounts(100, 100_000, 200 * 2**30, 2**40)


def test_limits_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The four names of the environment set them."""
    for name, value in {"INSTANCES": "3", "CPU": "1500m", "MEMORY": "2Gi", "STORAGE": "5G"}.items():
        monkeypatch.setenv(f"DEFAULT_QUOTA_{name}", value)
    assert QuotaSettings().default_limits == Amounts(3, 1500, 2**31, 5 * 10**9)


@pytest.mark.parametrize(
    ("name", "value"), [("CPU", "many"), ("MEMORY", "2Gb"), ("STORAGE", "9Pi"), ("INSTANCES", "-1")]
)
def test_wrong_limits_stop_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A default that cannot be read is refused before anything is served."""
    monkeypatch.setenv(f"DEFAULT_QUOTA_{name}", value)
    with pytest.raises(pydantic.ValidationError, match=f"default_quota_{name.lower()}"):
        QuotaSettings()
