"""The log: what is refused before anything is sent."""

import pytest

from services.chassis import connectors, errors
from services.collaboration.entry import Draft
from services.collaboration.log import Log
from services.collaboration.names import Name
from services.collaboration.settings import CollaborationSettings


async def test_more_than_can_be_stored_together_is_refused_at_once() -> None:
    """Rather than tried again and again: it can never succeed."""
    log = Log(nats=connectors.Nats(CollaborationSettings()), origin="here", timeout=1.0)
    large = Draft(id="x", update=bytes(2 * 1024**2), authors=())
    drafts = [(Name("default", "p", f"{number}.txt"), "e", large) for number in range(400)]
    with pytest.raises(errors.InvalidArgument) as refused:
        await log.store_together(drafts)
    assert (refused.value.code, refused.value.metadata) == ("TOO_MANY_CHANGES", {"limit": "1000"})
