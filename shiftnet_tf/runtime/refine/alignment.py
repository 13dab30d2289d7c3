"""Offsets on finer grids: doubled, then aligned by up to one position in each direction.

Two structures that meet on a coarse grid may miss each other by a few pixels of the photo. On each finer grid, all
positions that share an offset therefore move it together by -1, 0 or 1 in each direction, whichever fits their seams
and the hole's rim best. Source: the pyramid follows Pritch et al., ICCV 2009, section 3.1; the common step is ours.
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import BESIDE, column, edge, in_threads, positions
from shiftnet_tf.runtime.refine.energy import RIM_UNKNOWN, SEAM_UNKNOWN, Source, difference

_STEPS = np.array(sorted(np.ndindex(3, 3), key=lambda step: step != (1, 1)), np.int32).T - 1  # no step wins a tie


def aligned(
    label: np.ndarray, table: np.ndarray, image: Source, hole: np.ndarray, corner: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Move each offset by up to one position in each direction so that seams and rim fit better.

    Args:
        label: int [h, w], the column of `table` of each position; ignored outside the hole.
        table: int32 [2, n], offsets.
        image: the photo on this grid.
        hole: bool [h, w].
        corner: row and column in `image` of the first position.

    Returns:
        Label, int [h, w], and table, int32 [2, m], both new; a position that would leave the known part keeps its
        offset.
    """
    label, number = np.where(hole, label, -1), table.shape[1]
    seams, rim = _seams(label, corner), _rim(label, image, corner)
    moved = table.copy()
    for half in (0, 1):  # one half of the offsets moves while the other stays
        moving = np.arange(number) % 2 == half
        moved += np.where(moving, _STEPS[:, _costs(moved, moving, seams, rim, image).argmin(0)], 0)
    places, labels = positions(hole) + column(corner), label[hole]
    stays = ~image.usable_at(places, moved[:, labels]) & image.usable_at(places, table[:, labels])
    labels = labels + number * stays
    used, labels = _compressed(labels, 2 * number)
    label[hole] = labels
    return label, np.concatenate([moved, table], 1)[:, used]


def _compressed(labels: np.ndarray, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels that occur, and all labels renumbered as indices of those."""
    used = np.flatnonzero(np.bincount(labels, minlength=number))
    place = np.zeros(number, int)
    place[used] = np.arange(len(used))
    return used, place[labels]


def _seams(label: np.ndarray, corner: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return the ends of each edge between two offsets, and their labels: int [2, n], int [2, n], int [n], int [n]."""
    found = []
    for step in BESIDE[:2]:
        first, second = edge(label.shape, step)
        at = positions((label[first] != label[second]) & (label[first] >= 0) & (label[second] >= 0))
        ends = at + column(corner), at + column(corner) + column(step)
        found.append((*ends, label[first][tuple(at)], label[second][tuple(at)]))
    return tuple(np.concatenate(parts, -1) for parts in zip(*found))


def _rim(label: np.ndarray, image: Source, corner: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Return known positions beside the hole, their colours, labels there: int [2, n], float32 [3, n], int [n]."""
    inside = np.pad(label >= 0, 1)
    found = []
    for step in BESIDE:
        places = positions(inside & ~np.roll(inside, (-step[0], -step[1]), (0, 1))) - 1
        beside = places + column(step) + column(corner)
        colours, known = image.at(beside)
        found.append((beside[:, known], colours[:, known], label[tuple(places[:, known])]))
    return tuple(np.concatenate(parts, -1) for parts in zip(*found))


def _costs(
    table: np.ndarray,
    moving: np.ndarray,
    seams: tuple[np.ndarray, ...],
    rim: tuple[np.ndarray, ...],
    image: Source,
) -> np.ndarray:
    """Return what seams and rim of each moving label cost with each step: float [steps, labels]."""
    costs = np.zeros((_STEPS.shape[1], len(moving)))

    def fill(part: slice) -> None:
        (cost,), moved = costs[part], table + _STEPS[:, part] * moving
        first, second, own, other = seams
        for mine, theirs in ((own, other), (other, own)):
            at = np.flatnonzero(moving[mine])
            for ends in (first[:, at], second[:, at]):
                (a, usable), (b, also) = (image.at(ends, moved[:, labels[at]]) for labels in (mine, theirs))
                lack = np.where(usable & also, difference(a, b), SEAM_UNKNOWN)
                cost += np.bincount(mine[at], lack, len(cost))
        places, colours, labels = rim
        at = np.flatnonzero(moving[labels])
        found, usable = image.at(places[:, at], moved[:, labels[at]])
        lack = np.where(usable, difference(found, colours[:, at]), RIM_UNKNOWN)
        cost += 2 * np.bincount(labels[at], lack, len(cost))

    in_threads(fill, len(costs), 1)
    return costs
