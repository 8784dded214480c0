"""The rule for ids of instances and names of namespaces, checked before they become paths."""

import re

from services.chassis.validation import Violations

RULE = "must be 1 to 40 lower-case letters, digits and hyphens, a letter first and no hyphen last"
"""The rule in words."""

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")


def is_valid(name: str) -> bool:
    """Tell whether a name follows the rule; such a name holds no dot, slash or other surprise."""
    return _NAME.fullmatch(name) is not None


def check(wrong: Violations, field: str, name: str) -> str:
    """Note a violation of `field` unless `name` follows the rule; give the name back."""
    if not is_valid(name):
        wrong.add(field, "is required" if not name else RULE)
    return name
