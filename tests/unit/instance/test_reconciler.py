"""The reconciler's workers, apart from what they work on."""

import asyncio
from unittest import mock

from services.chassis import cancellation
from services.instance.passes import Means
from services.instance.reconciler import Pace, Reconciler
from services.instance.workqueue import Urgency, Workqueue

PACE = Pace(workers=3, lease=10, retry_first=0.1, retry_last=1, resync=10)


async def test_a_worker_that_loses_a_cancellation_ends_with_the_next() -> None:
    """Stopping never waits in vain, though `asyncio.wait_for` can swallow a cancellation."""
    queue = Workqueue()
    means = mock.Mock(spec=Means, queue=queue)
    reconciler = Reconciler(means=means, redis=mock.Mock(), pace=PACE)
    begun = asyncio.Event()

    async def loses_one(*_: object, **__: object) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return

    with mock.patch.object(reconciler, "reconcile", loses_one):
        queue.add("ada", Urgency.HUMAN)
        working = asyncio.create_task(reconciler.work())
        await begun.wait()
        assert not await cancellation.cancel([working], grace=2)
