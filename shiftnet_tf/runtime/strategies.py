"""Plans for filling a photo of any size with a model of one size: the windows it sees, chosen from the mask alone.

`resize` takes the whole photo as one window. `crop` takes a window of twice the side of each hole (near holes share
one) and, if that is larger than the model, wider windows too: detail comes from the first, colours from all. `tile`
covers each hole with overlapping windows, as small as possible with enough known pixels in each, which suits long, thin
holes. A window is scaled to the model's size, never up if the photo is large enough; overlapping windows are blended.
`auto` chooses for each hole by the measurements in docs/strategies.md.
"""

import math
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from shiftnet_tf.errors import check
from shiftnet_tf.photos.windows import Window, bounds

STRATEGIES = ("auto", "resize", "crop", "tile")

CONTEXT = 2.0  # a crop's side over its hole's: a quarter of the crop is hole, as in the paper's training
WIDER = (1.5, 3.0)  # sides of the wider windows, for colours, over the crop's
TILE_SHARE = 0.25  # the largest share of hole in a tile
TILE_GAIN = 1.25  # `auto` takes tiles if a crop would have to be this many times as large
CELLS = 128  # along the longer side of the grid on which holes are found
MOST_HOLES = 64  # handled one by one; beyond that, near ones are merged


@dataclass(frozen=True)
class Plan:
    """The windows that a photo is filled from.

    Attributes:
        strategy: `"resize"`, `"crop"` or `"tile"`, or `"crop and tile"` if holes differ.
        windows: empty if there is no hole.
        wider: the wider windows around some windows (those of crops), for their colours.
        holes: the bounding boxes of the holes, near ones merged.
        copied: those of `holes` that are filled with copied pixels; None if undecided.
    """

    strategy: str
    windows: tuple[Window, ...]
    wider: dict[Window, tuple[Window, ...]] = field(default_factory=dict)
    holes: tuple[Window, ...] = ()
    copied: tuple[Window, ...] | None = None

    def __str__(self) -> str:
        sides = sorted({max(window.height, window.width) for window in self.windows})
        if not sides:
            return "no hole"
        size = f"{sides[0]}" if len(sides) == 1 else f"{sides[0]} to {sides[-1]}"
        text = f"{self.strategy}, {len(self.windows)} window{'s' * (len(self.windows) > 1)} of {size} pixels"
        if self.copied is None:
            return text
        if 0 < len(self.copied) < len(self.holes):
            return f"{text}, detail: shift map in {len(self.copied)} of {len(self.holes)} holes"
        return f"{text}, detail: {'shift map' if self.copied else 'model'}"


def plan(mask: np.ndarray, image_size: int, strategy: str = "auto") -> Plan:
    """Choose the windows for a mask; each hole pixel is in at least one.

    Args:
        mask: [H, W], nonzero = hole.
        image_size: S in pixels, of the model.
        strategy: one of STRATEGIES.

    Raises:
        InputError: an unknown strategy.
    """
    check("strategy", strategy, strategy in STRATEGIES, f"one of {', '.join(STRATEGIES)}")
    shape = height, width = mask.shape
    box = bounds(mask)
    whole = Window(0, 0, height, width)
    if box is None:
        return Plan("resize", ())
    holes = _holes(mask, box, image_size, shape)
    boxes = tuple(hole.box for hole in holes)
    if strategy == "resize" or shape == (image_size, image_size):
        return Plan("resize", (whole,), holes=boxes)
    windows: list[Window] = []
    wider: dict[Window, tuple[Window, ...]] = {}
    taken: set[str] = set()
    for hole in holes:
        crop = _crop(hole.box, image_size, shape)
        side = max(crop.height, crop.width)
        tile = image_size if strategy == "crop" else hole.tile_side(image_size, shape)
        if strategy == "tile" or (strategy == "auto" and tile * TILE_GAIN <= side):
            found = [window for window in _tiles(hole.box, tile, shape) if mask[window.slices].any()]
            name = "tile"
        else:
            found, name = [crop], "crop"
            if side > image_size and crop != whole:
                around = (_around(hole.box, math.ceil(factor * side), shape) for factor in WIDER)
                wider[crop] = tuple(dict.fromkeys(around))
        windows += found
        taken |= {"resize" if window == whole else name for window in found}
    return Plan(" and ".join(sorted(taken)), tuple(dict.fromkeys(windows)), wider, boxes)


class _Hole:
    """One hole, or several near ones: its box, and its pixels counted on a grid of cells."""

    def __init__(self, mask: np.ndarray, box: Window) -> None:
        self.box = box
        self.cell = max(1, math.ceil(max(box.height, box.width) / CELLS))
        counts = _counts(mask, box, self.cell)
        self.cells = np.nonzero(counts)
        self.sums = np.pad(counts.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def tile_side(self, image_size: int, shape: tuple[int, ...]) -> int:
        """Return the side of the smallest window that is at most TILE_SHARE hole, wherever on the hole it is centred.

        If there is none, as with specks all over the photo, return the smallest with at most 1.2 times the best share.
        """
        sides = [image_size]
        while sides[-1] < max(shape):
            sides.append(math.ceil(sides[-1] * 1.2))
        shares = [self._largest_share(side, shape) for side in sides]
        enough = max(TILE_SHARE, 1.2 * min(shares))
        return next(side for side, share in zip(sides, shares) if share <= enough)

    def _largest_share(self, side: int, shape: tuple[int, ...]) -> float:
        """Return the largest share of hole in a window of that side centred on the hole and moved into the photo."""
        edges, sizes = [], []
        box, counts = self.box, self.sums.shape
        for cells, start, length, n, limit in zip(
            self.cells, (box.top, box.left), (box.height, box.width), counts, shape
        ):
            size = min(side, limit)
            low = np.clip(start + (cells + 0.5) * self.cell - size / 2, 0, limit - size)
            ends = (low - start, low + size - start)
            edges.append([np.where(end >= length, n - 1, end / self.cell) for end in ends])  # the last cell may be cut
            sizes.append(size)
        (top, bottom), (left, right) = edges
        hole = self._above(bottom, right) - self._above(top, right) - self._above(bottom, left) + self._above(top, left)
        return float(hole.max()) / math.prod(sizes)

    def _above(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Count the hole pixels above and left of places on the grid, given in cells, interpolated between them."""
        weighted = np.zeros(len(rows))
        rows, columns = (np.clip(x, 0, n - 1) for x, n in zip((rows, columns), self.sums.shape))
        for row, row_weight in ((np.floor(rows), 1 - rows % 1), (np.ceil(rows), rows % 1)):
            for column, column_weight in ((np.floor(columns), 1 - columns % 1), (np.ceil(columns), columns % 1)):
                weighted += self.sums[row.astype(int), column.astype(int)] * row_weight * column_weight
        return weighted


def _counts(mask: np.ndarray, box: Window, cell: int) -> np.ndarray:
    """Count the hole pixels in each cell of a grid over the box: int64 [rows, columns]."""
    part = mask[box.slices] != 0
    by_row = np.add.reduceat(part, np.arange(0, box.height, cell), axis=0, dtype=np.int64)
    return np.add.reduceat(by_row, np.arange(0, box.width, cell), axis=1)


def _holes(mask: np.ndarray, box: Window, image_size: int, shape: tuple[int, ...]) -> list[_Hole]:
    """Find the holes of a mask; merge those whose common window is no more work than separate ones."""
    cell = max(1, math.ceil(max(box.height, box.width) / CELLS))
    while True:
        parts = _connect(_counts(mask, box, cell) > 0)
        if len(parts) <= MOST_HOLES:
            break
        cell *= 2
    boxes = []
    for rows, columns in parts:
        top, left = box.top + min(rows) * cell, box.left + min(columns) * cell
        around = Window(
            top,
            left,
            min(box.bottom, box.top + (max(rows) + 1) * cell) - top,
            min(box.right, box.left + (max(columns) + 1) * cell) - left,
        )
        exact = bounds(mask[around.slices])
        assert exact is not None  # each part has a hole pixel
        boxes.append(Window(top + exact.top, left + exact.left, exact.height, exact.width))
    return [_Hole(mask, merged) for merged in _merge(boxes, image_size, shape)]


def _connect(cells: np.ndarray) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Return the rows and columns of each connected part of a grid, where touching corners connect too."""
    left = {(int(row), int(column)) for row, column in np.argwhere(cells)}
    parts = []
    while left:
        waiting = deque([min(left)])
        left.discard(waiting[0])
        part = []
        while waiting:
            row, column = waiting.popleft()
            part.append((row, column))
            for near in [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)]:
                if near in left:
                    left.discard(near)
                    waiting.append(near)
        rows, columns = zip(*part)
        parts.append((rows, columns))
    return parts


def _merge(boxes: list[Window], image_size: int, shape: tuple[int, ...]) -> list[Window]:
    """Join boxes as long as the crop of two together is no larger than their two crops."""

    def area(box: Window) -> int:
        crop = _crop(box, image_size, shape)
        return crop.height * crop.width

    merged: list[Window] = []
    for box in boxes:
        near: int | None = 0
        while near is not None:  # a box that has grown may meet others
            joined = [_join(box, other) for other in merged]
            near = next((i for i, both in enumerate(joined) if area(both) <= area(box) + area(merged[i])), None)
            if near is not None:
                box = joined[near]
                del merged[near]
        merged.append(box)
    return merged


def _join(a: Window, b: Window) -> Window:
    top, left = min(a.top, b.top), min(a.left, b.left)
    return Window(top, left, max(a.bottom, b.bottom) - top, max(a.right, b.right) - left)


def _crop(box: Window, image_size: int, shape: tuple[int, ...]) -> Window:
    """Return the window for a crop of a box."""
    return _around(box, max(image_size, math.ceil(CONTEXT * max(box.height, box.width))), shape)


def _around(box: Window, side: int, shape: tuple[int, ...]) -> Window:
    """Return the window of that side around the middle of a box, moved into the photo and no larger than it."""
    height, width = min(side, shape[0]), min(side, shape[1])
    top = min(max(0, box.top + (box.height - height) // 2), shape[0] - height)
    left = min(max(0, box.left + (box.width - width) // 2), shape[1] - width)
    return Window(top, left, height, width)


def _tiles(box: Window, side: int, shape: tuple[int, ...]) -> list[Window]:
    """Return windows of that side over a box, each overlapping the next by half or more."""

    def starts(low: int, length: int, limit: int) -> list[int]:
        size, rim = min(side, limit), side // 4
        low, high = max(0, low - rim), min(limit, low + length + rim)
        if high - low <= size:
            return [min(max(0, (low + high - size) // 2), limit - size)]
        n = math.ceil((high - low - size) / (size / 2)) + 1
        return [round(x) for x in np.linspace(low, high - size, n)]

    height, width = min(side, shape[0]), min(side, shape[1])
    rows, columns = starts(box.top, box.height, shape[0]), starts(box.left, box.width, shape[1])
    return [Window(top, left, height, width) for top in rows for left in columns]
