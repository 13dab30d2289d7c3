"""Masks as shapes: a JSON file of boxes, polygons and strokes.

In pixels of the upright photo, x to the right and y down:

    {"boxes": [[left, top, right, bottom], ...],
     "polygons": [[[x, y], [x, y], [x, y], ...], ...],
     "strokes": [{"points": [[x, y], ...], "width": 40, "erase": false},
                 {"points": [[x, y], ...], "fill": true, "erase": false}, ...]}

Boxes include their left and top edges but not their right and bottom edges. Strokes are drawn after boxes and polygons,
in order: lines with round ends, or filled areas such as a lasso encloses.
"""

import itertools
import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw

from shiftnet_tf.errors import InputError, first_line

# Pixels that may be drawn, besides twenty times those of the photo: about two seconds, in which no other thread runs.
_MOST_WORK = 5e8
_CROSSING = 50  # an edge of a polygon costs as much as this many pixels in each row of the photo


def draw_shapes(shapes: Mapping[str, object], shape: tuple[int, int]) -> np.ndarray:
    """Draw shapes and return the hole that they cover.

    Args:
        shapes: see the top of this file.
        shape: H and W of the upright photo.

    Returns:
        bool [H, W].

    Raises:
        InputError: a shape is invalid; the message names it.
    """
    painter = _Painter(shape)
    for kind, paint in (("boxes", painter.box), ("polygons", painter.polygon), ("strokes", painter.stroke)):
        items = shapes.get(kind, [])
        if not isinstance(items, list):
            raise InputError(f"`{kind}` must be a list. Received: {type(items).__name__!r}")
        for i, item in enumerate(items):
            try:
                paint(item)
            except (TypeError, ValueError, KeyError, OverflowError) as error:
                raise InputError(f"{kind}[{i}] of the mask: {first_line(error)}") from error
    return np.asarray(painter.picture) > 0


class _Painter:
    """Draws shapes; each method takes one as parsed from JSON and raises Python's errors if it is invalid."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.side, self.rows = max(shape), shape[0]
        self.picture = Image.new("L", (shape[1], shape[0]))
        self.draw = ImageDraw.Draw(self.picture)
        self.work_left = _MOST_WORK + 20 * shape[0] * shape[1]

    def box(self, item: object) -> None:
        """Draw `[left, top, right, bottom]`."""
        if not isinstance(item, list) or len(item) != 4:
            raise ValueError("must be [left, top, right, bottom]")
        (left, top), (right, bottom) = self._points([item[:2], item[2:]], 2)
        if right <= left or bottom <= top:
            raise ValueError("right must be greater than left, and bottom greater than top")
        self._work((right - left) * (bottom - top))
        self.draw.rectangle([round(left), round(top), round(right) - 1, round(bottom) - 1], fill=255)

    def polygon(self, item: object, level: int = 255) -> None:
        """Draw `[[x, y], ...]` with its inside."""
        points = self._points(item, 3)
        (left, right), (top, bottom) = ((min(numbers), max(numbers)) for numbers in zip(*points))
        self._work((right - left) * (bottom - top) + _CROSSING * len(points) * self.rows)
        self.draw.polygon(points, fill=level, outline=level)

    def stroke(self, item: object) -> None:
        """Draw or erase a line `{"points": [[x, y], ...], "width": number}` or an area, with `"fill": true`."""
        if not isinstance(item, dict) or "points" not in item or ("width" in item) == (item.get("fill") is True):
            raise ValueError('must be {"points": [[x, y], ...], "width": number}, or "fill": true instead of the width')
        fill = 0 if item.get("erase", False) else 255
        if "width" not in item:
            return self.polygon(item["points"], fill)
        points, width = self._points(item["points"], 1), float(item["width"])
        if not 0 < width <= 2 * self.side:
            raise ValueError(f"the width must be above 0 and at most twice the photo's longer side. Received: {width}")
        last = None
        for x, y in points:  # a round joint; points very close to the last one are skipped
            if last is None or math.dist(last, (x, y)) > width / 8 or (x, y) == points[-1]:
                self._work(width**2)
                self.draw.ellipse([x - width / 2, y - width / 2, x + width / 2, y + width / 2], fill=fill)
                last = x, y
        if len(points) > 1:
            self._work(width * sum(math.dist(a, b) for a, b in itertools.pairwise(points)))
            self.draw.line(points, fill=fill, width=max(1, round(width)))

    def _points(self, points: object, least: int) -> list[tuple[float, float]]:
        if not isinstance(points, list) or len(points) < least:
            raise ValueError(f"must have at least {least} points [x, y]")
        numbers = [(float(x), float(y)) for x, y in points]
        if not all(math.isfinite(number) for point in numbers for number in point):
            raise ValueError("points must be finite numbers")
        far = 4 * self.side  # points further away change nothing inside the photo
        return [(min(max(x, -far), far), min(max(y, -far), far)) for x, y in numbers]

    def _work(self, pixels: float) -> None:
        self.work_left -= 1000 + pixels
        if self.work_left < 0:
            raise InputError("the shapes of the mask would take too long to draw: use fewer, or a mask image")
