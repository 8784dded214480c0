"""Usage is sampled at its times, and told at any."""

import asyncio

import prometheus_client

from services.chassis import cancellation
from services.resource.archive import Archive
from services.resource.runtimes.local import LocalRuntime
from services.resource.samples import History
from services.resource.usage import Usage
from services.resource.workload import Phase
from tests.integration.quota.valkey import Valkey
from tests.integration.resource import rig
from tests.integration.resource.test_allocator import connect


def samples() -> float:
    """Give how often all instances were measured."""
    name = "codestudio_usage_sample_seconds_count"
    return prometheus_client.REGISTRY.get_sample_value(name) or 0


async def test_who_asks_for_a_new_one_measures_no_other(
    runtime: LocalRuntime, valkey: Valkey, port_base: int
) -> None:
    """One without a sample is measured at once; the samples of all others stay what they are."""
    connector = connect(valkey)
    history = History(resolution=3600, samples=10)
    archive = Archive(redis=connector, samples=10, seconds=3600)
    usage = Usage(runtime=runtime, archive=archive, history=history)
    await runtime.apply(rig.spec("blue", port_base))
    await rig.reach(runtime, "blue", Phase.READY)
    taken = samples()
    sampling = asyncio.create_task(usage.run())
    try:
        await rig.until(lambda: samples() > taken)
        before = (await usage.current())["blue"]
        await runtime.apply(rig.spec("red", port_base + 100))
        await rig.reach(runtime, "red", Phase.READY)

        async def told() -> bool:
            return "red" in await usage.current()

        await rig.eventually(told)
        found = await usage.current()
        assert found["blue"] == before
        assert found["red"].processes == 1
        assert found["red"].cpu_cores > 0
        assert found["red"].storage_at is not None
    finally:
        await cancellation.cancel([sampling], grace=10)
        await connector.close()
