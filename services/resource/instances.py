"""What the Instance service tells of instances: whose they are, how large, in which state."""

from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

from services.chassis import errors, identity
from services.chassis import mesh as mesh_module

_PAGE = 1000
_DOWN = frozenset({instance_pb2.INSTANCE_STATE_STOPPED, instance_pb2.INSTANCE_STATE_FAILED})


class Instances:
    """Asks the Instance service. Everything raises `errors.DomainError` as it answers."""

    def __init__(self, *, mesh: mesh_module.Mesh) -> None:
        self._mesh = mesh

    async def visible(
        self, *, instance_id: str = "", namespace: str = ""
    ) -> dict[str, instance_pb2.Instance]:
        """Give the instances the current caller may see, by id.

        Args:
            instance_id: Only this instance.
            namespace: Only this namespace.

        Raises:
            errors.NotFound: There is no instance `instance_id`.
            errors.PermissionDenied: It is somebody else's.
        """
        stub = self._as_caller()
        if not instance_id:
            return await _list(stub, namespace)
        found = await stub.GetInstance(instance_service_pb2.GetInstanceRequest(id=instance_id))
        return {found.id: found} if namespace in ("", found.namespace) else {}

    async def all(self) -> dict[str, instance_pb2.Instance]:
        """Give every instance, by id: all of them or an error."""
        return await _list(self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub), "")

    async def find(self, instance_id: str) -> instance_pb2.Instance | None:
        """Give one instance, whosever it is; None where there is none."""
        stub = self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub)
        request = instance_service_pb2.GetInstanceRequest(id=instance_id)
        try:
            return await stub.GetInstance(request)
        except errors.NotFound:
            return None

    async def read(self, instance_id: str) -> instance_pb2.Instance:
        """Give one instance the current caller may see."""
        request = instance_service_pb2.GetInstanceRequest(id=instance_id)
        return await self._as_caller().GetInstance(request)

    async def update(
        self, request: instance_service_pb2.UpdateInstanceRequest
    ) -> instance_pb2.Instance:
        """Change an instance as the current caller."""
        return await self._as_caller().UpdateInstance(request)

    def _as_caller(self) -> "instance_service_pb2_grpc.InstanceServiceAsyncStub":
        caller = identity.current()
        token = caller.token if caller.kind == "user" else ""
        return self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub, token=token)


def is_down(instance: instance_pb2.Instance) -> bool:
    """Whether an instance is at rest: it has neither ports nor a process."""
    return instance.state in _DOWN


def state_name(instance: instance_pb2.Instance) -> str:
    """Give the name of an instance's state without its prefix."""
    return instance_pb2.InstanceState.Name(instance.state).removeprefix("INSTANCE_STATE_")


async def _list(
    stub: "instance_service_pb2_grpc.InstanceServiceAsyncStub", namespace: str
) -> dict[str, instance_pb2.Instance]:
    found: dict[str, instance_pb2.Instance] = {}
    condition = f'namespace = "{namespace}"' if namespace else ""
    token = ""
    while True:
        page = await stub.ListInstances(
            instance_service_pb2.ListInstancesRequest(
                page_size=_PAGE, page_token=token, filter=condition
            )
        )
        found.update((one.id, one) for one in page.instances)
        token = page.next_page_token
        if not token:
            return found
