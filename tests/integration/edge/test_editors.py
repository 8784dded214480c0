"""The way to an editor: for its owner, with nothing of ours in what the editor sees."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
import redis.asyncio as redis
from codestudio.instance.v1 import instance_pb2

from services.edge import instances
from tests import counted
from tests.integration.edge.conftest import Editor, Tired
from tests.integration.edge.people import Person
from tests.integration.envoy.door import Api, Door
from tests.integration.quota.valkey import Valkey


def running(api: Api, editor: Editor, name: str = "a", owner: str = "ada") -> None:
    """Have a running instance whose editor is `editor`."""
    api.servicer.add(name, owner=owner, ports=instance_pb2.Ports(web_port=editor.port))


async def test_the_owner_reaches_the_editor(person: Person, api: Api, editor: Editor) -> None:
    """With the cookie the way is open; the prefix is gone and the query is not."""
    running(api, editor)
    await person.sign_in()
    status, text, _ = await person.get("/i/a/stable/x%20y.js?tkn=1&folder=/w")
    assert status == 200
    assert json.loads(text)["path"] == "/stable/x%20y.js?tkn=1&folder=/w"
    status, text, answer = await person.get("/i/a?folder=/w")
    assert answer.url.path == "/i/a/"
    assert json.loads(text)["path"] == "/?folder=/w"


async def test_a_program_reaches_the_editor(
    door: Door, api: Api, editor: Editor, person: Person, http: aiohttp.ClientSession
) -> None:
    """A bearer token does as well, for any method."""
    assert person
    running(api, editor)
    async with http.post("/i/a/x", data="body", headers=door.bearer()) as answer:
        seen = await answer.json()
    assert (seen["method"], seen["body"]) == ("POST", "body")


async def test_the_editor_sees_nothing_of_ours(
    person: Person, door: Door, api: Api, editor: Editor, http: aiohttp.ClientSession
) -> None:
    """Token and session stop at the door; the editor's own cookies and the Host pass."""
    running(api, editor)
    await person.sign_in()
    _, text, _ = await person.get("/i/a/")
    headers = json.loads(text)["headers"]
    assert "cookie" not in headers
    assert headers["host"] == f"localhost:{door.ports['gateway']}"
    person.session.cookie_jar.update_cookies({"vscode-tkn": "1"})
    _, text, _ = await person.get("/i/a/")
    assert json.loads(text)["headers"]["cookie"] == "vscode-tkn=1"
    async with http.get("/i/a/", headers=door.bearer()) as answer:
        seen = (await answer.json())["headers"]
    assert "authorization" not in seen
    assert "Bearer" not in json.dumps(seen)


async def test_a_spoofed_address_does_nothing(
    person: Person, door: Door, api: Api, editor: Editor, http: aiohttp.ClientSession
) -> None:
    """A client that names an upstream itself still gets its own editor, or nothing."""
    assert person
    running(api, editor)
    admin = f"127.0.0.1:{door.ports['envoy-admin']}"
    headers = {**door.bearer(), "x-envoy-original-dst-host": admin}
    async with http.get("/i/a/listeners", headers=headers) as answer:
        assert (await answer.json())["path"] == "/listeners"
    async with http.get("/i/b/listeners", headers=headers) as answer:
        assert answer.status == 404
    async with http.get("/", headers=headers) as answer:
        assert "admin" not in await answer.text()


async def test_websockets(person: Person, door: Door, api: Api, editor: Editor) -> None:
    """A WebSocket to the editor stays open and carries both ways."""
    running(api, editor)
    await person.sign_in()
    async with person.session.ws_connect("/i/a/ws?x=1", origin=door.url) as socket:
        for number in range(3):
            await socket.send_str(str(number))
            assert await socket.receive_str(timeout=5) == f"echo {number}"


async def test_no_file_is_lost_on_a_connection_that_the_editor_closes(
    person: Person, door: Door, api: Api, tired: Tired
) -> None:
    """Node closes what was quiet for some seconds, and what is on its way then is lost.

    A read is asked again, on another connection; what changes something is not.
    """
    api.servicer.add("a", owner="ada", ports=instance_pb2.Ports(web_port=tired.port))
    await person.sign_in()
    for _ in range(3):  # as a page asks for its files
        asked = (person.get("/i/a/x.js") for _ in range(100))
        assert {status for status, *_ in await asyncio.gather(*asked)} == {200}
        assert tired.doom() > 10
    async with person.session.post("/i/a/x", headers={"origin": door.url}) as answer:
        assert answer.status == 503


async def test_a_quiet_connection_is_closed_before_the_editor_does(
    person: Person, api: Api, tired: Tired
) -> None:
    """Envoy ends it after three seconds; Node would after five."""
    api.servicer.add("a", owner="ada", ports=instance_pb2.Ports(web_port=tired.port))
    await person.sign_in()
    assert (await person.get("/i/a/x.js"))[0] == 200
    assert 2.5 < await asyncio.wait_for(tired.ended.get(), 5) < 4.9


async def test_another_page_opens_no_websocket(person: Person, api: Api, editor: Editor) -> None:
    """A page of another origin cannot use the cookie, even from the same host."""
    running(api, editor)
    await person.sign_in()
    for origin in ("http://localhost:1", "https://evil.example", None):
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await person.session.ws_connect("/i/a/ws", origin=origin)
        assert caught.value.status == 403
    async with person.session.post("/i/a/x", headers={"origin": "null"}) as answer:
        assert answer.status == 403


async def test_who_may_not(
    person: Person, door: Door, api: Api, editor: Editor, http: aiohttp.ClientSession
) -> None:
    """Another's instance is refused, an unknown one is not there, without a token nothing is."""
    running(api, editor, owner="bob")
    await person.sign_in("ada")
    status, text, answer = await person.get("/i/a/")
    assert (status, answer.content_type) == (403, "text/html")
    assert "belongs to another" in text
    for headers, expected, code in (
        (door.bearer("ada"), 403, "NOT_YOUR_INSTANCE"),
        (door.bearer("eve", lifetime=-3600), 401, "TOKEN_EXPIRED"),
        ({"authorization": f"Bearer {door.service_token()}"}, 401, "TOKEN_INVALID"),
        ({}, 401, "TOKEN_MISSING"),
    ):
        async with http.get("/i/a/", headers=headers) as refusal:
            body = await refusal.json()
            assert (refusal.status, body["error"]["code"]) == (expected, code)
            assert body["success"] is False
            assert body["error"]["request_id"] == refusal.headers["x-request-id"]
    async with http.get("/i/nope/", headers=door.bearer()) as refusal:
        assert refusal.status == 404
    async with http.get("/i/..%2fa/", headers=door.bearer("bob")) as refusal:
        assert refusal.status == 404


async def test_a_browser_is_told_to_sign_in(person: Person) -> None:
    """Without a session a browser gets the page that says how."""
    status, text, _ = await person.get("/i/a/")
    assert status == 401
    assert "Sign in" in text


@pytest.mark.parametrize(
    ("state", "status", "code", "shown"),
    [
        ("STARTING", 503, "INSTANCE_STARTING", 'http-equiv="refresh"'),
        ("STOPPED", 409, "INSTANCE_NOT_RUNNING", ">Start<"),
        ("FAILED", 409, "INSTANCE_NOT_RUNNING", "no ports left"),
        ("STOPPING", 409, "INSTANCE_NOT_RUNNING", "is being stopped"),
    ],
)
async def test_an_editor_that_does_not_run(
    person: Person, door: Door, api: Api, state: str, status: int, code: str, shown: str
) -> None:
    """People see what is going on and what they can do; programs get the envelope."""
    number = instance_pb2.InstanceState.Value(f"INSTANCE_STATE_{state}")
    failure = instance_pb2.Failure(message="no ports left") if state == "FAILED" else None
    api.servicer.add("a", state=number, failure=failure)
    await person.sign_in()
    found, text, _ = await person.get("/i/a/")
    assert found == status
    assert shown in text
    async with person.session.get(
        "/i/a/", headers={**door.bearer(), "accept": "application/json"}
    ) as answer:
        assert answer.status == status
        assert (await answer.json())["error"]["code"] == code


async def test_starting_from_the_page(person: Person, api: Api) -> None:
    """The button starts the instance and comes back; other pages cannot press it."""
    api.servicer.add("a", state=instance_pb2.INSTANCE_STATE_STOPPED)
    await person.sign_in()
    path = "/console/instances/a/start"
    for origin in ("http://localhost:1", "null"):
        refused = await person.press(path, headers={"origin": origin})
        assert refused.status == 403
    async with person.session.get(path) as answer:
        assert answer.status == 405
    assert api.servicer.started == []
    done = await person.press(path, data={"next": "/i/a/"})
    assert (done.status, done.headers["location"]) == (303, "/i/a/")
    assert api.servicer.started == ["a"]


async def allocate(valkey: Valkey, name: str, port: int) -> None:
    """Give an instance its port, as the Resource service does."""
    async with redis.Redis.from_url(valkey.url) as client:
        await client.hset(f"port_allocations:{name}", "web_port", str(port))


async def test_open_editors_outlive_the_control_plane(
    person: Person,
    api: Api,
    editor: Editor,
    door: Door,
    valkey: Valkey,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the Instance service dead, open editors go on: sockets, pages, new sockets."""
    monkeypatch.setattr(instances, "_PAUSE_AFTER_FAILURE", 60.0)
    running(api, editor)
    await allocate(valkey, "a", editor.port)
    await person.sign_in()
    async with person.session.ws_connect("/i/a/ws", origin=door.url) as socket:
        await person.get("/i/a/")
        await api.stop()
        await asyncio.sleep(1)  # past the time an answer is used unasked
        await socket.send_str("still")
        assert await socket.receive_str(timeout=5) == "echo still"
        before = counted.cache("editor_access")
        status, _, _ = await person.get("/i/a/")
        assert status == 200
        async with person.session.ws_connect("/i/a/ws", origin=door.url) as another:
            await another.send_str("new")
            assert await another.receive_str(timeout=5) == "echo new"
        # Asked in vain once, and not again for every request of a page.
        asked = counted.cache("editor_access") - before
        assert asked["miss"] == 1
        assert asked["hit"]
    status, text, _ = await person.get("/i/b/")
    assert status == 503
    assert "SERVICE_UNAVAILABLE" in text
    status, text, _ = await person.get("/")
    assert status == 503
    assert "control plane is not reachable" in text


async def test_a_port_that_went_to_another_is_not_reached(
    person: Person, api: Api, editor: Editor, valkey: Valkey
) -> None:
    """Nobody can ask who has it now, but it is known whose it is not."""
    running(api, editor)
    await allocate(valkey, "a", editor.port)
    await person.sign_in()
    status, _, _ = await person.get("/i/a/")
    assert status == 200
    await api.stop()
    await allocate(valkey, "a", editor.port + 100)
    await asyncio.sleep(1)  # past the time an answer is used unasked
    status, _, _ = await person.get("/i/a/")
    assert status == 503


async def test_without_edge_nobody_gets_in(
    person: Person,
    api: Api,
    editor: Editor,
    door: Door,
    edge_process: Callable[[], Awaitable[None]],
) -> None:
    """With edge dead, open sockets stay and everything new is refused, saying why."""
    running(api, editor)
    await person.sign_in()
    async with person.session.ws_connect("/i/a/ws", origin=door.url) as socket:
        stopping = asyncio.create_task(edge_process())
        await stopping
        await socket.send_str("still")
        assert await socket.receive_str(timeout=5) == "echo still"
    status, text, _ = await person.get("/i/a/")
    assert status == 503
    assert "edge-service" in text
    async with person.session.get("/i/a/", headers={"accept": "*/*"}) as answer:
        assert (await answer.json())["error"]["code"] == "SERVICE_UNAVAILABLE"


async def test_an_editor_that_died(
    person: Person, door: Door, api: Api, http: aiohttp.ClientSession
) -> None:
    """An editor that does not answer is 503 EDITOR_UNAVAILABLE until it is back."""
    assert person
    api.servicer.add("a", ports=instance_pb2.Ports(web_port=1))
    async with http.get("/i/a/", headers=door.bearer()) as answer:
        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "EDITOR_UNAVAILABLE"


@pytest.mark.parametrize("access_fresh_seconds", [60.0])
async def test_a_page_asks_the_control_plane_once(person: Person, api: Api, editor: Editor) -> None:
    """A hundred requests of one page are one question to the Instance service."""
    running(api, editor)
    await person.sign_in()
    before = counted.cache("editor_access")
    answers = await asyncio.gather(*(person.get(f"/i/a/{number}") for number in range(100)))
    assert {status for status, _, _ in answers} == {200}
    assert api.servicer.calls.count("GetInstance") == 1
    for _ in range(5):
        await person.get("/i/a/")
    asked = counted.cache("editor_access") - before
    assert asked["hit"] + asked["miss"] == 105
    assert asked["hit"]
    assert asked["miss"]
