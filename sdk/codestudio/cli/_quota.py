"""`codestudio quota`."""

import enum
from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

import codestudio
from codestudio.cli import _exit, _output
from codestudio.cli._session import Session, command

app = typer.Typer(no_args_is_help=True, help="What each namespace may use, and what it does.")

Namespace = Annotated[str, typer.Argument(help="Name of the namespace.")]
InstanceId = Annotated[str, typer.Argument(metavar="INSTANCE", help="Id of the instance.")]
Instances = Annotated[int | None, typer.Option(help="Instances.", min=0)]
Cpu = Annotated[str | None, typer.Option(help='CPU, such as "8" or "1500m".')]
Memory = Annotated[str | None, typer.Option(help='Memory, such as "16Gi".')]
Storage = Annotated[str | None, typer.Option(help='Disk, such as "100Gi".')]


class _Limit(enum.StrEnum):
    INSTANCES = "instances"
    CPU = "cpu"
    MEMORY = "memory"
    STORAGE = "storage"


@command(app, "get")
def get(session: Session, namespace: Namespace = "default") -> None:
    """Show a namespace's limits and what it uses of them."""
    with session.client() as client:
        quota = client.quotas.get(namespace)
    session.show(quota.to_dict(), lambda: _quota(quota))


@command(app, "set")
def set_(
    session: Session,
    namespace: Namespace,
    *,
    instances: Instances = None,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
    reset: Annotated[
        list[_Limit] | None,
        typer.Option(help="Make a limit the default again; may be given several times."),
    ] = None,
    etag: Annotated[str, typer.Option(help="Only if the limits still have this etag.")] = "",
) -> None:
    """Change the limits that are given; the others stay.

    Example: codestudio quota set team --cpu 4 --reset instances
    """
    if (instances, cpu, memory, storage) == (None,) * 4 and not reset:
        raise typer.BadParameter(
            "give at least one of --instances, --cpu, --memory, --storage, --reset"
        )
    with session.client() as client:
        quota = client.quotas.update(
            namespace,
            instances=instances,
            cpu=cpu,
            memory=memory,
            storage=storage,
            reset=[one.value for one in reset or ()],
            etag=etag,
        )
    session.show(quota.to_dict(), lambda: _quota(quota))


@command(app, "list")
def list_(session: Session) -> None:
    """List the namespaces that have limits of their own or use something."""
    with session.client() as client:
        quotas = client.quotas.list(page_size=1000).all()
    fields = {"quotas": [each.to_dict() for each in quotas], "next_page_token": ""}
    session.show(fields, lambda: _quotas(quotas))


@command(app, "check")
def check(
    session: Session,
    namespace: Namespace = "default",
    *,
    instances: Annotated[int, typer.Option(help="Instances.", min=0)] = 1,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
    instance_id: Annotated[
        str,
        typer.Option(metavar="INSTANCE", help="For this instance, in place of what it holds."),
    ] = "",
) -> None:
    """Tell whether so much more would be allowed; exit code 6 if not.

    Example: codestudio quota check team --instance-id blue-fox --cpu 4
    """
    with session.client() as client:
        answer = client.quotas.check(
            namespace,
            instances=instances,
            cpu=cpu,
            memory=memory,
            storage=storage,
            instance_id=instance_id,
        )
    session.show(answer.to_dict(), lambda: _answer(answer))
    if not answer:
        raise typer.Exit(_exit.ExitCode.CAPACITY)


@command(app, "reserve")
def reserve(
    session: Session,
    namespace: Namespace,
    instance_id: InstanceId,
    *,
    instances: Annotated[int, typer.Option(help="Instances.", min=1)] = 1,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
) -> None:
    """Reserve for an instance, in place of what it holds. For administrators.

    Instances reserve by themselves: this is for mending by hand. What an instance does not
    need, the service takes back within two minutes.

    Example: codestudio quota reserve team blue-fox --cpu 1 --memory 2Gi
    """
    with session.client() as client:
        reservation = client.quotas.reserve(
            namespace, instance_id, instances=instances, cpu=cpu, memory=memory, storage=storage
        )
    session.show(reservation.to_dict(), lambda: _reservation(reservation))


@command(app, "release")
def release(session: Session, namespace: Namespace, instance_id: InstanceId) -> None:
    """Give back what an instance holds, if anything. For administrators.

    What an instance does need, the service reserves again within two minutes.

    Example: codestudio quota release team blue-fox
    """
    with session.client() as client:
        client.quotas.release(namespace, instance_id)
    session.show({}, lambda: _output.say(f"{instance_id} holds nothing of {namespace}"))


@command(app, "reconcile")
def reconcile(
    session: Session,
    namespace: Annotated[str, typer.Argument(help="This namespace only.")] = "",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Repair nothing.")] = False,
) -> None:
    """Compare reservations with instances now and repair what differs. For administrators.

    Example: codestudio quota reconcile --dry-run
    """
    with session.client() as client:
        report = client.quotas.reconcile(namespace, validate_only=dry_run)
    session.show(report.to_dict(), lambda: _report(report))


@command(app, "repairs")
def repairs(
    session: Session,
    namespace: Annotated[str, typer.Argument(help="This namespace only.")] = "",
    *,
    count: Annotated[int, typer.Option(help="Most to show.", min=1, max=1000)] = 100,
) -> None:
    """Show the last repairs of the ledger, newest first. For administrators.

    Example: codestudio quota repairs team --count 10
    """
    with session.client() as client:
        found = client.quotas.repairs(namespace, count=count)
    session.show({"repairs": [each.to_dict() for each in found]}, lambda: _repairs(found))


def _quota(quota: codestudio.Quota) -> None:
    of = " (default limits)" if quota.is_default else ""
    _output.say(f"Namespace {quota.namespace}{of}, instances holding some: {quota.reservations}")
    amounts = zip(quota.usage._fields, quota.usage, quota.limits, strict=True)
    _output.table(
        ("RESOURCE", "USED", "LIMIT"),
        ((name, str(used), str(limit)) for name, used, limit in amounts),
    )


def _quotas(quotas: Iterable[codestudio.Quota]) -> None:
    def cells(quota: codestudio.Quota) -> tuple[str, ...]:
        both = zip(quota.usage, quota.limits, strict=True)
        return (quota.namespace, *(f"{used}/{limit}" for used, limit in both))

    _output.table(
        ("NAMESPACE", "INSTANCES", "CPU", "MEMORY", "STORAGE"),
        map(cells, quotas),
        empty="No namespace has limits of its own or uses anything.",
    )


def _answer(answer: codestudio.QuotaCheck) -> None:
    if answer:
        print("allowed")
        return

    def cells(one: codestudio.QuotaShortage) -> tuple[str, ...]:
        used = f"{one.used} ({one.held} its own)" if one.held else one.used
        return (one.resource, one.limit, used, one.requested, one.exceeded_by)

    _output.table(
        ("RESOURCE", "LIMIT", "USED", "REQUESTED", "EXCEEDED BY"), map(cells, answer.shortages)
    )


def _reservation(reservation: codestudio.Reservation) -> None:
    _output.table(
        ("INSTANCE", "NAMESPACE", "INSTANCES", "CPU", "MEMORY", "STORAGE"),
        [(reservation.instance_id, reservation.namespace, *map(str, reservation.amounts))],
    )


def _report(report: codestudio.Reconciliation) -> None:
    _output.say(
        f"Compared {report.reservations} reservations with {report.instances} instances: "
        f"{len(report.repairs)} differ, {report.applied} repaired"
    )
    if report.repairs:
        _repairs(report.repairs)


def _repairs(found: Sequence[codestudio.QuotaRepair]) -> None:
    def cells(one: codestudio.QuotaRepair) -> tuple[str, ...]:
        return (
            f"{one.time:%Y-%m-%d %H:%M:%SZ}" if one.time else "",
            one.kind.lower(),
            one.namespace,
            one.instance_id or "(usage)",
            _text(one.before),
            _text(one.after),
            one.reason + (f"; not done: {one.withheld}" if one.withheld else ""),
        )

    _output.table(
        ("TIME", "REPAIR", "NAMESPACE", "INSTANCE", "HELD", "HOLDS", "WHY"),
        map(cells, found),
        empty="Nothing was repaired.",
    )


def _text(amounts: codestudio.Amounts | None) -> str:
    return "/".join(map(str, amounts)) if amounts else "nothing"
