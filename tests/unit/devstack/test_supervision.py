import configparser
import os
import subprocess
from pathlib import Path

from services.devstack import layout, plan, ports, supervision
from services.devstack.plan import Plan, Program


def _plan(root: Path) -> Plan:
    return Plan(
        layout=layout.Layout.of(root),
        ports=ports.Ports(100),
        stack_id="abc",
        services=("instance", "resource", "edge"),
        gateway_url="http://localhost:3100",
        editor_command="/somewhere/code-server",
    )


def _program(*command: str, **fields: object) -> Program:
    return Program("probe", command, check=lambda: None, **fields)  # type: ignore[arg-type]


def test_every_program_is_restarted_for_ever(tmp_path: Path) -> None:
    """Nothing is given up, and stopping a service leaves its children alone."""
    programs = plan.programs(_plan(tmp_path), lambda _: ["envoy"])
    config = configparser.ConfigParser(interpolation=None)
    config.read_string(supervision.render_config(programs, "supervisor.sock"))
    names = [name.split(":")[1] for name in config.sections() if name.startswith("program:")]
    assert names == ["valkey", "nats", "mongo", "instance", "resource", "edge", "envoy"]
    for name in names:
        section = config[f"program:{name}"]
        assert section["autorestart"] == "true"
        assert section.getint("startretries") > 10**6
        assert section["stopsignal"] == "TERM"
        assert not section.getboolean("stopasgroup")
        assert not section.getboolean("killasgroup")


def test_a_script_hands_on_words_and_environment_unchanged(tmp_path: Path) -> None:
    """Blanks, quotes, percent signs and line breaks reach the program as they are."""
    text = "a 'b' \"c\" %(d)s $HOME ; # \n e"
    script = tmp_path / "probe"
    program = _program("sh", "-c", 'printf "%s|%s" "$1" "$PROBE"', "sh", text)
    program = _program(*program.command, environment={"PROBE": text})
    script.write_text(supervision.render_script(program))
    result = subprocess.run(("sh", script), capture_output=True, text=True, check=True)
    assert result.stdout == f"{text}|{text}"


def test_stale_files_go_before_every_start(tmp_path: Path) -> None:
    """What a killed program left behind does not keep it from starting again."""
    stale = tmp_path / "left over.pid"
    stale.write_text(str(os.getpid()))
    script = tmp_path / "probe"
    script.write_text(
        supervision.render_script(_program("test", "!", "-e", str(stale), stale_files=(stale,)))
    )
    subprocess.run(("sh", script), check=True)


def test_only_edge_can_sign_for_users(tmp_path: Path) -> None:
    """The key of users' tokens is named to edge and to no other program."""
    programs = {item.name: item for item in plan.programs(_plan(tmp_path), None)}
    holders = {name for name, item in programs.items() if "USER_KEY_FILE" in item.environment}
    assert holders == {"edge"}


def test_services_are_told_the_shifted_ports(tmp_path: Path) -> None:
    """Every address a service gets belongs to its own stack."""
    programs = {item.name: item for item in plan.programs(_plan(tmp_path), None)}
    environment = programs["resource"].environment
    assert environment["PORT"] == "3103"
    assert environment["HTTP_PORT"] == "9103"
    assert environment["REDIS_URL"] == "redis://127.0.0.1:6479/0"
    assert environment["MONGODB_URL"] == "mongodb://127.0.0.1:27117/codestudio"
    assert environment["PORT_BASE"] == "8100"
    assert environment["EDITOR_COMMAND"] == "/somewhere/code-server"


def test_a_deep_data_directory_still_has_a_socket(tmp_path: Path) -> None:
    """A path longer than a socket's may be falls back to one in the temporary directory."""
    deep = layout.Layout.of(tmp_path / ("d" * 120))
    assert len(bytes(deep.supervisor_socket)) < 100
    assert deep.supervisor_socket != layout.Layout.of(tmp_path / ("e" * 120)).supervisor_socket
