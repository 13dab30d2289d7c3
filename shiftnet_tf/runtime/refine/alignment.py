"""Offsets on finer grids: doubled, then aligned by a position each way.

Two structures that meet on a coarse grid may miss each other by a few pixels of the photo. So on each finer grid all
positions that share an offset move it together by the step of -1, 0 or 1 each way that fits their seams and the hole's
rim best. Source: the pyramid is that of Pritch et al., ICCV 2009, section 3.1; the common step is ours.
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import BESIDE, edge
from shiftnet_tf.runtime.refine.energy import RIM_UNKNOWN, SEAM_UNKNOWN, Source, difference

_STEPS = np.array([(0, 0), *((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j)])  # staying wins a tie


def aligned(
    label: np.ndarray, table: np.ndarray, image: Source, hole: np.ndarray, corner: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Move each offset by up to one position each way so that seams and rim fit better.

    Args:
        label: int [h, w], the row of `table` of each position; ignored outside the hole.
        table: int [n, 2], offsets.
        image: the photo on this grid.
        hole: bool [h, w].
        corner: row and column in `image` of the first position.

    Returns:
        Label, int [h, w], and table, int [m, 2], both new; a position that would leave the known part keeps its offset.
    """
    label = np.where(hole, label, -1)
    seams, rim = _seams(label, corner), _rim(label, image, corner)
    moved = table.copy()
    for half in (0, 1):  # one half of the offsets moves while the other stays
        moving = np.arange(len(table)) % 2 == half
        costs = [_cost(moved, step, moving, seams, rim, image) for step in _STEPS]
        moved[moving] += _STEPS[np.argmin(costs, axis=0)][moving]
    places, labels = np.argwhere(hole) + corner, label[hole]
    stays = ~image.at(places, moved[labels])[1] & image.at(places, table[labels])[1]
    labels = labels + len(table) * stays
    used, labels = _compressed(labels, 2 * len(table))
    label[hole] = labels
    return label, np.concatenate([moved, table])[used]


def _compressed(labels: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that occur, and all labels renumbered as indices of those."""
    used = np.flatnonzero(np.bincount(labels, minlength=number))
    place = np.zeros(number, int)
    place[used] = np.arange(len(used))
    return used, place[labels]


def _seams(label: np.ndarray, corner: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return the ends of each edge between two offsets, and their labels: int [n, 2], int [n, 2], int [n], int [n]."""
    found = []
    for step in BESIDE[:2]:
        first, second = edge(label.shape, step)
        at = np.argwhere((label[first] != label[second]) & (label[first] >= 0) & (label[second] >= 0))
        found.append((at + corner, at + step + corner, label[first][tuple(at.T)], label[second][tuple(at.T)]))
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _rim(label: np.ndarray, image: Source, corner: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return known positions beside the hole, their colours, labels there: int [n, 2], float32 [n, 3], int [n]."""
    places = np.argwhere(label >= 0)
    found = []
    for step in BESIDE:
        beside = places + step
        colours, known = image.at(beside + corner)
        found.append((beside[known] + corner, colours[known], label[tuple(places[known].T)]))
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _cost(
    table: np.ndarray,
    step: np.ndarray,
    moving: np.ndarray,
    seams: tuple[np.ndarray, ...],
    rim: tuple[np.ndarray, ...],
    image: Source,
) -> np.ndarray:
    """Return what seams and rim of each moving label cost with a step: float [labels]."""
    first, second, own, other = seams
    moved = table + step * moving[:, np.newaxis]
    costs = np.zeros(len(table))
    for mine, theirs in ((own, other), (other, own)):
        at = moving[mine]
        for places in (first[at], second[at]):
            (a, usable), (b, also) = (image.at(places, moved[labels[at]]) for labels in (mine, theirs))
            lack = np.where(usable & also, difference(a, b), SEAM_UNKNOWN)
            costs += np.bincount(mine[at], lack, len(table))
    places, colours, labels = rim
    at = moving[labels]
    found, usable = image.at(places[at], moved[labels[at]])
    return costs + 2 * np.bincount(
        labels[at], np.where(usable, difference(found, colours[at]), RIM_UNKNOWN), len(table)
    )
