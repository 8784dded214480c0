"""Whose instances a caller may see: the Instance service knows, so it is asked as the caller."""

from codestudio.instance.v1 import instance_service_pb2, instance_service_pb2_grpc

from services.chassis import identity, mesh


class Visibility:
    """Tells whether the current caller may see an instance."""

    def __init__(self, *, channel: mesh.Mesh) -> None:
        self._mesh = channel

    async def check(self, instance_id: str) -> None:
        """Pass where the instance exists and the caller may see it.

        Raises:
            errors.DomainError: What the Instance service answers: INSTANCE_NOT_FOUND,
                INSTANCE_NOT_YOURS, or that it cannot be reached.
        """
        caller = identity.current()
        # A service asks in our name, which sees all; a user, administrators too, in their own.
        token = "" if caller.kind == "service" else caller.token
        stub = self._mesh.stub(instance_service_pb2_grpc.InstanceServiceStub, token=token)
        await stub.GetInstance(instance_service_pb2.GetInstanceRequest(id=instance_id))
