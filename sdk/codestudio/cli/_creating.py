"""`codestudio instances create` and `batch-create`."""

import dataclasses
from typing import Annotated, Any

import typer

import codestudio
from codestudio.cli import _config_file, _exit, _output, _progress, _values
from codestudio.cli import _instance_tables as tables
from codestudio.cli._session import Session, command

Wait = Annotated[bool, typer.Option(help="Wait until it is so.")]
WaitTimeout = Annotated[float, typer.Option(help="Most seconds to wait.", min=1)]
File = Annotated[
    str | None,
    typer.Option(
        "--file", "-f", metavar="FILE", help="Description in YAML or JSON; - for standard input."
    ),
]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace whose quota it counts against.")
]
Cpu = Annotated[str | None, typer.Option(help='CPU, such as "500m" or "2".')]
Memory = Annotated[str | None, typer.Option(help='Memory, such as "2Gi".')]
Storage = Annotated[str | None, typer.Option(help='Disk, such as "10Gi".')]
Environment = Annotated[
    list[str] | None, typer.Option("--env", "-e", metavar="K=V", help="Variable for its terminals.")
]
Labels = Annotated[
    list[str] | None, typer.Option("--label", "-l", metavar="K=V", help="Label to filter by.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "create")(create)
    command(app, "batch-create")(batch_create)


def create(
    session: Session,
    id: Annotated[str, typer.Argument(help="Name; left out, one is made.")] = "",  # noqa: A002
    *,
    file: File = None,
    namespace: Namespace = None,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
    env: Environment = None,
    label: Labels = None,
    display_name: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    web_port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port of the editor.")
    ] = None,
    idle_timeout: Annotated[
        str | None, typer.Option(help="Stop it after this long without use: 30m, 8h; 0 for never.")
    ] = None,
    max_lifetime: Annotated[
        str | None, typer.Option(help="Stop it this long after its start; 0 for never.")
    ] = None,
    stopped: Annotated[bool, typer.Option("--stopped", help="Do not start it.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,
    request_id: Annotated[
        str, typer.Option(help="UUID: repeating it returns the same instance.")
    ] = "",
    wait: Wait = True,
    wait_timeout: WaitTimeout = 120,
) -> None:
    """Create an instance and wait until its editor answers."""
    config = _merged(
        _one(file) if file else codestudio.InstanceConfig(),
        id=id or None,
        namespace=namespace,
        resources=_resources(cpu, memory, storage),
        environment=_values.pairs(env or (), "--env"),
        labels=_values.pairs(label or (), "--label"),
        display_name=display_name,
        web_port=web_port,
        idle_timeout=_values.duration_option(idle_timeout),
        max_lifetime=_values.duration_option(max_lifetime),
        desired_state=codestudio.DesiredState.STOPPED if stopped else None,
    )
    fields = {each.name: getattr(config, each.name) for each in dataclasses.fields(config)}
    with session.client() as client:
        instance = client.instances.create(**fields, request_id=request_id, validate_only=dry_run)
        if wait and not dry_run:
            wait_for(instance, instance.desired_state, wait_timeout)
        session.show(instance.to_dict(), lambda: _created(instance, dry_run=dry_run))


def batch_create(
    session: Session,
    *,
    file: File = None,
    count: Annotated[
        int | None, typer.Option(help="How many, instead of a file.", min=1, max=10000)
    ] = None,
    prefix: Annotated[str, typer.Option(help="Names are PREFIX-1, PREFIX-2 …")] = "",
    namespace: Namespace = None,
    cpu: Cpu = None,
    memory: Memory = None,
    storage: Storage = None,
    env: Environment = None,
    label: Labels = None,
    request_id: Annotated[
        str, typer.Option(help="UUID: repeating it returns the same instances.")
    ] = "",
    wait: Wait = False,
    wait_timeout: WaitTimeout = 300,
) -> None:
    """Create many instances, from a file or by number; each succeeds or fails by itself."""
    if bool(file) == bool(count):
        raise typer.BadParameter("give either --file or --count")
    if prefix and not count:
        raise typer.BadParameter("--prefix goes with --count")
    described = (
        _config_file.load(file)
        if file
        else [
            codestudio.InstanceConfig(id=f"{prefix}-{number}" if prefix else "")
            for number in range(1, (count or 0) + 1)
        ]
    )
    configs = [
        _merged(
            config,
            namespace=namespace,
            resources=_resources(cpu, memory, storage),
            environment=_values.pairs(env or (), "--env"),
            labels=_values.pairs(label or (), "--label"),
        )
        for config in described
    ]
    with session.client() as client:
        results = client.instances.batch_create(configs, request_id=request_id)
        if wait:
            for result in results:
                if result.instance:
                    wait_for(result.instance, result.instance.desired_state, wait_timeout)
        _show_batch(session, configs, results)
    errors = [each.error for each in results if each.error]
    if errors:
        raise typer.Exit(_exit.code_of(errors[0]))


def wait_for(
    instance: codestudio.Instance, desired: codestudio.DesiredState | None, timeout: float
) -> None:
    """Wait until an instance is as desired (None: gone), showing its steps."""
    with _progress.following(instance.id) as progress:
        if desired is None:
            instance.wait_until_deleted(timeout=timeout, observe=progress.observe)
        elif desired is codestudio.DesiredState.STOPPED:
            instance.wait_until_stopped(timeout=timeout, observe=progress.observe)
        else:
            instance.wait_until_running(timeout=timeout, observe=progress.observe)


def _created(instance: codestudio.Instance, *, dry_run: bool) -> None:
    if dry_run:
        _output.say("Nothing was created; this would be:")
    tables.instance(instance)
    if instance.state is codestudio.InstanceState.RUNNING:
        _output.say(f"\nOpen it in the browser: codestudio instances open {instance.id}")


def _show_batch(
    session: Session,
    configs: list[codestudio.InstanceConfig],
    results: list[codestudio.BatchResult[codestudio.Instance]],
) -> None:
    created = sum(each.instance is not None for each in results)
    shown = {
        "results": [
            {"instance": each.instance.to_dict()}
            if each.instance
            else {"error": each.error.to_dict() if each.error else {}}
            for each in results
        ],
        "created": created,
        "failed": len(results) - created,
    }

    def rows() -> None:
        _output.table(
            ("ID", "RESULT", "MESSAGE"),
            (
                (each.instance.id, each.instance.state, "")
                if each.instance
                else (config.id, *_failure(each.error))
                for config, each in zip(configs, results, strict=True)
            ),
        )

    session.show(shown, rows)


def _failure(error: codestudio.CodeStudioError | None) -> tuple[str, str]:
    return (error.code, error.message) if error else ("", "")


def _one(path: str) -> codestudio.InstanceConfig:
    configs = _config_file.load(path)
    if len(configs) != 1:
        raise typer.BadParameter(
            f"{path} describes {len(configs)} instances: use batch-create", param_hint="--file"
        )
    return configs[0]


def _resources(cpu: str | None, memory: str | None, storage: str | None) -> dict[str, str]:
    given = {"cpu": cpu, "memory": memory, "storage": storage}
    return {name: value for name, value in given.items() if value is not None}


def _merged(config: codestudio.InstanceConfig, **flags: Any) -> codestudio.InstanceConfig:
    """Put what flags say over what a file says; mappings are joined."""
    changes: dict[str, Any] = {}
    for name, value in flags.items():
        if isinstance(value, dict) and value:
            changes[name] = {**(getattr(config, name) or {}), **value}
        elif value is not None and value != {}:
            changes[name] = value
    return dataclasses.replace(config, **changes)
