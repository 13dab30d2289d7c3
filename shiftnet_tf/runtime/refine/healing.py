"""Offsets healed at their seams: each patch of the filled hole is made to look like some patch of the known part.

A shift map cuts where two offsets meet: a ridge ends at a straight line. Starting from it, two steps in turn:

o_x = argmin_o |P(x) - Q(x + o)|^2,        for all x whose patch P(x) of the filled picture u touches the hole,
u_p = sum_x w_x I(p + o_x) / sum_x w_x,    over the patches x that cover p, w_x = 1 / (|P(x) - Q(x + o_x)|^2 + s)^2,

with patches Q of the photo I that lie in the known part, and s a tenth of the median distance. The offsets of the
last step are kept, and the pictures u forgotten: pixels are copied by them, not averaged.

Source: Wexler, Shechtman and Irani, "Space-Time Completion of Video", PAMI 2007, section 3; the search is that of
Barnes et al., "PatchMatch", SIGGRAPH 2009, section 3, with offsets of neighbours 1, 2 and 4 positions away.
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import BESIDE, eroded, in_threads, patches, principal_axes
from shiftnet_tf.system.progress import Progress, silent

_PATCH = 7  # side of the patches, in positions
_COMPONENTS = 24  # principal components that are kept of a patch
_ROUNDS = 3
_JUMPS = (4, 2, 1)  # positions to the neighbours whose offsets are tried
_GAIN = np.float32(0.2)  # of its squared distance, at most, has what replaces an offset: what fits stays in one piece
_SHRINK = 3  # by which the radius of the random search falls, from half the picture to 1


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
        offsets: int [h, w, 2], of the hole's positions.
        progress: called before each step, see `system.progress`.

    Returns:
        int [h, w, 2], offsets of the hole's positions, each of which leads to a position that may be copied; as they
        came where no whole patch is known.
    """
    sources, known = patches(picture, source, _PATCH)
    if not len(sources):
        return offsets
    search = _Search(hole, sources, known)
    nearest, filled = search.first(offsets), filled.copy()
    for number in range(_ROUNDS):
        progress(number / _ROUNDS)
        own = search.project(_patches_at(filled, search.targets))
        nearest, distances = search.improve(own, nearest)
        if number < _ROUNDS - 1:
            filled[hole] = search.vote(picture, hole, nearest, distances)
    healed = offsets.copy()
    inside = hole[tuple(search.targets.T)]
    healed[hole] = nearest[inside]
    return healed


def _patches_at(picture: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The patches around places, with replicated borders: float32 [n, side * side * C]."""
    reach = _PATCH // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (_PATCH, _PATCH), axis=(0, 1))
    found: np.ndarray = windows[tuple(places.T)].reshape(len(places), -1)
    return found


class _Search:
    """The search for the most similar known patch of each target.

    Args:
        hole: see `heal`.
        sources, known: centres and patches of the known part, as `arrays.patches` gives them.

    Attributes:
        targets: int [n, 2], centres of the patches that touch the hole, row by row.
    """

    def __init__(self, hole: np.ndarray, sources: np.ndarray, known: np.ndarray) -> None:
        self.shape, self._sources = hole.shape, sources
        self._centres = np.zeros(hole.size, bool)
        self._centres[sources @ (hole.shape[1], 1)] = True
        reach = _PATCH // 2
        touched = ~eroded(np.pad(~hole, reach, constant_values=True), reach)[reach:-reach, reach:-reach]
        self.targets = np.argwhere(touched)
        self._index = np.full(hole.shape, -1)
        self._index[touched] = np.arange(len(self.targets))
        self._mean, self._axes = principal_axes(known, _COMPONENTS)
        self._known = np.zeros((hole.size, self._axes.shape[1]), np.float32)
        self._known[self._centres] = self.project(known)
        self._rng = np.random.default_rng(0)

    def project(self, patches: np.ndarray) -> np.ndarray:
        """The principal components of patches: float32 [n, _COMPONENTS]."""
        return in_threads(lambda some: (some - self._mean) @ self._axes, patches)

    def first(self, offsets: np.ndarray) -> np.ndarray:
        """Offsets to begin with, of all targets: those of the hole, beside it those of the nearest in the hole."""
        height, width = self.shape
        spread, has = offsets.copy(), (offsets != 0).any(-1)
        for _ in range(_PATCH):
            for rows, columns in BESIDE:
                near = np.roll(has, (rows, columns), (0, 1)) & ~has
                spread[near] = np.roll(spread, (rows, columns), (0, 1))[near]
                has |= near
        nearest = spread[tuple(self.targets.T)]
        places = np.clip(self.targets + nearest, 0, (height - 1, width - 1))
        lost = ~self._centres[places @ (width, 1)]
        places[lost] = self._sources[self._rng.integers(len(self._sources), size=lost.sum())]
        first: np.ndarray = places - self.targets
        return first

    def distances(self, patches: np.ndarray, which: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Squared distances of the targets `which` from the patches at their offsets: float32 [n], inf where none."""
        height, width = self.shape
        places = self.targets[which] + offsets
        inside = (places >= 0).all(1) & (places < (height, width)).all(1)
        index = np.where(inside, places @ (width, 1), 0)
        lack = patches[which] - self._known[index]
        found: np.ndarray = np.einsum("ij,ij->i", lack, lack)
        return np.where(inside & self._centres[index], found, np.float32(np.inf))

    def improve(self, patches: np.ndarray, nearest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One pass of the search: (int [n, 2], offsets; float32 [n], their squared distances)."""
        every, nearest = np.arange(len(self.targets)), nearest.copy()
        best = self.distances(patches, every, nearest)

        def attempt(which: np.ndarray, offsets: np.ndarray) -> None:
            found = self.distances(patches, which, offsets)
            better = found < _GAIN * best[which]
            nearest[which[better]], best[which[better]] = offsets[better], found[better]

        border = max(_JUMPS)
        padded = np.pad(self._index, border, constant_values=-1)
        for jump in _JUMPS:
            for step in BESIDE:
                near = padded[tuple((self.targets + border + jump * np.array(step)).T)]
                which = every[(near >= 0) & (nearest[near] != nearest).any(1)]
                attempt(which, nearest[near[which]])
        radius: float = max(self.shape) / 2
        while radius >= 1:
            attempt(every, nearest + np.round(self._rng.uniform(-radius, radius, nearest.shape)).astype(int))
            radius /= _SHRINK
        return nearest, best

    def vote(self, picture: np.ndarray, hole: np.ndarray, nearest: np.ndarray, distances: np.ndarray) -> np.ndarray:
        """The mean of what the patches say of each position of the hole: float32 [n, 3]."""
        reach, width = _PATCH // 2, self.shape[1]
        softness = np.float32(0.1) * np.median(distances) + np.float32(1e-3)
        weights = (distances.min() + softness) ** 2 / (distances + softness) ** 2
        padded, colours = np.pad(self._index, reach, constant_values=-1), picture.reshape(-1, picture.shape[-1])

        def mean(places: np.ndarray) -> np.ndarray:
            total, weight = np.zeros((len(places), picture.shape[-1]), np.float32), np.zeros((len(places), 1))
            for row in range(_PATCH):
                for column in range(_PATCH):
                    patch = padded[places[:, 0] + row, places[:, 1] + column]
                    there = patch >= 0  # its centre is no place outside the picture
                    share = np.where(there, weights[patch], np.float32(0))[:, np.newaxis]
                    total += share * colours[np.where(there, (places + nearest[patch]) @ (width, 1), 0)]
                    weight += share
            return total / weight.astype(np.float32)

        return in_threads(mean, np.argwhere(hole))
