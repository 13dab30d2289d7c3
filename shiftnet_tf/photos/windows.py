"""Rectangles of a photo."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Window:
    """A rectangle of a photo.

    Attributes:
        top, left, height, width: int, pixels.
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def bottom(self):
        return self.top + self.height

    @property
    def right(self):
        return self.left + self.width

    @property
    def slices(self):
        """The index of the rectangle in an array [H, W, ...]."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def grown(self, rows, columns, limit):
        """The rectangle with so many rows and columns more on each side, no further than another one."""
        top, left = max(limit.top, self.top - rows), max(limit.left, self.left - columns)
        bottom, right = min(limit.bottom, self.bottom + rows), min(limit.right, self.right + columns)
        return Window(top, left, bottom - top, right - left)

    def parts(self, height, width):
        """The rectangle in parts of that size at most, row by row: a generator of Window."""
        for top in range(self.top, self.bottom, height):
            for left in range(self.left, self.right, width):
                yield Window(top, left, min(height, self.bottom - top), min(width, self.right - left))

    def within(self, other):
        """The same rectangle, counted from the corner of another one that holds it."""
        return Window(self.top - other.top, self.left - other.left, self.height, self.width)


def bounds(mask):
    """The smallest window that holds every hole pixel.

    Args:
        mask: [H, W], nonzero = hole.

    Returns:
        Window, or None where there is no hole.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(axis=0))
    left, right = int(columns[0]), int(columns[-1]) + 1
    return Window(top, left, bottom - top, right - left)
