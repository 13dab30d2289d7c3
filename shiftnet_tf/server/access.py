"""Who may use the server: its host names, allowed web pages, and the token.

A web page open in a browser can send requests to every server that the browser reaches, including those on its own
machine. The browser states the origin of each such request (`Origin`); a page whose own name was rebound to the
server's address sends that name (`Host`).
"""

import hmac
import ipaddress
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials as Credentials
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from shiftnet_tf.errors import check
from shiftnet_tf.server.bodies import drain
from shiftnet_tf.server.responses import RequestError, refusal

_BEARER = HTTPBearer(auto_error=False, description="the token that the server was started with")


@dataclass(frozen=True, kw_only=True)
class Access:
    """Who may use a server.

    Attributes:
        hosts: its host names, besides its addresses, `localhost` and the machine's name; `*.example.org` for all
            subdomains, `*` for any.
        origins: origins of web pages that may use it, besides its own, such as `https://example.org`; `*` for any.
        token: the token that a request needs to use the model or read the metrics; None: no token.

    Raises:
        InputError: an invalid name, origin or token.
    """

    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    token: str | None = None

    def __post_init__(self) -> None:
        for host in self.hosts:
            holds = _is_address(host) or not re.search(r"[:/\s]", host)
            check("--allow-host", host, holds, "a host name such as photos.example.org, without scheme, port or path")
        for origin in self.origins:
            netloc = _netloc(origin)
            is_origin = netloc and re.fullmatch(r"[a-z][a-z0-9+.-]*://" + re.escape(netloc), origin)
            check(
                "--allow-origin",
                origin,
                origin == "*" or is_origin,
                "an origin such as https://example.org, in lower case and without a path",
            )
        if self.token is not None:
            holds = self.token.isascii() and self.token.isprintable() and self.token.strip() == self.token != ""
            check("--token", "(hidden)", holds, "printable ASCII without leading or trailing spaces")

    def knows_host(self, header: str) -> bool:
        """Return whether a `Host` header names this server; an address always does, because it cannot be rebound."""
        if re.search(r"[/?#@\\]", header):  # which a name with a port never contains
            return False
        try:
            parts = urlsplit(f"//{header}")
            name = (parts.hostname or "").rstrip(".")
            _ = parts.port  # raises ValueError unless it is a number
        except ValueError:
            return False
        if _is_address(name) or name in ("localhost", *_names_of_machine()):
            return True
        return any(_fits(name, pattern.lower()) for pattern in self.hosts)

    def knows_origin(self, origin: str, host: str) -> bool:
        """Return whether requests from a web page are accepted: from its own page and allowed ones."""
        return "*" in self.origins or origin in self.origins or _netloc(origin) == host.lower() != ""


def _netloc(origin: str) -> str:
    """Return the name and port of an origin in lower case; "" if it has none, such as `null`."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _names_of_machine() -> tuple[str, str]:
    name = socket.gethostname().lower()
    return name, f"{name}.local"


def _fits(name: str, pattern: str) -> bool:
    return pattern in ("*", name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


class AccessMiddleware:
    """Refuses requests to unknown hosts and from other web pages.

    Args:
        app: the application that it guards.
        access: who may use the server.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on or refuse it."""
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        host, origin = headers.get("host", ""), headers.get("origin")
        if host and not self._access.knows_host(host):  # HTTP/1.0 has none, and no browser uses it
            text = f"unknown host {host[:100]!r}: if that is this server's name, start it with --allow-host"
        elif origin is not None and not self._access.knows_origin(origin, host):
            text = f"web pages from {origin[:100]!r} may not use this server: allow them with --allow-origin"
        else:
            return await self._app(scope, receive, send)
        request = Request(scope, receive)
        await drain(request)
        answer = refusal(request, RequestError(403, text, {"Connection": "close"}))
        await answer(scope, receive, send)


def bearer(token: str) -> Callable[..., object]:
    """Return a FastAPI dependency that refuses requests without the token."""

    async def check_token(request: Request, given: Annotated[Credentials | None, Depends(_BEARER)]) -> None:
        if given is None or not hmac.compare_digest(given.credentials.encode(), token.encode()):
            await drain(request)
            headers = {"WWW-Authenticate": "Bearer", "Connection": "close"}
            raise RequestError(401, "the token is missing or wrong: send `Authorization: Bearer TOKEN`", headers)

    return check_token
