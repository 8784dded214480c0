"""People at browsers, by HTTP."""

from types import TracebackType
from typing import Any, Self

import aiohttp

from tests.integration.envoy.door import Door

PAGE = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
"""What a browser's navigation accepts."""


class Person:
    """A browser's HTTP: cookies, an `Origin` where browsers send one, pages wanted."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.session = aiohttp.ClientSession(
            door.url, cookie_jar=aiohttp.CookieJar(unsafe=True), headers=PAGE
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.session.close()

    async def link(self, subject: str = "ada", next_path: str = "/", **claims: Any) -> str:
        """Get a one-time link as a program would; gives its path and query."""
        async with self.session.post(
            "/auth/links",
            json={"next": next_path},
            headers=self._door.bearer(subject, lifetime=86400, **claims),
        ) as answer:
            assert answer.status == 201, await answer.text()
            url = (await answer.json())["url"]
        assert url.startswith(self._door.url)
        return str(url.removeprefix(self._door.url))

    async def sign_in(self, subject: str = "ada", **claims: Any) -> None:
        """Open a one-time link."""
        link = await self.link(subject, **claims)
        async with self.session.get(link, allow_redirects=False) as answer:
            assert answer.status == 303

    async def get(self, path: str, **options: Any) -> tuple[int, str, aiohttp.ClientResponse]:
        """Open a page; gives status, text and the response."""
        async with self.session.get(path, **options) as answer:
            return answer.status, await answer.text(), answer

    async def press(self, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a form as a button of our own page does."""
        headers = {"origin": self._door.url, **options.pop("headers", {})}
        async with self.session.post(
            path, headers=headers, allow_redirects=False, **options
        ) as answer:
            await answer.read()
            return answer
