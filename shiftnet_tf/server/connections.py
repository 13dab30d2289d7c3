"""Idle connections: each is closed after a time, or when a new client needs its place or memory.

Uvicorn does not limit the time for a header, the time in which a client must read its answer, or the memory of unread
answers; with its own `limit_concurrency`, idle clients keep out new ones.
"""

import json
import math
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECONDS = 10.0  # from a connection, or the first byte of a later request, to the end of the header
READ_SECONDS = 30.0  # in which a client must read some of its answer
LOOK_SECONDS = 1.0  # between two checks of a connection


class Connection(H11Protocol):
    """A connection with limits; `limited` creates the class for Uvicorn.

    Attributes:
        most: maximum number of connections. Above it, the one that has waited longest for its client is closed.
        most_unread: maximum bytes of all unread answers. Above it, the oldest connection with an unread answer is
            closed, if there are several.
    """

    most: int
    most_unread: int
    _open: dict["Connection", None]  # ordered by when they began to wait for a header

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._since = self.loop.time()  # when the client became idle
        self._unread = 0
        self._begun = True  # whether a header is due: not between two requests, before the first byte
        self._open[self] = None
        if len(self._open) > self.most and not self._make_room():
            transport.write(_answer(503, "Service Unavailable", "too many connections"))
            self._open.pop(self)
            transport.close()
        self._look_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._look.cancel()
        self._open.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._waits_for_header and not self._begun:
            self._begun, self._since = True, self.loop.time()
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._begun, self._since = False, self.loop.time()
        if self in self._open:
            self._open[self] = self._open.pop(self)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse malformed HTTP, if the client can still be answered."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.write(_answer(400, "Bad Request", "malformed HTTP request"))
        self.transport.close()

    @property
    def _waits_for_header(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _make_room(self) -> bool:
        """Close the connection that has waited longest for its client; return whether there was one."""
        for other in self._open:
            if other is not self and (other._waits_for_header or other.cycle.more_body):
                self._open.pop(other)
                other.transport.abort()
                return True
        return False

    def _look_later(self) -> None:
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_at_client)

    def _look_at_client(self) -> None:
        """Close the connection if its client was idle for too long, or its answer must make room for others."""
        now, unread = self.loop.time(), self.transport.get_write_buffer_size()
        if unread != self._unread:
            self._unread, self._since = unread, now
        if now - self._since > self._patience or self._holds_memory_of_others:
            self.transport.abort()
        else:
            self._look_later()

    @property
    def _patience(self) -> float:
        """Seconds in which the client must act."""
        if self._unread:
            return READ_SECONDS
        if self._waits_for_header and self._begun:
            return HEADER_SECONDS
        return math.inf  # other limits apply: to a request, or between two requests

    @property
    def _holds_memory_of_others(self) -> bool:
        """Whether too many bytes are unread, and this client has had the most time to read its answer."""
        readers = [other for other in self._open if other._unread]
        is_oldest = len(readers) > 1 and readers[0] is self
        return is_oldest and sum(other._unread for other in readers) > self.most_unread


def limited(most: int, most_unread: int) -> type[Connection]:
    """Return a subclass of `Connection` with one server's limits."""
    return type("LimitedConnection", (Connection,), {"most": most, "most_unread": most_unread, "_open": {}})


def _answer(status: int, phrase: str, text: str) -> bytes:
    """Return a complete answer for a client whose request was not read."""
    body = json.dumps({"error": text})
    head = f"HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n{body}".encode()
