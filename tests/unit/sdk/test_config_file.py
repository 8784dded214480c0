"""Instances in YAML: strict, with the line of every complaint."""

import datetime
from pathlib import Path

import codestudio
import pytest
from codestudio.cli import _config_file

FULL = """\
# a comment
id: blue-fox
namespace: team-a
display_name: Blue fox
resources: {cpu: 0.5, memory: 2Gi, storage: 10Gi}
ports:
  web_port: 8200
environment:
  DEBUG: true
  WORKERS: 4
  EMPTY: ""
labels:
  course: cs101
desired_state: stopped
idle_timeout: 30m
max_lifetime: 3600
"""


def load(tmp_path: Path, text: str) -> list[codestudio.InstanceConfig]:
    path = tmp_path / "fox.yaml"
    path.write_text(text)
    return _config_file.load(str(path))


def test_everything(tmp_path: Path) -> None:
    """Every field of the contract is read; scalars mean what is written, not what YAML makes."""
    (config,) = load(tmp_path, FULL)
    assert config == codestudio.InstanceConfig(
        id="blue-fox",
        namespace="team-a",
        display_name="Blue fox",
        resources={"cpu": "0.5", "memory": "2Gi", "storage": "10Gi"},
        web_port=8200,
        environment={"DEBUG": "true", "WORKERS": "4", "EMPTY": ""},
        labels={"course": "cs101"},
        desired_state=codestudio.DesiredState.STOPPED,
        idle_timeout=datetime.timedelta(minutes=30),
        max_lifetime=datetime.timedelta(hours=1),
    )
    proto = config.to_proto()
    assert proto.resources.cpu == "0.5"
    assert proto.ports.web_port == 8200


@pytest.mark.parametrize(
    "text",
    ["- id: a\n- id: b\n", "configs:\n  - id: a\n  - id: b\n", "id: a\n---\nid: b\n",
     '[{"id": "a"}, {"id": "b"}]'],
    ids=["list", "body of batchCreate", "documents", "JSON"],
)  # fmt: skip
def test_many(tmp_path: Path, text: str) -> None:
    """Several instances are written in any of the ways people write several."""
    assert [config.id for config in load(tmp_path, text)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("id: a\nmemmory: 2Gi\n", "fox.yaml:2: unknown field memmory"),
        ("id: a\nlabel: {}\n", "fox.yaml:2: unknown field label; did you mean labels?"),
        (
            "id: a\nresources:\n  cpus: 2\n",
            "fox.yaml:3: unknown field resources.cpus; did you mean cpu?",
        ),
        ("- id: a\n- idd: b\n", "fox.yaml:2: unknown field idd; did you mean id?"),
        ("id: a\nid: b\n", "fox.yaml:2: id is given twice"),
        ("ports: {web_port: http}\n", "fox.yaml:1: ports.web_port is a whole number, not 'http'"),
        ("ports: {web_port: 99999999999}\n", "fox.yaml:1: ports.web_port is a whole number"),
        ("resources: 2\n", "fox.yaml:1: resources is written as a mapping"),
        ("labels: [a]\n", "fox.yaml:1: labels is written as a mapping"),
        ("id: [a]\n", "fox.yaml:1: id is a single value"),
        ("idle_timeout: soon\n", "fox.yaml:1: idle_timeout: 'soon' is no length of time"),
        ("desired_state: on\n", "fox.yaml:1: desired_state is RUNNING or STOPPED, not 'on'"),
        ("id: a\n  b: c\n", "fox.yaml:2: mapping values are not allowed here"),
        ("just text\n", "fox.yaml:1: an instance is written as a mapping"),
        ("environment: {A: {B: c}}\n", "fox.yaml:1: environment.A is a single value"),
    ],
)
def test_complaints(tmp_path: Path, text: str, complaint: str) -> None:
    """What is wrong is named with its line, and what was meant where it can be guessed."""
    with pytest.raises(_config_file.ConfigError) as caught:
        load(tmp_path, text)
    assert complaint in caught.value.message


def test_no_file(tmp_path: Path) -> None:
    """A file that cannot be read says why."""
    with pytest.raises(_config_file.ConfigError, match="No such file"):
        _config_file.load(str(tmp_path / "none.yaml"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(_config_file.ConfigError, match="UTF-8"):
        _config_file.load(str(tmp_path / "binary"))


def test_nothing_dangerous(tmp_path: Path) -> None:
    """Tags that would build Python objects do nothing."""
    with pytest.raises(_config_file.ConfigError, match="single value"):
        load(tmp_path, "id: !!python/object/apply:os.system [true]\n")
