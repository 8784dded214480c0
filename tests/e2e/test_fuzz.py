"""Random requests: never an answer of 500, always the envelope, nothing created."""

import http.client
import json
import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.devstack.stack import Stack
from tests.e2e import envelope
from tests.e2e.people import People

pytestmark = [pytest.mark.stack, pytest.mark.timeout(120)]

_FIELDS = ["id", "resources", "ports", "labels", "displayName", "cpu", "web_port", "colour"]

_texts = st.text(max_size=50) | st.sampled_from(
    ["", "0", "-1", "500m", "2Gi", "1e9", "60s", "-3.5s", "DESIRED_STATE_STOPPED", "\0", "é" * 60]
)
_names = st.sampled_from(_FIELDS) | _texts
_numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=4),
    max_leaves=12,
)
_configs = st.fixed_dictionaries(
    {},
    optional={
        "id": _texts,
        "namespace": _texts,
        "resources": _values
        | st.fixed_dictionaries({}, optional={"cpu": _texts, "memory": _texts, "storage": _values}),
        "ports": _values | st.dictionaries(st.sampled_from(["web_port"]), _numbers),
        "environment": _values | st.dictionaries(_texts, _texts, max_size=5),
        "labels": _values | st.dictionaries(_texts, _texts, max_size=5),
        "desired_state": _values,
        "idle_timeout": _values,
    },
)

_often = settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


class Caller:
    """A client that sends anything, from code that is not asyncio (hypothesis')."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        self._token = token

    def ask(self, verb: str, path: str, body: bytes | None = None) -> Any:
        """Ask; fails unless the answer is a success or a complete error below 500."""
        self._connection.request(
            verb,
            path,
            body,
            {"authorization": f"Bearer {self._token}", "content-type": "application/json"},
        )
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        assert response.status < 500 or response.status in (503, 504), (verb, path, body, answer)
        if response.status >= 400:
            headers = {name.lower(): value for name, value in response.getheaders()}
            envelope.read(answer, headers)
        return answer

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


@pytest.fixture
def caller(stack: Stack, people: People) -> Iterator[Caller]:
    """Call as a user of every namespace; nothing may be there afterwards."""
    found = Caller(stack.plan.ports["gateway"], people.user("fuzz"))
    yield found
    assert found.ask("GET", "/api/instances")["instances"] == []
    found.close()


@_often
@given(body=_configs | _values)
def test_bodies_of_create(caller: Caller, body: Any) -> None:
    """Any JSON is a config, or an error that says why it is none."""
    caller.ask("POST", "/api/instances?validate_only=true", json.dumps(body).encode())


@_often
@given(body=st.binary(max_size=200))
def test_bytes_of_create(caller: Caller, body: bytes) -> None:
    """Any bytes are JSON, or an error."""
    caller.ask("POST", "/api/instances?validate_only=true", body)


@_often
@given(
    name=(
        st.text(min_size=1, max_size=60)
        | st.text(string.ascii_lowercase + string.digits + "-:/.%", min_size=1, max_size=45)
    ).filter(lambda name: name != "."),
    verb=st.sampled_from(["", "/status", "/logs", "/start", "/stop"]),
)
def test_ids(caller: Caller, name: str, verb: str) -> None:
    """Any id names an instance, or is an error; none leads anywhere else."""
    method = "PUT" if verb in ("/start", "/stop") else "GET"
    body = b"{}" if method == "PUT" else None
    answer = caller.ask(method, f"/api/instances/{quote(name, safe='')}{verb}", body)
    assert "error" in answer


def test_a_dot_is_no_id(caller: Caller) -> None:
    """A path with dots is the one they lead to (RFC 3986 §5.2.4): the list, or nothing."""
    assert caller.ask("GET", "/api/instances/.") == caller.ask("GET", "/api/instances")
    for path in ("./status", "..", "../status", "%2E%2E"):
        assert "error" in caller.ask("GET", f"/api/instances/{path}")


@_often
@given(parameter=st.sampled_from(["filter", "page_token", "page_size", "colour"]), value=_texts)
def test_parameters_of_list(caller: Caller, parameter: str, value: str) -> None:
    """Any filter, token and size is understood or refused."""
    caller.ask("GET", f"/api/instances?{parameter}={quote(value, safe='')}")


_terms = st.tuples(
    st.sampled_from(["namespace", "owner", "state", "desired_state", "labels.a", "labels.$x"]),
    st.sampled_from([" = ", "!=", "=", ":", " > "]),
    st.sampled_from(["RUNNING", '"a b"', "'", "$gt", "{}", ".*", "a AND b", "\\"]) | _texts,
).map("".join)


@_often
@given(terms=st.lists(_terms, min_size=1, max_size=4), joiner=st.sampled_from([" AND ", " OR "]))
def test_filters(caller: Caller, terms: list[str], joiner: str) -> None:
    """Filters that nearly mean something never reach the store as something else."""
    caller.ask("GET", f"/api/instances?filter={quote(joiner.join(terms), safe='')}")


@_often
@given(
    name=_texts.filter(bool),
    parameter=st.sampled_from(["path", "depth", "page_size", "page_token", "ignore", "refresh"]),
    value=_texts,
)
def test_project_structures(caller: Caller, name: str, parameter: str, value: str) -> None:
    """Whatever instance, path and patterns are asked for, nothing is found and nothing breaks."""
    query = f"{parameter}={quote(value, safe='')}"
    answer = caller.ask("GET", f"/api/project-structure/{quote(name, safe='')}?{query}")
    assert "error" in answer
