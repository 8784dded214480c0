"""A control plane whose faults a test can choose, and clients of it."""

from collections.abc import AsyncIterator, Iterator

import codestudio
import pytest

from tests.integration.sdk.faulty import TOKEN
from tests.integration.sdk.gateway import Gateway

QUICKLY = codestudio.RetryPolicy(attempts=6, initial=0.02, maximum=0.2)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """Run the control plane."""
    running = Gateway()
    running.start()
    yield running
    running.close()


@pytest.fixture
async def aclient(gateway: Gateway) -> AsyncIterator[codestudio.AsyncClient]:
    """Talk to it with asyncio."""
    async with codestudio.AsyncClient(gateway.url, token=TOKEN, retry=QUICKLY) as client:
        yield client


@pytest.fixture
def sclient(gateway: Gateway) -> Iterator[codestudio.Client]:
    """Talk to it without."""
    with codestudio.Client(gateway.url, token=TOKEN, retry=QUICKLY) as client:
        yield client
