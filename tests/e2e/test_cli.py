"""The command beside the whole stack, as a person has it: without any configuration."""

import json
import os
import subprocess
import sys
import urllib.request
import uuid
from pathlib import Path

import pytest

from services.devstack.stack import Stack

pytestmark = [pytest.mark.stack, pytest.mark.editor, pytest.mark.timeout(240)]


class Command:
    """Runs the command, knowing only where the stack's data is."""

    def __init__(self, data_dir: Path, working: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("CODESTUDIO_")}
        self._environment = {**kept, "CODESTUDIO_DATA_DIR": str(data_dir)}
        self._working = working

    def __call__(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "codestudio.cli", *arguments],
            env=self._environment,
            cwd=self._working,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture
def run(stack: Stack, tmp_path: Path) -> Command:
    """Run the command beside the stack."""
    return Command(stack.layout.root, tmp_path)


def test_first_steps(stack: Stack, run: Command, tmp_path: Path) -> None:
    """Create, look, open, stop and delete; programs read the same as from REST."""
    name = f"cli-{uuid.uuid4().hex[:8]}"
    path = tmp_path / "fox.yaml"
    path.write_text(f"id: {name}\nresources: {{cpu: 500m, memory: 512Mi}}\nlabels: {{a: b}}\n")
    assert "RUNNING" in run("instances", "create", "-f", str(path))
    assert name in run("instances", "list", "-l", "a=b")
    assert name in run("ports")
    assert "EDITOR_READY" in run("instances", "status", name)
    shown = json.loads(run("instances", "get", name, "-o", "json"))
    request = urllib.request.Request(  # noqa: S310 - the stack's own http address
        f"{stack.plan.gateway_url}/api/instances/{name}",
        headers={"authorization": f"Bearer {run('token').strip()}"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        rest = json.loads(response.read())
    assert json.dumps(shown) == json.dumps(rest)
    link = run("instances", "open", name).strip()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(link, timeout=20) as page:
        assert f"/i/{name}/" in page.url
    assert run("instances", "logs", name, "--tail", "5")
    assert "STOPPED" in run("instances", "stop", name)
    assert "INSTANCE_ALREADY_EXISTS" in run("instances", "create", name, code=5)
    run("instances", "delete", name, "--yes")
    assert "INSTANCE_NOT_FOUND" in run("instances", "get", name, code=3)


def test_doctor(run: Command) -> None:
    """Beside a healthy stack every check passes."""
    report = json.loads(run("doctor", "-o", "json"))
    assert report["ok"] is True
    checks = {each["check"]: each["ok"] for each in report["checks"]}
    for name in ("gateway", "token", "clock", "editor", "call", "instance", "resource", "quota"):
        assert checks[name] is True, name


def test_quota(run: Command) -> None:
    """Limits are set and kept."""
    namespace = f"cli-{uuid.uuid4().hex[:8]}"
    run("quota", "set", namespace, "--instances", "1", "--memory", "4Gi")
    shown = json.loads(run("quota", "get", namespace, "-o", "json"))
    assert (shown["limits"]["instances"], shown["limits"]["memory"]) == (1, "4Gi")
    assert "QUOTA_EXCEEDED" in run(
        "instances", "create", "-n", namespace, "--memory", "8Gi", code=6
    )


def test_quota_by_hand(run: Command) -> None:
    """What is reserved by hand is held until it is released, and a comparison tells of it."""
    namespace = f"cli-{uuid.uuid4().hex[:8]}"
    shown = run("quota", "reserve", namespace, "by-hand", "--cpu", "1", "--memory", "2Gi")
    assert shown.splitlines()[1].split() == ["by-hand", namespace, "1", "1", "2Gi", "0"]
    told = json.loads(run("quota", "reconcile", namespace, "--dry-run", "-o", "json"))
    assert [(one["instance_id"], one["kind"], one["applied"]) for one in told["repairs"]] == [
        ("by-hand", "KIND_RELEASE", False)
    ]
    assert "QUOTA_EXCEEDED" in run(
        "quota", "reserve", namespace, "by-hand", "--cpu", "1000", code=6
    )
    run("quota", "release", namespace, "by-hand")
    assert json.loads(run("quota", "get", namespace, "-o", "json"))["reservations"] == 0
    assert json.loads(run("quota", "repairs", namespace, "-o", "json")) == {"repairs": []}


def test_paths(run: Command) -> None:
    """Where an instance's directories are, whether they work, and what is in them."""
    name = f"cli-{uuid.uuid4().hex[:8]}"
    run("instances", "create", name)
    shown = json.loads(run("paths", "info", name, "-o", "json"))
    assert shown["overall_status"] == "PATH_STATUS_VALID"
    workspace = Path(shown["paths"]["workspace"])
    (workspace / "src").mkdir()
    (workspace / "src" / "main.py").write_text("print()\n")
    assert "main.py" in run("paths", "tree", name)
    assert "invalid" not in run("paths", "validate", name, "workspace/src")
    run("paths", "validate", name, "workspace/src", "workspace/no", code=1)
    assert "passed" in run("paths", "test", name)
    run("instances", "delete", name, "--yes")
    assert "INSTANCE_NOT_FOUND" in run("paths", "info", name, code=3)
