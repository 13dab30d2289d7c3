"""The limits of a server."""

import math
from dataclasses import dataclass

from shiftnet_tf.errors import check
from shiftnet_tf.system.machine import usable_cores

BACKLOG = 64  # connections accepted at once, and kept by the system until then
SECONDS_TO_END = 10  # after the time limit of a request, in which a stopping server ends


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The limits of a server.

    Attributes:
        bytes: maximum size of a request, up to 10 GB.
        pixels: maximum size of a photo, up to 179 million.
        seconds: maximum time from the first byte of a request to its answer, up to a day.
        in_flight: maximum number of requests whose bodies have arrived and that are being answered, up to 10,000.
        connections: maximum number at a time, up to 100,000.

    Raises:
        InputError: a limit is out of range.
    """

    bytes: int = 64_000_000
    pixels: int = 50_000_000
    seconds: float = 60.0
    in_flight: int = 32
    connections: int = 512

    def __post_init__(self) -> None:
        for name, value, most in (
            ("bytes", self.bytes, 10**10),
            ("pixels", self.pixels, 179_000_000),
            ("seconds", self.seconds, 86_400),
            ("in_flight", self.in_flight, 10_000),
            ("connections", self.connections, 100_000),
        ):
            check(name, value, 0 < value <= most, f"above 0 and at most {most:,}")

    @property
    def workers(self) -> int:
        """Number of worker processes, each of which reads, fills and writes one photo at a time."""
        return min(self.in_flight, 2 * usable_cores())

    @property
    def body_bytes(self) -> int:
        """Maximum bytes of all bodies: those arriving, and those of requests being answered."""
        return self.in_flight * self.bytes

    @property
    def answer_bytes(self) -> int:
        """Maximum bytes of all unread answers: two of the largest, with pixels and metadata."""
        return 8 * self.pixels + 2 * self.bytes

    @property
    def memory(self) -> int:
        """Bytes that a worker process may use, besides those that it uses at its start.

        Parsing a body takes up to six times its size, reading a photo at most 16 bytes per pixel.
        """
        return 256 * 2**20 + 6 * self.bytes + 16 * self.pixels

    @property
    def reading_seconds(self) -> int:
        """CPU seconds in which a photo and its masks must be read: a quarter of the time limit of a request."""
        return math.ceil(self.seconds / 4)
