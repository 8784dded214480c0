"""What goes by HTTP: sign-in links, and what the doctor asks."""

import base64
import email.utils
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import codestudio
import pytest
from codestudio.cli import _app, _doctor
from typer.testing import CliRunner

Answer = tuple[int, dict[str, str], bytes]


class Server:
    """An HTTP server that answers as the test says."""

    def __init__(self) -> None:
        self.answers: dict[tuple[str, str], Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                headers = {name.lower(): value for name, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, body))
                status, extra, content = outer.answers.get(
                    (self.command, self.path), (404, {}, b"")
                )
                self.send_response_only(status)
                for name, value in {"date": email.utils.formatdate(), **extra}.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _answer  # noqa: N815 - the standard library's names

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    """Run an HTTP server."""
    running = Server()
    yield running
    running.close()


def token(expires: float) -> str:
    """Make something that looks like a JWT."""
    claims = {"sub": "ada", "roles": ["admin"], "exp": int(expires)}
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def test_link(server: Server) -> None:
    """A link is asked for with the token and the place it is to lead to."""
    made = {"url": f"{server.url}/auth/login?code=x", "expires_at": "2026-01-02T03:04:05.678Z"}
    server.answers["POST", "/auth/links"] = (201, {}, json.dumps(made).encode())
    with codestudio.Client(server.url, token="secret") as client:
        link = client.sign_in_link("/i/fox/")
    assert link.url == made["url"]
    assert link.expires_at.isoformat() == "2026-01-02T03:04:05.678000+00:00"
    ((_, _, headers, body),) = server.requests
    assert headers["authorization"] == "Bearer secret"
    assert json.loads(body) == {"next": "/i/fox/"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ((401, {}, b'{"error":{"code":"TOKEN_EXPIRED"}}'), codestudio.Unauthenticated),
        ((403, {}, b"<html>"), codestudio.PermissionDenied),
        ((503, {}, b"no healthy upstream"), codestudio.Unavailable),
        ((500, {}, b""), codestudio.CodeStudioError),
        ((200, {}, b"{}"), codestudio.Internal),
        ((200, {}, b'{"url":"x","expires_at":"never"}'), codestudio.Internal),
        ((302, {"location": "http://evil.example.com/"}, b""), codestudio.CodeStudioError),
    ],
)
def test_no_link(server: Server, answer: Answer, kind: type[codestudio.CodeStudioError]) -> None:
    """Whatever else is answered becomes one of our errors; a redirect is not followed."""
    server.answers["POST", "/auth/links"] = answer
    with codestudio.Client(server.url, token="x") as client, pytest.raises(kind) as caught:
        client.sign_in_link()
    assert type(caught.value) is kind
    if b"TOKEN_EXPIRED" in answer[2]:
        assert caught.value.code == "TOKEN_EXPIRED"


def stack(directory: Path, server: Server, **record: Any) -> None:
    """Write a stack.json beside a server that plays both gateway and service."""
    (directory / ".codestudio" / "secrets").mkdir(parents=True)
    (directory / ".codestudio" / "secrets" / "admin.token").write_text(token(time.time() + 1e7))
    fields = {
        "gateway_url": server.url,
        "ports": {"gateway": server.port, "edge-admin": server.port, "envoy-admin": 1},
        "editor_command": __file__,
    }
    (directory / ".codestudio" / "stack.json").write_text(json.dumps({**fields, **record}))


def found(check: str) -> Callable[[list[_doctor.Finding]], _doctor.Finding]:
    return lambda findings: next(each for each in findings if each.check == check)


def test_doctor(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check tells what it found and, where that is bad, what to do."""
    for name in ("CODESTUDIO_GATEWAY", "CODESTUDIO_TOKEN", "CODESTUDIO_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    stack(tmp_path, server)
    server.answers["GET", "/"] = (200, {"server": "envoy"}, b"")
    server.answers["GET", "/ready"] = (503, {}, b"redis: not connected")
    findings = _doctor.examine(None, None, timeout=5)
    assert found("token")(findings).ok
    assert "ada (admin)" in found("token")(findings).message
    assert found("gateway")(findings).message == "envoy answers"
    assert found("clock")(findings).ok
    assert found("edge")(findings).ok is False
    assert "redis: not connected" in found("edge")(findings).message
    # This test file is there but cannot be run.
    assert found("editor")(findings).ok is False
    result = CliRunner().invoke(_app.app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "✓ gateway " in result.stdout
    assert "✗ edge " in result.stdout
    assert "→ see" in result.stdout
    shown = json.loads(CliRunner().invoke(_app.app, ["doctor", "-o", "json"]).stdout)
    assert shown["ok"] is False


@pytest.mark.parametrize(
    ("text", "ok", "message"),
    [
        (token(time.time() + 1e7), True, "valid until"),
        (token(time.time() + 3600), None, "valid until"),
        (token(time.time() - 60), False, "expired on"),
        ("garbage", False, "not a JWT"),
        ("a.b.c", False, "not a JWT"),
    ],
    ids=["good", "soon", "expired", "garbage", "dots"],
)
def test_doctor_reads_tokens(server: Server, text: str, ok: bool | None, message: str) -> None:
    """A token's end is told before the gateway refuses it."""
    finding = found("token")(_doctor.examine(server.url, text, timeout=5))
    assert finding.ok is ok
    assert message in finding.message


@pytest.mark.parametrize("skew", [-3600, 3600])
def test_doctor_compares_clocks(server: Server, skew: int) -> None:
    """Clocks that differ are found by the gateway's own date."""
    date = email.utils.formatdate(time.time() + skew)
    server.answers["GET", "/"] = (200, {"date": date}, b"")
    finding = found("clock")(_doctor.examine(server.url, "x", timeout=5))
    assert finding.ok is False
    assert ("ahead of" if skew < 0 else "behind") in finding.message


def test_doctor_without_a_gateway(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing there: say so and go no further."""
    for name in ("CODESTUDIO_GATEWAY", "CODESTUDIO_TOKEN", "CODESTUDIO_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    findings = _doctor.examine(None, None, timeout=5)
    assert [each.ok for each in findings] == [True, False]
    findings = _doctor.examine("http://127.0.0.1:1", "x", timeout=5)
    assert found("gateway")(findings).ok is False
