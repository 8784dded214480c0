"""A bare grpc.aio server that answers GetInstance with a constant: the ceiling of any server here.

Run as `python -m tests.bench.echo PORT` in a process of its own, as the real service is.
"""

import asyncio
import sys

import grpc
from codestudio.instance.v1 import instance_pb2, instance_service_pb2, instance_service_pb2_grpc


class _Echo(instance_service_pb2_grpc.InstanceServiceServicer):
    async def GetInstance(  # type: ignore[override]  # the stub's base class is both sync and async
        self, request: instance_service_pb2.GetInstanceRequest, context: object
    ) -> instance_pb2.Instance:
        return instance_pb2.Instance(id=request.id, namespace="default", owner="admin")


async def _serve(port: int) -> None:
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    instance_service_pb2_grpc.add_InstanceServiceServicer_to_server(_Echo(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
