"""Awareness: what readers are told of."""

from typing import Any

from services.collaboration.awareness import Awareness, Said


class _Counting(dict[int, Any]):
    """Counts how many states are looked at from the end."""

    looked = 0

    def items(self) -> Any:
        """Give the states, counted as they are taken."""
        return _Items(self)


class _Items:
    def __init__(self, states: _Counting) -> None:
        self._states = states

    def __iter__(self) -> Any:
        return self._count(iter(self._states))

    def __reversed__(self) -> Any:
        return self._count(reversed(self._states))

    def _count(self, clients: Any) -> Any:
        for client in clients:
            self._states.looked += 1
            yield client, self._states[client]


def test_news_cost_what_is_new() -> None:
    """A reader that was told of all but two looks at these, not at everybody."""
    awareness = Awareness()
    awareness.apply([Said(client, 1, b"{}") for client in range(1, 1001)], 0.0)
    told = awareness.version
    awareness.apply([Said(7, 2, b"{}")], 1.0)
    awareness.forget([5], 1.0)
    counting = _Counting(awareness._states)
    awareness._states = counting
    assert awareness.since(told) == [7, 5]
    assert counting.looked <= 3
    assert awareness.since(awareness.version) == []
    assert len(awareness.since(0)) == 1000


def test_past_the_budget_only_who_says_much_is_not_heard() -> None:
    """Large states stop at the budget; a small one is taken still, and space given back is used."""
    awareness = Awareness(1_000_000)
    large = b'"' + b"x" * 9_998 + b'"'
    taken = awareness.apply([Said(client, 1, large) for client in range(1, 201)], 0.0)
    assert 90 < len(taken) < 100
    assert len(awareness.everything()) < 1_000_000
    assert awareness.apply([Said(1001, 1, b'{"user":"ada"}')], 0.0) == [1001]
    assert awareness.apply([Said(200, 2, large)], 0.0) == []
    awareness.forget([1, 2], 0.0)
    assert awareness.apply([Said(200, 3, large)], 0.0) == [200]
