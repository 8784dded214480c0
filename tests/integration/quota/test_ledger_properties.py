"""The ledger against a model, whatever is done to it in whatever order."""

import asyncio
import dataclasses
import uuid

import hypothesis
import pytest
from hypothesis import stateful
from hypothesis import strategies as st

from services.chassis import connectors, errors
from services.chassis.settings import ServiceSettings
from services.quota.amounts import MAX_AMOUNT, RESOURCES, Amounts
from services.quota.ledger import Ledger
from services.quota.store import Reservation, Store
from tests.integration.quota.valkey import Valkey

_LIMITS = Amounts(instances=4, cpu=10, memory=MAX_AMOUNT, storage=100)
_small = st.integers(0, 12)
_memory = _small | st.integers(MAX_AMOUNT - 12, MAX_AMOUNT)
_asked = st.builds(Amounts, instances=st.integers(1, 2), cpu=_small, memory=_memory, storage=_small)
_forced = st.builds(Amounts, instances=st.just(1), cpu=_small, memory=_small, storage=_small)
_changes = st.dictionaries(st.sampled_from(("instances", "cpu", "storage")), st.none() | _small)
_instances = st.sampled_from(("ant", "bee", "cat", "dog", "eel"))


class LedgerMachine(stateful.RuleBasedStateMachine):
    """Does the same to the ledger and to a dictionary."""

    def __init__(self, url: str) -> None:
        super().__init__()
        settings = ServiceSettings(
            microservice_name="test", port=0, redis_url=url, redis_pool_min=0
        )
        self.runner = asyncio.Runner()
        self.redis = self.runner.run(self._connect(settings))
        self.store = Store(redis=self.redis)
        self.ledger = Ledger(store=self.store, default_limits=lambda: _LIMITS)
        self.namespace = f"n{uuid.uuid4().hex}"
        self.limits = _LIMITS
        self.held: dict[str, Amounts] = {}
        self.before = Amounts()
        self.forced = False

    @staticmethod
    async def _connect(settings: ServiceSettings) -> connectors.Redis:
        return connectors.Redis(settings)

    def teardown(self) -> None:
        self.runner.run(self.redis.close())
        self.runner.close()

    def expected(self, instance: str, asked: Amounts) -> list[tuple[str, int]]:
        """Say which limits are in the way and by how much."""
        held = self.held.get(instance, Amounts())
        rows = zip(RESOURCES, self.limits, self.usage(), held, asked, strict=True)
        return [
            (name, use - have + ask - limit)
            for name, limit, use, have, ask in rows
            if ask > have and use - have + ask > limit
        ]

    def usage(self) -> Amounts:
        columns = zip(*self.held.values(), strict=True) if self.held else ()
        return Amounts(*map(sum, columns))

    @stateful.rule(instance=_instances, asked=_asked)
    def reserve(self, instance: str, asked: Amounts) -> None:
        expected = self.expected(instance, asked)
        reserving = self.ledger.reserve(self.namespace, instance, asked)
        if expected:
            with pytest.raises(errors.ResourceExhausted) as refused:
                self.runner.run(reserving)
            names = ",".join(name for name, _ in expected)
            assert refused.value.metadata["resources"] == names
        else:
            assert self.runner.run(reserving).amounts == asked
            self.held[instance] = asked

    @stateful.rule(batch=st.lists(st.tuples(_instances, _asked), min_size=1, max_size=8))
    def reserve_many(self, batch: list[tuple[str, Amounts]]) -> None:
        """A batch does what its reservations would one by one."""
        asked = [(self.namespace, instance, amounts) for instance, amounts in batch]
        outcomes = self.runner.run(self.ledger.reserve_all(asked))
        for (instance, amounts), outcome in zip(batch, outcomes, strict=True):
            expected = self.expected(instance, amounts)
            if expected:
                assert isinstance(outcome, errors.ResourceExhausted)
                names = ",".join(name for name, _ in expected)
                assert outcome.metadata["resources"] == names
            else:
                assert isinstance(outcome, Reservation)
                assert outcome.amounts == amounts
                self.held[instance] = amounts

    @stateful.rule(instances=st.lists(_instances, min_size=1, max_size=8))
    def release_many(self, instances: list[str]) -> None:
        asked = [(self.namespace, instance) for instance in instances]
        self.runner.run(self.ledger.release_all(asked))
        for instance in instances:
            self.held.pop(instance, None)

    @stateful.rule(instance=_instances, asked=_asked)
    def check(self, instance: str, asked: Amounts) -> None:
        found = self.runner.run(self.ledger.check(self.namespace, instance, asked))
        assert [(one.resource, one.exceeded_by) for one in found] == self.expected(instance, asked)

    @stateful.rule(instance=_instances)
    def release(self, instance: str) -> None:
        self.runner.run(self.ledger.release(self.namespace, instance))
        self.held.pop(instance, None)

    @stateful.rule(changes=_changes)
    def update(self, changes: dict[str, int | None]) -> None:
        standing = self.runner.run(self.ledger.update(self.namespace, changes))
        new = {
            name: getattr(_LIMITS, name) if limit is None else limit
            for name, limit in changes.items()
        }
        self.limits = dataclasses.replace(self.limits, **new)
        assert standing.limits == self.limits

    @stateful.rule(instance=_instances, amounts=st.none() | _forced)
    def repair(self, instance: str, amounts: Amounts | None) -> None:
        """A repair is done whatever the limits."""
        others = sum(one.memory for name, one in self.held.items() if name != instance)
        hypothesis.assume(amounts is None or others + amounts.memory <= MAX_AMOUNT)
        stored = self.runner.run(self.store.reservations(self.namespace)).get(instance)
        done = self.runner.run(
            self.store.repair(
                self.namespace,
                instance,
                looked_at=stored.text if stored else "",
                grace_seconds=0,
                amounts=amounts,
            )
        )
        assert done
        self.forced = True
        if amounts is None:
            self.held.pop(instance, None)
        else:
            self.held[instance] = amounts

    @stateful.rule(usage=_forced)
    def corrupt_and_recount(self, usage: Amounts) -> None:
        """A recount finds and mends any usage that is wrong."""
        key = f"quota:{{{self.namespace}}}:usage"
        wrong = dict(zip(RESOURCES, usage, strict=True))
        self.runner.run(self.redis.client.hset(key, mapping=wrong))
        expected = None if usage == self.usage() else (usage, self.usage())
        for validate_only in (True, False):
            found = self.runner.run(self.store.recount(self.namespace, validate_only=validate_only))
            assert found == expected

    @stateful.invariant()
    def agrees(self) -> None:
        """Usage is the sum of what is held, and passes a limit only by force or its lowering."""
        standing = self.runner.run(self.ledger.standing(self.namespace))
        assert standing.usage == self.usage()
        assert standing.reservations == len(self.held)
        assert all(amount >= 0 for amount in standing.usage)
        if not self.forced:
            rows = zip(standing.usage, standing.limits, self.before, strict=True)
            assert all(use <= limit or use <= before for use, limit, before in rows)
        self.before, self.forced = standing.usage, False


def test_ledger_agrees_with_its_model(valkey: Valkey) -> None:
    """After any sequence of calls, repairs and corruptions, the ledger is what it must be."""
    stateful.run_state_machine_as_test(
        lambda: LedgerMachine(valkey.url),
        settings=hypothesis.settings(max_examples=40, stateful_step_count=30, derandomize=True),
    )


class CrashingMachine(LedgerMachine):
    """Does the same while the server is killed between any two calls."""

    def __init__(self, server: Valkey) -> None:
        super().__init__(server.url)
        self.server = server

    @stateful.rule()
    def crash(self) -> None:
        self.server.kill()
        self.server.start()


def test_ledger_agrees_with_its_model_after_kill(own_valkey: Valkey) -> None:
    """What was answered is what there is, however often Valkey was killed in between."""
    stateful.run_state_machine_as_test(
        lambda: CrashingMachine(own_valkey),
        settings=hypothesis.settings(max_examples=12, stateful_step_count=30, derandomize=True),
    )
