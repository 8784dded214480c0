"""What must be true of a stack at rest, whatever happened to it before."""

import asyncio
import collections
import os
import time
from collections.abc import Mapping

import codestudio
import psutil
import redis.asyncio

from services.devstack.stack import Stack

_HEAL_SECONDS = 30.0
"""Within this, everything answers again and every instance is as asked, on a machine with nothing
else to do."""
_STEP = 0.25


def heal_seconds() -> float:
    """Give what this machine may take to heal now: other tests keep it busy as well."""
    return _HEAL_SECONDS * (1 + os.getloadavg()[0] / (os.cpu_count() or 1))


async def healed(
    stack: Stack, client: codestudio.AsyncClient, wanted: Mapping[str, str], since: float
) -> None:
    """Wait until every instance is as `wanted` (id → state name, "" for gone) and nothing leaks.

    `since` is the monotonic time of the fault. Fails naming what is not true in time.
    """
    wrong = ["never looked"]
    while wrong:
        if time.monotonic() > since + heal_seconds():
            raise AssertionError("not healed: " + "; ".join(wrong))
        await asyncio.sleep(_STEP)
        try:
            wrong = await _violations(stack, client, wanted)
        except (codestudio.CodeStudioError, redis.exceptions.RedisError, OSError) as error:
            wrong = [f"{type(error).__name__}: {error}"]


async def _violations(
    stack: Stack, client: codestudio.AsyncClient, wanted: Mapping[str, str]
) -> list[str]:
    listed = {item.id: item async for item in client.instances.list()}
    states = {name: item.state.name for name, item in listed.items()}
    wrong = [
        f"{name} is {states.get(name, '')!r}, not {state!r}"
        for name, state in wanted.items()
        if states.get(name, "") != state
    ]
    wrong += [f"{name} was never asked for" for name in states.keys() - wanted.keys()]
    running = {name for name, state in wanted.items() if state == "RUNNING"}
    wrong += _processes(stack, running)
    wrong += await _ports(stack, running)
    wrong += await _quota(stack, wanted)
    return wrong


def _processes(stack: Stack, running: set[str]) -> list[str]:
    """Every running instance has one editor; nobody else has any."""
    found = collections.Counter(editors(stack).values())
    wrong = [f"{name} has {found[name]} editors" for name in running if found[name] != 1]
    return wrong + [f"an editor of {name} is left over" for name in found.keys() - running]


def editors(stack: Stack) -> dict[int, str]:
    """Give the first process of each editor, and its instance; what they start comes and goes."""
    owners = {}
    for process in stack.editors():
        try:
            if process.pid == os.getsid(process.pid):
                owners[process.pid] = process.environ()["CODESTUDIO_INSTANCE_ID"]
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return owners


async def _ports(stack: Stack, running: set[str]) -> list[str]:
    """Port ranges belong to running instances, one each, none to two."""
    async with redis.asyncio.Redis.from_url(
        stack.plan.redis_url, decode_responses=True
    ) as database:
        held = {
            key.removeprefix("port_allocations:"): await database.hget(key, "web_port")
            async for key in database.scan_iter("port_allocations:*")
        }
    wrong = [f"{name} has no ports" for name in running - held.keys()]
    wrong += [f"ports of {name} are left over" for name in held.keys() - running]
    if len(set(held.values())) != len(held):
        wrong.append(f"a port range is held twice: {held}")
    return wrong


async def _quota(stack: Stack, wanted: Mapping[str, str]) -> list[str]:
    """Quota is held by running and stopped instances, and nobody else."""
    async with redis.asyncio.Redis.from_url(
        stack.plan.redis_url, decode_responses=True
    ) as database:
        held = set(await database.hkeys("quota:{default}:reservations"))
        counted = int(await database.hget("quota:{default}:usage", "instances") or 0)
    holding = {name for name, state in wanted.items() if state in {"RUNNING", "STOPPED"}}
    wrong = [f"{name} holds no quota" for name in holding - held]
    if counted != len(held):
        wrong.append(f"{counted} instances are counted where {len(held)} hold quota")
    return wrong + [f"quota of {name} is left over" for name in held - holding]
