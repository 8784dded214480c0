"""`codestudio quota`."""

from collections.abc import Iterable
from typing import Annotated

import typer

import codestudio
from codestudio.cli import _exit, _output
from codestudio.cli._session import Session, command

app = typer.Typer(no_args_is_help=True, help="What each namespace may use, and what it does.")

Namespace = Annotated[str, typer.Argument(help="Name of the namespace.")]
Instances = Annotated[int | None, typer.Option(help="Instances.", min=0)]
Cpu = Annotated[str | None, typer.Option(help='CPU, such as "8" or "1500m".')]
Memory = Annotated[str | None, typer.Option(help='Memory, such as "16Gi".')]
Storage = Annotated[str | None, typer.Option(help='Disk, such as "100Gi".')]


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
    etag: Annotated[str, typer.Option(help="Only if the limits still have this etag.")] = "",
) -> None:
    """Change the limits that are given; the others stay."""
    if (instances, cpu, memory, storage) == (None,) * 4:
        raise typer.BadParameter("give at least one of --instances, --cpu, --memory, --storage")
    with session.client() as client:
        quota = client.quotas.update(
            namespace, instances=instances, cpu=cpu, memory=memory, storage=storage, etag=etag
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
) -> None:
    """Tell whether so much more would be allowed; exit code 6 if not."""
    with session.client() as client:
        answer = client.quotas.check(
            namespace, instances=instances, cpu=cpu, memory=memory, storage=storage
        )
    session.show(answer.to_dict(), lambda: _answer(answer))
    if not answer:
        raise typer.Exit(_exit.ExitCode.CAPACITY)


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
    _output.table(
        ("RESOURCE", "LIMIT", "USED", "REQUESTED", "EXCEEDED BY"),
        answer.shortages,
    )
