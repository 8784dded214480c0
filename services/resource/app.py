"""Puts the resource service together."""

from codestudio.resource.v1 import resource_service_pb2_grpc, workload_service_pb2_grpc

from services.chassis import connectors, lifecycle, live, mesh
from services.resource.allocator import Allocator
from services.resource.archive import Archive
from services.resource.claims import Claims
from services.resource.instances import Instances
from services.resource.optimizer import Optimizer
from services.resource.reclaim import Reclaim
from services.resource.runtimes.local import LocalRuntime, wards
from services.resource.runtimes.local.activity import Thresholds
from services.resource.samples import History
from services.resource.servicer import ResourceServicer
from services.resource.settings import ResourceSettings
from services.resource.store import Store
from services.resource.usage import Usage
from services.resource.workload_servicer import WorkloadServicer

_LONGEST_GAP = 60.0
"""Seconds between two looks at an instance after which its use in between is unknown: the machine
slept, or was so busy that nobody could have used it."""


def compose(settings: ResourceSettings) -> lifecycle.App:
    """Give the service: its connections, its servicers and its background work."""
    redis = connectors.Redis(settings)
    channel = mesh.Mesh(settings)
    in_force = live.Live(settings, mesh=channel, redis=redis)
    runtime = LocalRuntime(
        container_root=settings.container_root,
        stack_id=settings.stack_id,
        editor_command=settings.editor_command,
        stop_grace=settings.editor_stop_seconds,
        starts_at_once=settings.editor_starts_at_once,
        limits=wards.Policy(
            processors=settings.local_cpu_affinity,
            most_processes=settings.local_process_limit,
            groups=settings.local_cgroups,
        ),
        look_every=settings.limit_look_seconds,
        auto_create_paths=lambda: in_force.current.auto_create_paths,
        thresholds=Thresholds(
            cores=settings.busy_cores,
            editor_cores=settings.idle_editor_cores,
            stretch=settings.busy_stretch_seconds,
            longest_gap=max(_LONGEST_GAP, 4 * settings.usage_sample_seconds),
        ),
        health_every=lambda: in_force.current.health_check_interval,
    )
    allocator = Allocator(
        store=Store(redis=redis, plan=lambda: in_force.current.port_plan),
        plan=lambda: in_force.current.port_plan,
        runtime=runtime,
        unusable_seconds=settings.unusable_port_seconds,
        rest_seconds=settings.released_port_seconds,
        every_seconds=settings.port_reconcile_seconds,
    )
    instances = Instances(mesh=channel)
    reclaim = Reclaim(
        allocator=allocator,
        instances=instances,
        runtime=runtime,
        every_seconds=settings.port_reconcile_seconds,
        unclaimed_seconds=settings.unclaimed_port_seconds,
    )
    history = History(
        resolution=settings.usage_sample_seconds, samples=settings.usage_history_samples
    )
    usage = Usage(
        runtime=runtime,
        archive=Archive(
            redis=redis, samples=history.length, seconds=history.resolution * history.length
        ),
        history=history,
    )
    optimizer = Optimizer(
        instances=instances,
        runtime=runtime,
        usage=usage,
        policy=lambda: in_force.current.rightsizing,
    )
    resource = ResourceServicer(
        allocator=allocator,
        claims=Claims(allocator=allocator, instances=instances, runtime=runtime),
        usage=usage,
        optimizer=optimizer,
        instances=instances,
        runtime=runtime,
        plan=lambda: in_force.current.port_plan,
        default_resources=lambda: in_force.current.default_resources,
        most_resources=lambda: in_force.current.most_resources,
    )
    workload = WorkloadServicer(
        runtime=runtime,
        usage=usage,
        default_resources=lambda: in_force.current.default_resources,
    )
    return lifecycle.App(
        grpc=[
            lifecycle.Servicer(
                resource_service_pb2_grpc.add_ResourceServiceServicer_to_server,
                resource,
                "codestudio.resource.v1.ResourceService",
            ),
            lifecycle.Servicer(
                workload_service_pb2_grpc.add_WorkloadServiceServicer_to_server,
                workload,
                "codestudio.resource.v1.WorkloadService",
            ),
        ],
        connectors=[redis, channel],
        live=in_force,
        tasks={
            "runtime": runtime.run,
            "compare port allocations": allocator.run,
            "compare port ranges with instances": reclaim.run,
            "sample usage": usage.run,
        },
    )
