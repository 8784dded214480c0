"""Exit codes, and how an error is told."""

import enum
import sys

import rich.console
import rich.text

import codestudio


class ExitCode(enum.IntEnum):
    """What a program can tell from how the command ended."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    CONFLICT = 5
    CAPACITY = 6
    UNAVAILABLE = 7
    FAILED = 8
    TIMEOUT = 124
    INTERRUPTED = 130


HELP = (
    "Exit codes: 0 done; 1 error; 2 wrong usage or request; 3 not found; 4 refused: token or "
    "permission; 5 conflict: exists, changed meanwhile, or not in this state; 6 quota or "
    "capacity; 7 gateway or service unavailable; 8 an instance failed to start; 124 timeout; "
    "130 interrupted."
)

_BY_CLASS: tuple[tuple[type[codestudio.CodeStudioError], ExitCode], ...] = (
    (codestudio.NotConfigured, ExitCode.USAGE),
    (codestudio.InvalidArgument, ExitCode.USAGE),
    (codestudio.OutOfRange, ExitCode.USAGE),
    (codestudio.NotFound, ExitCode.NOT_FOUND),
    (codestudio.Unauthenticated, ExitCode.REFUSED),
    (codestudio.PermissionDenied, ExitCode.REFUSED),
    (codestudio.InstanceFailed, ExitCode.FAILED),
    (codestudio.AlreadyExists, ExitCode.CONFLICT),
    (codestudio.Aborted, ExitCode.CONFLICT),
    (codestudio.FailedPrecondition, ExitCode.CONFLICT),
    (codestudio.ResourceExhausted, ExitCode.CAPACITY),
    (codestudio.Unavailable, ExitCode.UNAVAILABLE),
    (codestudio.DeadlineExceeded, ExitCode.TIMEOUT),
)


def code_of(error: codestudio.CodeStudioError) -> ExitCode:
    """Give the exit code of an error."""
    if isinstance(error, codestudio.InstanceFailed) and error.failure_class == "CAPACITY":
        return ExitCode.CAPACITY
    return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), ExitCode.ERROR)


def tell(error: codestudio.CodeStudioError) -> None:
    """Tell a person what went wrong: one block on standard error."""
    lines = [f"  {field}: {description}" for field, description in error.violations]
    if isinstance(error, codestudio.InstanceFailed) and error.step:
        lines.append(f"  step: {error.step}, to be mended by: {_MENDED_BY[error.failure_class]}")
    if error.metadata and not isinstance(error, codestudio.InstanceFailed):
        lines.append("  " + ", ".join(f"{k}={v}" for k, v in sorted(error.metadata.items())))
    # Who never got through need not look for the request in a log.
    if error.request_id and error.code != "GATEWAY_UNREACHABLE":
        lines.append(f"  request id: {error.request_id}")
    console = rich.console.Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(
        rich.text.Text.assemble(
            ("error", "bold red"), " ", (error.code, "bold"), f": {error.message}"
        )
    )
    for line in lines:
        console.print(rich.text.Text(line, style="dim"))
    sys.stderr.flush()


_MENDED_BY = {
    "USER": "the owner",
    "CAPACITY": "time, or an administrator",
    "RUNTIME": "an administrator",
    "INTERNAL": "the makers of CodeStudio",
    "UNSPECIFIED": "nobody known",
}
