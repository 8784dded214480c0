"""A running service follows its configuration, and is never harmed by it."""

from __future__ import annotations  # the stubs' asynchronous twins exist as types only

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any

import aiohttp
import pytest
import redis
from codestudio.config.v1 import config_service_pb2, config_service_pb2_grpc
from google.protobuf import json_format, struct_pb2, timestamp_pb2
from pydantic import Field

from services.chassis import connectors, errors, identity, lifecycle, live, mesh, settings
from services.devstack import ports
from tests import counted, logged
from tests.integration.chassis import parts
from tests.integration.quota.valkey import Valkey

Response = config_service_pb2.WatchConfigurationResponse


class Settings(settings.ServiceSettings):
    """Settings of a service that has one of its own."""

    seats: Annotated[int, settings.Configured("room.seats")] = Field(default=4, ge=1, le=9)
    name: str = "fixed"


class Config(config_service_pb2_grpc.ConfigServiceServicer):
    """The contract of Config, saying what a test gives it."""

    def __init__(self) -> None:
        self.requests: list[config_service_pb2.WatchConfigurationRequest] = []
        self.callers: list[identity.Caller] = []
        self.messages: asyncio.Queue[Response | Exception] = asyncio.Queue()
        self.set_at = timestamp_pb2.Timestamp()

    async def WatchConfiguration(
        self, request: config_service_pb2.WatchConfigurationRequest, context: Any
    ) -> AsyncIterator[Response]:
        self.requests.append(request)
        self.callers.append(identity.current())
        while True:
            message = await self.messages.get()
            if isinstance(message, Exception):
                raise message
            yield message

    def say(self, revision: int, *, changed: bool = True, **values: Any) -> None:
        """Send a configuration, set now or (not `changed`) when the last one was."""
        configuration = config_service_pb2.Configuration(
            service="quota-service",
            values=json_format.ParseDict(values, struct_pb2.Struct()),
            revision=revision,
        )
        if changed:
            self.set_at.GetCurrentTime()
        configuration.update_time.CopyFrom(self.set_at)
        self.messages.put_nowait(
            Response(configuration=configuration, resume_token=f"at {revision}")
        )


@contextlib.asynccontextmanager
async def serving(config: Config, keys: parts.Keys, port: int = 0) -> AsyncIterator[int]:
    """Serve the contract; gives the port."""
    served = lifecycle.Servicer(
        config_service_pb2_grpc.add_ConfigServiceServicer_to_server,
        config,
        "codestudio.config.v1.ConfigService",
    )
    values = parts.configured(
        keys, microservice_name="config-service", port=port, http_port=0, drain_seconds=0.1
    )
    async with lifecycle.running(values, lifecycle.App(grpc=[served])) as running:
        yield running.port


@contextlib.asynccontextmanager
async def following(
    keys: parts.Keys, port: int, *, kept: bool = False, **changes: Any
) -> AsyncIterator[live.Live[Settings]]:
    """Run a service that follows its configuration there."""
    values = Settings(
        **{
            **parts.configured(keys).model_dump(),
            "microservice_name": "quota-service",
            "mesh_address": f"127.0.0.1:{port}",
            **changes,
        }
    )
    channel = mesh.Mesh(values)
    store = connectors.Redis(values) if kept else None
    followed = live.Live(values, mesh=channel, redis=store)
    standing = [channel, store] if store else [channel]
    async with lifecycle.running(values, lifecycle.App(connectors=standing, live=followed)):
        yield followed


@pytest.fixture
async def config(keys: parts.Keys) -> AsyncIterator[tuple[Config, int]]:
    config = Config()
    async with serving(config, keys) as port:
        yield config, port


async def test_a_change_is_in_force_as_soon_as_it_is_told(
    keys: parts.Keys, config: tuple[Config, int]
) -> None:
    """All of one configuration at once; what it does not have stays as the service was started."""
    told, port = config
    async with following(keys, port) as followed:
        assert followed.current.seats == 4
        assert not followed.known
        seen: list[int] = []
        followed.subscribe(lambda fresh: seen.append(fresh.seats))
        told.say(1, room={"seats": 5}, port_allocation={"base_port": 9000})
        await parts.until(lambda: followed.revision == 1)
        assert followed.known
        assert (followed.current.seats, followed.current.port_base) == (5, 9000)
        assert (told.callers[0].kind, told.callers[0].subject) == ("service", "quota-service")
        assert told.requests[0].service == "quota-service"
        told.say(2, room={"seats": 6})
        await parts.until(lambda: followed.revision == 2)
        assert (followed.current.seats, followed.current.port_base) == (6, 8000)
        assert seen == [5, 6]


async def test_the_lag_is_of_changes_followed_elsewhere_too(
    keys: parts.Keys, config: tuple[Config, int]
) -> None:
    """Those of a service it follows leave its own revision; those of the base have no time."""
    told, port = config
    async with following(keys, port) as followed:
        told.say(1, room={"seats": 5})
        await parts.until(lambda: followed.current.seats == 5)
        lags = "codestudio_config_reload_lag_seconds_count"
        before = counted.value(lags)
        told.say(1, room={"seats": 6})
        await parts.until(lambda: followed.current.seats == 6)
        assert counted.value(lags) == before + 1
        told.say(1, changed=False, room={"seats": 7})
        told.say(1, changed=False, room={"seats": 8})
        await parts.until(lambda: followed.current.seats == 8)
        assert counted.value(lags) == before + 1


async def test_settings_that_are_not_configured_cannot_be_changed(
    keys: parts.Keys, config: tuple[Config, int]
) -> None:
    """Whatever a configuration says."""
    told, port = config
    async with following(keys, port) as followed:
        told.say(1, name="changed", redis_url="redis://elsewhere", port=1234, room={"seats": 5})
        await parts.until(lambda: followed.revision == 1)
        assert followed.current.name == "fixed"
        assert followed.current.port == 0
        assert followed.current.redis_url.startswith("redis://127.0.0.1")


@pytest.mark.parametrize(
    "bad",
    [
        {"room": {"seats": 10}},
        {"room": {"seats": "many"}},
        {"room": {"seats": 2.5}},
        {"room": {"seats": None}},
        {"resource_limits": {"default_cpu_request": "half"}},
    ],
)
async def test_a_bad_configuration_changes_nothing(
    keys: parts.Keys, config: tuple[Config, int], bad: dict[str, Any]
) -> None:
    """Not even its good part; the next good one is taken again."""
    told, port = config
    rejected = live.RELOADS.labels("rejected")._value.get()
    with logged.logged("quota-service") as written:
        async with following(keys, port) as followed:
            told.say(1, port_allocation={"base_port": 9000}, room={"seats": 5})
            await parts.until(lambda: followed.revision == 1)
            told.say(2, port_allocation={"base_port": 9500}, **bad)
            await parts.until(lambda: live.RELOADS.labels("rejected")._value.get() > rejected)
            assert (followed.current.port_base, followed.current.seats) == (9000, 5)
            told.say(3, port_allocation={"base_port": 9700})
            await parts.until(lambda: followed.revision == 3)
            assert followed.current.port_base == 9700
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    (line,) = [one for one in lines if "rejected" in one["message"]]
    (path,) = [f"{section}.{name}" for section, one in bad.items() for name in one]
    assert line["problems"][0].startswith(f"{path}: ")


async def test_a_config_service_that_is_away_harms_nobody(keys: parts.Keys) -> None:
    """The service starts and goes on without it, and follows again where it stood."""
    port = ports.any_free_port()
    async with following(keys, port) as followed:
        first = Config()
        async with serving(first, keys, port):
            first.say(1, room={"seats": 5})
            await parts.until(lambda: followed.revision == 1, 20)
        assert followed.current.seats == 5
        second = Config()
        async with serving(second, keys, port):
            await parts.until(lambda: bool(second.requests), 20)
            assert second.requests[0].resume_token == "at 1"
            assert followed.current.seats == 5
            second.say(2, room={"seats": 6})
            await parts.until(lambda: followed.revision == 2)


async def test_an_error_in_band_begins_anew(keys: parts.Keys, config: tuple[Config, int]) -> None:
    """From the beginning, since the place may be what is wrong; so does a refused watch."""
    told, port = config
    async with following(keys, port) as followed:
        told.say(1, room={"seats": 5})
        told.messages.put_nowait(
            Response(error=errors.to_detail(errors.OutOfRange("WATCH_EXPIRED", "too old")))
        )
        await parts.until(lambda: len(told.requests) == 2)
        assert told.requests[1].resume_token == ""
        told.messages.put_nowait(errors.PermissionDenied("PERMISSION_DENIED", "not yet"))
        await parts.until(lambda: len(told.requests) == 3)
        told.say(2, room={"seats": 6})
        await parts.until(lambda: followed.revision == 2)


async def test_a_subscriber_that_fails_is_alone_in_it(
    keys: parts.Keys, config: tuple[Config, int]
) -> None:
    """The others are told, and the next change reaches all."""
    told, port = config
    async with following(keys, port) as followed:
        seen: list[int] = []

        def fail(_: Settings) -> None:
            raise RuntimeError("mine alone")

        followed.subscribe(fail)
        followed.subscribe(lambda fresh: seen.append(fresh.seats))
        told.say(1, room={"seats": 5})
        told.say(2, room={"seats": 6})
        await parts.until(lambda: seen == [5, 6])


async def test_metrics_can_be_switched_off(keys: parts.Keys, config: tuple[Config, int]) -> None:
    """And on again, without a restart."""
    told, port = config
    http_port = ports.any_free_port()
    url = f"http://127.0.0.1:{http_port}/metrics"
    async with (
        following(keys, port, http_port=http_port) as followed,
        aiohttp.ClientSession() as session,
    ):
        told.say(1, monitoring={"metrics_enabled": False})
        await parts.until(lambda: followed.revision == 1)
        async with session.get(url) as answer:
            assert answer.status == 404
        told.say(2)
        await parts.until(lambda: followed.revision == 2)
        async with session.get(url) as answer:
            assert answer.status == 200


async def test_the_log_level_follows(keys: parts.Keys, config: tuple[Config, int]) -> None:
    """Lines that were left out are written from then on, and the other way round."""
    told, port = config
    with logged.logged("quota-service") as written:
        async with following(keys, port) as followed:
            logging.getLogger("somebody").debug("before")
            told.say(1, monitoring={"logging_level": "debug"})
            await parts.until(lambda: followed.revision == 1)
            logging.getLogger("somebody").debug("meanwhile")
            told.say(2, monitoring={"logging_level": "error"})
            await parts.until(lambda: followed.revision == 2)
            logging.getLogger("somebody").warning("after")
    messages = [json.loads(line)["message"] for line in written.getvalue().splitlines()]
    assert "meanwhile" in messages
    assert not {"before", "after"} & set(messages)


async def test_one_that_starts_without_config_goes_on_with_the_last(
    keys: parts.Keys, config: tuple[Config, int], own_valkey: Valkey
) -> None:
    """Not with what it was started with; and what may have changed since is not known."""
    told, port = config
    given = {"kept": True, "redis_url": own_valkey.url, "redis_pool_min": 0}
    async with following(keys, port, **given) as followed:
        told.say(3, room={"seats": 7})
        await followed.settle()
        assert followed.current.seats == 7
        await parts.until(lambda: _kept(own_valkey))
    async with following(keys, 1, **given) as followed:
        await followed.settle()
        assert followed.current.seats == 7
        assert not followed.known
    # One that does not answer is no better than none, and its answer counts when it comes.
    async with following(keys, port, **given) as followed:
        await followed.settle()
        assert followed.current.seats == 7
        told.say(4, room={"seats": 8})
        await parts.until(lambda: followed.known)
        assert followed.current.seats == 8


async def test_where_nothing_was_kept_nothing_waits_for_long(
    keys: parts.Keys, own_valkey: Valkey
) -> None:
    """Without Config and Redis, or with an empty one, it is the settings of the start."""
    for url in (own_valkey.url, "redis://127.0.0.1:1/0"):
        async with following(keys, 1, kept=True, redis_url=url, redis_pool_min=0) as followed:
            async with asyncio.timeout(5):
                await followed.settle()
            assert followed.current.seats == 4


async def test_what_was_kept_by_another_release_stops_nothing(
    keys: parts.Keys, own_valkey: Valkey
) -> None:
    """A field this one does not know is passed over; what is no configuration is nothing kept."""
    kept = {"values": {"room": {"seats": 5}}, "revision": 1, "of_tomorrow": True}
    for text, seats in ((json.dumps(kept), 5), ("{", 4)):
        with redis.Redis.from_url(own_valkey.url) as client:
            client.set("settings:quota-service", text)
        changes = {"redis_url": own_valkey.url, "redis_pool_min": 0}
        async with following(keys, 1, kept=True, **changes) as followed:
            async with asyncio.timeout(5):
                await followed.settle()
            assert followed.current.seats == seats


def _kept(server: Valkey) -> bool:
    with redis.Redis.from_url(server.url) as client:
        return bool(client.exists("settings:quota-service"))


def test_a_value_is_read_the_way_it_came() -> None:
    """Structs know doubles only; every field still gets its own type."""
    values = Settings(microservice_name="quota-service", port=0)
    followed = live.Live(values, mesh=mesh.Mesh(values))
    message = config_service_pb2.Configuration()
    json_format.ParseDict({"room": {"seats": 70}}, message.values)
    assert not followed.apply(message)
    assert not followed.known, "what was rejected tells nothing"
    json_format.ParseDict({"room": {"seats": 7}}, message.values)
    assert followed.apply(message)
    assert followed.known, "at revision 0 too: nothing was ever changed"
    assert followed.current.seats == 7
    assert isinstance(followed.current.seats, int)
    assert followed.current.jwks_file == values.jwks_file
