"""Where the client connects when it is not told."""

import json
from pathlib import Path

import codestudio
import pytest
from codestudio import _discovery


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in an empty directory with an empty environment."""
    for name in ("CODESTUDIO_GATEWAY", "CODESTUDIO_TOKEN", "CODESTUDIO_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    working = tmp_path / "project" / "deep" / "down"
    working.mkdir(parents=True)
    monkeypatch.chdir(working)
    return tmp_path


def stack(directory: Path, gateway: str = "http://localhost:3000") -> Path:
    """Write what a running stack writes."""
    (directory / "secrets").mkdir(parents=True)
    (directory / "secrets" / "admin.token").write_text("local-token\n")
    record = {"gateway_url": gateway, "ports": {"gateway": 3000}, "editor_command": "/x"}
    (directory / "stack.json").write_text(json.dumps(record))
    return directory


def config(root: Path, text: str) -> None:
    """Write the configuration file."""
    path = root / "config" / "codestudio" / "config"
    path.parent.mkdir(parents=True)
    path.write_text(text)


def test_nothing() -> None:
    """Nothing known: say how to make it known."""
    with pytest.raises(codestudio.NotConfigured, match="CODESTUDIO_GATEWAY"):
        _discovery.connect()


def test_stack_above(elsewhere: Path) -> None:
    """The nearest stack upward gives both address and token."""
    stack(elsewhere / ".codestudio", "http://localhost:1111")
    stack(elsewhere / "project" / ".codestudio", "http://localhost:2222")
    found = _discovery.connect()
    assert (found.gateway, found.token) == ("http://localhost:2222", "local-token")
    assert found.stack is not None
    assert found.stack.ports == {"gateway": 3000}
    assert "local-token" not in repr(found)


def test_data_dir_is_explicit(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CODESTUDIO_DATA_DIR names a stack, and so comes before one that lies nearby."""
    stack(elsewhere / ".codestudio", "http://localhost:1111")
    monkeypatch.setenv("CODESTUDIO_DATA_DIR", str(stack(elsewhere / "data", "http://localhost:2")))
    assert _discovery.connect().gateway == "http://localhost:2"


def test_environment_comes_first(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment comes before a stack, an argument before the environment."""
    stack(elsewhere / ".codestudio")
    monkeypatch.setenv("CODESTUDIO_GATEWAY", "https://code.example.com/")
    monkeypatch.setenv("CODESTUDIO_TOKEN", "from-environment")
    found = _discovery.connect()
    assert (found.gateway, found.token) == ("https://code.example.com", "from-environment")
    assert (found.target, found.secure, found.stack) == ("code.example.com:443", True, None)
    assert _discovery.connect("http://[::1]:8080", "given").target == "[::1]:8080"
    assert _discovery.connect("other:80").token == "from-environment"


def test_token_stays_at_home(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A local stack's token is never sent to another gateway."""
    stack(elsewhere / ".codestudio")
    assert _discovery.connect("http://evil.example.com").token == ""
    monkeypatch.setenv("CODESTUDIO_GATEWAY", "http://evil.example.com")
    assert _discovery.connect().token == ""
    config(elsewhere, 'gateway = "https://good.example.com"\ntoken = "saved"\n')
    assert _discovery.connect().token == ""
    assert _discovery.connect("http://localhost:3000").token == "local-token"


def test_config_file(elsewhere: Path) -> None:
    """The saved gateway is the last resort."""
    config(elsewhere, 'gateway = "https://good.example.com"\ntoken = "saved"\n')
    found = _discovery.connect()
    assert (found.gateway, found.token) == ("https://good.example.com", "saved")


@pytest.mark.parametrize("text", ["gateway =", 'gatway = "x"', "gateway = 3"])
def test_damaged_config_file(elsewhere: Path, text: str) -> None:
    """A configuration that makes no sense is named, not passed over."""
    config(elsewhere, text)
    with pytest.raises(codestudio.NotConfigured, match="codestudio/config"):
        _discovery.connect()


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_damaged_record(elsewhere: Path, text: str) -> None:
    """So is a damaged stack.json."""
    directory = elsewhere / ".codestudio"
    directory.mkdir()
    (directory / "stack.json").write_text(text)
    with pytest.raises(codestudio.NotConfigured, match=r"stack\.json"):
        _discovery.connect()


@pytest.mark.parametrize(
    "address",
    [
        "ftp://x",
        "http://",
        "http://x:99999",
        "http://x/path",
        "http://u:p@x",
        "http://x?y",
        "http:// ",
        "http://x y",
    ],
)
def test_bad_address(address: str) -> None:
    """What is no gateway address is refused before anything is sent."""
    with pytest.raises(codestudio.NotConfigured, match="no gateway address"):
        codestudio.Client(address, token="x")
