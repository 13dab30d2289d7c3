"""Read the bodies of requests, in limited memory."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator

from starlette.requests import ClientDisconnect, Request

from shiftnet_tf.server.responses import CLIENT_GONE, RequestError

_DRAIN_BYTES, _DRAIN_SECONDS = 64_000_000, 10


class Bodies:
    """Counts the bytes of all bodies that the server holds.

    Above the limit it cancels the oldest body that is still arriving, so that a slow client keeps nobody else out.

    Args:
        most: maximum number of bytes.
    """

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._sizes: dict[asyncio.Timeout, int] = {}  # of the bodies that are counted
        self._coming: dict[asyncio.Timeout, None] = {}  # still arriving, oldest first

    @contextlib.contextmanager
    def one(self, patience: asyncio.Timeout) -> Iterator[Callable[[int], None]]:
        """Count a body during its request; `patience` expires if it must go. Yields a function to add its bytes."""

        def took(number: int) -> None:
            if patience not in self._sizes:  # it was cancelled, and ends soon
                return
            self._sizes[patience] += number
            self._held += number
            while self._held > self._most and self._coming:
                first = next(iter(self._coming))
                self._forget(first)
                if not first.expired():
                    first.reschedule(0)

        self._sizes[patience] = 0
        self._coming[patience] = None
        try:
            yield took
        finally:
            self._forget(patience)

    def keep(self, patience: asyncio.Timeout) -> None:
        """Keep a body until its request is answered."""
        self._coming.pop(patience, None)

    def _forget(self, patience: asyncio.Timeout) -> None:
        self._coming.pop(patience, None)
        self._held -= self._sizes.pop(patience, 0)


async def drain(request: Request) -> None:
    """Discard the body of a request: most clients send it all before they read why it is refused."""
    received = 0
    if "expect" in request.headers:  # this one waits
        return
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for part in request.stream():
                received += len(part)
                if received > _DRAIN_BYTES:
                    return


async def read_body(request: Request, limit: int, took: Callable[[int], None]) -> bytearray:
    """Read the body of a request, never keeping more than `limit` bytes.

    The rest of a body that is up to four times as long is read and discarded, so that a client that sends before it
    reads gets the answer. A longer one is not read further.

    Args:
        request: whose body is read.
        limit: bytes.
        took: called with the number of bytes added to those kept.

    Raises:
        RequestError: 413: the body is longer; 499: the client disconnected.
    """
    too_long = RequestError(413, f"the request is larger than {limit / 1e6:g} MB", {"Connection": "close"})
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > 4 * limit:
        raise too_long
    body, received = bytearray(), 0
    try:
        async for part in request.stream():
            received += len(part)
            if received > 4 * limit:
                break
            if received <= limit:
                body += part
                took(len(part))
    except ClientDisconnect as error:
        raise RequestError(CLIENT_GONE, "the client disconnected") from error
    if received > limit:
        raise too_long
    return body
