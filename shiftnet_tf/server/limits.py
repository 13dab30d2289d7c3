"""What a server accepts."""

import math
from dataclasses import dataclass

from shiftnet_tf.errors import check
from shiftnet_tf.system.machine import usable_cores

BACKLOG = 64  # connections that are accepted at once, and that the system keeps until then
SECONDS_TO_END = 10  # after the time of a request, in which a server that was told to stop has ended


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a server accepts.

    Attributes:
        bytes: of a request, at most 10 GB.
        pixels: of a photo, at most 179 million.
        seconds: of a request, from its first byte to its answer, at most a day.
        in_flight: requests that are answered at a time, at most 10,000; their bodies are here already.
        connections: at a time, at most 100,000.

    Raises:
        InputError: a limit out of its range.
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
        """Photos that are read, filled and written at a time, each by a process of its own."""
        return min(self.in_flight, 2 * usable_cores())

    @property
    def body_bytes(self) -> int:
        """Bytes of all bodies at a time: those that are coming and those of the requests that are answered."""
        return self.in_flight * self.bytes

    @property
    def answer_bytes(self) -> int:
        """Bytes of all answers at a time that clients have yet to read: two of the largest, pixels and metadata."""
        return 8 * self.pixels + 2 * self.bytes

    @property
    def memory(self) -> int:
        """Bytes that such a process may take, beside what it takes when it starts.

        To parse a body takes up to six times its size, to read a photo at most 16 bytes a pixel.
        """
        return 256 * 2**20 + 6 * self.bytes + 16 * self.pixels

    @property
    def reading_seconds(self) -> int:
        """Seconds of processor time in which a photo and its masks must be read: a quarter of a request's time."""
        return math.ceil(self.seconds / 4)
