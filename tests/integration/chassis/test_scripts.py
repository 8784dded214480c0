"""Scripts sent together: each caller gets its own answer, whatever befalls the others."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis import exceptions

from services.chassis import connectors, errors, merging, scripts
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey

COUNT = scripts.Script.of("return redis.call('INCRBY', KEYS[1], ARGV[1])")


def count(key: str, by: int | str = 1) -> scripts.Call:
    return scripts.Call(COUNT, [key], [by])


@pytest.fixture
async def connector(keys: parts.Keys, own_valkey: Valkey) -> AsyncIterator[connectors.Redis]:
    made = connectors.Redis(parts.configured(keys, redis_url=own_valkey.url))
    yield made
    await made.close()


@pytest.fixture
def runner(connector: connectors.Redis) -> scripts.Scripts:
    return scripts.Scripts(redis=connector)


async def _commands(connector: connectors.Redis) -> int:
    """Tell how often the server was written to by scripts, and how often it read for it."""
    stats: dict[str, Any] = await connector.client.info("stats")
    return int(stats["total_reads_processed"])


async def test_many_at_once_are_few_round_trips(
    runner: scripts.Scripts, connector: connectors.Redis
) -> None:
    """A thousand calls are done once each, in order, in a handful of pipelines."""
    await runner.run(count("warm"))
    before = await _commands(connector)
    answers = await asyncio.gather(*(runner.run(count("n")) for _ in range(1000)))
    assert sorted(answers) == list(range(1, 1001))
    assert await _commands(connector) - before < 100


async def test_a_server_started_anew_learns_the_script(
    runner: scripts.Scripts, own_valkey: Valkey, connector: connectors.Redis
) -> None:
    """A server that does not have the script yet gets it, in the middle of a pipeline too."""
    await connector.client.script_flush()
    assert sorted(await asyncio.gather(*(runner.run(count("n")) for _ in range(50)))) == list(
        range(1, 51)
    )
    own_valkey.kill()
    own_valkey.start()
    answers = await asyncio.gather(*(runner.run(count("m")) for _ in range(50)))
    assert sorted(answers) == list(range(1, 51))
    await connector.client.script_flush()
    assert await runner.run_all([count("k"), count("k")]) == [1, 2]


async def test_one_that_fails_fails_alone(runner: scripts.Scripts) -> None:
    """A script that raises is its caller's; its neighbours in the pipeline are done."""
    outcomes = await asyncio.gather(
        *(runner.run(count("n", "x" if number % 10 == 3 else 1)) for number in range(50)),
        return_exceptions=True,
    )
    failed = [place for place, one in enumerate(outcomes) if isinstance(one, Exception)]
    assert failed == [3, 13, 23, 33, 43]
    assert all(isinstance(outcomes[place], exceptions.ResponseError) for place in failed)
    assert await runner.run(count("n", 0)) == 45


async def test_who_gives_up_holds_nobody_up(runner: scripts.Scripts) -> None:
    """A caller that is cancelled takes only itself away."""
    asking = [asyncio.create_task(runner.run(count("n"))) for _ in range(50)]
    await asyncio.sleep(0)
    for one in asking[::2]:
        one.cancel()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(one, int) for one in outcomes[1::2])
    assert all(isinstance(one, asyncio.CancelledError) for one in outcomes[::2])


async def test_without_redis_everybody_is_told(runner: scripts.Scripts, own_valkey: Valkey) -> None:
    """While it is down every caller gets an error, and afterwards an answer again."""
    await runner.run(count("n"))
    own_valkey.kill()
    outcomes = await asyncio.gather(
        *(runner.run(count("n")) for _ in range(300)), return_exceptions=True
    )
    codes = {errors.from_exception(one).code for one in outcomes if isinstance(one, Exception)}
    assert (len(outcomes), codes) == (300, {"REDIS_UNAVAILABLE"})
    own_valkey.start()
    assert isinstance(await runner.run(count("n")), int)


async def test_too_many_waiting_are_refused(
    runner: scripts.Scripts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is bounded; who comes then is told to come again."""
    monkeypatch.setattr(merging, "WAITING", 10)
    outcomes = await asyncio.gather(
        *(runner.run(count("n")) for _ in range(20)), return_exceptions=True
    )
    refused = [one for one in outcomes if isinstance(one, errors.Unavailable)]
    assert {one.code for one in refused} == {"REDIS_OVERLOADED"}
    assert len(refused) == 10
