"""Shift maps: for each position of a hole the offset to the known position that takes its place."""

import numpy as np

from shiftnet_tf.runtime.refine import alignment, solver
from shiftnet_tf.runtime.refine.arrays import Floats, any_in_cells, blurred, cell_means, in_threads
from shiftnet_tf.runtime.refine.blend import blended
from shiftnet_tf.runtime.refine.candidates import candidates
from shiftnet_tf.runtime.refine.energy import FORBIDDEN, GUIDE, GUIDE_BLUR, Source, data_costs, seam_costs
from shiftnet_tf.runtime.refine.healing import heal
from shiftnet_tf.system.progress import Progress, part, silent

_LABELS = 16  # offsets that a position chooses from
_BY_COST = 4  # the number of those that are the cheapest there; the others are the most frequent of the allowed ones
_ROUNDS = 3  # of belief propagation
_NODES = 16384  # positions of the hole on the coarsest grid, at most
_EDGES = 300  # pairs of neighbours whose costs are found at a time
_BOX = 65536  # positions of its bounding box, at most


def grid_factor(hole: np.ndarray) -> int:
    """Return the side in pixels of the coarsest grid's cells: a power of two.

    Args:
        hole: bool [H, W], the hole's bounding box.
    """
    pixels, box, factor = int(hole.sum()), hole.size, 1
    while pixels > _NODES * factor**2 or box > _BOX * factor**2:
        factor *= 2
    return factor


def choose_offsets(
    picture: np.ndarray, hole: np.ndarray, source: np.ndarray, progress: Progress = silent, guided: bool = True
) -> np.ndarray | None:
    """Choose an offset for each pixel of a hole.

    Args:
        picture: uint8 [H, W, 3], the photo with the guide in its hole; H and W multiples of `grid_factor` of the hole.
        hole: bool [H, W], the pixels to fill.
        source: bool [H, W], the pixels that may be copied.
        progress: called before each step, see `shiftnet_tf.system.progress`.
        guided: whether to use the guide.

    Returns:
        int [2, h, w], rows and columns, of the hole's bounding box; None if no pixel can be copied.
    """
    levels = []
    rows, columns = (np.flatnonzero(hole.any(axis)) for axis in (1, 0))
    factor = grid_factor(hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    for _ in range(factor.bit_length() - 1):
        levels.append((picture, hole, source))
        picture, hole, source = cell_means(picture), any_in_cells(hole), ~any_in_cells(~source)
    if not source.any():
        return None
    box = tuple(slice(at[0], at[-1] + 1) for at in (np.flatnonzero(hole.any(axis)) for axis in (1, 0)))
    label, table = _coarsest(picture.astype(np.float32), hole, source, box, part(progress, 0, 0.4), guided)
    label, table = _healed(picture, hole, source, box, table[:, label], part(progress, 0.4, 0.6))
    for done, (picture, hole, source) in enumerate(reversed(levels), start=1):
        progress(0.6 + 0.4 * done / (len(levels) + 1))
        box = tuple(slice(2 * side.start, 2 * side.stop) for side in box)
        corner = box[0].start, box[1].start
        label, table = alignment.aligned(doubled(label), 2 * table, Source(picture, source), hole[box], corner)
    top, left = rows[0] - box[0].start, columns[0] - box[1].start
    offsets: np.ndarray = table[:, label[top : top + np.ptp(rows) + 1, left : left + np.ptp(columns) + 1]]
    return offsets


def doubled(label: np.ndarray) -> np.ndarray:
    """Return the labels of a grid on one twice as fine: int [h, w] -> int [2 h, 2 w]."""
    return np.repeat(np.repeat(label, 2, 0), 2, 1)


def _coarsest(
    picture: np.ndarray,
    hole: np.ndarray,
    source: np.ndarray,
    box: tuple[slice, ...],
    progress: Progress,
    guided: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels on the coarsest grid, int [h, w], of the hole's box, and the offsets they name, int [2, n]."""
    progress(0)
    guide = blurred(picture, GUIDE_BLUR)
    image, smooth = Source(picture, source), Source(guide, source)
    offsets = candidates(picture, source).astype(np.int32)
    progress(0.2)
    costs = data_costs(image, smooth, hole, offsets, GUIDE if guided else np.float32(0))
    progress(0.4)
    chosen = _labels(costs)
    inside, places = hole[box], np.indices(hole.shape, np.int32)[:, *box]
    labels, data = (np.zeros((len(chosen), *inside.shape), kind) for kind in (int, np.float32))
    labels[:, inside], data[:, inside] = chosen, np.take_along_axis(costs, chosen, 0)
    named = offsets.T[:, labels]
    down = _seams(image, inside, places, named.transpose(0, 2, 1, 3))
    across = _seams(image, inside.T, places.transpose(0, 2, 1), named.transpose(0, 3, 1, 2))
    progress(0.6)
    best = solver.solve(np.ascontiguousarray(data.swapaxes(0, 1)), across, down, _ROUNDS, part(progress, 0.6, 1))
    return np.take_along_axis(labels, best[np.newaxis], 0)[0], offsets.T


def _healed(
    picture: np.ndarray,
    hole: np.ndarray,
    source: np.ndarray,
    box: tuple[slice, ...],
    offsets: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of a hole's box, int [2, h, w], healed: labels, int [h, w], and what they name, int [2, n]."""
    whole = np.zeros((2, *hole.shape), np.int32)
    whole[:, *box] = offsets
    picture = picture.astype(np.float32)
    rim = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    filled, corner = picture.copy(), (rim[0].start, rim[1].start)
    filled[rim] = blended(Source(picture, source), picture[rim], hole[rim], source[rim], whole[:, *rim], corner)
    rows, columns = heal(picture, filled, hole, source, whole, progress)[:, *box]
    span = 2 * hole.shape[1]  # more than two columns differ by
    codes, label = np.unique(rows * span + columns + hole.shape[1], return_inverse=True)
    table = np.stack(np.divmod(codes, span)) - [[0], [hole.shape[1]]]
    return label.reshape(rows.shape), table.astype(np.int32)


def _labels(costs: np.ndarray) -> np.ndarray:
    """Return the candidates that each position chooses from: float32 [k, n] -> int [m, n]."""
    number, length = costs.shape
    if number <= _LABELS:
        return np.repeat(np.arange(number)[:, np.newaxis], length, 1)
    labels = np.empty((_LABELS, length), int)

    def fill(part: slice) -> None:
        some = np.ascontiguousarray(costs[:, part].T)
        last, each = (some >= FORBIDDEN).astype(np.uint8), np.arange(len(some))
        for i in range(_BY_COST):
            labels[i, part] = cheapest = some.argmin(1)
            some[each, cheapest], last[each, cheapest] = np.inf, 2
        labels[_BY_COST:, part] = last.argsort(1, kind="stable")[:, : _LABELS - _BY_COST].T

    in_threads(fill, length, 1024)
    return labels


def _seams(image: Source, inside: np.ndarray, places: np.ndarray, offsets: np.ndarray) -> Floats:
    """Return the costs of seams between each line and the next one, as `solver.solve` takes them.

    Args:
        image: the photo.
        inside: bool [l, n], the positions in the hole, by lines.
        places: int32 [2, l, n].
        offsets: int32 [2, l, m, n], what each chooses from.

    Returns:
        float32 [l - 1, m, m, n]; 0 where either is not in the hole.
    """
    lines, number, length = offsets.shape[1:]
    places, offsets = np.ascontiguousarray(places), np.ascontiguousarray(offsets)
    seams = np.empty((lines - 1, number, number, length), np.float32)

    def fill(part: slice) -> None:
        after = slice(part.start + 1, part.stop + 1)
        seams[part] = seam_costs(image, places[:, part], places[:, after], offsets[:, part], offsets[:, after])
        both = inside[part] & inside[after]
        if not both.all():
            seams[part] *= both[:, np.newaxis, np.newaxis]

    in_threads(fill, lines - 1, max(1, _EDGES // length))
    return seams
