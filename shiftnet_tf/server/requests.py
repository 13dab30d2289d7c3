"""Handling around each request: a proxy's prefix, its id, its log line, metrics, headers, unexpected errors."""

import asyncio
import errno
import logging
import re
import secrets
import time
from collections.abc import Collection

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shiftnet_tf.server.log import REQUESTS
from shiftnet_tf.server.metrics import Metrics
from shiftnet_tf.server.responses import RequestError, refusal

_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
}
_SANE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_logger = logging.getLogger(REQUESTS)


class Surroundings:
    """The outermost middleware.

    Args:
        app: the wrapped application.
        metrics: counts the requests.
        paths: paths that are counted by name; all others are counted together.
        root_path: prefix that is removed from each path that has it, so that a proxy may pass it on or remove it.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: Collection[str], root_path: str = "") -> None:
        self._app, self._metrics, self._paths, self._root_path = app, metrics, paths, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["path"].startswith(self._root_path + "/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._root_path)}
        await _Exchange(scope, send).run(self._app, receive, self._metrics, self._paths)


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._started, self._send = time.perf_counter(), send
        self._status, self._bytes = 0, 0
        self._method: str = scope["method"]
        given = Headers(scope=scope).get("x-request-id", "")
        self._id = given if _SANE_ID.fullmatch(given) else secrets.token_hex(8)
        if self._method == "HEAD":
            scope = {**scope, "method": "GET"}
        self._scope = scope
        self._path: str = scope["path"]
        self._state = scope.setdefault("state", {})

    async def run(self, app: ASGIApp, receive: Receive, metrics: Metrics, paths: Collection[str]) -> None:
        """Get the request answered, count it and write its log line."""
        failure: Exception | None = None
        try:
            await app(self._scope, receive, self._pass)
        except asyncio.CancelledError:  # by the server, whose time to stop has run out
            text = "the server stopped before it could answer"
            await self._refuse(receive, RequestError(503, text, {"Connection": "close"}), text)
        except Exception as error:
            failure = error
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            status, what = (507, "the server's disk is full") if full else (500, "internal error")
            said = RequestError(status, f"{what}; request id {self._id}")  # the error itself is only for the log
            await self._refuse(receive, said, f"{type(error).__name__}: {error}")
        label = self._path if self._path in paths else "other"
        seconds = time.perf_counter() - self._started
        metrics.requests.labels(label, str(self._status)).inc()
        if self._status == 200 and self._method == "POST":
            metrics.seconds.labels(label).observe(seconds)
        self._log(seconds, failure)

    async def _pass(self, message: Message) -> None:
        """Send a part of the answer, with the headers common to all answers."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        elif message["type"] == "http.response.body":
            if self._method == "HEAD":
                message = {**message, "body": b""}
            self._bytes += len(message.get("body", b""))
        await self._send(message)

    async def _refuse(self, receive: Receive, said: RequestError, reason: str) -> None:
        """Answer, unless an answer has begun; the reason goes to the log."""
        if self._status == 0:
            await refusal(Request(self._scope), said)(self._scope, receive, self._pass)
        self._state["reason"] = reason

    def _log(self, seconds: float, failure: Exception | None) -> None:
        client = self._scope.get("client")
        request = {
            "request_id": self._id,
            "client": client[0] if client else "-",
            "method": self._method,
            "path": self._path,
            "status": self._status,
            "milliseconds": round(1000 * seconds, 1),
            "bytes": self._bytes,
            "reason": self._state.get("reason", ""),
        }
        level = logging.ERROR if failure else logging.WARNING if self._status >= 500 else logging.INFO
        _logger.log(level, "request", extra={"request": request}, exc_info=failure)
