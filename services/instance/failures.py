"""What an error of another service, or of an editor, means for a start."""

import dataclasses
import enum

from services.chassis import errors
from services.instance.record import FailureClass


class Cure(enum.Enum):
    """What may help."""

    WAIT = enum.auto()
    """A part is away. Not the start's fault: its budget does not run meanwhile."""
    RETRY = enum.auto()
    """Trying again until the step's budget is used up."""
    OTHER_PORT = enum.auto()
    """Another port range: something else on the machine listens there."""
    NONE = enum.auto()
    """Nothing that we could do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """How to go on after an error."""

    cure: Cure
    kind: FailureClass
    """Whose fault it is, should it end the start."""
    reason: str
    """CamelCase reason for the condition of the step."""


_BY_CODE = {
    "EDITOR_NOT_INSTALLED": Verdict(Cure.NONE, FailureClass.RUNTIME, "EditorNotInstalled"),
    "PORT_IN_USE": Verdict(Cure.OTHER_PORT, FailureClass.CAPACITY, "PortInUse"),
    "PORTS_EXHAUSTED": Verdict(Cure.RETRY, FailureClass.CAPACITY, "PortsExhausted"),
    "QUOTA_EXCEEDED": Verdict(Cure.NONE, FailureClass.CAPACITY, "QuotaExceeded"),
}

AWAY = Verdict(Cure.WAIT, FailureClass.INTERNAL, "ServiceUnavailable")
"""A part cannot be reached."""

_BY_ERROR: tuple[tuple[tuple[type[errors.DomainError], ...], Verdict], ...] = (
    ((errors.Unavailable, errors.DeadlineExceeded, errors.Cancelled), AWAY),
    # Our own token was refused: keys are being replaced, or clocks differ.
    ((errors.Unauthenticated,), AWAY),
    ((errors.ResourceExhausted,), Verdict(Cure.RETRY, FailureClass.CAPACITY, "NoCapacity")),
    (
        (errors.InvalidArgument, errors.AlreadyExists, errors.OutOfRange),
        Verdict(Cure.NONE, FailureClass.USER, "Refused"),
    ),
    (
        (errors.FailedPrecondition, errors.NotFound),
        Verdict(Cure.NONE, FailureClass.RUNTIME, "Refused"),
    ),
)
_UNFORESEEN = Verdict(Cure.RETRY, FailureClass.INTERNAL, "Error")


def of_error(error: errors.DomainError) -> Verdict:
    """Judge an error that a called service answered."""
    if error.code in _BY_CODE:
        return _BY_CODE[error.code]
    for kinds, verdict in _BY_ERROR:
        if isinstance(error, kinds):
            return verdict
    return _UNFORESEEN


def of_exit(code: str) -> Verdict | None:
    """Judge why an editor is not running, by the code the runtime gives; None: it just ended."""
    return _BY_CODE.get(code)
