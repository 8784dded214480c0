"""The page at `/`: the caller's instances, to open, start and stop them."""

import dataclasses
import datetime

from aiohttp import web
from codestudio.instance.v1 import instance_pb2

from services.chassis import clock, errors
from services.edge import answers, sessions
from services.edge.instances import Instances

_REFRESH_SECONDS = 3

_STEPS = ((86400, "d"), (3600, "h"), (60, "min"))


@dataclasses.dataclass(frozen=True)
class Row:
    """One instance as the page shows it."""

    instance: instance_pb2.Instance
    state: str
    """Such as "running"; also the class its colour hangs on."""
    age: str
    may_open: bool
    may_start: bool
    may_stop: bool


class Console:
    """The pages of a signed-in user."""

    def __init__(self, session: sessions.Sessions, instances: Instances) -> None:
        self._session = session
        self._instances = instances

    def routes(self) -> list[web.RouteDef]:
        """List what is served."""
        return [
            web.get("/", self.index),
            web.post("/console/instances/{id}/start", self.start),
            web.post("/console/instances/{id}/stop", self.stop),
        ]

    async def index(self, request: web.Request) -> web.Response:
        """List the caller's instances; without a session, say how to sign in."""
        try:
            caller = self._session.caller(request)
        except errors.Unauthenticated:
            if not answers.wants_page(request) and "Authorization" in request.headers:
                raise
            return answers.sign_in()
        try:
            found = await self._instances.page(caller, request.query.get("page", ""))
        except errors.Unavailable as error:
            return _unavailable(request, error)
        rows = [_row(one) for one in found.instances]
        moving = any(row.instance.reconciling for row in rows)
        return answers.page(
            "instances.html",
            name=caller.name,
            rows=rows,
            running=sum(row.may_open for row in rows),
            next_page=found.next_page_token,
            refresh=_REFRESH_SECONDS if moving else None,
        )

    async def start(self, request: web.Request) -> web.Response:
        """Start an instance and go back to where the button was."""
        caller, back = self._session.caller(request), await _back(request)
        await self._instances.start(caller, request.match_info["id"])
        return back

    async def stop(self, request: web.Request) -> web.Response:
        """Stop an instance and go back to where the button was."""
        caller, back = self._session.caller(request), await _back(request)
        await self._instances.stop(caller, request.match_info["id"])
        return back


def _unavailable(request: web.Request, error: errors.Unavailable) -> web.Response:
    if not answers.wants_page(request):
        raise error
    return answers.page(
        "message.html",
        503,
        title="The control plane is not reachable",
        message="Editors that are open keep running. This page looks again every three seconds.",
        code=error.code,
        refresh=_REFRESH_SECONDS,
    )


async def _back(request: web.Request) -> web.Response:
    try:
        form = await request.post()
    except (ValueError, LookupError):
        raise errors.InvalidArgument("INVALID_FORM", "The body is not a valid form") from None
    target = form.get("next", "/")
    location = answers.same_site_path(target) if isinstance(target, str) else "/"
    return web.Response(status=303, headers={"Location": location, **answers.SECURITY_HEADERS})


def _row(instance: instance_pb2.Instance) -> Row:
    name = instance_pb2.InstanceState.Name(instance.state)
    state = instance.state
    stopped = {instance_pb2.INSTANCE_STATE_STOPPED, instance_pb2.INSTANCE_STATE_FAILED}
    going = {
        instance_pb2.INSTANCE_STATE_STOPPING,
        instance_pb2.INSTANCE_STATE_DELETING,
        instance_pb2.INSTANCE_STATE_FAILING,
    }
    return Row(
        instance=instance,
        state=name.removeprefix("INSTANCE_STATE_").lower(),
        age=age(clock.now() - instance.create_time.ToDatetime(tzinfo=datetime.UTC)),
        may_open=state == instance_pb2.INSTANCE_STATE_RUNNING,
        may_start=state in stopped,
        may_stop=state not in stopped and state not in going,
    )


def age(elapsed: datetime.timedelta) -> str:
    """Say how long ago, in the largest unit that fits: "3 d", "2 h", "5 min", "now"."""
    seconds = int(elapsed.total_seconds())
    for size, unit in _STEPS:
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return "now"
