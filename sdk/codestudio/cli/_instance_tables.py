"""How instances look to people."""

import datetime
from collections.abc import Iterable

import codestudio
from codestudio.cli import _output

_HEAD = ("ID", "NAMESPACE", "STATE", "CPU", "MEMORY", "PORT", "OWNER", "AGE")


def instances(shown: Iterable[codestudio.Instance]) -> None:
    """Show instances, a line each."""
    _output.table(
        _HEAD,
        (_row(each) for each in shown),
        empty="There are no instances. Make one: codestudio instances create",
    )


def event(type_: str, instance: codestudio.Instance) -> str:
    """Write what happened to an instance in one line, in columns that stay."""
    cells = (
        _output.moment(instance.update_time or instance.create_time) or "-",
        type_.ljust(8),
        instance.state.ljust(9),
        instance.namespace,
        instance.id,
    )
    return "  ".join(cells)


def instance(shown: codestudio.Instance) -> None:
    """Show all of one instance."""
    ports = shown.ports
    failure = shown.failure
    stop_reason = shown.stop_reason
    never = codestudio.StopReason.UNSPECIFIED
    _output.details(
        [
            ("id", shown.id),
            ("name", shown.display_name if shown.display_name != shown.id else ""),
            ("namespace", shown.namespace),
            ("owner", shown.owner),
            ("state", shown.state),
            ("to be", shown.desired_state if shown.reconciling else ""),
            ("failure", f"{failure.code} at {failure.step}: {failure.message}" if failure else ""),
            ("last stopped by", stop_reason if stop_reason is not never else ""),
            ("url", shown.url),
            ("resources", _resources(shown)),
            ("in force", _in_force(shown)),
            ("from next start", ", ".join(shown.pending_fields)),
            ("web port", str(ports.web) if ports else ""),
            ("callback ports", callback_ports(shown)),
            ("labels", _output.mapping(shown.labels)),
            ("environment", _output.mapping(shown.environment)),
            ("idle timeout", _limit(shown.effective_idle_timeout, shown.idle_timeout)),
            ("max lifetime", _limit(shown.effective_max_lifetime, shown.max_lifetime)),
            ("kept alive until", _output.moment(shown.keep_alive_until)),
            ("will be stopped", _output.moment(shown.scheduled_stop_time)),
            ("in use", _said(shown.conditions, codestudio.Step.IN_USE)),
            ("responding", _said(shown.conditions, codestudio.Step.RESPONDING)),
            ("restarts", str(shown.restarts or "")),
            ("created", _output.moment(shown.create_time)),
            ("changed", _output.moment(shown.update_time)),
            ("started", _output.moment(shown.start_time)),
        ]
    )


def status(shown: codestudio.InstanceStatus) -> None:
    """Show where an instance is in its life."""
    failure = shown.failure
    _output.details(
        [
            ("id", shown.id),
            ("state", shown.state),
            ("to be", shown.desired_state),
            ("failure", f"{failure.code} at {failure.step}: {failure.message}" if failure else ""),
            ("will be stopped", _output.moment(shown.scheduled_stop_time)),
            ("changed", _output.moment(shown.update_time)),
        ]
    )
    if shown.conditions:
        print()
        _output.table(
            ("STEP", "REACHED", "REASON", "SINCE", "MESSAGE"),
            (
                (
                    each.step,
                    "yes" if each.reached else "no",
                    each.reason,
                    _output.moment(each.since),
                    each.message,
                )
                for each in shown.conditions
            ),
        )


def ports(shown: Iterable[codestudio.Instance]) -> None:
    """Show instances' ports, a line each."""
    _output.table(
        ("ID", "NAMESPACE", "STATE", "WEB", "CALLBACK"),
        (
            (
                each.id,
                each.namespace,
                each.state,
                str(each.ports.web) if each.ports else "",
                callback_ports(each),
            )
            for each in shown
        ),
        empty="No instance has ports.",
    )


def callback_ports(shown: codestudio.Instance) -> str:
    """Write an instance's callback range."""
    ports = shown.ports
    return f"{ports.callback.start}-{ports.callback.stop - 1}" if ports else ""


def _limit(effective: datetime.timedelta | None, own: datetime.timedelta | None) -> str:
    """Write a limit in force; nothing where there is none and nobody said so."""
    if effective is None:
        return "never" if own is not None else ""
    return str(effective) if own is not None else f"{effective} (default)"


def _said(conditions: Iterable[codestudio.Condition], step: codestudio.Step) -> str:
    return next((one.message for one in conditions if one.step is step), "")


def _resources(shown: codestudio.Instance) -> str:
    resources = shown.resources._asdict()
    return ", ".join(f"{value} {name}" for name, value in resources.items() if value)


def _in_force(shown: codestudio.Instance) -> str:
    """Write what it may use now, where that is not what it is to have."""
    now = shown.effective_resources
    if now is None or now == shown.resources:
        return ""
    return ", ".join(f"{value} {name}" for name, value in now._asdict().items())


def _row(shown: codestudio.Instance) -> tuple[str, ...]:
    return (
        shown.id,
        shown.namespace,
        shown.state,
        str(shown.resources.cpu),
        str(shown.resources.memory),
        str(shown.ports.web) if shown.ports else "",
        shown.owner,
        _output.age(shown.create_time),
    )
