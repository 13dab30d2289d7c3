"""Heal the seams of a shift map: make each patch of the filled hole look like some patch of the known part.

Where two offsets meet, a shift map cuts structures: a ridge ends at a straight line. From there, two steps alternate:

o_x = argmin_o |P(x) - Q(x + o)|^2,        for all x whose patch P(x) of the filled picture u touches the hole,
u_p = sum_x w_x I(p + o_x) / sum_x w_x,    over the patches x that cover p, w_x = 1 / (|P(x) - Q(x + o_x)|^2 + s)^2,

with patches Q of the photo I that lie in the known part, and s a tenth of the median distance. Only the offsets of the
last step are kept, not the pictures u: pixels are copied, not averaged.

Source: Wexler, Shechtman and Irani, "Space-Time Completion of Video", PAMI 2007, section 3; the search is that of
Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3, with offsets of neighbours 1, 2 and 4 positions away.
"""

from collections.abc import Iterator

import numpy as np

from shiftnet_tf.runtime.refine.arrays import BESIDE, eroded, in_threads, patches, principal_axes, squares
from shiftnet_tf.system.progress import Progress, silent

_PATCH = 7  # side of the patches, in positions
_REACH = _PATCH // 2
_COMPONENTS = 24  # principal components that are kept of a patch
_PRODUCT = 64  # patches that are projected at a time: so few that the matrix product starts no threads of its own
_FIRST = 4  # of them, which rule most patches out
_ROUNDS = 3
_JUMPS = (4, 2, 1)  # positions to the neighbours whose offsets are tried
_GAIN = np.float32(0.2)  # a new offset must reduce the squared distance to this share: what fits stays in one piece
_SHRINK = 3  # factor by which the radius of the random search falls, from half the picture to 1


def heal(
    picture: np.ndarray,
    filled: np.ndarray,
    hole: np.ndarray,
    source: np.ndarray,
    offsets: np.ndarray,
    progress: Progress = silent,
) -> np.ndarray:
    """Heal the seams of a filled hole.

    Args:
        picture: float32 [h, w, 3], grey levels; its hole has no meaning.
        filled: float32 [h, w, 3], the picture with its hole filled by the offsets.
        hole: bool [h, w], positions to fill.
        source: bool [h, w], positions that may be copied.
        offsets: int [2, h, w], of the hole's positions.
        progress: called before each step, see `system.progress`.

    Returns:
        int [2, h, w], offsets of the hole's positions, each leading to a position that may be copied; unchanged if no
        whole patch is known.
    """
    centres = eroded(source, _PATCH // 2)
    if not centres.any():
        return offsets
    search = _Search(picture, hole, centres)
    places, filled = search.first(offsets), filled.copy()
    for number in range(_ROUNDS):
        progress(number / _ROUNDS)
        places, distances = search.improve(search.project(filled, search.targets), places)
        if number < _ROUNDS - 1:
            filled[hole] = search.vote(picture, hole, places, distances)
    healed = offsets.copy()
    copied = places[hole.ravel()[search.targets]]
    healed[:, hole] = np.stack(np.divmod(copied, hole.shape[1])) - np.stack(np.nonzero(hole))
    return healed


class _Search:
    """The search for the most similar known patch of each target. Positions are indices of the flattened picture.

    Args:
        picture, hole: see `heal`.
        centres: bool [h, w], centres of the known patches.

    Attributes:
        targets: int [n], centres of the patches that touch the hole, row by row.
    """

    def __init__(self, picture: np.ndarray, hole: np.ndarray, centres: np.ndarray) -> None:
        self.shape, self._sources = hole.shape, np.flatnonzero(centres)
        touched = ~eroded(np.pad(~hole, _REACH, constant_values=True), _REACH)[_REACH:-_REACH, _REACH:-_REACH]
        self.targets = np.flatnonzero(touched)
        some = np.unravel_index(self._sources[:: -(-len(self._sources) // 2000)], self.shape)
        _, self._axes = principal_axes(patches(picture, _PATCH)[some].reshape(len(some[0]), -1), _COMPONENTS)
        known = np.full((hole.size, _COMPONENTS), np.float32(np.inf))  # infinitely far from all: no centre
        known[self._sources] = self.project(picture, self._sources)
        self._known = np.ascontiguousarray(known[:, :_FIRST]), known
        self._near = list(self._neighbours(touched))
        self._rng = np.random.default_rng(0)

    def _neighbours(self, touched: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
        """Yield targets that have a neighbour at some step, the neighbours (as indices of `targets`), and the step."""
        border, (rows, columns) = max(_JUMPS), np.unravel_index(self.targets, self.shape)
        index = np.full(self.shape, -1)
        index[touched] = np.arange(len(self.targets))
        padded = np.pad(index, border, constant_values=-1)
        for jump in _JUMPS:
            for down, right in BESIDE:
                near = padded[rows + border + jump * down, columns + border + jump * right]
                which = np.flatnonzero(near >= 0)
                yield which, near[which], jump * (down * self.shape[1] + right)

    def project(self, picture: np.ndarray, places: np.ndarray) -> np.ndarray:
        """Return the principal components of the patches around places: float32 [n, _COMPONENTS]."""
        windows, (rows, columns) = patches(picture, _PATCH), np.unravel_index(places, self.shape)
        found = np.empty((len(places), _COMPONENTS), np.float32)

        def fill(part: slice) -> None:
            found[part] = windows[rows[part], columns[part]].reshape(-1, len(self._axes)) @ self._axes

        in_threads(fill, len(places), _PRODUCT)
        return found

    def first(self, offsets: np.ndarray) -> np.ndarray:
        """Return the first sources of all targets: by their own offsets in the hole, by the nearest beside it."""
        height, width = self.shape
        spread = offsets.copy()
        has = (spread != 0).any(0)
        for _ in range(_PATCH):
            for step in BESIDE:
                near = np.roll(has, step, (0, 1)) & ~has
                spread[:, near] = np.roll(spread, step, (1, 2))[:, near]
                has |= near
        rows, columns = np.stack(np.unravel_index(self.targets, self.shape)) + spread.reshape(2, -1)[:, self.targets]
        places: np.ndarray = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
        lost = np.isinf(self._known[0][places, 0])
        places[lost] = self._sources[self._rng.integers(len(self._sources), size=lost.sum())]
        return places

    def improve(self, patches: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Run one pass of the search: return (int [n], positions; float32 [n], squared distances of their patches)."""
        (height, width), every, places = self.shape, np.arange(len(places)), places.copy()
        best = squares(patches - self._known[1][places])
        stages = tuple(zip((np.ascontiguousarray(patches[:, :_FIRST]), patches), self._known))

        def attempt(which: np.ndarray, candidates: np.ndarray) -> None:
            for own, known in stages:  # the first components rule most out
                found = squares(own.take(which, 0) - known.take(candidates, 0, mode="clip"))
                better = np.flatnonzero(found < _GAIN * best[which])
                which, candidates, found = which[better], candidates[better], found[better]
            places[which], best[which] = candidates, found

        for targets, near, step in self._near:
            moved = places[near] - step  # a step out of the picture leads to its edge, where there is no whole patch
            differ = np.flatnonzero(moved != places[targets])
            attempt(targets[differ], moved[differ])
        radius: float = max(self.shape) / 2
        while radius >= 1:
            jumps = np.round(self._rng.uniform(-radius, radius, (len(places), 2))).astype(int)
            rows, columns = np.divmod(places, width)
            rows, columns = np.clip(rows + jumps[:, 0], 0, height - 1), np.clip(columns + jumps[:, 1], 0, width - 1)
            attempt(every, rows * width + columns)
            radius /= _SHRINK
        return places, best

    def vote(self, picture: np.ndarray, hole: np.ndarray, places: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """Return the weighted mean of the patches that cover each position of the hole: float32 [n, 3]."""
        height, width = self.shape
        softness = np.float32(0.1) * np.median(distances) + np.float32(1e-3)
        wide = width + 2 * _REACH  # with a border, on which no patch has its centre
        weights, shifts = (np.zeros((height + 2 * _REACH) * wide, kind) for kind in (np.float32, int))
        rows, columns = np.divmod(self.targets, width)
        padded = (rows + _REACH) * wide + columns + _REACH
        weights[padded] = (distances.min() + softness) ** 2 / (distances + softness) ** 2
        shifts[padded] = places - self.targets
        planes, wanted = np.moveaxis(picture, -1, 0).reshape(picture.shape[-1], -1), np.flatnonzero(hole)
        corners = wanted // width * wide + wanted % width
        means = np.empty((picture.shape[-1], len(wanted)), np.float32)

        def fill(part: slice) -> None:
            total, weight = np.zeros_like(means[:, part]), np.zeros(len(wanted[part]), np.float32)
            for row in range(_PATCH):
                for column in range(_PATCH):
                    patch = corners[part] + (row * wide + column)
                    share = weights.take(patch)  # 0 where there is none
                    total += share * planes.take(wanted[part] + shifts.take(patch), axis=1)
                    weight += share
            means[:, part] = total / weight

        in_threads(fill, len(wanted), 4096)
        return means.T
