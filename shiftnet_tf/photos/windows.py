"""Rectangles of a photo."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A rectangle of a photo.

    Attributes:
        top, left, height, width: pixels.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self) -> int:
        """The first row below the rectangle."""
        return self.top + self.height

    @property
    def right(self) -> int:
        """The first column to the right of the rectangle."""
        return self.left + self.width

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of the rectangle in an array [H, W, ...]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, rows: int, columns: int, limit: "Window") -> "Window":
        """Return the rectangle enlarged by rows and columns on each side, cut off at the sides of `limit`."""
        top, left = max(limit.top, self.top - rows), max(limit.left, self.left - columns)
        bottom, right = min(limit.bottom, self.bottom + rows), min(limit.right, self.right + columns)
        return Window(top, left, bottom - top, right - left)

    def parts(self, height: int, width: int) -> Iterator["Window"]:
        """Yield the parts of the rectangle, each of at most that size, row by row."""
        for top in range(self.top, self.bottom, height):
            for left in range(self.left, self.right, width):
                yield Window(top, left, min(height, self.bottom - top), min(width, self.right - left))

    def within(self, other: "Window") -> "Window":
        """Return the same rectangle, counted from the corner of another one that holds it."""
        return Window(self.top - other.top, self.left - other.left, self.height, self.width)


def bounds(mask: np.ndarray) -> Window | None:
    """Return the smallest window that holds every hole pixel, or None if there is no hole.

    Args:
        mask: [H, W], nonzero = hole.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return Window(top, left, bottom - top, right - left)
