"""What each setting accepts, and that everything wrong is found."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.config.schema import REDACTED, Effect, Schema, nest
from services.config.sections import SCHEMAS

RESOURCE = SCHEMAS["resource-service"]
INSTANCE = SCHEMAS["instance-service"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("port", 1024),
        ("port", 65535),
        ("port_allocation.base_port", 8000.0),
        ("port_allocation.max_instances", 1),
        ("resource_limits.max_cpu_limit", "500m"),
        ("resource_limits.max_cpu_limit", "2"),
        ("resource_limits.max_memory_limit", "8Gi"),
        ("monitoring.logging_level", "warning"),
        ("monitoring.metrics_enabled", False),
    ],
)
def test_what_is_right_is_taken(path: str, value: Any) -> None:
    """In its own type, whatever JSON made of it."""
    read = RESOURCE.settings[path].read(value)
    assert read == value
    assert type(read) is (int if value == 8000.0 and path.endswith("port") else type(value))


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        ("port", 1023, "Port must be between 1024 and 65535, is 1023"),
        ("port", 65536, "Port must be between 1024 and 65535, is 65536"),
        ("port", "8000", "must be a port, a whole number, is text"),
        ("port_allocation.range_size", 0, "must be 2 to 64512, is 0"),
        ("port_allocation.range_size", 1, "must be 2 to 64512, is 1"),
        ("port_allocation.range_size", 1.5, "must be a whole number, is 1.5"),
        ("port_allocation.range_size", True, "must be a whole number, is a boolean"),
        ("port_allocation.range_size", None, "must be a whole number, is null"),
        ("port_allocation.range_size", [1], "must be a whole number, is a list"),
        ("port_allocation.range_size", {"a": 1}, "must be a whole number, is an object"),
        ("resource_limits.max_cpu_limit", "lots", "Invalid CPU specification: CPU 'lots'"),
        ("resource_limits.max_cpu_limit", "0", "Invalid CPU specification: must be more than 0"),
        ("resource_limits.max_cpu_limit", False, "must be CPU, such as 500m or 2, is a boolean"),
        ("resource_limits.max_memory_limit", "8GB", "Invalid memory specification: size '8GB'"),
        ("resource_limits.max_memory_limit", "{x}", "Invalid memory specification: size '{x}'"),
        (
            "monitoring.logging_level",
            "loud",
            "must be debug or info or warning or error, is 'loud'",
        ),
        ("monitoring.logging_level", 3, "must be text, is a number"),
        ("monitoring.metrics_enabled", "yes", "must be true or false, is text"),
        ("monitoring.metrics_enabled", 1, "must be true or false, is a number"),
    ],
)
def test_what_is_wrong_is_told(path: str, value: Any, why: str) -> None:
    """With what would be right (specification, validateConfiguration)."""
    with pytest.raises(ValueError, match=r".*") as caught:
        RESOURCE.settings[path].read(value)
    assert str(caught.value).startswith(why)


def test_seconds_by_namespace() -> None:
    """One value, given and replaced whole; as JSON in a variable."""
    setting = INSTANCE.settings["lifetime.idle_timeouts"]
    assert setting.read({"cs101": 3600}) == {"cs101": 3600.0}
    assert setting.read('{"cs101": 3600}', strict=False) == {"cs101": 3600.0}
    for wrong in ({"cs101": -1}, {"CS 101": 1}, {"cs101": "1h"}, [1], "{", 5):
        with pytest.raises(ValueError, match="must be an object of seconds by namespace"):
            setting.read(wrong, strict=wrong != "{")
    flat, violations = INSTANCE.flatten({"lifetime": {"idle_timeouts": {"cs101": 1}}})
    assert (flat, violations) == ({"lifetime.idle_timeouts": {"cs101": 1}}, [])


def test_numbers_are_quantities_too() -> None:
    """``cpu: 4`` is what people write; text of variables is read as what it stands for."""
    assert RESOURCE.settings["resource_limits.max_cpu_limit"].read(4) == "4"
    assert RESOURCE.settings["resource_limits.max_cpu_limit"].read(0.5) == "0.5"
    assert RESOURCE.settings["port_allocation.base_port"].read("9000", strict=False) == 9000
    assert RESOURCE.settings["monitoring.metrics_enabled"].read("false", strict=False) is False


def test_nested_values_become_paths_and_back() -> None:
    values = {"port_allocation": {"base_port": 1, "range_size": "x"}, "port": {"odd": []}}
    flat, wrong = RESOURCE.flatten(values)
    assert flat == {
        "port_allocation.base_port": 1,
        "port_allocation.range_size": "x",
        "port": {"odd": []},
    }
    assert not wrong
    assert nest(flat) == values


@pytest.mark.parametrize(
    ("values", "field", "why"),
    [
        ({"prot": 1}, "prot", "unknown setting of resource-service; did you mean port?"),
        (
            {"port_allocation": {"base_prt": 1}},
            "port_allocation.base_prt",
            "unknown setting of resource-service; did you mean port_allocation.base_port?",
        ),
        (
            {"base_port": 1},
            "base_port",
            "unknown setting of resource-service; did you mean port_allocation.base_port?",
        ),
        ({"xyzzy": {"a": 1}}, "xyzzy", "unknown setting of resource-service"),
        ({"port_allocation": 5}, "port_allocation", "must be an object with base_port"),
        (
            {"port_allocation.base_port": 1},
            "port_allocation.base_port",
            "must be written as nested objects",
        ),
        ({"a" * 5000: 1}, "a" * 40 + "…", "unknown setting"),
    ],
)
def test_what_is_no_setting_is_told(values: dict[str, Any], field: str, why: str) -> None:
    """With the one that may be meant; never with its value."""
    flat, (wrong,) = RESOURCE.flatten(values)
    assert not flat
    assert wrong.field == field
    assert wrong.description.startswith(why)


def test_a_flood_of_names_is_one_mistake() -> None:
    """Nobody means thousands of settings, and guessing at each would take for ever."""
    _, wrong = RESOURCE.flatten({f"name{i}": i for i in range(5000)})
    assert [one.description for one in wrong] == ["must be at most 1000 settings"]


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(service=st.sampled_from(sorted(SCHEMAS)), data=st.data(), value=_JSON)
def test_any_value_is_taken_or_refused(service: str, data: st.DataObject, value: Any) -> None:
    """Never anything else; what is taken is taken again unchanged."""
    schema = SCHEMAS[service]
    setting = schema.settings[data.draw(st.sampled_from(sorted(schema.settings)))]
    try:
        read = setting.read(value)
    except ValueError:
        return
    assert setting.read(read) == read


@given(values=st.dictionaries(st.text(max_size=8), _JSON, max_size=5))
def test_any_object_is_paths_or_mistakes(values: dict[str, Any]) -> None:
    """Every name ends up in one of both."""
    flat, wrong = RESOURCE.flatten(values)
    assert set(flat) <= set(RESOURCE.settings)
    assert len(flat) + len(wrong) >= len(values) - sum(value == {} for value in values.values())


def test_the_specifications_keys_are_there() -> None:
    """To the letter."""
    for schema, paths in (
        (RESOURCE, ("base_port", "range_size", "max_instances")),
        (INSTANCE, ("base_port", "range_size", "max_instances")),
    ):
        for name in paths:
            assert f"port_allocation.{name}" in schema.settings
    for name in ("dynamic_calculation", "container_root", "auto_create_paths"):
        assert f"path_management.{name}" in SCHEMAS["path-service"].settings
    for name in (
        *("default_cpu_request", "default_memory_request"),
        *("max_cpu_limit", "max_memory_limit"),
    ):
        assert f"resource_limits.{name}" in RESOURCE.settings
    for name in ("enabled", "sync_interval", "conflict_resolution"):
        assert f"collaboration.{name}" in SCHEMAS["collaboration-service"].settings


@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
def test_every_setting_says_what_it_is(schema: Schema) -> None:
    """Purpose, default, and for one that is fixed where it comes from."""
    for path, setting in schema.settings.items():
        assert setting.description, path
        if setting.mark.secret:
            assert setting.effect is Effect.AT_START
            assert setting.default is None
            continue
        if setting.default is None:
            assert path == "port"
        else:
            assert setting.read(setting.default) == setting.default, path
        if setting.follows:
            owner = SCHEMAS[setting.follows].settings[path]
            assert (owner.effect, owner.kind) == (Effect.LIVE, setting.kind)


def test_no_secret_has_a_value() -> None:
    """The schema has no place for one."""
    for schema in SCHEMAS.values():
        for setting in schema.settings.values():
            if setting.mark.secret:
                assert not setting.changeable
                assert setting.read(REDACTED) == REDACTED
