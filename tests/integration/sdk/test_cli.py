"""The command, run as people and programs run it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import codestudio
import grpc
import pytest
import yaml
from codestudio.cli import _app
from codestudio.common.v1 import error_pb2
from codestudio.instance.v1 import instance_pb2, instance_service_pb2
from google.protobuf import json_format
from typer.testing import CliRunner, Result

from tests.integration.sdk.faulty import TOKEN, Fault
from tests.integration.sdk.gateway import Gateway


class Command:
    """Runs the command in this process."""

    def __init__(self) -> None:
        self._runner = CliRunner()

    def __call__(self, *arguments: str, code: int = 0, **options: str) -> Result:
        result = self._runner.invoke(_app.app, arguments, **options)  # type: ignore[arg-type]
        assert result.exit_code == code, (result.output, result.exception)
        return result


@pytest.fixture
def run(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run the command against the control plane."""
    monkeypatch.setenv("CODESTUDIO_GATEWAY", gateway.url)
    monkeypatch.setenv("CODESTUDIO_TOKEN", TOKEN)
    monkeypatch.setenv("COLUMNS", "200")
    return Command()


def test_create(gateway: Gateway, run: Command) -> None:
    """Flags become fields; the command waits and shows where to go on."""
    result = run(
        "instances", "create", "fox", "-n", "team-a", "--cpu", "500m", "--memory", "2Gi",
        "-e", "A=1", "-e", "B=x=y", "-l", "course=cs101", "--idle-timeout", "30m",
    )  # fmt: skip
    (request,) = gateway.requests("CreateInstance")
    config = request.config
    assert (config.id, config.namespace, config.resources.cpu) == ("fox", "team-a", "500m")
    assert config.environment == {"A": "1", "B": "x=y"}
    assert config.labels == {"course": "cs101"}
    assert config.idle_timeout.seconds == 1800
    assert "state:          RUNNING" in result.stdout
    assert f"{gateway.url}/i/fox/" in result.stdout
    assert "codestudio instances open fox" in result.stderr


def test_create_from_a_file(gateway: Gateway, run: Command, tmp_path: Path) -> None:
    """A file describes it; flags say otherwise where they speak."""
    path = tmp_path / "fox.yaml"
    path.write_text("id: fox\nresources: {cpu: 1, memory: 2Gi}\nlabels: {a: b}\n")
    run("instances", "create", "-f", str(path), "--cpu", "2", "-l", "c=d", "--no-wait")
    (request,) = gateway.requests("CreateInstance")
    assert (request.config.resources.cpu, request.config.resources.memory) == ("2", "2Gi")
    assert request.config.labels == {"a": "b", "c": "d"}
    text = "id: bear\nmemmory: 2Gi\n"
    result = run("instances", "create", "-f", "-", code=2, input=text)
    assert "standard input:2: unknown field memmory" in result.stderr


def test_json_is_what_rest_gives(gateway: Gateway, run: Command) -> None:
    """JSON has the contract's names and everything in it, and parses back to the message."""
    run("instances", "create", "fox")
    shown = json.loads(run("instances", "get", "fox", "-o", "json").stdout)
    assert json_format.ParseDict(shown, instance_pb2.Instance()) == gateway.instances["fox"]
    assert shown["display_name"] == "fox"
    assert shown["restarts"] == 0
    listed = json.loads(run("-o", "json", "instances", "list").stdout)
    json_format.ParseDict(listed, instance_service_pb2.ListInstancesResponse())
    assert listed["instances"] == [shown]
    assert yaml.safe_load(run("instances", "get", "fox", "--output", "yaml").stdout) == shown
    status = json.loads(run("instances", "status", "fox", "-o", "json").stdout)
    json_format.ParseDict(status, instance_service_pb2.InstanceStatus())
    quota = json.loads(run("quota", "get", "-o", "json").stdout)
    assert quota["limits"]["memory"] == "40Gi"


def test_tables_are_stable(run: Command) -> None:
    """Without a terminal: columns, no colour, a head even where there is nothing."""
    assert run("instances", "list").stdout.split() == [
        "ID", "NAMESPACE", "STATE", "CPU", "MEMORY", "PORT", "OWNER", "AGE",
    ]  # fmt: skip
    run("instances", "create", "fox", "--cpu", "1")
    head, row = run("instances", "list").stdout.splitlines()
    assert row.split()[:4] == ["fox", "default", "RUNNING", "1"]
    assert head.index("STATE") == row.index("RUNNING")
    assert run("ports").stdout.splitlines()[1].split() == [
        "fox", "default", "RUNNING", "8000", "8050-8099",
    ]  # fmt: skip


def test_filters(gateway: Gateway, run: Command) -> None:
    """Options are other words for terms of the filter."""
    run("instances", "list", "-n", "team-a", "--state", "running", "--filter", "state != FAILED")
    (request,) = gateway.requests("ListInstances")
    assert request.filter == 'state != FAILED AND namespace = "team-a" AND state = RUNNING'
    run("instances", "create", "a")
    run("instances", "create", "b")
    assert len(run("instances", "list", "--limit", "1").stdout.splitlines()) == 2


def test_start_stop_delete(gateway: Gateway, run: Command) -> None:
    """Several at once; what works is done though another does not."""
    for name in "ab":
        run("instances", "create", name, "--no-wait")
    result = run("instances", "stop", "a", "nobody", "b", code=3)
    assert [line.split()[2] for line in result.stdout.splitlines()[1:]] == ["STOPPED"] * 2
    assert "INSTANCE_NOT_FOUND" in result.stderr
    assert "RUNNING" in run("instances", "start", "a").stdout
    run("instances", "delete", "a", "b")
    assert gateway.instances == {}
    run("instances", "delete", "a", code=3)
    run("instances", "delete", "a", "--allow-missing")


def test_update(gateway: Gateway, run: Command) -> None:
    """Flags change what they name; labels and variables are added and removed one by one."""
    run("instances", "create", "fox", "-l", "a=1", "-l", "b=2", "-e", "A=1")
    result = run(
        "instances", "update", "fox", "--cpu", "2", "--remove-label", "b", "-l", "c=3",
        "--idle-timeout", "0",
    )  # fmt: skip
    (request,) = gateway.requests("UpdateInstance")
    assert request.update_mask.paths == ["resources.cpu", "labels", "idle_timeout"]
    assert request.instance.labels == {"a": "1", "c": "3"}
    assert request.instance.etag
    assert "2 cpu" in result.stdout
    run("instances", "update", "fox", "--dry-run", "--display-name", "Fox")
    assert gateway.requests("UpdateInstance")[-1].validate_only
    run("instances", "update", "fox", code=2)
    run("instances", "update", "fox", "--cpu", "1", "--etag", "old", code=5)


def test_batch(gateway: Gateway, run: Command, tmp_path: Path) -> None:
    """By number or from a file; each item has its line, and the first failure its exit code."""
    run("instances", "create", "lab-2")
    result = run("instances", "batch-create", "--count", "3", "--prefix", "lab", code=5)
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [
        ["lab-1", "PENDING"],
        ["lab-2", "INSTANCE_ALREADY_EXISTS"],
        ["lab-3", "PENDING"],
    ]
    path = tmp_path / "many.yaml"
    path.write_text("- id: x\n- id: y\n")
    result = run("instances", "batch-create", "-f", str(path), "-n", "team-b", "-o", "json")
    shown = json_format.ParseDict(
        json.loads(result.stdout), instance_service_pb2.BatchCreateInstancesResponse()
    )
    assert (shown.created, shown.results[1].instance.namespace) == (2, "team-b")
    run("instances", "batch-create", code=2)
    run("instances", "batch-create", "--count", "2", "-f", str(path), code=2)
    assert "x" in gateway.instances


@pytest.mark.parametrize(
    ("status", "error", "code"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT", 2),
        (grpc.StatusCode.NOT_FOUND, "INSTANCE_NOT_FOUND", 3),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", 4),
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", 5),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", 6),
        (grpc.StatusCode.INTERNAL, "INTERNAL_ERROR", 1),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", 124),
    ],
)
def test_exit_codes(
    gateway: Gateway, run: Command, status: grpc.StatusCode, error: str, code: int
) -> None:
    """Each kind of failure has its exit code and one clear block, without a traceback."""
    detail = error_pb2.ErrorDetail(
        code=error,
        message="it went wrong",
        request_id="the-id",
        violations=[error_pb2.FieldViolation(field="config.id", description="is too long")],
    )
    gateway.faults["GetInstance"] = [Fault(status, detail)]
    result = run("instances", "get", "a", code=code)
    assert result.stdout == ""
    assert result.stderr.splitlines() == [
        f"error {error}: it went wrong",
        "  config.id: is too long",
        "  request id: the-id",
    ]


def test_refused_and_unreachable(gateway: Gateway, run: Command) -> None:
    """A bad token and a gateway that is not there are told apart, with the way out."""
    assert "CODESTUDIO_TOKEN" in run("instances", "list", "--token", "bad", code=4).stderr
    gateway.stop()
    result = run("instances", "list", code=7)
    assert gateway.url in result.stderr
    assert "./scripts/up" in result.stderr


def test_failed_start(gateway: Gateway, run: Command) -> None:
    """A start that fails says why and who can mend it; the class decides the exit code."""
    gateway.fail_starts_with = instance_pb2.Failure(
        step=instance_pb2.CONDITION_TYPE_WORKLOAD_CREATED,
        code="EDITOR_NOT_INSTALLED",
        message="no editor is installed",
    )
    setattr(gateway.fail_starts_with, "class", instance_pb2.FAILURE_CLASS_RUNTIME)
    result = run("instances", "create", "a", code=8)
    assert "EDITOR_NOT_INSTALLED: no editor is installed" in result.stderr
    assert "WORKLOAD_CREATED, to be mended by: an administrator" in result.stderr
    setattr(gateway.fail_starts_with, "class", instance_pb2.FAILURE_CLASS_CAPACITY)
    run("instances", "create", "b", code=6)


def test_wait_timeout(gateway: Gateway, run: Command) -> None:
    """Waiting ends in time, telling how far it came."""
    gateway.stuck = True
    result = run("instances", "create", "a", "--wait-timeout", "1", code=124)
    assert "waiting for QUOTA_RESERVED" in result.stderr


def test_quota(gateway: Gateway, run: Command) -> None:
    """Limits are shown, changed one by one, and asked about."""
    run("quota", "set", "team-a", "--memory", "8Gi")
    assert gateway.quota.memory == "8Gi"
    assert "memory" in run("quota", "get", "team-a").stdout
    run("quota", "set", "team-a", "--cpu", "3", "--reset", "memory", "--reset", "instances")
    assert (gateway.quota.cpu, gateway.quota.memory) == ("3", gateway.default_quota.memory)
    run("quota", "set", "team-a", code=2)
    run("quota", "set", "team-a", "--reset", "gpu", code=2)
    assert run("quota", "check", "team-a").stdout == "allowed\n"
    result = run("quota", "check", "--instances", "11", code=6)
    assert result.stdout.splitlines()[1].split() == ["instances", "10", "0", "11", "1"]
    result = run("quota", "check", "team-a", "--instance-id", "fox", "--instances", "11", code=6)
    assert gateway.requests("CheckQuota")[-1].instance_id == "fox"
    assert "0 (2 its own)" in result.stdout
    assert run("quota", "list").stdout.splitlines()[1].split()[:2] == ["default", "0/10"]


def test_resources(gateway: Gateway, run: Command) -> None:
    """What instances use and which sizes would fit, as tables and as REST gives it."""
    assert "fox  default    0.25  500m  1.5 GiB  2Gi" in run("resources", "usage").stdout
    detailed = run("resources", "usage", "fox").stdout
    assert "STORAGE  PROCESS_LIMIT  yes        full" in detailed
    assert "ended python" in detailed
    assert "2027-01-15" in run("resources", "usage", "fox", "--history").stdout
    assert gateway.requests("GetResourceUsage")[-1].instance_id == "fox"
    shown = run("resources", "optimize", "-n", "team")
    assert "SCALE_UP_CPU" in shown.stdout
    assert "RECOMMENDED" in shown.stdout
    told = json.loads(run("-o", "json", "resources", "optimize", "--apply").stdout)
    assert told["optimizations"][0]["outcome"] == "OPTIMIZATION_OUTCOME_APPLIED"
    assert "8350-8399" in run("resources", "allocate", "fox", "--web-port", "8300").stdout
    assert not gateway.requests("AllocateResources")[-1].resources.ByteSize()
    run("resources", "allocate", "fox", "--cpu", "2", "--memory", "4Gi", "--storage", "20Gi")
    asked = gateway.requests("AllocateResources")[-1].resources
    assert (asked.cpu, asked.memory, asked.storage) == ("2", "4Gi", "20Gi")
    run("resources", "deallocate", "fox")


def test_the_whole_history_can_be_seen(gateway: Gateway, run: Command) -> None:
    """As much as is asked for, over as many pages as that takes; no more than there is."""

    def shown(*limit: str) -> tuple[list[int], str]:
        told = json.loads(run("-o", "json", "config", "history", "quota-service", *limit).stdout)
        return [one["revision"] for one in told["revisions"]], told["next_page_token"]

    assert shown() == ([], "")
    gateway.revisions = 2500
    assert shown() == (list(range(2500, 2480, -1)), "2480")
    assert shown("--limit", "2100") == (list(range(2500, 400, -1)), "400")
    assert shown("--limit", "9999") == (list(range(2500, 0, -1)), "")
    assert [one.page_size for one in gateway.requests("ListRevisions")[-3:]] == [1000] * 3


def test_small_commands(run: Command) -> None:
    """Token, logs, version and help."""
    assert run("token").stdout == f"{TOKEN}\n"
    run("instances", "create", "a", "--stopped", "--no-wait")
    assert run("instances", "logs", "a").stdout == "first\nsecond\n"
    assert json.loads(run("version", "-o", "json").stdout)["codestudio"] == codestudio.__version__
    assert "124 timeout" in " ".join(run("--help").stdout.split())
    assert "INSTANCE_NOT_RUNNING" in run("instances", "open", "a", code=5).stderr
    assert "did you mean" in run("instances", "lst", code=2).stderr.lower()
    assert "REQUIRED" not in run("instances", "create", "--help").stdout


def test_bad_usage(run: Command) -> None:
    """What is written wrongly is said before anything is asked of the gateway."""
    assert "KEY=VALUE" in run("instances", "create", "-e", "novalue", code=2).stderr
    assert "30m" in run("instances", "create", "--idle-timeout", "soon", code=2).stderr
    run("instances", "get", code=2)
    run("instances", "list", "-o", "xml", code=2)


def test_completion_of_names(run: Command) -> None:
    """The shell completes instances' names by asking, and stays silent where it cannot."""
    run("instances", "create", "fox")
    environment = {
        **os.environ,
        "_CODESTUDIO_COMPLETE": "complete_bash",
        "COMP_WORDS": "codestudio instances get f",
        "COMP_CWORD": "3",
    }
    program = str(Path(sys.executable).with_name("codestudio"))
    done = subprocess.run(
        [program], env=environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.split() == ["fox"]


def test_watch_and_ctrl_c(gateway: Gateway, run: Command) -> None:
    """Events come as they happen, a line of JSON each; Ctrl-C ends it without noise."""
    run("instances", "create", "a", "--stopped")
    with subprocess.Popen(
        [sys.executable, "-m", "codestudio.cli", "instances", "watch", "-o", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = json.loads(process.stdout.readline())
        json_format.ParseDict(first, instance_service_pb2.WatchInstancesResponse())
        assert first["event"]["type"] == "TYPE_ADDED"
        gateway.change("a", display_name="new")
        second = json.loads(process.stdout.readline())
        assert second["event"]["instance"]["display_name"] == "new"
        assert second["resume_token"]
        process.send_signal(signal.SIGINT)
        process.wait(10)
        assert process.returncode == 130
        assert process.stderr.read() == ""


def test_closed_pipe(run: Command) -> None:
    """`codestudio … | head -1` ends quietly."""
    for number in range(3):
        run("instances", "create", f"i-{number}", "--no-wait")
    line = f"{sys.executable} -m codestudio.cli instances list -o json | head -1"
    done = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_keep_alive(gateway: Gateway, run: Command) -> None:
    """Lengths are written like everywhere; zero ends a lease."""
    run("instances", "create", "fox")
    run("instances", "keep-alive", "fox", "--for", "2h")
    run("instances", "keep-alive", "fox", "--for", "0")
    asked = gateway.requests("KeepInstanceAlive")
    assert [one.duration.seconds for one in asked] == [7200, 0]
    assert "kept alive until:" in run("instances", "get", "fox").stdout
    run("instances", "keep-alive", "fox", "--for", "soon", code=2)
