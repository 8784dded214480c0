"""Starting, being ready, draining and stopping."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from aiohttp import web
from codestudio.instance.v1 import instance_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.chassis import connectors, context, lifecycle, tasks
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey


def _listens(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


REPOSITORY = Path(__file__).parents[3]


async def _fetch(port: int, path: str) -> tuple[int, Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{port}{path}") as answer,
    ):
        text = await answer.text()
        is_json = answer.content_type == "application/json"
        return answer.status, json.loads(text) if is_json else text


async def test_draining_waits_for_a_running_call(keys: parts.Keys) -> None:
    """A call under way gets its answer; a new one is refused meanwhile."""
    begun, finish = asyncio.Event(), asyncio.Event()

    async def get(*_):
        begun.set()
        await finish.wait()
        return instance_pb2.Instance(id="done")

    async with parts.serving(keys, drain_seconds=20.0) as served:
        served.servicer.get = get
        call = asyncio.create_task(served.get())
        await begun.wait()
        stopping = asyncio.create_task(served.stop())
        await served.running.health.draining.wait()
        await parts.until(lambda: not _listens(served.running.port))
        assert not stopping.done()
        finish.set()
        assert (await (await call)).id == "done"
        await asyncio.wait_for(stopping, 5)


async def test_draining_ends_streams_that_watch_for_it(keys: parts.Keys) -> None:
    """They end well, in much less than the time that draining may take; health watches too."""
    async with parts.serving(keys, drain_seconds=60.0) as served:
        stream = served.watch()
        await stream.initial_metadata()
        health = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest())
        await health.read()
        async with asyncio.timeout(10):
            await served.stop()
            assert [one async for one in stream] == []
        assert await stream.code() is grpc.StatusCode.OK


async def test_a_call_that_never_ends_is_cancelled(keys: parts.Keys) -> None:
    """After DRAIN_SECONDS; and its handler has ended when the server has."""
    begun, ended = asyncio.Event(), asyncio.Event()

    async def get(*_):
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with parts.serving(keys, drain_seconds=0.3) as served:
        served.servicer.get = get
        call = asyncio.create_task(served.get())
        await begun.wait()
        async with asyncio.timeout(10):
            await served.stop()
        assert ended.is_set()
        with pytest.raises(grpc.aio.AioRpcError):
            await call


async def test_leaving_is_announced_first(keys: parts.Keys) -> None:
    """NOT_SERVING, while calls are still taken: health checkers look away in time."""
    async with parts.serving(keys, drain_settle_seconds=1.0) as served:
        health = health_pb2_grpc.HealthStub(served.channel).Watch(health_pb2.HealthCheckRequest())
        serving = health_pb2.HealthCheckResponse.SERVING
        while (await health.read()).status != serving:
            pass
        stopping = asyncio.create_task(served.stop())
        assert (await health.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        await served.get()
        health.cancel()
        await stopping


async def test_a_task_that_ends_is_restarted(
    keys: parts.Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error or without one: not ready until it runs again."""
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.2)
    runs: list[str] = []
    go, mended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        runs.append(context.current().service)
        await go.wait()
        if mended.is_set():
            await asyncio.Event().wait()
        if len(runs) % 2:
            raise RuntimeError("broken")

    async with parts.serving(keys, partial(lifecycle.App, tasks={"work": work})) as served:
        assert served.running.health.ready
        go.set()
        told: set[str] = set()
        async with asyncio.timeout(60):
            while told != {"RuntimeError", "ended by itself"}:
                status, report = await _fetch(served.running.http_port, "/ready")
                faults = report["tasks"]["faults"]
                assert status == (503 if faults else 200)
                told.update(faults.values())
        mended.set()
        await parts.until(lambda: served.running.health.ready, 60)
    assert set(runs) == {"instance-service"}


async def test_readiness_follows_redis(keys: parts.Keys, own_valkey: Valkey) -> None:
    """Killed, it makes the service not ready, with the reason; returned, ready again."""
    settings = parts.configured(keys, redis_url=own_valkey.url, redis_pool_min=3)
    redis = connectors.Redis(settings)

    async def get(request, _):
        await redis.client.set("k", request.id)
        return instance_pb2.Instance(id=await redis.client.get("k"))

    async with parts.serving(keys, partial(lifecycle.App, connectors=[redis])) as served:
        served.servicer.get = get
        await parts.until(lambda: served.running.health.ready)
        await served.get()
        own_valkey.kill()
        code, detail = await parts.refusal(served.get())
        assert (code, detail.code) == (grpc.StatusCode.UNAVAILABLE, "REDIS_UNAVAILABLE")
        await parts.until(lambda: not served.running.health.ready)
        status, report = await _fetch(served.running.http_port, "/ready")
        assert status == 503
        assert report["connectors"]["redis"]["reason"]
        status, metrics = await _fetch(served.running.http_port, "/metrics")
        assert 'codestudio_connector_up{connector="redis"} 0.0' in metrics
        health = health_pb2_grpc.HealthStub(served.channel)
        alive = await health.Check(health_pb2.HealthCheckRequest())
        assert alive.status == health_pb2.HealthCheckResponse.SERVING
        own_valkey.start()
        await parts.until(lambda: served.running.health.ready)
        await served.get()
        assert (await _fetch(served.running.http_port, "/ready"))[0] == 200


async def test_a_service_starts_without_its_dependencies(keys: parts.Keys) -> None:
    """It lives and says NOT_SERVING, instead of dying in a loop."""
    redis = connectors.Redis(parts.configured(keys, redis_url="redis://127.0.0.1:1/0"))
    async with parts.serving(keys, partial(lifecycle.App, connectors=[redis])) as served:
        status, report = await _fetch(served.running.http_port, "/health")
        assert (status, report["status"]) == (200, "ok")
        assert (await _fetch(served.running.http_port, "/ready"))[0] == 503
        health = health_pb2_grpc.HealthStub(served.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(service=parts.SERVICE))
        assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_an_http_service_has_request_contexts(keys: parts.Keys) -> None:
    """A service of pages keeps request ids as the others do, and is stopped the same way."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=context.current().request_id)

    application = web.Application()
    application.router.add_get("/", page)
    settings = parts.configured(keys, microservice_name="edge-service")
    async with (
        lifecycle.running(settings, lifecycle.App(http=application)) as running,
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{running.port}/", headers={"x-request-id": "h-1"}) as answer,
    ):
        assert await answer.text() == "h-1"
        assert answer.headers["x-request-id"] == "h-1"


_PROGRAM = """
import asyncio
from services.chassis import lifecycle, settings

class Settings(settings.ServiceSettings):
    microservice_name: str = "test-service"

async def work():
    await asyncio.Event().wait()

def compose(settings):
    return lifecycle.App(tasks={"work": work})

lifecycle.run(Settings, compose)
"""


def _run(environment: dict[str, str], program: str = _PROGRAM) -> subprocess.Popen[str]:
    return subprocess.Popen(
        (sys.executable, "-c", program),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "DRAIN_SETTLE_SECONDS": "0", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_sigterm_ends_a_process_well() -> None:
    """Exit code 0, having said so in JSON with the log filter's time format."""
    with _run({"PORT": "0"}) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
    assert first["message"] == "listening"
    assert first["service"] == "test-service"
    assert len(first["timestamp"]) == len("2026-01-02T03:04:05.678Z")
    assert process.returncode == 0, err
    assert json.loads(out.splitlines()[-1])["message"] == "stopped"


_PAGES = _PROGRAM.replace("App(", "App(http=aiohttp.web.Application(), ").replace(
    "import asyncio", "import asyncio, aiohttp.web"
)


@pytest.mark.parametrize(
    ("name", "program"), [("HTTP_PORT", _PROGRAM), ("PORT", _PAGES)], ids=["admin", "pages"]
)
def test_a_taken_port_is_one_clear_line(name: str, program: str) -> None:
    """It names the port, and the exit code says it failed."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with _run({"PORT": "0", "HTTP_PORT": "0", name: str(port)}, program) as process:
            _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.splitlines() == [f"test-service: port {port} on 127.0.0.1 is taken"]


async def test_a_taken_grpc_port_is_told_the_same_way(keys: parts.Keys) -> None:
    """Whatever gRPC itself would say of it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(lifecycle.PortTaken, match=f"port {port} on 127.0.0.1 is taken"):
            async with parts.serving(keys, port=port, http_port=0):
                pass


def test_a_wrong_setting_is_one_clear_line() -> None:
    """It names the variable."""
    with _run({"PORT": "many"}) as process:
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    (line,) = err.splitlines()
    assert "PORT" in line
    assert "integer" in line
