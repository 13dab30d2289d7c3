"""Shift maps: for each position of a hole the offset to the known position that takes its place."""

import functools

import numpy as np

from shiftnet_tf.runtime.refine import alignment, solver
from shiftnet_tf.runtime.refine.arrays import any_in_cells, blurred, cell_means, edge, in_threads
from shiftnet_tf.runtime.refine.blend import blended
from shiftnet_tf.runtime.refine.candidates import candidates
from shiftnet_tf.runtime.refine.energy import FORBIDDEN, GUIDE, GUIDE_BLUR, Source, data_costs, seam_costs
from shiftnet_tf.runtime.refine.healing import heal
from shiftnet_tf.system.progress import Progress, part, silent

_LABELS = 16  # offsets that a position chooses from
_BY_COST = 4  # of them the cheapest ones there; the others are the most frequent ones that are allowed there
_ROUNDS = 3  # of belief propagation
_NODES = 16384  # positions of the hole on the coarsest grid, at most
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
        picture: uint8 [H, W, 3], the photo, in the hole the guide; H and W multiples of `grid_factor` of the hole.
        hole: bool [H, W], the pixels to fill.
        source: bool [H, W], the pixels that may be copied.
        progress: called before each step, see `shiftnet_tf.system.progress`.
        guided: whether the guide counts.

    Returns:
        int [h, w, 2], rows and columns, of the hole's bounding box; None if no pixel can be copied.
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
    label, table = _coarsest(picture.astype(np.float32), hole, source, part(progress, 0, 0.4), guided)
    label, table = _healed(picture, hole, source, box, table[label], part(progress, 0.4, 0.6))
    for done, (picture, hole, source) in enumerate(reversed(levels), start=1):
        progress(0.6 + 0.4 * done / (len(levels) + 1))
        box = tuple(slice(2 * side.start, 2 * side.stop) for side in box)
        corner = box[0].start, box[1].start
        label, table = alignment.aligned(doubled(label), 2 * table, Source(picture, source), hole[box], corner)
    top, left = rows[0] - box[0].start, columns[0] - box[1].start
    offsets: np.ndarray = table[label[top : top + np.ptp(rows) + 1, left : left + np.ptp(columns) + 1]]
    return offsets


def doubled(label: np.ndarray) -> np.ndarray:
    """Return the labels of a grid on one twice as fine: int [h, w] -> int [2 h, 2 w]."""
    return np.repeat(np.repeat(label, 2, 0), 2, 1)


def _coarsest(
    picture: np.ndarray, hole: np.ndarray, source: np.ndarray, progress: Progress, guided: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return labels on the coarsest grid, int [h, w], of the hole's box, and the offsets they name, int [n, 2]."""
    progress(0)
    guide = blurred(picture, GUIDE_BLUR)
    image, smooth = Source(picture, source), Source(guide, source)
    offsets, nodes = candidates(picture, source), np.argwhere(hole)
    progress(0.2)
    weight = GUIDE if guided else np.float32(0)
    costs = in_threads(lambda some: data_costs(image, smooth, guide, some, offsets, weight), nodes)
    progress(0.4)
    labels = in_threads(_labels, costs)
    problem = _problem(image, hole, nodes, offsets[labels], np.take_along_axis(costs, labels, 1))
    progress(0.6)
    best = solver.solve(*problem, _ROUNDS, part(progress, 0.6, 1))
    at = tuple((nodes - nodes.min(0)).T)
    label = np.zeros(best.shape, int)
    label[at] = labels[np.arange(len(nodes)), best[at]]
    return label, offsets


def _healed(
    picture: np.ndarray,
    hole: np.ndarray,
    source: np.ndarray,
    box: tuple[slice, ...],
    offsets: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of a hole's box, int [h, w, 2], healed: labels, int [h, w], and what they name, int [n, 2]."""
    whole = np.zeros((*hole.shape, 2), int)
    whole[box] = offsets
    picture = picture.astype(np.float32)
    rim = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    filled, corner = picture.copy(), (rim[0].start, rim[1].start)
    filled[rim] = blended(Source(picture, source), picture[rim], hole[rim], source[rim], whole[rim], corner)
    offsets = heal(picture, filled, hole, source, whole, progress)[box]
    table, label = np.unique(offsets.reshape(-1, 2), axis=0, return_inverse=True)
    return label.reshape(offsets.shape[:2]), table


def _labels(costs: np.ndarray) -> np.ndarray:
    """Return the candidates that each position chooses from: int [n, m]."""
    number = costs.shape[1]
    if number <= _LABELS:
        return np.broadcast_to(np.arange(number), costs.shape)
    cheap = np.argpartition(costs, _BY_COST, 1)[:, :_BY_COST]
    rank = np.where(costs < FORBIDDEN, np.arange(number, dtype=np.float32), np.float32(number))
    np.put_along_axis(rank, cheap, np.float32(2 * number), 1)
    frequent = np.argpartition(rank, _LABELS - _BY_COST, 1)[:, : _LABELS - _BY_COST]
    return np.concatenate([cheap, frequent], 1)


def _problem(
    image: Source, hole: np.ndarray, nodes: np.ndarray, offsets: np.ndarray, costs: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the arrays that `solver.solve` takes, of the hole's bounding box.

    Args:
        image: the photo.
        hole: bool [h, w].
        nodes: int [n, 2], the hole's positions.
        offsets: int [n, m, 2], what each chooses from.
        costs: float32 [n, m].
    """
    (top, left), (bottom, right) = nodes.min(0), nodes.max(0) + 1
    box, number = hole[top:bottom, left:right], costs.shape[1]
    index = np.full(box.shape, -1)
    index[box] = np.arange(len(nodes))
    data = np.zeros((*box.shape, number), np.float32)
    data[box] = costs
    found = []
    for step in ((0, 1), (1, 0)):
        first, second = edge(box.shape, step)
        both = box[first] & box[second]
        p, q = index[first][both], index[second][both]
        seams = np.zeros((*both.shape, number, number), np.float32)
        seams[both] = in_threads(functools.partial(seam_costs, image), nodes[p], nodes[q], offsets[p], offsets[q])
        found.append(seams)
    across, down = found
    return data, across, down
