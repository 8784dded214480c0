r"""The filter of ListInstances and WatchInstances: terms joined by AND (a part of AIP-160).

``namespace``, ``owner``, ``state``, ``desired_state`` and ``labels.<key>``, each with ``=`` or
``!=``. A value is a bare word or in double or single quotes, with ``\`` before a quote or
backslash inside. ``!=`` on a label is also true where there is no such label. States are
written with or without their prefix (``RUNNING``, ``INSTANCE_STATE_RUNNING``).
"""

import dataclasses
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from services.chassis import errors
from services.instance.documents import label_term
from services.instance.record import Desired, State

MOST_CHARACTERS = 2000
"""Longest filter."""
_MOST_TERMS = 32

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator>!=|=)
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<word>[^\s=!"'()]+)
    )""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\(.)")
_LABELS = "labels."


@dataclasses.dataclass(frozen=True, slots=True)
class Term:
    """One comparison."""

    field: str
    """``namespace``, ``owner``, ``state``, ``desired``, or ``label``."""
    key: str
    """Key of the label; empty for other fields."""
    equal: bool
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class Filter:
    """What has to be true of an instance."""

    terms: tuple[Term, ...] = ()

    def matches(
        self, *, namespace: str, owner: str, state: str, desired: str, labels: Mapping[str, str]
    ) -> bool:
        """Whether it is true of an instance; states by their name without prefix."""
        fields = {"namespace": namespace, "owner": owner, "state": state, "desired": desired}
        return all(
            ((labels.get(one.key) if one.field == "label" else fields[one.field]) == one.value)
            == one.equal
            for one in self.terms
        )

    def owned_by(self, owner: str) -> "Filter":
        """Return it with the owner's instances only."""
        return Filter((*self.terms, Term("owner", "", equal=True, value=owner)))

    def conditions(self) -> dict[str, Any] | None:
        """Return it as conditions of the store, one a field; None if nothing can match."""
        wanted: dict[str, set[str]] = {}
        unwanted: dict[str, set[str]] = {}
        for one in self.terms:
            name, value = one.field, one.value
            if name == "label":
                name, value = "label_terms", label_term(one.key, one.value)
            (wanted if one.equal else unwanted).setdefault(name, set()).add(value)
        conditions: dict[str, Any] = {}
        for name in (*wanted, *(other for other in unwanted if other not in wanted)):
            yes, no = wanted.get(name, set()), unwanted.get(name, set())
            if yes & no or (len(yes) > 1 and name != "label_terms"):
                return None
            if name == "label_terms":
                conditions[name] = {
                    **({"$all": sorted(yes)} if yes else {}),
                    **({"$nin": sorted(no)} if no else {}),
                }
            elif yes:
                conditions[name] = next(iter(yes))
            else:
                conditions[name] = {"$nin": sorted(no)}
        return conditions

    @property
    def fingerprint(self) -> str:
        """Tells filters apart inside tokens."""
        text = repr(sorted((one.field, one.key, one.equal, one.value) for one in self.terms))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def parse(text: str) -> Filter:
    """Read a filter.

    Raises:
        errors.InvalidArgument: It is none (INVALID_FILTER); says where it goes wrong.
    """
    if len(text) > MOST_CHARACTERS:
        raise _wrong(f"must be at most {MOST_CHARACTERS} characters")
    tokens = _tokens(text)
    terms: list[Term] = []
    position = 0
    while position < len(tokens):
        if terms:
            kind, word = tokens[position]
            if kind != "word" or word.upper() != "AND":
                raise _wrong(f"expected AND before {word!r}")
            position += 1
        part = tokens[position : position + 3]
        if len(part) < 3 or part[0][0] != "word" or part[1][0] != "operator":
            near = " ".join(word for _, word in part) or "the end"
            raise _wrong(f'expected a comparison such as state = RUNNING near "{near[:60]}"')
        if part[2][0] == "operator":
            raise _wrong(f"{part[0][1]} is compared with nothing")
        terms.append(_term(part[0][1], part[1][1] == "=", part[2][1]))
        position += 3
        if len(terms) > _MOST_TERMS:
            raise _wrong(f"must be at most {_MOST_TERMS} terms")
    return Filter(tuple(terms))


def _tokens(text: str) -> Sequence[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise _wrong(f'cannot be read from "{text[position : position + 20].strip()}" on')
        kind = str(match.lastgroup)
        word = match[kind]
        if kind in ("double", "single"):
            kind, word = "value", _ESCAPED.sub(r"\1", word)
        tokens.append((kind, word))
        position = match.end()
    return tokens


def _term(name: str, equal: bool, value: str) -> Term:
    if name in ("namespace", "owner"):
        return Term(name, "", equal, value)
    if name == "state":
        return Term("state", "", equal, _member(State, "INSTANCE_STATE_", name, value))
    if name == "desired_state":
        return Term("desired", "", equal, _member(Desired, "DESIRED_STATE_", name, value))
    if name.startswith(_LABELS) and len(name) > len(_LABELS):
        return Term("label", name.removeprefix(_LABELS), equal, value)
    raise _wrong(
        f"has no field {name[:60]!r}: there are namespace, owner, state, desired_state and"
        " labels.<key>"
    )


def _member(kind: type[State] | type[Desired], prefix: str, name: str, value: str) -> str:
    plain = value.upper().removeprefix(prefix)
    if plain not in kind.__members__:
        raise _wrong(f"{name} is one of {', '.join(kind.__members__)}, not {value[:40]!r}")
    return plain


def _wrong(problem: str) -> errors.InvalidArgument:
    return errors.InvalidArgument(
        "INVALID_FILTER",
        f"filter: {problem}",
        violations=[errors.Violation("filter", problem)],
    )
