"""The instances there are, as the Instance service tells them."""

from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc

from services.chassis import mesh as mesh_module

_PAGE = 1000


class Instances:
    """Reads all instances over the mesh."""

    def __init__(self, *, mesh: mesh_module.Mesh) -> None:
        self._mesh = mesh

    async def all(self, namespace: str = "") -> list[instance_pb2.Instance]:
        """List every instance, or every one of a namespace: all pages or none.

        Raises:
            errors.DomainError: A page could not be read.
        """
        stub = self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub)
        found: list[instance_pb2.Instance] = []
        token = ""
        while True:
            page = await stub.ListInstances(
                instance_service_pb2.ListInstancesRequest(
                    page_size=_PAGE,
                    page_token=token,
                    filter=f'namespace = "{namespace}"' if namespace else "",
                )
            )
            found.extend(page.instances)
            token = page.next_page_token
            if not token:
                return found
