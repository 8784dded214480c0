"""Changes of settings: what is asked for, whether it may be, and what comes of it. No I/O."""

from collections.abc import Iterable, Mapping
from typing import Any

from services.chassis.errors import Violation
from services.config import rules
from services.config.base import Base
from services.config.schema import REDACTED, Effect, Schema, Setting, Values
from services.config.state import Change, Revision, State, merge

UNSET: Any = object()
"""In the place of a value: back to the base."""


def check(schema: Schema, state: State, asked: Values) -> tuple[dict[str, Any], list[Violation]]:
    """Read values to set, and find everything wrong with them.

    What cannot be changed here may be named with the value it has, so that settings can be read,
    edited and sent back whole.

    Args:
        schema: The service's settings.
        state: Those in force.
        asked: New values by path, `UNSET` to go back to the base. Every path is a setting's.

    Returns:
        What is to be set, in its type; and what is wrong. The first is of use only without the
        second.
    """
    wrong: list[Violation] = []
    taken: dict[str, Any] = {}
    for path, value in asked.items():
        setting = schema.settings[path]
        if value is UNSET:
            if setting.changeable:
                taken[path] = UNSET
            continue
        if setting.mark.secret:
            if value != REDACTED:
                wrong.append(Violation(path, _fixed(setting)))
            continue
        try:
            read = setting.read(value)
        except ValueError as error:
            wrong.append(Violation(path, str(error)))
            continue
        if setting.changeable:
            taken[path] = read
        elif read != state.values.get(path):
            wrong.append(Violation(path, _fixed(setting)))
    return taken, wrong


def between(base: Base, schema: Schema, revision: Revision) -> list[Violation]:
    """Give what is wrong between the settings of a service as a revision would leave them."""
    merged = merge(schema, base, {schema.service: revision})
    return list(
        rules.violations(
            {
                path: value
                for path, value in merged.values.items()
                if not schema.settings[path].follows
            }
        )
    )


def still_wrong(schema: Schema, revision: Revision) -> list[Violation]:
    """Give what of an old revision this release does not accept any more."""
    wrong = []
    for path, value in revision.values.items():
        setting = schema.settings.get(path)
        if setting is None:
            wrong.append(Violation(path, schema.objection(path)))
        elif not setting.changeable:
            wrong.append(Violation(path, _fixed(setting)))
        else:
            try:
                setting.read(value)
            except ValueError as error:
                wrong.append(Violation(path, str(error)))
    return wrong


def apply(values: Values, changes: Values) -> dict[str, Any]:
    """Give what is set while running, after changes to it."""
    kept = {path: value for path, value in values.items() if path not in changes}
    added = {path: value for path, value in changes.items() if value is not UNSET}
    return dict(sorted({**kept, **added}.items()))


def difference(before: Revision, after: Values, old: State, new: State) -> tuple[Change, ...]:
    """Tell what setting other values while running changes, by path.

    A setting that is set to what its base is has changed too: it does not follow its base any
    more.
    """
    touched = sorted(
        path
        for path in {*before.values, *after}
        if before.values.get(path, UNSET) != after.get(path, UNSET)
    )
    return tuple(
        Change(path=path, before=old.values.get(path), after=new.values.get(path))
        for path in touched
    )


def masked(
    schema: Schema, values: Mapping[str, Any], paths: Iterable[str] | None
) -> tuple[dict[str, Any], list[Violation], list[Violation]]:
    """Read an update by its mask (AIP-134).

    Args:
        schema: The service's settings.
        values: Given values, nested.
        paths: The mask, such as ``values.port_allocation`` or ``*``; None for what is in values.

    Returns:
        What to set by path, `UNSET` where a named setting is not in values; what is wrong with
        the values; what is wrong with the mask.
    """
    given, wrong = schema.flatten(values)
    if paths is None:
        return given, wrong, []
    named: dict[str, Any] = {}
    wrong_mask = []
    for mask_path in paths:
        path = mask_path.removeprefix("values.")
        found = list(schema.settings) if mask_path in ("*", "values") else schema.paths_under(path)
        if path == mask_path and mask_path not in ("*", "values"):
            wrong_mask.append(
                Violation(mask_path, "must be * or begin with values., such as values.monitoring")
            )
        elif not found:
            wrong_mask.append(Violation(mask_path, schema.objection(path)))
        else:
            named.update((one, given.get(one, UNSET)) for one in found)
    return named, wrong, wrong_mask


def _fixed(setting: Setting) -> str:
    if setting.mark.secret:
        return "is a secret: change it where secrets are kept, and restart what uses it"
    if setting.effect is Effect.FOLLOWS:
        return f"belongs to {setting.follows}: change it there"
    if setting.mark.variable:
        return f"is fixed while the service runs: start it with another {setting.mark.variable}"
    return "is fixed while the service runs: it belongs to the deployment"
