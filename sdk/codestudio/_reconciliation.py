"""What a comparison of the ledger with the instances found, and what was repaired."""

import datetime
import enum

from codestudio import _amounts, _messages
from codestudio.quota.v1 import quota_service_pb2


class RepairKind(enum.StrEnum):
    """What a repair does."""

    UNSPECIFIED = "UNSPECIFIED"
    RELEASE = "RELEASE"
    RESERVE = "RESERVE"
    RESIZE = "RESIZE"
    RECOUNT = "RECOUNT"


class QuotaRepair(_messages.View[quota_service_pb2.QuotaRepair]):
    """A difference between the ledger and the instances, and what was done about it."""

    @property
    def kind(self) -> RepairKind:
        """What is done."""
        return _messages.name(
            RepairKind, quota_service_pb2.QuotaRepair.Kind, "KIND_", self.proto.kind
        )

    @property
    def namespace(self) -> str:
        """Name of the namespace."""
        return self.proto.namespace

    @property
    def instance_id(self) -> str:
        """The instance; empty where the usage of the whole namespace is wrong."""
        return self.proto.instance_id

    @property
    def before(self) -> _amounts.Amounts | None:
        """What it held, or what the usage was; None for nothing."""
        return _amounts.read(self.proto.before) if self.proto.HasField("before") else None

    @property
    def after(self) -> _amounts.Amounts | None:
        """What it has to hold, or what the usage is; None for nothing."""
        return _amounts.read(self.proto.after) if self.proto.HasField("after") else None

    @property
    def reason(self) -> str:
        """Why, for people."""
        return self.proto.reason

    @property
    def applied(self) -> bool:
        """Whether it was done."""
        return self.proto.applied

    @property
    def withheld(self) -> str:
        """Why it was not done, for people; empty where it was."""
        return self.proto.withheld

    @property
    def time(self) -> datetime.datetime | None:
        """When it was found."""
        return _messages.time(self.proto, "time")


class Reconciliation(_messages.View[quota_service_pb2.ReconcileQuotaResponse]):
    """What a comparison found and did."""

    @property
    def repairs(self) -> tuple[QuotaRepair, ...]:
        """Every difference that both looks saw, in order of namespace and instance."""
        return tuple(QuotaRepair(each) for each in self.proto.repairs)

    @property
    def applied(self) -> int:
        """How many of them were repaired."""
        return self.proto.applied

    @property
    def instances(self) -> int:
        """Instances looked at."""
        return self.proto.instances

    @property
    def reservations(self) -> int:
        """Reservations looked at."""
        return self.proto.reservations
