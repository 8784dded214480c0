"""What is stored of a document's history."""

import random

import pycrdt

from services.collaboration import history


def test_what_is_gone_takes_no_room() -> None:
    """Of a long session of which little is left, a checkpoint has the text and little more.

    Merged, the updates would still say all that each of them said.
    """
    doc: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=7)
    updates: list[bytes] = []
    subscription = doc.observe(lambda event: updates.append(event.update))
    root = doc.get("content", type=pycrdt.Text)
    chance = random.Random(0)
    for start in range(0, 20_000, 200):
        # Typed key by key, each stretch somewhere else in what there is.
        place = chance.randint(0, start)
        for key in range(200):
            root.insert(place + key, "abcde"[key % 5])
    while (length := len(root)) > 20:
        count = min(100, length - 20)
        place = chance.randint(0, length - count)
        del root[place : place + count]
    doc.unobserve(subscription)
    state, characters = history.compact(history.seed(""), updates)
    assert len(state) < sum(map(len, updates)) / 100
    assert characters == 20
    assert history.content(history.replay(state, [])) == str(root)
