"""Who may reach an editor, and where it is: Envoy's question about every request to `/i/…`."""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable

from aiohttp import web
from codestudio.instance.v1 import instance_pb2

from services.chassis import errors
from services.edge import answers, sessions
from services.edge.instances import Instances

UPSTREAM = "x-envoy-original-dst-host"
"""Header by which we name the editor's address to Envoy (ORIGINAL_DST cluster)."""

STATUS = "x-codestudio-status"
"""Header that holds the status Envoy's filter gives the client instead of ours."""

_REMOVE = "x-envoy-auth-headers-to-remove"
_PREFIX = "/authz/"
_PATH = re.compile(r"/authz/i/(?P<id>[a-z][a-z0-9-]*)/.*", re.DOTALL)

_ON_THE_WAY = frozenset({instance_pb2.INSTANCE_STATE_PENDING, instance_pb2.INSTANCE_STATE_STARTING})
_STATES = {
    instance_pb2.INSTANCE_STATE_PENDING: "waits to be started",
    instance_pb2.INSTANCE_STATE_STARTING: "is starting",
    instance_pb2.INSTANCE_STATE_STOPPING: "is being stopped",
    instance_pb2.INSTANCE_STATE_STOPPED: "is stopped",
    instance_pb2.INSTANCE_STATE_DELETING: "is being deleted",
    instance_pb2.INSTANCE_STATE_FAILING: "failed to start",
    instance_pb2.INSTANCE_STATE_FAILED: "failed to start",
}


@web.middleware
async def refusals_for_envoy(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Give refusals in the 500s another status, and the right one in a header.

    Envoy takes a 5xx of ours for a failure to decide and would throw the answer away.
    """
    response = await handler(request)
    if request.path.startswith(_PREFIX) and response.status >= 500:
        response.headers[STATUS] = str(response.status)
        response.set_status(403)
    return response


class Gate:
    """Answers Envoy's ext_authz: 200 lets the request through to the address named."""

    def __init__(self, session: sessions.Sessions, instances: Instances, *, host: str) -> None:
        """Editors listen on `host`, in which ``{id}`` stands for the instance."""
        self._session = session
        self._instances = instances
        self._host = host

    def routes(self) -> list[web.RouteDef]:
        """List what is served: Envoy's question, with the method and path of the request."""
        return [web.route("*", "/authz/{path:.*}", self.check)]

    async def check(self, request: web.Request) -> web.Response:
        """Decide on one request."""
        match = _PATH.fullmatch(request.path)
        if match is None:
            raise errors.NotFound("ROUTE_NOT_FOUND", "There is nothing at this address")
        caller = self._session.caller(request)
        instance = await self._instances.get(caller, match["id"])
        if instance.state != instance_pb2.INSTANCE_STATE_RUNNING:
            return _not_running(request, instance)
        headers = {UPSTREAM: await self._address(instance)}
        cookies = request.headers.get("Cookie", "")
        # The editor's own cookies pass; ours would let the editor act as its user.
        if rest := sessions.without_session(cookies):
            headers["Cookie"] = rest
        elif cookies:
            headers[_REMOVE] = "cookie"
        return web.Response(headers=headers)

    async def _address(self, instance: instance_pb2.Instance) -> str:
        """Give the editor as address:port; Envoy takes no names here."""
        host = self._host.format(id=instance.id, namespace=instance.namespace)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            try:
                found = await asyncio.get_running_loop().getaddrinfo(
                    host, instance.ports.web_port, type=socket.SOCK_STREAM
                )
            except OSError as error:
                raise errors.Unavailable(
                    "EDITOR_UNAVAILABLE", f"The editor's address {host} is not known yet"
                ) from error
            address = ipaddress.ip_address(found[0][4][0])
        bracketed = f"[{address}]" if address.version == 6 else str(address)
        return f"{bracketed}:{instance.ports.web_port}"


def _not_running(request: web.Request, instance: instance_pb2.Instance) -> web.Response:
    on_the_way = instance.state in _ON_THE_WAY
    message = f"{instance.id} {_STATES.get(instance.state, 'is not running')}"
    error: errors.DomainError
    if on_the_way:
        error = errors.Unavailable("INSTANCE_STARTING", message, instance_id=instance.id)
    else:
        error = errors.FailedPrecondition(
            "INSTANCE_NOT_RUNNING",
            message,
            details=instance.failure.message,
            instance_id=instance.id,
            metadata={"state": instance_pb2.InstanceState.Name(instance.state)},
        )
    status = answers.HTTP_STATUSES[error.status]
    if not answers.wants_page(request):
        return answers.envelope(error, status)
    may_start = instance.state in {
        instance_pb2.INSTANCE_STATE_STOPPED,
        instance_pb2.INSTANCE_STATE_FAILED,
    }
    return answers.page(
        "instance.html",
        status,
        instance=instance,
        message=message,
        failure=instance.failure.message if instance.HasField("failure") else "",
        steps=_steps(instance) if on_the_way else [],
        may_start=may_start,
        refresh=None if may_start else 1,
    )


def _steps(instance: instance_pb2.Instance) -> list[tuple[str, bool]]:
    names = {
        instance_pb2.CONDITION_TYPE_QUOTA_RESERVED: "Quota reserved",
        instance_pb2.CONDITION_TYPE_RESOURCES_ALLOCATED: "Ports allocated",
        instance_pb2.CONDITION_TYPE_PATHS_READY: "Directories made",
        instance_pb2.CONDITION_TYPE_WORKLOAD_CREATED: "Editor started",
        instance_pb2.CONDITION_TYPE_EDITOR_READY: "Editor answers",
    }
    reached = {one.type: one.status for one in instance.conditions}
    return [(name, reached.get(kind, False)) for kind, name in names.items()]
