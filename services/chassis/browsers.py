"""Browsers that are signed in: the cookie of their session, and whose page sent a request."""

from collections.abc import Mapping

from yarl import URL

COOKIE = "codestudio_session"
"""Name of the cookie that holds a user's token; see `cookie_name`."""

_DEFAULT_PORT = 3000


def cookie_name(gateway_url: str) -> str:
    """Give the cookie's name for a gateway: with its port, but for the usual one.

    Cookies are kept by host, not by port: a second stack on a machine would otherwise sign
    its user out of the first.
    """
    port = URL(gateway_url).explicit_port
    return COOKIE if port in {None, _DEFAULT_PORT} else f"{COOKIE}_{port}"


def is_own_page(headers: Mapping[str, str]) -> bool:
    """Tell whether a request's page is on the host the request goes to.

    SameSite=Lax alone is not enough: pages on other ports of one host are the same site.
    """
    origin = headers.get("Origin", "")
    try:
        return bool(origin) and URL(origin).authority == headers.get("Host", "")
    except ValueError:
        return False
