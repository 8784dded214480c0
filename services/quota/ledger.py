"""Limits and reservations of namespaces: what may be held, and what is."""

import dataclasses
import datetime
import hashlib
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import Counter

from services.chassis import errors
from services.quota.amounts import RESOURCES, Amounts, Shortage
from services.quota.store import Account, Reservation, Store

REFUSED = Counter(
    "codestudio_quota_refusals", "Reservations refused, by the limit in the way.", ("resource",)
)


@dataclasses.dataclass(frozen=True, slots=True)
class Standing:
    """Limits and usage of a namespace."""

    namespace: str
    """Its name."""
    limits: Amounts
    """What it may hold at once."""
    usage: Amounts
    """What it holds; above the limits where those were lowered, or instances are older."""
    reservations: int
    """Instances that hold something."""
    is_default: bool
    """Whether it has no limits of its own."""
    update_time: datetime.datetime | None
    """When its limits were last changed; None where they are the default."""
    etag: str
    """Changes with the limits (AIP-154)."""


class Ledger:
    """The accounts of all namespaces. Every change of one is a single step."""

    def __init__(self, *, store: Store, default_limits: Callable[[], Amounts]) -> None:
        """Open the accounts.

        Args:
            store: Where they are kept.
            default_limits: Asked each time for the limits of a namespace that has none of its own.
        """
        self._store = store
        self._defaults = default_limits

    async def standing(self, namespace: str) -> Standing:
        """Read a namespace; one never written has the default limits."""
        return self._standing(namespace, await self._store.account(namespace))

    async def standings(
        self, *, after: str, count: int, visible: Callable[[str], bool]
    ) -> tuple[list[Standing], bool]:
        """List up to `count` namespaces that have limits of their own or hold something.

        In order of name, those behind `after` for which `visible` holds. Also tells whether
        there are more.
        """
        found: list[Standing] = []
        while len(found) <= count:
            # One more than asked for tells whether there is a next page.
            wanted = count + 1
            names = await self._store.names(after=after, count=wanted)
            seen = [name for name in names if visible(name)]
            accounts = await self._store.accounts(seen)
            found += [
                self._standing(name, account)
                for name, account in zip(seen, accounts, strict=True)
                if not account.is_empty
            ]
            if len(names) < wanted:
                break
            after = names[-1]
        return found[:count], len(found) > count

    async def update(
        self, namespace: str, changes: Mapping[str, int | None], *, etag: str = ""
    ) -> Standing:
        """Change limits by resource, None for the default again; only what `etag` names.

        Limits below what is in use stop new reservations, not what runs.

        Raises:
            errors.Aborted: The limits changed since that etag (ETAG_MISMATCH).
        """
        expected = None
        if etag:
            account = await self._store.account(namespace)
            if self._standing(namespace, account).etag != etag:
                raise _etag_mismatch(namespace)
            expected = account.own_limits
        if not await self._store.update(namespace, changes, expected):
            raise _etag_mismatch(namespace)
        return await self.standing(namespace)

    async def check(self, namespace: str, instance_id: str, amounts: Amounts) -> list[Shortage]:
        """Tell which limits would be in the way of a reservation. Changes nothing."""
        return await self._store.check(namespace, instance_id, amounts, self._defaults())

    async def reserve(self, namespace: str, instance_id: str, amounts: Amounts) -> Reservation:
        """Reserve for an instance, all or nothing, in place of what it holds.

        Raises:
            errors.ResourceExhausted: A limit is in the way of what would grow
                (QUOTA_EXCEEDED); message and metadata say which and by how much.
        """
        outcome = await self._store.reserve(namespace, instance_id, amounts, self._defaults())
        if isinstance(outcome, Reservation):
            return outcome
        raise _refused(namespace, instance_id, outcome)

    async def reserve_all(
        self, asked: Sequence[tuple[str, str, Amounts]]
    ) -> list[Reservation | errors.ResourceExhausted]:
        """Reserve for many in order, each by itself: namespace, instance and amounts of each.

        Gives for each what `reserve` would, the error included.
        """
        outcomes = await self._store.reserve_all(asked, self._defaults())
        return [
            outcome
            if isinstance(outcome, Reservation)
            else _refused(namespace, instance_id, outcome)
            for (namespace, instance_id, _), outcome in zip(asked, outcomes, strict=True)
        ]

    async def release(self, namespace: str, instance_id: str) -> None:
        """Give back what an instance holds, if anything."""
        await self._store.release(namespace, instance_id)

    async def release_all(self, asked: Sequence[tuple[str, str]]) -> None:
        """Give back what many hold, if anything: namespace and instance of each."""
        await self._store.release_all(asked)

    def _standing(self, namespace: str, account: Account) -> Standing:
        default = dict(zip(RESOURCES, self._defaults(), strict=True))
        limits = Amounts(**{**default, **account.own_limits})
        own = [name for name in RESOURCES if name in account.own_limits]
        content = f"{namespace} {' '.join(map(str, limits))} {' '.join(own)}"
        return Standing(
            namespace=namespace,
            limits=limits,
            usage=account.usage,
            reservations=account.reservations,
            is_default=not own,
            update_time=account.update_time if own else None,
            etag=hashlib.sha256(content.encode()).hexdigest()[:16],
        )


def _etag_mismatch(namespace: str) -> errors.Aborted:
    return errors.Aborted(
        "ETAG_MISMATCH",
        f"The limits of namespace {namespace} changed since this etag; read them again",
        metadata={"namespace": namespace},
    )


def _refused(
    namespace: str, instance_id: str, shortages: Sequence[Shortage]
) -> errors.ResourceExhausted:
    """Make the error of a refused reservation, and count it."""
    for shortage in shortages:
        REFUSED.labels(shortage.resource).inc()
    return exceeded(namespace, instance_id, shortages)


def exceeded(
    namespace: str, instance_id: str, shortages: Sequence[Shortage]
) -> errors.ResourceExhausted:
    """Make the error that a reservation with limits in the way is refused with."""
    facts = {
        f"{shortage.resource}.{name}": value
        for shortage in shortages
        for name, value in shortage.facts().items()
    }
    return errors.ResourceExhausted(
        "QUOTA_EXCEEDED",
        f"Quota of namespace {namespace} exceeded: {'; '.join(map(str, shortages))}",
        instance_id=instance_id,
        metadata={
            "namespace": namespace,
            "resources": ",".join(shortage.resource for shortage in shortages),
            **facts,
        },
    )
