"""Many reservations in one call: each succeeds or fails by itself, as it would alone."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from codestudio.quota.v1 import quota_service_pb2 as pb

from services.chassis import errors
from services.chassis.validation import Violations
from services.quota import requests
from services.quota.amounts import Amounts
from services.quota.ledger import Ledger
from services.quota.store import Reservation

MOST = 1000
"""Requests in a batch at most."""

_Request = TypeVar("_Request")
_Asked = TypeVar("_Asked")


async def reserve(
    asked: Sequence[pb.ReserveQuotaRequest], *, ledger: Ledger
) -> list[Reservation | errors.DomainError]:
    """Reserve for each in order; gives one result a request.

    Raises:
        errors.InvalidArgument: There are none or too many.
    """
    read = _read(asked, _reservation)
    good = [one for one in read if not isinstance(one, errors.DomainError)]
    done = iter(await ledger.reserve_all(good))
    return [one if isinstance(one, errors.DomainError) else next(done) for one in read]


async def release(
    asked: Sequence[pb.ReleaseQuotaRequest], *, ledger: Ledger
) -> list[errors.DomainError | None]:
    """Give back for each in order; gives an error a request, or None where it was done.

    Raises:
        errors.InvalidArgument: There are none or too many.
    """
    read = _read(asked, _holder)
    await ledger.release_all([one for one in read if not isinstance(one, errors.DomainError)])
    return [one if isinstance(one, errors.DomainError) else None for one in read]


def _read(
    asked: Sequence[_Request], read: Callable[[Violations, _Request], _Asked]
) -> list[_Asked | errors.DomainError]:
    if not 1 <= len(asked) <= MOST:
        wrong = Violations()
        wrong.add("requests", f"must be 1 to {MOST}, are {len(asked)}")
        wrong.check()
    return [_one(request, read) for request in asked]


def _one(
    request: _Request, read: Callable[[Violations, _Request], _Asked]
) -> _Asked | errors.DomainError:
    wrong = Violations()
    try:
        found = read(wrong, request)
        wrong.check()
    except errors.DomainError as error:
        return error
    return found


def _reservation(wrong: Violations, request: pb.ReserveQuotaRequest) -> tuple[str, str, Amounts]:
    namespace, instance_id = _holder(wrong, request)
    return namespace, instance_id, requests.reservation(wrong, request)


def _holder(
    wrong: Violations, request: pb.ReserveQuotaRequest | pb.ReleaseQuotaRequest
) -> tuple[str, str]:
    namespace = requests.namespace(wrong, "namespace", request.namespace)
    return namespace, requests.instance_id(wrong, "instance_id", request.instance_id)
