"""What was acknowledged, when Valkey is killed while its disk is too busy to sync."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
import redis

from tests.integration.quota.valkey import Valkey

_SOURCE = Path(__file__).with_name("slow_sync.c")
_SECONDS = 0.5
"""Writes go on for so long: less than a sync takes, which the first of them begins."""


@pytest.fixture
def slow_sync(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a library that makes syncs slow."""
    # The stack's editor needs a compiler as well.
    compiler = shutil.which("cc") or shutil.which("g++")
    assert compiler, "no compiler"
    library = tmp_path_factory.mktemp("library") / "slow_sync.so"
    options = ("-shared", "-fPIC", "-xc", _SOURCE)
    subprocess.run((compiler, *options, "-o", library), check=True)
    return library


def test_what_was_acknowledged_survives_a_kill_during_a_slow_sync(
    tmp_path: Path, slow_sync: Path
) -> None:
    """No change waits in memory for a sync when its answer is given."""
    server = Valkey(tmp_path)
    server.start({"LD_PRELOAD": str(slow_sync)})
    try:
        with redis.Redis.from_url(server.url) as client:
            acknowledged = 0
            until = time.monotonic() + _SECONDS
            while time.monotonic() < until:
                client.set(f"key-{acknowledged}", "")
                acknowledged += 1
            server.kill()
            server.start()
            assert client.dbsize() == acknowledged
    finally:
        server.kill()
