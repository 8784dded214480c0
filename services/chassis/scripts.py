"""Lua scripts in Redis, those asked for at about the same time sent as one pipeline.

A command by itself costs this process several times what Redis takes for it: a connection
taken and given back, a write, a read, a wake-up. So what is asked for while as many pipelines
as may be are under way waits and goes out together, and a lone call goes out at once.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any, Self

from redis.exceptions import NoScriptError, RedisError

from services.chassis import connectors, errors, merging

_PIPELINES = 2
"""Pipelines under way at once: while Redis works on one, the next is packed and sent."""

_LONGEST = 256
"""Calls in a pipeline at most, so that no caller waits for a thousand others' answers."""


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """A script: its text, and the name Redis gives it."""

    text: str
    sha: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Make a script of its text."""
        # Not for security: the name Redis itself gives a script.
        return cls(text, hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest())


@dataclasses.dataclass(frozen=True, slots=True)
class Call:
    """One call of a script."""

    script: Script
    keys: Sequence[str]
    """The keys it touches; in a cluster they need to share a hash tag."""
    arguments: Sequence[str | int]

    def command(self, name: str, script: str) -> tuple[str | int, ...]:
        """Give it as Redis wants it."""
        return (name, script, len(self.keys), *self.keys, *self.arguments)


class Scripts:
    """Runs scripts. What is asked for earlier is begun no later, but not told earlier."""

    def __init__(self, *, redis: connectors.Redis) -> None:
        self._redis = redis
        self._merged = merging.Merged[Call, Any](
            self._pipeline,
            name="send scripts",
            at_once=_PIPELINES,
            most=_LONGEST,
            refusal=lambda: errors.Unavailable(
                "REDIS_OVERLOADED",
                f"{merging.WAITING} calls wait for Redis already; try again shortly",
            ),
        )

    async def run(self, call: Call) -> Any:
        """Run a script and give what it returns.

        Raises:
            errors.Unavailable: Too many calls wait already (REDIS_OVERLOADED).
            redis.RedisError: It failed, or Redis cannot be reached.
        """
        return await self._merged.ask(call)

    async def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Run many in order and give what each returns.

        Raises:
            redis.RedisError: One failed; those before it, and maybe others, are done.
        """
        found: list[Any] = []
        for first in range(0, len(calls), _LONGEST):
            for outcome in await self._pipeline(calls[first : first + _LONGEST]):
                if isinstance(outcome, BaseException):
                    raise outcome
                found.append(outcome)
        return found

    async def _pipeline(self, calls: Sequence[Call]) -> list[Any]:
        """Run calls, giving the exception of what failed in its place."""
        outcomes = await self._execute([call.command("EVALSHA", call.script.sha) for call in calls])
        for place, outcome in enumerate(outcomes):
            if isinstance(outcome, NoScriptError):
                # A server that was started anew does not have it; EVAL keeps it there.
                (outcomes[place],) = await self._execute(
                    [calls[place].command("EVAL", calls[place].script.text)]
                )
        return outcomes

    async def _execute(self, commands: Sequence[Sequence[str | int]]) -> list[Any]:
        client: Any = self._redis.client
        if len(commands) == 1:
            try:
                return [await client.execute_command(*commands[0])]
            except RedisError as error:
                return [error]
        pipeline = client.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        found: list[Any] = await pipeline.execute(raise_on_error=False)
        return found
