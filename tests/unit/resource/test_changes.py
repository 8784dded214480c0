from services.resource.changes import Changes


async def test_many_changes_of_one_instance_are_told_as_one() -> None:
    """A watcher that reads slowly holds one entry an instance, in the order of first change."""
    changes = Changes()
    with changes.watch() as watcher:
        for _ in range(1000):
            changes.announce("blue")
            changes.announce("green")
        assert await watcher.wait(1) == ["blue", "green"]
        assert await watcher.wait(0.01) == []
        changes.announce("green")
        assert await watcher.wait(1) == ["green"]


async def test_who_no_longer_watches_is_told_nothing() -> None:
    """A watcher that left costs nothing."""
    changes = Changes()
    with changes.watch() as watcher:
        pass
    changes.announce("blue")
    assert await watcher.wait(0.01) == []
