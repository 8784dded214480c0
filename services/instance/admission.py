"""Creating instances: accepted or refused at once, and nothing in between survives.

A creation claims the id by a hidden record, reserves quota, then admits the record. Killed

- before the claim: nothing happened;
- between claim and admission: the hidden record is found by a retry of the same request, which
  goes on with it, or else by the reconciler, which releases the reservation and removes it;
- after admission: the instance is there, whether or not its client heard of it.

The reservation is keyed by the id, and only who holds the record's claim may reserve or release
it; so nobody ever touches the reservation of another instance that has the id already.
"""

import asyncio
import dataclasses
import hashlib
import random
import uuid
from collections.abc import Callable
from dataclasses import replace

from codestudio.instance.v1 import instance_pb2

from services.chassis import context, errors, identity
from services.instance import changes, names, times, transitions
from services.instance.lifetimes import Lifetimes
from services.instance.peers import Peers
from services.instance.record import Desired, Quota, Record, State
from services.instance.settings import InstanceSettings
from services.instance.specification import Specification
from services.instance.store import Store, Taken
from services.instance.withdrawal import Withdrawal

REQUEST_KEPT = 24 * 3600 * 1000
"""Milliseconds for which a request_id stands for the instance it made."""

_FIRST_LOOK = 0.01
_LAST_LOOK = 0.2
_NAMES_TRIED = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """Whose creation it is, and how a retry is told from another one."""

    owner: str
    key: str = ""
    """Owner and request_id; empty without one."""
    fingerprint: str = ""
    """Of the body."""


def request(
    caller: identity.Caller, request_id: str, config: instance_pb2.InstanceConfig
) -> Request:
    """Describe a request by its caller, its request_id (may be empty) and its body."""
    if not request_id:
        return Request(caller.subject)
    body = hashlib.sha256(config.SerializeToString(deterministic=True)).hexdigest()
    return Request(caller.subject, f"{caller.subject}:{uuid.UUID(request_id)}", body)


class Admission:
    """Admits instances."""

    def __init__(
        self,
        *,
        store: Store,
        peers: Peers,
        withdrawal: Withdrawal,
        settings: InstanceSettings,
        lifetimes: Lifetimes,
        on_admitted: Callable[[Record], None],
    ) -> None:
        """Prepare.

        Args:
            store: The records.
            peers: For quota.
            withdrawal: Undoes what is refused.
            settings: Limits.
            lifetimes: Limits that an instance does not set itself.
            on_admitted: Called with each record that was admitted.
        """
        self._store = store
        self._peers = peers
        self._withdrawal = withdrawal
        self._takeover = int(settings.claim_takeover_seconds * 1000)
        self._abandon_seconds = settings.claim_abandon_seconds
        self._given_up: set[asyncio.Task[None]] = set()
        self._lifetimes = lifetimes
        self._on_admitted = on_admitted

    async def create(self, asked: Specification, of: Request) -> Record:
        """Create an instance, or return the one this very request created before.

        Raises:
            errors.PermissionDenied: The caller may not use the namespace.
            errors.AlreadyExists: The id is taken (INSTANCE_ALREADY_EXISTS).
            errors.InvalidArgument: The request_id was used with another body
                (REQUEST_ID_REUSED).
            errors.ResourceExhausted: The quota does not allow it (QUOTA_EXCEEDED).
        """
        _check_namespace(asked.namespace)
        record = await self._claim(asked, of)
        if record.admitted:
            return record
        return await self._admit(record)

    async def rehearse(self, asked: Specification, of: Request) -> Record:
        """Check everything that `create` checks; create nothing.

        Returns:
            The instance as it would be.

        Raises:
            errors.DomainError: As `create`.
        """
        _check_namespace(asked.namespace)
        if of.key and (made := await self._made(of)) is not None and made.admitted:
            return made
        present = await self._store.get(asked.id) if asked.id else None
        if present is not None and not present.gone:
            raise _exists(asked.id)
        record = self._new(asked, of, asked.id or names.generate())
        await self._peers.check_quota(record, _level(record))
        return _admitted(record)

    async def _claim(self, asked: Specification, of: Request) -> Record:
        """Take the id; gives a hidden record that is ours, or the one the request made."""
        pause, tried = _FIRST_LOOK, 0
        while True:
            if of.key:
                made = await self._made(of)
                if made is not None and made.admitted:
                    return made
                if made is not None:
                    if taken := await self._take_over(made):
                        return taken
                    pause = await _wait(pause)
                    continue
            record = self._new(asked, of, asked.id or names.generate())
            try:
                await self._store.insert(record)
            except Taken:
                present = await self._store.get(record.id)
                if present is None or (of.key and present.request_key == of.key):
                    # It is this very request's, and found above; or it just went.
                    pause = await _wait(pause)
                    continue
                if not asked.id and tried < _NAMES_TRIED:
                    tried += 1
                    continue
                if claimed := await self._replace(present, record):
                    return claimed
                pause = await _wait(pause)
            else:
                return record

    async def _made(self, of: Request) -> Record | None:
        """Return the record this request made, if it is not too long ago."""
        made = await self._store.of_request(of.key)
        if made is None or made.gone:
            return None
        since = made.created_at if made.admitted else made.claimed_at
        if made.admitted and times.now() - since > REQUEST_KEPT:
            await self._store.update(made, replace(made, request_key="", request_hash=""))
            return None
        if made.request_hash != of.fingerprint:
            raise errors.InvalidArgument(
                "REQUEST_ID_REUSED",
                "request_id: was used within 24 hours for another config; use a new one",
                instance_id=made.id,
                violations=[
                    errors.Violation("request_id", "was used within 24 hours for another config")
                ],
            )
        return made

    async def _take_over(self, hidden: Record) -> Record | None:
        """Go on with a creation that hangs; None if it does not yet, or somebody else did."""
        if times.now() - hidden.claimed_at < self._takeover:
            return None
        ours = replace(hidden, claim=str(uuid.uuid4()), claimed_at=times.now())
        return await self._store.update(hidden, ours)

    async def _replace(self, present: Record, record: Record) -> Record | None:
        """Take an id from a record that is as good as not there; None to look again."""
        if present.visible:
            raise _exists(record.id)
        if present.gone:
            # Only its last event is still to be told; it goes before ours.
            after = replace(
                record,
                outbox=present.outbox,
                created_at=max(record.created_at, present.created_at + 1),
            )
            try:
                return await self._store.update(present, after)
            except Taken:
                return None  # a retry of this request was faster, under another name
        if times.now() - present.claimed_at >= self._takeover:
            await self._withdrawal.withdraw(present)
        return None

    async def _admit(self, record: Record) -> Record:
        try:
            await self._peers.reserve_quota(record, _level(record))
        except asyncio.CancelledError:
            self._give_up(record)
            raise
        except errors.DomainError:
            await asyncio.shield(self._give_up(record))
            raise
        stored = await self._store.update(record, _admitted(record))
        if stored is None:
            raise errors.Aborted(
                "CREATION_LOST",
                "The creation took too long and was withdrawn; try again",
                instance_id=record.id,
            )
        self._on_admitted(stored)
        return stored

    def _give_up(self, record: Record) -> "asyncio.Task[None]":
        """Leave nothing behind, even where the caller has gone or waits no longer."""
        task = asyncio.create_task(self._withdraw(record), name=f"withdraw {record.id}")
        self._given_up.add(task)
        task.add_done_callback(self._given_up.discard)
        return task

    async def _withdraw(self, record: Record) -> None:
        """Withdraw. Where that fails the reconciler does it, a little later."""
        try:
            with context.scope("withdraw creation", seconds=self._abandon_seconds):
                await self._withdrawal.withdraw(record)
        except Exception as error:
            if isinstance(errors.from_exception(error), errors.Internal):
                raise

    def _new(self, asked: Specification, of: Request, instance_id: str) -> Record:
        now = times.now()
        return Record(
            id=instance_id,
            uid=uuid.uuid4().hex,
            owner=of.owner,
            namespace=asked.namespace,
            display_name=asked.display_name,
            labels=asked.labels,
            environment=asked.environment,
            cpu=asked.cpu,
            memory=asked.memory,
            storage=asked.storage,
            wanted_web_port=asked.web_port,
            idle_timeout=asked.idle_timeout,
            max_lifetime=asked.max_lifetime,
            limits=self._lifetimes.limits(asked.namespace, asked.idle_timeout, asked.max_lifetime),
            desired=asked.desired,
            state=State.PENDING,
            created_at=now,
            claim=str(uuid.uuid4()),
            claimed_at=now,
            request_key=of.key,
            request_hash=of.fingerprint,
        )


def _admitted(record: Record) -> Record:
    now = max(times.now(), record.created_at)
    return changes.note(record, transitions.admitted(record, now), now)


def _level(record: Record) -> Quota:
    return Quota.STOPPED if record.desired is Desired.STOPPED else Quota.RUNNING


def _check_namespace(namespace: str) -> None:
    if not identity.current().may_use_namespace(namespace):
        raise errors.PermissionDenied(
            "NAMESPACE_DENIED",
            f"You may not use namespace {namespace}",
            metadata={"namespace": namespace},
        )


def _exists(instance_id: str) -> errors.AlreadyExists:
    return errors.AlreadyExists(
        "INSTANCE_ALREADY_EXISTS",
        f"There is an instance {instance_id} already; choose another id",
        instance_id=instance_id,
    )


async def _wait(pause: float) -> float:
    await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - jitter
    return min(_LAST_LOOK, pause * 2)
