"""Bare editors: what a person would get from starting code-server by hand.

The baseline of every figure about starting an instance.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

_POLL_SECONDS = 0.01
_DEADLINE = 120.0


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def answers(port: int) -> bool:
    """Tell whether an editor on `port` says it is healthy."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()
    except OSError:
        return False
    finally:
        writer.close()


async def bare_start(command: str) -> float:
    """Start one editor, wait until it answers, end it; return the seconds to the answer."""
    return (await bare_starts(command, 1))[0]


async def bare_starts(command: str, count: int) -> list[float]:
    """Start `count` editors at once; none is ended before all answer."""
    homes = [Path(tempfile.mkdtemp(prefix="bare-editor-")) for _ in range(count)]
    processes: list[asyncio.subprocess.Process] = []
    try:
        async with asyncio.timeout(_DEADLINE):
            return await asyncio.gather(*(_start(command, home, processes) for home in homes))
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        for home in homes:
            await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


async def _start(command: str, home: Path, processes: list[asyncio.subprocess.Process]) -> float:
    port = free_port()
    began = time.perf_counter()
    processes.append(
        await asyncio.create_subprocess_exec(
            command,
            "--auth=none",
            f"--bind-addr=127.0.0.1:{port}",
            f"--user-data-dir={home}/user-data",
            f"--extensions-dir={home}/extensions",
            "--disable-telemetry",
            "--disable-update-check",
            str(home),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(home)},
        )
    )
    while not await answers(port):
        await asyncio.sleep(_POLL_SECONDS)
    return time.perf_counter() - began
