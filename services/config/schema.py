"""What a setting is, and how everything wrong with given ones is found at once.

Services' settings are declared as pydantic models (`sections`); here they become flat: one
`Setting` a path, such as ``port_allocation.base_port``, each checked by itself, so that one
mistake hides no other.
"""

import dataclasses
import difflib
import enum
import json
import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types
import pydantic
from pydantic.fields import FieldInfo

from services.chassis.errors import Violation

REDACTED = "[REDACTED]"
"""Stands in the place of every secret."""

Values = Mapping[str, Any]
"""Values by path."""

_MOST_SETTINGS = 1000
_HINTS = 50
_LONGEST_SHOWN = 40


class Effect(enum.Enum):
    """When a change of a setting takes effect."""

    LIVE = "LIVE"
    """In the running service."""
    AT_START = "AT_START"
    """When the service is started with another environment: not changed here."""
    FOLLOWS = "FOLLOWS"
    """When it is changed in the configuration of the service it belongs to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a declaration says about a setting beside its type."""

    effect: Effect
    variable: str = ""
    """Environment variable it is read from at start."""
    other_variable: str = ""
    """The specification's name for it, where that is another; outdoes `variable`."""
    secret: bool = False
    file: str = ""
    """Name of a secret's file."""

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables it is read from at start, the first that is set."""
        return tuple(filter(None, (self.other_variable, self.variable)))


@dataclasses.dataclass(frozen=True, slots=True)
class Kind:
    """Names a type that is more than its Python type, such as ``cpu``."""

    name: str
    bounds: tuple[str, ...] = ()
    """Of a quantity: the least and the greatest there may be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of one service."""

    path: str
    description: str
    kind: str
    """``integer``, ``number``, ``boolean``, ``string``, ``cpu``, ``size``, ``port`` or
    ``durations``: seconds by name."""
    default: Any
    """Its value where nothing else says; None for none."""
    mark: Mark
    minimum: float | None
    maximum: float | None
    allowed: tuple[str, ...]
    quantities: tuple[str, ...]
    """Of a quantity, its least and its greatest; else none."""
    adapter: pydantic.TypeAdapter[Any]
    follows: str = ""
    """The service whose setting of this path it follows."""

    @property
    def effect(self) -> Effect:
        """When a change takes effect."""
        return Effect.FOLLOWS if self.follows else self.mark.effect

    @property
    def changeable(self) -> bool:
        """Whether it can be changed in its own service's configuration."""
        return self.effect is Effect.LIVE

    def read(self, value: Any, *, strict: bool = True) -> Any:
        """Give a value in its type.

        Args:
            value: What was given.
            strict: Whether it must have the type already; else text is read as such.

        Raises:
            ValueError: It is none of this setting; says what would be right, and never the
                value of a secret.
        """
        if isinstance(value, float) and value.is_integer() and self.kind in ("integer", "port"):
            value = int(value)  # JSON knows one kind of number
        if self.kind == "durations" and isinstance(value, str) and not strict:
            value = _from_json(value)
        try:
            return self.adapter.validate_python(value, strict=strict)
        except pydantic.ValidationError as error:
            raise ValueError(self._objection(value, error)) from None

    def _objection(self, value: Any, error: pydantic.ValidationError) -> str:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and self.kind == "port":
            return f"Port must be between {self.minimum:.0f} and {self.maximum:.0f}, is {value}"
        if number and self.kind in ("integer", "number"):
            if self.kind == "integer" and not float(value).is_integer():
                return f"must be a whole number, is {value}"
            return f"must be {self._bounds()}, is {value}"
        if self.allowed and isinstance(value, str):
            return f"must be {' or '.join(self.allowed)}, is {shown(value)}"
        for one in error.errors():
            if one["type"] in ("cpu", "size"):
                return one["msg"]
        return f"must be {_ARTICLES[self.kind]}, is {_type_of(value)}"

    def _bounds(self) -> str:
        least, most = _number(self.minimum), _number(self.maximum)
        if self.minimum is None or self.maximum is None:
            return f"at least {least}" if self.maximum is None else f"at most {most}"
        return f"{least} to {most}"


class Schema:
    """The settings of one service."""

    def __init__(
        self,
        service: str,
        model: type[pydantic.BaseModel],
        follows: Mapping[str, str] | None = None,
    ) -> None:
        """Read a declaration.

        Args:
            service: Name of the service.
            model: Its settings.
            follows: The services that sections of it belong to, by section.
        """
        self.service = service
        self.settings: Mapping[str, Setting] = {
            one.path: one for one in _settings(model, "", follows or {})
        }
        self._sections = {
            path.rsplit(".", depth)[0]
            for path in self.settings
            for depth in range(1, path.count(".") + 1)
        }

    @property
    def followed(self) -> frozenset[str]:
        """The services that settings of this one belong to."""
        return frozenset(one.follows for one in self.settings.values() if one.follows)

    def flatten(self, values: Mapping[str, Any]) -> tuple[dict[str, Any], list[Violation]]:
        """Give nested values by path, and what of them is no setting at all."""
        wrong: list[Violation] = []
        found = dict(self._walk(values, "", wrong))
        return found, wrong

    def paths_under(self, path: str) -> list[str]:
        """Give the settings a path names: itself, or all of a section; none for an unknown one."""
        if path in self.settings:
            return [path]
        return [one for one in self.settings if one.startswith(path + ".")]

    def objection(self, path: str) -> str:
        """Say that a path is none, and which one may be meant."""
        names = [*self.settings, *self._sections]
        guess = ""
        if len(path) <= 2 * _LONGEST_SHOWN:
            close = difflib.get_close_matches(path, names, 1, 0.75)
            leaf = path.rsplit(".", 1)[-1]
            leaves = {one.rsplit(".", 1)[-1]: one for one in self.settings}
            close = close or [
                leaves[one] for one in difflib.get_close_matches(leaf, leaves, 1, 0.75)
            ]
            guess = f"; did you mean {close[0]}?" if close else ""
        return f"unknown setting of {self.service}{guess}"

    def _walk(
        self, values: Mapping[str, Any], prefix: str, wrong: list[Violation]
    ) -> Iterator[tuple[str, Any]]:
        if len(values) > _MOST_SETTINGS:
            wrong.append(
                Violation(prefix.rstrip("."), f"must be at most {_MOST_SETTINGS} settings")
            )
            return
        for name, value in values.items():
            path = prefix + name
            if path in self.settings and "." not in name:
                yield path, value
            elif path in self._sections and "." not in name:
                if isinstance(value, Mapping):
                    yield from self._walk(value, path + ".", wrong)
                else:
                    inside = ", ".join(
                        one.removeprefix(path + ".") for one in self.paths_under(path)
                    )
                    wrong.append(Violation(path, f"must be an object with {inside}"))
            else:
                hint = self.objection(path) if len(wrong) < _HINTS else "unknown setting"
                if path in self.settings:
                    hint = "must be written as nested objects, one for each part of the path"
                wrong.append(Violation(shown(path).strip("'\""), hint))


def nest(values: Values) -> dict[str, Any]:
    """Give values by path as nested objects."""
    nested: dict[str, Any] = {}
    for path, value in values.items():
        *sections, name = path.split(".")
        home = nested
        for section in sections:
            home = home.setdefault(section, {})
        home[name] = value
    return nested


def shown(text: str) -> str:
    """Quote a client's text in a message, not too much of it: messages travel in headers."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


_ARTICLES = {
    "boolean": "true or false",
    "cpu": "CPU, such as 500m or 2",
    "durations": "an object of seconds by namespace, none negative",
    "integer": "a whole number",
    "number": "a number",
    "port": "a port, a whole number",
    "size": "a size, such as 512Mi or 2Gi",
    "string": "text",
}
_KINDS: Mapping[type, str] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _settings(
    model: type[pydantic.BaseModel], prefix: str, follows: Mapping[str, str]
) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        path = prefix + name
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, pydantic.BaseModel):
            yield from _settings(inner, path + ".", follows)
        else:
            yield _setting(path, field, follows.get(path.split(".")[0], ""))


def _setting(path: str, field: FieldInfo, follows: str) -> Setting:
    mark = next(one for one in field.metadata if isinstance(one, Mark))
    named = next((one for one in field.metadata if isinstance(one, Kind)), Kind(""))
    annotation: Any = field.annotation
    allowed: tuple[str, ...] = ()
    if get_origin(annotation) is Literal:
        allowed = tuple(map(str, get_args(annotation)))
        kind = _KINDS[type(get_args(annotation)[0])]
    else:
        kind = named.name or _KINDS[annotation]
    rest = tuple(one for one in field.metadata if not isinstance(one, Mark | Kind))
    for one in rest:
        annotation = Annotated[annotation, one]
    return Setting(
        path=path,
        description=" ".join((field.description or "").split()),
        kind=kind,
        default=None if field.is_required() else field.default,
        mark=mark,
        minimum=_bound(field, annotated_types.Ge),
        maximum=_bound(field, annotated_types.Le),
        allowed=allowed if kind == "string" else (),
        quantities=named.bounds,
        adapter=pydantic.TypeAdapter(annotation),
        follows=follows,
    )


def _from_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _bound(field: FieldInfo, kind: type[annotated_types.Ge | annotated_types.Le]) -> float | None:
    for one in field.metadata:
        if isinstance(one, kind):
            bound: Any = one.ge if isinstance(one, annotated_types.Ge) else one.le
            return float(bound)
    return None


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case Mapping():
            return "an object"
    return "a list"


def _number(value: float | None) -> str:
    if value is None or math.isinf(value):
        return ""
    return f"{value:.0f}" if value.is_integer() else f"{value:g}"
