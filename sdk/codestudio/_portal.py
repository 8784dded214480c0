"""A door from ordinary code to the asyncio client: one background thread with an event loop.

All clients of a process share it. gRPC's asyncio side polls once a process, and every further
loop it serves costs wake-ups.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


class Portal:
    """Runs coroutines on a thread of its own and waits for them."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # A daemon: a program that forgets to close its client still ends.
        self._thread = threading.Thread(target=self._run, name="codestudio-client", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, Value]) -> Value:
        """Run a coroutine and wait for it.

        May be called from any thread, also from one that runs an event loop, which then stands
        still meanwhile. When waiting is interrupted (Ctrl-C) the coroutine is cancelled.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("codestudio.Client cannot be used in its own callbacks")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """Cancel what still runs and end the thread."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.set_exception_handler(_handle)
        try:
            self._loop.run_forever()
            tasks = asyncio.all_tasks(self._loop)
            for task in tasks:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        finally:
            self._loop.close()


def _handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Where several loops use gRPC, one reads the wake-up that was another's; harmless
    # (https://github.com/grpc/grpc/issues/25364).
    if isinstance(context.get("exception"), BlockingIOError):
        return
    loop.default_exception_handler(context)


_lock = threading.Lock()
_shared: Portal | None = None
_users = 0


def acquire() -> Portal:
    """Give the shared portal; to be given back with `release`."""
    global _shared, _users
    with _lock:
        if _shared is None:
            _shared = Portal()
        _users += 1
        return _shared


def release(portal: Portal) -> None:
    """Give back what `acquire` gave; the last one to do so ends the thread."""
    global _shared, _users
    with _lock:
        if portal is not _shared:
            return
        _users -= 1
        if _users:
            return
        _shared = None
    portal.stop()


def _forget() -> None:
    """Start anew in a forked child, which has no threads."""
    global _lock, _shared, _users
    _lock, _shared, _users = threading.Lock(), None, 0


def _stop_at_exit() -> None:
    if _shared is not None:
        _shared.stop()


atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
