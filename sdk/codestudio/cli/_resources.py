"""`codestudio resources`."""

from collections.abc import Iterable
from typing import Annotated

import typer

import codestudio
from codestudio.cli import _output
from codestudio.cli._session import Session, command

app = typer.Typer(
    no_args_is_help=True, help="What instances use, which sizes would fit, and who has which ports."
)

_KIB = 1024.0
Id = Annotated[str, typer.Argument(help="Only this instance; left out: all one may see.")]
InNamespace = Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace.")]


@command(app, "usage")
def usage(
    session: Session,
    id: Id = "",  # noqa: A002
    *,
    namespace: InNamespace = "",
    history: Annotated[
        bool, typer.Option("--history", help="Also the samples of the last hour.")
    ] = False,
) -> None:
    """Show what instances use, and of what.

    Example: codestudio resources usage fox --history
    """
    with session.client() as client:
        shown = client.resources.usage(instance_id=id, namespace=namespace, include_history=history)
    session.show(shown.to_dict(), lambda: _usage(shown, detailed=bool(id)))


@command(app, "optimize")
def optimize(
    session: Session,
    id: Id = "",  # noqa: A002
    *,
    namespace: InNamespace = "",
    apply: Annotated[bool, typer.Option("--apply", help="Change instances to them.")] = False,
) -> None:
    """Recommend sizes that fit what running instances use; with --apply, change to them.

    Example: codestudio resources optimize --namespace team-a --apply
    """
    with session.client() as client:
        found = client.resources.optimize(instance_id=id, namespace=namespace, apply=apply)
    session.show(found.to_dict(), lambda: _optimizations(found))


@command(app, "allocate")
def allocate(
    session: Session,
    id: Annotated[str, typer.Argument(help="Name of the instance.")],  # noqa: A002
    *,
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Its namespace, if there is no such instance.")
    ] = "",
    web_port: Annotated[int, typer.Option(help="First port of the range it wants.", min=0)] = 0,
    cpu: Annotated[str, typer.Option(help='CPU, such as "2" or "500m".')] = "",
    memory: Annotated[str, typer.Option(help='Memory, such as "4Gi".')] = "",
    storage: Annotated[str, typer.Option(help='Disk, such as "20Gi".')] = "",
) -> None:
    """Give an instance its port range, or a name one ahead of its instance; for admins.

    Example: codestudio resources allocate fox --web-port 8300 --cpu 2
    """
    asked = {"cpu": cpu, "memory": memory, "storage": storage}
    with session.client() as client:
        shown = client.resources.allocate(
            id,
            namespace=namespace,
            resources={name: value for name, value in asked.items() if value},
            web_port=web_port,
        )
    session.show(shown.to_dict(), lambda: _allocation(shown))


@command(app, "deallocate")
def deallocate(
    session: Session,
    id: Annotated[str, typer.Argument(help="Name of the instance.")],  # noqa: A002
) -> None:
    """Take back a port range that no instance uses; for admins.

    Example: codestudio resources deallocate fox
    """
    with session.client() as client:
        client.resources.deallocate(id)
    session.show({}, lambda: _output.say(f"{id} has no ports"))


def _usage(shown: codestudio.ResourceUsage, *, detailed: bool) -> None:
    _output.table(
        ("ID", "NAMESPACE", "CPU", "OF", "MEMORY", "OF", "DISK", "OF", "PROCESSES"),
        (
            (
                each.instance_id,
                each.namespace,
                *(f"{each.current.cpu_cores:.2f}", str(each.limits.cpu)),
                *(size(each.current.memory_bytes), str(each.limits.memory)),
                *(size(each.current.storage_bytes), str(each.limits.storage)),
                str(each.processes),
            )
            for each in shown.instances
        ),
        empty="No instance uses anything.",
    )
    used, ranges = shown.port_ranges_used, shown.port_ranges_total
    _output.say(f"Port ranges in use: {used} of {ranges}")
    if detailed:
        for each in shown.instances:
            _limits(each)
    samples = [(each.instance_id, one) for each in shown.instances for one in each.history]
    if samples:
        print()
        _output.table(
            ("ID", "TIME", "CPU", "MEMORY", "DISK", "PROCESSES"),
            (
                (
                    name,
                    _output.moment(one.time),
                    f"{one.cpu_cores:.2f}",
                    size(one.memory_bytes),
                    size(one.storage_bytes),
                    str(one.processes),
                )
                for name, one in samples
            ),
        )


def _limits(shown: codestudio.InstanceUsage) -> None:
    if shown.enforcement:
        print()
        _output.table(
            ("LIMIT", "BY", "HELD BACK", "WHAT IT MEANS"),
            (
                (each.resource, each.means, "yes" if each.limited else "no", each.message)
                for each in shown.enforcement
            ),
        )
    if shown.limit_events:
        print()
        _output.table(
            ("TIME", "LIMIT", "WHAT HAPPENED"),
            (
                (_output.moment(each.time), each.resource, each.message)
                for each in shown.limit_events
            ),
        )


def _optimizations(found: codestudio.OptimizationResult) -> None:
    _output.table(
        ("ID", "RECOMMENDED", "IN USE", "LIMIT", "BETTER", "OUTCOME", "SAMPLES", "MESSAGE"),
        _rows(found.optimizations),
        empty="Every instance fits what it uses, as far as is known.",
    )
    if found.optimizations:
        gain = found.estimated_improvement
        cpu = f"{abs(gain.cpu_cores_freed):g} CPU {_direction(gain.cpu_cores_freed)}"
        memory = f"{size(abs(gain.memory_bytes_freed))} {_direction(gain.memory_bytes_freed)}"
        _output.say(
            f"All together: {cpu}, {memory}; of what is held, {gain.utilization_before:.0%} is in "
            f"use now, and {gain.utilization_after:.0%} then"
        )


def _direction(freed: float) -> str:
    return "more" if freed < 0 else "less"


def _rows(optimizations: Iterable[codestudio.Optimization]) -> Iterable[tuple[str, ...]]:
    for each in optimizations:
        evidence = each.evidence
        yield (
            each.instance_id,
            each.type,
            f"{each.current:.0%}",
            each.current_limit,
            each.recommended_limit,
            each.outcome,
            f"{evidence.samples} in {evidence.window}",
            each.message,
        )


def _allocation(shown: codestudio.ResourceAllocation) -> None:
    callback = shown.ports.callback
    resources = shown.resources._asdict()
    _output.details(
        [
            ("id", shown.instance_id),
            ("namespace", shown.namespace),
            ("web port", str(shown.ports.web)),
            ("callback ports", f"{callback.start}-{callback.stop - 1}"),
            ("resources", ", ".join(f"{value} {name}" for name, value in resources.items())),
            ("allocated", _output.moment(shown.allocated_at)),
        ]
    )


def size(amount: float) -> str:
    """Write bytes for people, in binary units.

    >>> size(0), size(1536), size(3 * 2**30)
    ('0 B', '1.5 KiB', '3.0 GiB')
    """
    units = ["B", "KiB", "MiB", "GiB", "TiB"]
    while amount >= _KIB and len(units) > 1:
        amount /= _KIB
        del units[0]
    return f"{amount:.0f} B" if units[0] == "B" else f"{amount:.1f} {units[0]}"
