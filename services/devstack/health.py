"""Proofs of health: each speaks the program's own protocol, and fails within a second."""

import json
import socket
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException

import pymongo
import redis as redis_client
from pymongo.errors import PyMongoError
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.devstack import ports

Check = Callable[[], None]
"""Returns when the program does its work; raises UnhealthyError saying why it does not."""

_TIMEOUT = 1.0


class UnhealthyError(Exception):
    """The program does not do its work yet."""


def http(port: int, path: str) -> Check:
    """Check that `GET path` on a loopback port answers 200."""

    def check() -> None:
        connection = HTTPConnection(ports.LOOPBACK, port, timeout=_TIMEOUT)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read(500).decode(errors="replace").strip()
        except (OSError, HTTPException) as error:
            raise UnhealthyError(f"no answer on port {port}: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise UnhealthyError(f"{path} answered {response.status}: {body}")

    return check


def redis(url: str) -> Check:
    """Check that Valkey answers PING, which it refuses while it loads its data."""

    def check() -> None:
        client = redis_client.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),  # the waiting loop is the retry
        )
        try:
            client.ping()
        except redis_client.RedisError as error:
            raise UnhealthyError(str(error)) from error
        finally:
            client.close()

    return check


def nats(port: int) -> Check:
    """Check that NATS answers PING and has JetStream, by its text protocol.

    https://docs.nats.io/reference/reference-protocols/nats-protocol
    """

    def check() -> None:
        try:
            with socket.create_connection((ports.LOOPBACK, port), timeout=_TIMEOUT) as connection:
                stream = connection.makefile("rb")
                greeting = stream.readline()
                connection.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
                answer = stream.readline()
        except OSError as error:
            raise UnhealthyError(f"no answer on port {port}: {error}") from error
        if answer.strip() != b"PONG":
            raise UnhealthyError(f"PING was answered by {answer!r}")
        if not json.loads(greeting.removeprefix(b"INFO ")).get("jetstream"):
            raise UnhealthyError("JetStream is not enabled")

    return check


def mongo(url: str) -> Check:
    """Check that the Mongo-wire server answers the `ping` command."""

    def check() -> None:
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
            url, directConnection=True, serverSelectionTimeoutMS=int(_TIMEOUT * 1000)
        )
        try:
            client.admin.command("ping")
        except PyMongoError as error:
            raise UnhealthyError(str(error)) from error
        finally:
            client.close()

    return check
