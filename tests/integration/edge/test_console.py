"""The page at `/`."""

import pytest
from codestudio.common.v1 import resources_pb2
from codestudio.instance.v1 import instance_pb2

from tests.integration.edge.people import Person
from tests.integration.envoy.door import Api


async def test_it_lists_the_callers_instances(person: Person, api: Api) -> None:
    """One's own instances with state, resources and a way in; nobody else's."""
    resources = resources_pb2.Resources(cpu="500m", memory="2Gi", storage="10Gi")
    api.servicer.add("blue-fox", resources=resources, display_name="<b>Ada's</b>")
    api.servicer.add("red-fox", state=instance_pb2.INSTANCE_STATE_STOPPED)
    api.servicer.add("bobs", owner="bob")
    await person.sign_in()
    status, text, _ = await person.get("/")
    assert status == 200
    assert 'href="/i/blue-fox/"' in text
    assert 'href="/i/red-fox/"' not in text
    assert "/console/instances/red-fox/start" in text
    assert "500m CPU · 2Gi · 10Gi disk" in text
    assert "bobs" not in text
    assert "<b>" not in text
    assert "&lt;b&gt;Ada" in text


async def test_it_refreshes_while_something_moves(person: Person, api: Api) -> None:
    """The page looks again by itself only while an instance is on its way somewhere."""
    instance = api.servicer.add("a", reconciling=True)
    await person.sign_in()
    _, text, _ = await person.get("/")
    assert 'http-equiv="refresh"' in text
    instance.reconciling = False
    _, text, _ = await person.get("/")
    assert 'http-equiv="refresh"' not in text


async def test_nobody_is_told_how_to_sign_in(person: Person) -> None:
    """Without a session the page says how to get one, and that is no error."""
    status, text, _ = await person.get("/")
    assert status == 200
    assert "./scripts/up" in text
    status, text, _ = await person.get("/static/style.css")
    assert status == 200
    assert ".card" in text


async def test_the_empty_list_says_what_to_do(person: Person) -> None:
    """Somebody without instances reads how to create one."""
    await person.sign_in("newcomer")
    _, text, _ = await person.get("/")
    assert "codestudio instances create" in text


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b"x"),
        ("application/x-www-form-urlencoded; charset=no", b"next=/"),
    ],
)
async def test_a_form_that_is_none_is_refused_and_does_nothing(
    person: Person, api: Api, kind: str, body: bytes
) -> None:
    """A form that cannot be read is a 400, and nothing was started."""
    api.servicer.add("red-fox", state=instance_pb2.INSTANCE_STATE_STOPPED)
    await person.sign_in()
    answer = await person.press(
        "/console/instances/red-fox/start", data=body, headers={"content-type": kind}
    )
    assert answer.status == 400
    assert not api.servicer.started
