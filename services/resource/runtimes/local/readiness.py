"""Finds out when an editor answers, soon and cheaply."""

import asyncio
import time

import psutil

_QUIET = 0.2
"""Seconds in which no editor has ever answered: nobody asks."""

_SHARE = 0.04
"""The next question comes after this share of the time waited so far. So the answer is at most
4 % late whether an editor takes half a second alone or ten with twenty others, and the asking
costs less the busier the machine is."""

_SHORTEST = 0.01
_LONGEST = 0.5
_ANSWER_SECONDS = 5.0


async def wait_ready(port: int, path: str, root: int, started: float) -> None:
    """Wait, for ever, until the editor `root` answers 200 at `path` of `port` on loopback.

    `started` is when it was started, by `time.monotonic`. Whether it is that editor that
    answers is checked: another program, such as another stack's editor, may have come first.
    """
    quiet = started + _QUIET - time.monotonic()
    if quiet > 0:
        await asyncio.sleep(quiet)
    while not (await answers(port, path) and await asyncio.to_thread(_is_listener, port, root)):
        waited = time.monotonic() - started
        await asyncio.sleep(min(_LONGEST, max(_SHORTEST, waited * _SHARE)))


async def answers(port: int, path: str, seconds: float = _ANSWER_SECONDS) -> bool:
    """Tell whether something answers a GET with 200, in time."""
    try:
        # Refused at once while nothing listens, so waiting is only for a busy editor's answer.
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(
                    f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                status = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return False
    return status.startswith(b"HTTP/1.") and status.split()[1:2] == [b"200"]


def _is_listener(port: int, root: int) -> bool:
    """Tell whether a process, or one it started, listens on a port."""
    try:
        editor = psutil.Process(root)
        return any(_listens(process, port) for process in [editor, *editor.children(True)])
    except psutil.NoSuchProcess:
        return False


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in process.net_connections("tcp")
        )
    except psutil.Error:
        return False
