"""Changes of settings: masks, merging, differences, and that a rollback restores exactly."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config import base, changes
from services.config.changes import UNSET
from services.config.schema import REDACTED
from services.config.sections import SCHEMAS
from services.config.state import Revision, State, merge, nothing
from tests.unit.config.test_base import SHIPPED

RESOURCE = SCHEMAS["resource-service"]
BASE = base.build(SHIPPED, {}, ports={}, secrets={"services.pem"})
PORT, SIZE = "port_allocation.base_port", "port_allocation.range_size"


def _revision(number: int = 1, /, **values: Any) -> Revision:
    named = {name.replace("__", "."): value for name, value in values.items()}
    return Revision(service="resource-service", number=number, values=named, at=number)


def _state(revision: Revision | None = None) -> State:
    return merge(RESOURCE, BASE, {"resource-service": revision} if revision else {})


def test_what_was_set_outdoes_the_base() -> None:
    state = _state(_revision(3, port_allocation__base_port=9000))
    assert (state.values[PORT], state.sources[PORT]) == (9000, "dynamic")
    assert (state.values[SIZE], state.sources[SIZE]) == (100, "base")
    assert state.values["secrets.service_key"] == REDACTED
    assert state.revision == 3


def test_what_this_release_does_not_know_or_change_is_not_in_force() -> None:
    """A newer release, or somebody with a database client, may have written it."""
    state = _state(_revision(1, port=9999, colour="red", secrets__service_key="hunter2"))
    assert state.values["port"] == 3003
    assert "colour" not in state.values
    assert state.values["secrets.service_key"] == REDACTED


def test_a_service_follows_the_one_its_settings_belong_to() -> None:
    """One place to change, and both see it."""
    instance = SCHEMAS["instance-service"]
    revisions = {"resource-service": _revision(1, port_allocation__base_port=9000)}
    state = merge(instance, BASE, revisions)
    assert (state.values[PORT], state.sources[PORT], state.revision) == (9000, "dynamic", 0)
    assert state.at == 1, "when it was changed there"
    assert merge(instance, BASE, {}).at == 0
    assert state.etag != merge(instance, BASE, {}).etag


def test_the_etag_is_of_the_revision_and_the_base() -> None:
    other = base.build(SHIPPED, {"MAX_CPU_LIMIT": "8"}, ports={}, secrets={"services.pem"})
    etags = {
        _state().etag,
        _state(_revision(1)).etag,
        _state(_revision(2)).etag,
        merge(RESOURCE, other, {}).etag,
    }
    assert len(etags) == 4
    assert _state().etag == _state(nothing("resource-service")).etag


@pytest.mark.parametrize(
    ("asked", "taken", "wrong"),
    [
        ({PORT: 9000}, {PORT: 9000}, []),
        ({PORT: UNSET}, {PORT: UNSET}, []),
        ({"port": 3003}, {}, []),
        ({"port": UNSET}, {}, []),
        ({"secrets.service_key": REDACTED}, {}, []),
        ({"port": 4000}, {}, ["is fixed while the service runs: start it with another PORT"]),
        ({"replicas": 5}, {}, ["is fixed while the service runs: it belongs to the deployment"]),
        ({"port": 80}, {}, ["Port must be between 1024 and 65535, is 80"]),
        (
            {"secrets.service_key": "hunter2"},
            {},
            ["is a secret: change it where secrets are kept, and restart what uses it"],
        ),
        ({PORT: 80, SIZE: "x"}, {}, ["Port must be", "must be a whole number, is text"]),
    ],
)
def test_values_are_taken_or_refused(
    asked: dict[str, Any], taken: dict[str, Any], wrong: list[str]
) -> None:
    """What cannot be changed may still be named as it is."""
    found, violations = changes.check(RESOURCE, _state(), asked)
    assert len(violations) == len(wrong)
    for violation, expected in zip(violations, wrong, strict=True):
        assert violation.description.startswith(expected)
        assert "hunter2" not in violation.description
    assert found == taken


def test_what_is_followed_is_changed_elsewhere() -> None:
    instance = SCHEMAS["instance-service"]
    _, (wrong,) = changes.check(instance, merge(instance, BASE, {}), {PORT: 9000})
    assert wrong.description == "belongs to resource-service: change it there"


def test_settings_read_whole_can_be_sent_back_whole() -> None:
    """Read, edit, send: nothing in it stands in the way."""
    for schema in SCHEMAS.values():
        state = merge(schema, BASE, {})
        _, wrong = changes.check(schema, state, state.values)
        assert not wrong


@pytest.mark.parametrize(
    ("paths", "asked", "wrong"),
    [
        (None, {PORT: 9000, SIZE: 50}, 0),
        (["values.port_allocation.base_port"], {PORT: 9000}, 0),
        (
            ["values.port_allocation"],
            {PORT: 9000, SIZE: 50, "port_allocation.max_instances": UNSET},
            0,
        ),
        (["values.monitoring.logging_level"], {"monitoring.logging_level": UNSET}, 0),
        (["values.port_alocation"], {}, 1),
        (["port_allocation.base_port"], {}, 1),
        (["service"], {}, 1),
        (["", "values."], {}, 2),
        ([], {}, 0),
    ],
)
def test_masks(paths: list[str] | None, asked: dict[str, Any], wrong: int) -> None:
    """Named and given is set, named and absent goes back to its base (AIP-134)."""
    values = {"port_allocation": {"base_port": 9000, "range_size": 50}}
    found, wrong_values, wrong_paths = changes.masked(RESOURCE, values, paths)
    assert (found, len(wrong_paths)) == (asked, wrong)
    assert not wrong_values


@pytest.mark.parametrize("star", ["*", "values"])
def test_a_mask_of_everything_names_every_setting(star: str) -> None:
    found, _, _ = changes.masked(RESOURCE, {"port_allocation": {"base_port": 9000}}, [star])
    assert set(found) == set(RESOURCE.settings)
    assert found.pop(PORT) == 9000
    assert set(found.values()) == {UNSET}


def test_settings_are_checked_together() -> None:
    """Each right by itself, and wrong all the same."""
    draft = _revision(
        port_allocation__base_port=65500,
        port_allocation__range_size=100,
        resource_limits__max_cpu_limit="250m",
        resource_limits__default_memory_request="9Gi",
        resource_limits__max_storage_limit="5Gi",
    )
    wrong = {one.field for one in changes.between(BASE, RESOURCE, draft)}
    assert wrong == {
        "port_allocation.range_size",
        "resource_limits.default_cpu_request",
        "resource_limits.default_memory_request",
        "resource_limits.default_storage_request",
    }


@pytest.mark.parametrize(
    "name", ["default_idle_timeout", "idle_timeouts", "default_max_lifetime", "max_lifetimes"]
)
def test_default_lifetimes_are_those_an_instance_may_ask_for(name: str) -> None:
    """A shorter one would stop everything that runs; what the stack allows is allowed here too."""
    schema = SCHEMAS["instance-service"]

    def wrong(seconds: float, built: base.Base = BASE) -> list[tuple[str, str]]:
        value = {"lab": seconds, "free": 0.0} if name.endswith("s") else seconds
        values = {f"lifetime.{name}": value}
        draft = Revision(service=schema.service, number=1, values=values)
        found = changes.between(built, schema, draft)
        return [(one.field, one.description.removeprefix("lab: ")) for one in found]

    for seconds in (0.5, 30.0, 59.9):
        why = f"must be at least 60, or 0 for never, is {seconds:g}"
        assert wrong(seconds) == [(f"lifetime.{name}", why)]
    assert [wrong(seconds) for seconds in (0.0, 60.0, 315_360_000.0)] == [[], [], []]
    quick = base.build(SHIPPED, {"LEAST_LIMIT_SECONDS": "1"}, ports={}, secrets=())
    assert (wrong(1.0, quick), len(wrong(0.5, quick))) == ([], 1)
    with pytest.raises(base.BaseError, match=r"default_idle_timeout: must be at least 60"):
        base.build(SHIPPED, {"DEFAULT_IDLE_TIMEOUT": "30"}, ports={}, secrets=())


def test_a_difference_is_what_changed() -> None:
    """Also a setting that from now on does not follow its base any more."""
    before = _revision(1, port_allocation__base_port=9000, port_allocation__range_size=50)
    values = {PORT: 9100, "port_allocation.max_instances": 100}
    after = Revision(service="resource-service", number=2, values=values)
    found = changes.difference(before, values, _state(before), _state(after))
    assert [(one.path, one.before, one.after) for one in found] == [
        (PORT, 9000, 9100),
        ("port_allocation.max_instances", 100, 100),
        (SIZE, 50, 100),
    ]


def test_what_a_later_release_refuses_is_told_on_rollback() -> None:
    old = _revision(1, port_allocation__base_port=80, colour="red", port=5000)
    wrong = {one.field: one.description for one in changes.still_wrong(RESOURCE, old)}
    assert set(wrong) == {PORT, "colour", "port"}


_LIVE = sorted(path for path, one in RESOURCE.settings.items() if one.changeable)
_VALUES = st.dictionaries(st.sampled_from(_LIVE), st.integers(1, 9), max_size=6)
_CHANGES = st.dictionaries(
    st.sampled_from(_LIVE), st.integers(1, 9) | st.just(UNSET), min_size=1, max_size=6
)


@given(values=_VALUES, first=_CHANGES, second=_CHANGES)
def test_changes_follow_one_another(
    values: dict[str, Any], first: dict[str, Any], second: dict[str, Any]
) -> None:
    """Two changes are one with both, the later winning; the same one twice is the same as once."""
    once = changes.apply(changes.apply(values, first), second)
    assert once == changes.apply(values, {**first, **second})
    assert changes.apply(once, second) == once
    assert all(once.get(path, UNSET) == value for path, value in second.items())
    untouched = set(values) - set(first) - set(second)
    assert {path: once[path] for path in untouched} == {path: values[path] for path in untouched}


@given(history=st.lists(_CHANGES, min_size=1, max_size=6), data=st.data())
def test_a_rollback_restores_exactly(history: list[dict[str, Any]], data: st.DataObject) -> None:
    """Everything in force is what it was then, whatever happened since."""
    revisions = [nothing("resource-service")]
    for number, change in enumerate(history, 1):
        values = changes.apply(revisions[-1].values, change)
        revisions.append(Revision(service="resource-service", number=number, values=values))
    to = data.draw(st.sampled_from(revisions))
    back = Revision(service="resource-service", number=len(revisions), values=to.values)
    assert _state(back).values == _state(to).values
    assert _state(back).sources == _state(to).sources
