"""Which instance has which port, as the Resource service keeps it in Redis."""

from redis import exceptions

from services.chassis import connectors


class Allocations:
    """The hashes `port_allocations:<instance_id>` of the specification."""

    def __init__(self, redis: connectors.Redis) -> None:
        self._redis = redis

    async def holds(self, instance_id: str, web_port: int) -> bool:
        """Tell whether a port is still an instance's.

        While Redis is away it is: without Redis no port goes to another.
        """
        try:
            port = await self._redis.client.hget(f"port_allocations:{instance_id}", "web_port")
        except exceptions.RedisError:
            return True
        return port == str(web_port)
