"""Whose instances a caller may see: the Instance service knows, so it is asked as the caller."""

from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc

from services.chassis import identity, mesh

_PAGE = 1000


class Visibility:
    """Tells which instances the current caller may see."""

    def __init__(self, *, channel: mesh.Mesh) -> None:
        self._mesh = channel

    async def of_caller(self, *, instance_id: str = "", namespace: str = "") -> set[str] | None:
        """Give the ids of the instances the caller may see; None for all there are.

        Args:
            instance_id: Only this instance.
            namespace: Only this namespace.

        Raises:
            errors.DomainError: What the Instance service answers, such as NOT_FOUND or
                PERMISSION_DENIED for an instance of somebody else's.
        """
        caller = identity.current()
        if caller.sees_all:
            return None
        stub = self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub, token=caller.token)
        if instance_id:
            found = await stub.GetInstance(instance_service_pb2.GetInstanceRequest(id=instance_id))
            return {found.id}
        visible: set[str] = set()
        condition = f'namespace = "{namespace}"' if namespace else ""
        token = ""
        while True:
            page = await stub.ListInstances(
                instance_service_pb2.ListInstancesRequest(
                    page_size=_PAGE, page_token=token, filter=condition
                )
            )
            visible.update(one.id for one in page.instances)
            token = page.next_page_token
            if not token:
                return visible
