"""Limit the memory for the bodies of requests."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator


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
