"""The client for ordinary code: the same, from any thread."""

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import codestudio
import pytest

from tests.integration.sdk.faulty import TOKEN
from tests.integration.sdk.gateway import Gateway


def test_lifecycle(sclient: codestudio.Client) -> None:
    """Create, wait, list, watch, stop and delete, all without `await`."""
    instance = sclient.instances.create("a", wait=True)
    assert isinstance(instance, codestudio.Instance)
    assert instance.state == "RUNNING"
    assert sclient.instances.get("a") == instance
    sclient.instances.create("b", wait=True)
    assert [each.id for each in sclient.instances.list(page_size=1)] == ["a", "b"]
    assert [page.items[0].id for page in sclient.instances.list(page_size=1).pages()] == ["a", "b"]
    assert [each.id for each in sclient.instances.list().all()] == ["a", "b"]
    with sclient.instances.watch() as watch:
        assert [next(watch).instance.id for _ in range(2)] == ["a", "b"]
        instance.stop()
        event = next(watch)
        assert (event.type, event.instance.id) == ("MODIFIED", "a")
        assert isinstance(event.instance, codestudio.Instance)
        assert watch.synced
    instance.wait_until_stopped(timeout=10)
    assert instance.status().state == "STOPPED"
    assert instance.logs() == sclient.instances.logs("a") == ["first", "second"]
    instance.start()
    instance.wait_until_running(timeout=10)
    instance.delete()
    instance.wait_until_deleted(timeout=10)
    with pytest.raises(codestudio.NotFound):
        instance.refresh()
    results = sclient.instances.batch_create([codestudio.InstanceConfig(id=n) for n in "bc"])
    assert isinstance(results[0].error, codestudio.AlreadyExists)
    assert isinstance(results[1].unwrap(), codestudio.Instance)
    assert sclient.quotas.get().usage.instances == 2
    assert [quota.namespace for quota in sclient.quotas.list()] == ["default"]


async def test_under_a_running_loop(sclient: codestudio.Client) -> None:
    """A thread that runs an event loop may use it, as in a notebook."""
    assert sclient.instances.create("a").id == "a"
    assert await asyncio.to_thread(lambda: sclient.instances.get("a").id) == "a"


def test_many_threads(sclient: codestudio.Client) -> None:
    """Threads share a client."""
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda n: sclient.instances.create(f"i-{n}", wait=True), range(8)))
    assert {each.state for each in made} == {codestudio.InstanceState.RUNNING}


def test_clients_share_a_thread_and_end_it(gateway: Gateway) -> None:
    """One background thread serves all clients and goes with the last."""
    first = codestudio.Client(gateway.url, token=TOKEN)
    second = codestudio.Client(gateway.url, token=TOKEN)

    def ours() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "codestudio-client"]

    assert len(ours()) == 1
    first.close()
    first.close()
    assert second.instances.create("a").id == "a"
    second.close()
    assert not ours()


def test_a_program_that_forgets_to_close_ends(gateway: Gateway) -> None:
    """No hang and no noise at the end of a program that left a client and a watch open."""
    program = f"""
import codestudio
client = codestudio.Client({gateway.url!r}, token={TOKEN!r})
client.instances.create("a")
watch = client.instances.watch()
print(next(watch).instance.id)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "a\n", "")


def test_after_fork(gateway: Gateway) -> None:
    """A forked child makes a client of its own although its parent had one."""
    program = f"""
import os, codestudio
parent = codestudio.Client({gateway.url!r}, token={TOKEN!r})
child = os.fork()
if child == 0:
    codestudio.Client({gateway.url!r}, token={TOKEN!r}).instances.create("from-child")
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (0, "0\n")
    assert list(gateway.instances) == ["from-child"]
