"""``${VAR}`` and ``${VAR:-default}`` in the base documents (specification, instance template)."""

import re
from collections.abc import Mapping
from typing import Any

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")


class Put(str):
    """A text that a variable was put into: it says what those who deployed us want."""

    __slots__ = ()


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Put variables in their places, as a shell does.

    A default stands in for a variable that is unset or empty; without a default the placeholder
    stays, since the variable may be known later only. What is put in is never expanded again.
    Where there was such a variable, the text is a `Put`.
    """
    found = False

    def put(match: re.Match[str]) -> str:
        nonlocal found
        name, default = match.groups()
        value = variables.get(name)
        found |= bool(value)
        return value or (match[0] if default is None else default)

    expanded = _PLACEHOLDER.sub(put, text)
    return Put(expanded) if found else expanded


def expand_all(document: Any, variables: Mapping[str, str]) -> Any:
    """Expand every text of a document that was read: what is put in cannot change its structure."""
    match document:
        case str():
            return expand(document, variables)
        case dict():
            return {name: expand_all(value, variables) for name, value in document.items()}
        case list():
            return [expand_all(value, variables) for value in document]
    return document


def complete(text: str) -> bool:
    """Whether no placeholder is left."""
    return _PLACEHOLDER.search(text) is None
