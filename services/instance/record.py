"""What the service knows of one instance. Times are milliseconds since 1970, UTC; 0 is never."""

import dataclasses
import enum
from collections.abc import Mapping


class State(enum.StrEnum):
    """Where an instance is in its life; the contract's InstanceState."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    STOPPED = "STOPPED"
    DELETING = "DELETING"
    FAILING = "FAILING"
    FAILED = "FAILED"


class Desired(enum.StrEnum):
    """What the owner wants it to be."""

    RUNNING = "RUNNING"
    STOPPED = "STOPPED"
    DELETED = "DELETED"


class StopReason(enum.StrEnum):
    """Why it was stopped last."""

    USER = "USER"
    IDLE = "IDLE"
    MAX_LIFETIME = "MAX_LIFETIME"
    FAILED = "FAILED"
    EXITED = "EXITED"


class FailureClass(enum.StrEnum):
    """Who can do something about a failure."""

    USER = "USER"
    CAPACITY = "CAPACITY"
    RUNTIME = "RUNTIME"
    INTERNAL = "INTERNAL"


class Step(enum.StrEnum):
    """A step of a start, in order; the contract's ConditionType."""

    QUOTA = "QUOTA_RESERVED"
    RESOURCES = "RESOURCES_ALLOCATED"
    PATHS = "PATHS_READY"
    WORKLOAD = "WORKLOAD_CREATED"
    EDITOR = "EDITOR_READY"


class Quota(enum.StrEnum):
    """What the quota ledger holds for an instance, as far as its record can tell."""

    UNKNOWN = "UNKNOWN"
    """Somebody is changing it: to be made right before anything relies on it."""
    NONE = "NONE"
    STOPPED = "STOPPED"
    """The instance and its disk."""
    RUNNING = "RUNNING"
    """All of it."""


class Held(enum.StrEnum):
    """What an instance on its way down may still have elsewhere."""

    WORKLOAD = "WORKLOAD"
    PORTS = "PORTS"


EVERYTHING = frozenset(Held)
"""What must be assumed to be held: a start may have been interrupted after any step."""


@dataclasses.dataclass(frozen=True, slots=True)
class Condition:
    """How far one step has come."""

    step: Step
    status: bool
    reason: str
    message: str
    at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """How long an instance may be idle and live. Milliseconds; 0 for without end."""

    idle: int = 0
    lifetime: int = 0


class NoticeReason(enum.StrEnum):
    """Why an instance is said to be in use or not: the reason of the condition IN_USE."""

    IDLE_WARNING = "IdleWarning"
    LIFETIME_WARNING = "LifetimeWarning"
    IN_USE = "InUse"
    """It was used after a warning."""
    CLOCK_RESTARTED = "ClockRestarted"
    """After a warning it could not be told any more whether it was used, or its limits changed."""
    IDLE = "Idle"
    LIFETIME_OVER = "LifetimeOver"


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """What was said last about stopping an instance that nobody asked to stop."""

    reason: NoticeReason
    message: str
    at: int
    stop_at: int = 0
    """When it will be stopped; 0 where this is no warning."""
    since: int = 0
    """From when the limit counts: of a warning the one it is about, of CLOCK_RESTARTED any."""
    limit: int = 0
    """Of a warning: that limit."""

    @property
    def warns(self) -> bool:
        """Whether it is about to be stopped."""
        return bool(self.stop_at)

    @property
    def in_use(self) -> bool:
        """Whether it says that the instance is used."""
        return self.reason in (NoticeReason.IN_USE, NoticeReason.CLOCK_RESTARTED)


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """What was said last about whether a running editor answers."""

    responding: bool
    message: str
    at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """Why a start failed."""

    kind: FailureClass
    step: Step
    code: str
    message: str
    at: int


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    """The ports of an instance, range ends included; zero where it has none."""

    web: int = 0
    callback_first: int = 0
    callback_last: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class InForce:
    """What a workload has of what its instance is to have."""

    cpu: str = ""
    memory: str = ""
    storage: str = ""
    at_next_start: tuple[str, ...] = ()
    """Fields changed since it was started that count from its next start."""


NOTHING_IN_FORCE = InForce()
"""Of an instance without a process or pod."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pending:
    """A change that is still to be told (see `outbox`)."""

    created_at: int
    """When the instance was created that it is about; another may have had the id since."""
    version: int
    kind: str
    """ADDED, MODIFIED or REMOVED."""
    previous_state: str
    """State before it; empty where there was none."""
    previous_desired: str
    """Desired state before it; empty where there was none."""
    body: str
    """The Instance after it, serialised, in base64: the Mongo-wire server of the local stack
    does not keep binary values inside arrays."""
    previous_labels: str = ""
    """Labels before it, as a JSON object; empty where there was no instance, and in changes noted
    by releases that did not have it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One instance."""

    id: str
    uid: str
    """Tells instances apart that had the same id one after the other."""
    owner: str
    namespace: str
    display_name: str = ""
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    cpu: str
    memory: str
    storage: str
    wanted_web_port: int = 0
    """The port its owner asked for; 0 for any."""
    idle_timeout: int | None = None
    """Milliseconds; 0 for never; None for the default."""
    max_lifetime: int | None = None
    """Milliseconds; 0 for never; None for the default."""
    limits: Limits = Limits()
    """Those in force."""

    desired: Desired
    state: State
    conditions: tuple[Condition, ...] = ()
    failure: Failure | None = None
    stop_reason: StopReason | None = None
    ports: Ports = Ports()
    revision: int = 0
    """Counts changes of resources and environment."""
    applied: int = 0
    """The revision that its workload was last asked for."""
    in_force: InForce = NOTHING_IN_FORCE
    restarts: int = 0
    created_at: int
    updated_at: int = 0
    started_at: int = 0
    """When it began to run, or went on after its editor was gone or silent."""
    run_since: int = 0
    """When this run began, whatever came in between: its lifetime counts from here. 0 until it
    first runs after a start."""
    keep_alive_until: int = 0
    """Until when a lease says that it is used."""
    notice: Notice | None = None
    response: Response | None = None
    """None while it was never silent in this run."""
    version: int = 0
    """Counts changes that clients can see; 0 before admission."""

    rev: int = 1
    """Counts writes: the fence of every conditional write."""
    claim: str = ""
    """Token of the creation that is under way; empty once admitted. Until then the instance is
    hidden: only its id is taken."""
    claimed_at: int = 0
    request_key: str = ""
    """Owner and request_id of its creation; unique."""
    request_hash: str = ""
    """Fingerprint of that request's body."""
    quota: Quota = Quota.UNKNOWN
    start_mark: int = 0
    """When a call to start it began to change what the ledger holds; 0 when that is over. Until
    then, or until the call must have died, nobody else makes the ledger right: the call may
    come last."""
    resize_mark: int = 0
    """The same for a call to change its resources, which reserves other amounts than the record
    tells."""
    held: frozenset[Held] = frozenset()
    """On the way down: what has not been given back yet."""
    progress_at: int = 0
    """When a start last came further; budgets count from here."""
    hold_until: int = 0
    """Not to be started again before this: it keeps ending."""
    exits: tuple[int, ...] = ()
    """When its editor ended by itself, lately."""
    unusable_port: int = 0
    """A web port something else on the machine listens on."""
    gone: bool = False
    """Deleted; only its last event is still to be told."""
    outbox: tuple[Pending, ...] = ()

    @property
    def admitted(self) -> bool:
        """Whether its creation was accepted."""
        return not self.claim

    @property
    def visible(self) -> bool:
        """Whether clients can see it."""
        return self.admitted and not self.gone

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to do to make it what is wanted, or to try."""
        match self.desired:
            case Desired.RUNNING:
                running = self.state is State.RUNNING and self.applied == self.revision
                return running or self.state is State.FAILED
            case Desired.STOPPED:
                return self.state in (State.STOPPED, State.FAILED)
        return False

    @property
    def active(self) -> bool:
        """Whether the regular look at everything has to include it."""
        down = self.state in (State.STOPPED, State.FAILED)
        at_rest = {State.STOPPED: Quota.STOPPED, State.FAILED: Quota.NONE}
        return (
            not self.visible
            or not down
            or bool(self.outbox)
            or self.quota is not at_rest[self.state]
        )

    @property
    def etag(self) -> str:
        """Changes with every change (AIP-154)."""
        return f"{self.uid[:8]}-{self.version}"

    @property
    def order(self) -> tuple[int, int]:
        """Orders everything that ever was told of this id."""
        return (self.created_at, self.version)

    def condition(self, step: Step) -> Condition | None:
        """Return how far a step has come; None before its instance ever started."""
        return next((one for one in self.conditions if one.step is step), None)

    def reached(self, step: Step) -> bool:
        """Whether a step is reached."""
        found = self.condition(step)
        return found is not None and found.status

    def noting(self, step: Step, status: bool, reason: str, message: str, at: int) -> "Record":
        """Return it with one condition changed; its time moves only with its status."""
        before = self.condition(step)
        since = before.at if before is not None and before.status == status else at
        changed = Condition(step, status, reason, message, since)
        if before == changed:
            return self
        return dataclasses.replace(
            self,
            conditions=tuple(changed if one.step is step else one for one in self.conditions),
        )


def fresh_conditions(at: int) -> tuple[Condition, ...]:
    """Return the conditions of a start that has not begun."""
    return tuple(
        Condition(step, status=False, reason="Waiting", message="", at=at) for step in Step
    )
