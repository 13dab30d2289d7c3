"""Where the detail of a filled hole comes from: the network, or pixels copied by a shift map."""

import logging
from collections.abc import Sequence

import numpy as np

from shiftnet_tf.errors import InputError, check
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime.filling import Canvas
from shiftnet_tf.runtime.refine.arrays import column, depths, positions
from shiftnet_tf.runtime.refine.blend import blended
from shiftnet_tf.runtime.refine.energy import Source
from shiftnet_tf.runtime.refine.shift_map import choose_offsets, grid_factor
from shiftnet_tf.system.machine import available_memory
from shiftnet_tf.system.progress import Progress, part, silent

logger = logging.getLogger(__name__)
DETAILS = ("auto", "model", "shift-map")

_DEPTH = 12  # pixels: `auto` copies into holes at least this deep, see docs/strategies.md
_REACH = 1.0  # of the longer side of a hole's box: how far around it pixels are searched
_CELLS = 128  # along the longer side of a hole's box, when its depth is measured
_LEAST = 64  # pixels, the least of that
_PER_PIXEL, _PER_HOLE_PIXEL = 24, 320  # bytes, estimated, for a pixel around a hole and for one of its box


def region(box: Window, shape: tuple[int, int]) -> Window:
    """Return the part of a photo that a hole is filled from.

    Args:
        box: the hole's bounding box.
        shape: height and width of the photo.
    """
    reach = max(_LEAST, round(_REACH * max(box.height, box.width)))
    return box.grown(reach, reach, Window(0, 0, *shape))


def needed_memory(box: Window, shape: tuple[int, int]) -> int:
    """Return an estimate of the memory that filling a hole takes, in bytes; see `region`."""
    around = region(box, shape)
    return _PER_PIXEL * around.height * around.width + _PER_HOLE_PIXEL * box.height * box.width


def depth(hole: np.ndarray) -> int:
    """Return the distance from the innermost pixel of a hole to the nearest known one, in pixels.

    Args:
        hole: bool [H, W]; outside the array counts as known.

    Returns:
        Exact for holes up to 128 pixels wide, else a multiple of the cell's side.
    """
    cell: int = max(1, -(-max(hole.shape) // _CELLS))
    pad = [(0, -length % cell) for length in hole.shape]
    cells = np.pad(hole, pad)
    cells = cells.reshape(cells.shape[0] // cell, cell, cells.shape[1] // cell, cell)
    deepest = int(depths(np.logical_and.reduce(cells, axis=(1, 3))).max())
    return max(deepest * cell, int(hole.any()))


def copies(mask: np.ndarray, box: Window, detail: str = "auto") -> bool:
    """Tell whether to fill a hole with copied pixels; `auto` does not if memory is short, and logs a warning.

    Args:
        mask: bool [H, W].
        box: the bounding box of the hole.
        detail: one of DETAILS.

    Raises:
        InputError: an unknown detail.
    """
    check("detail", detail, detail in DETAILS, f"one of {', '.join(DETAILS)}")
    if detail != "auto":
        return detail == "shift-map"
    if depth(mask[box.slices]) < _DEPTH:
        return False
    lack = _lack_of_memory(box, mask.shape)
    if lack:
        logger.warning("%s: keeping the network's output instead", lack)
    return not lack


def refine(
    canvas: Canvas,
    mask: np.ndarray,
    boxes: Sequence[Window],
    progress: Progress = silent,
    guided: bool = True,
    return_shift_maps: bool = False,
) -> list[tuple[Window, np.ndarray]]:
    """Fill holes with pixels of their surroundings, guided by the content of the holes.

    Args:
        canvas: the photo with the network's output in its holes; these are modified.
        mask: bool [H, W], all holes of the canvas.
        boxes: the bounding boxes of the holes to fill, in this order.
        progress: called before each step, see `shiftnet_tf.system.progress`.
        guided: whether the content of the holes guides the choice.
        return_shift_maps: whether to return the shift maps.

    Returns:
        Without `return_shift_maps` nothing; else for each hole the part of the photo that was searched, and its shift
        map, int32 [h, w]: row * w + column of the pixel that was copied to each of its pixels, -1 where none was.

    Raises:
        InputError: there is not enough memory.
    """
    shift_maps, done, total = [], 0, sum(box.height * box.width for box in boxes)
    for box in boxes:
        share = done / total
        done += box.height * box.width
        found = _fill(canvas, mask, box, part(progress, share, done / total), guided, return_shift_maps)
        if found is not None:
            shift_maps.append(found)
    return shift_maps


def _fill(
    canvas: Canvas, mask: np.ndarray, box: Window, progress: Progress, guided: bool, return_shift_map: bool
) -> tuple[Window, np.ndarray] | None:
    """Fill one hole; return the part that was searched and its shift map if `return_shift_map` is True."""
    lack = _lack_of_memory(box, canvas.shape)
    if lack:
        raise InputError(f"{lack}: pass --detail model")
    around = region(box, canvas.shape)
    inner = box.within(around)
    pad = [(0, -length % grid_factor(mask[box.slices])) for length in (around.height, around.width)]
    picture = np.pad(canvas.read(around), (*pad, (0, 0)), mode="edge")
    source = np.pad(~mask[around.slices], pad)
    hole = np.zeros(source.shape, bool)
    hole[inner.slices] = mask[box.slices]
    offsets = choose_offsets(picture, hole, source, part(progress, 0, 0.7), guided)
    image = Source(picture, source)
    if offsets is not None:
        rim = inner.grown(1, 1, Window(0, 0, around.height, around.width))
        bordered = np.zeros((2, rim.height, rim.width), np.int32)
        bordered[:, *inner.within(rim).slices] = offsets
        inside, filled, known = (array[rim.slices] for array in (picture, hole, source))
        corner = rim.top, rim.left
        pixels = blended(image, inside, filled, known, bordered, corner, part(progress, 0.7, 1), guided)
        target = Window(around.top + rim.top, around.left + rim.left, rim.height, rim.width)
        canvas.write(target, pixels, filled)
    return (around, _sources(around, image, hole, inner, offsets)) if return_shift_map else None


def _lack_of_memory(box: Window, shape: tuple[int, int]) -> str:
    """Return a sentence if there is too little memory, else ""."""
    needed, free = needed_memory(box, shape), available_memory()
    if free is None or needed <= free:
        return ""
    return (
        f"copying pixels into a hole of {box.width}x{box.height} needs about {needed / 1e9:.1f} GB of memory, but only "
        f"{free / 1e9:.1f} GB are free"
    )


def _sources(around: Window, image: Source, hole: np.ndarray, inner: Window, offsets: np.ndarray | None) -> np.ndarray:
    """Return the shift map in the form of the model's own: int32 [h, w]."""
    out = np.full((around.height, around.width), -1, np.int32)
    if offsets is not None:
        inside = hole[inner.slices]
        places = positions(inside) + column((inner.top, inner.left))
        moved = offsets[:, inside]
        copied = image.usable_at(places, moved)
        rows, columns = (places + moved)[:, copied]
        out[tuple(places[:, copied])] = rows * around.width + columns
    return out
