"""The cost of a choice of offsets: shift-map editing with a guide.

E(o) = sum_p D_p(o_p) + sum_(p,q) V_pq(o_p, o_q) over the hole's positions p and its pairs of neighbours (p, q),

D_p(o) = guide * min(|B(p + o) - G(p)|, cap) + rim * sum_k f(|I(k + o) - I(k)|),  k known, near p,
V_pq(a, b) = change + f(|I(p + a) - I(p + b)|) + f(|I(q + a) - I(q + b)|)  for a != b, else 0,

with the photo I, the guide G, and B, the photo blurred like the guide; | | is the sum of absolute differences over the
three channels in grey levels, and f(d) = d + d^2 / 20, so that one seam through an edge costs more than many through
similar pixels. An offset that leads out of the known part is forbidden.

Source: Pritch, Kav-Venaki and Peleg, "Shift-Map Image Editing", ICCV 2009, equations 2 to 4. The guide's term, f,
the wider rim and the price of a change are ours; docs/strategies.md says how they were chosen.
"""

from typing import NamedTuple

import numpy as np

from shiftnet_tf.runtime.refine.arrays import Floats, Ints, column, in_threads, positions

FORBIDDEN = np.float32(1e7)
GUIDE, GUIDE_CAP = np.float32(0.08), np.float32(45)
GUIDE_BLUR = 2.0  # standard deviation in positions
RIM, RIM_UNKNOWN = np.float32(1), np.float32(150)  # RIM_UNKNOWN: where k + o is unknown itself
RIM_REACH = 3  # positions from p to k, rows plus columns
CONVEX = 20  # grey levels, summed over channels, at which a difference counts twice
CHANGE, SEAM_UNKNOWN = np.float32(4), np.float32(60)  # SEAM_UNKNOWN: where p + b or q + a is unknown

_STAY = np.zeros(2, np.int32)


class Source:
    """A photo in which offsets are looked up, at one resolution.

    Args:
        picture: uint8 or float32 [h, w, 3], grey levels.
        usable: bool [h, w], positions that may be copied.

    Attributes:
        planes: as `picture`, [3, h, w].
        usable: as given.
    """

    def __init__(self, picture: np.ndarray, usable: np.ndarray) -> None:
        self.planes, self.usable = np.ascontiguousarray(np.moveaxis(picture, -1, 0)), usable

    def at(self, places: np.ndarray, offsets: np.ndarray = _STAY) -> tuple[np.ndarray, np.ndarray]:
        """Look up positions, which may lie outside.

        Args:
            places: int32 [2, ...], rows and columns.
            offsets: int32 [2, ...], added to the places.

        Returns:
            The colours, float32 [3, ...], and whether they may be copied, bool [...].
        """
        index, usable = self._find(places, offsets)
        colours = self.planes.reshape(len(self.planes), -1).take(index, axis=1, mode="clip")
        return colours.astype(np.float32, copy=False), usable

    def usable_at(self, places: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Return whether positions may be copied, bool [...]; see `at`."""
        return self._find(places, offsets)[1]

    def _find(self, places: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the indices of positions in a plane, of any value outside, and whether they may be copied."""
        height, width = self.usable.shape
        rows, columns = places[0] + offsets[0], places[1] + offsets[1]
        inside = (rows.view(np.uint32) < height) & (columns.view(np.uint32) < width)  # negative values are large there
        index = (rows * width + columns).astype(np.intp)
        return index, inside & self.usable.ravel().take(index, mode="clip")


def convex(lack: Floats) -> Floats:
    """Return f(d) of differences d in grey levels: float32 [...]."""
    return lack + lack * lack * np.float32(1 / CONVEX)


def difference(a: Floats, b: Floats) -> Floats:
    """Return the sum of absolute differences over channels: float32 [3, ...] -> [...]."""
    lack = a - b
    total: Floats = np.abs(lack, out=lack).sum(0)
    return total


def data_costs(
    image: Source,
    smooth: Source,
    hole: np.ndarray,
    offsets: np.ndarray,
    weight: np.float32 = GUIDE,
) -> Floats:
    """Return D_p(o) of each position for each offset.

    Args:
        image, smooth: I and B; in the hole B is G.
        hole: bool [h, w].
        offsets: int32 [k, 2].
        weight: that of the guide.

    Returns:
        float32 [k, n], positions row by row; FORBIDDEN where an offset leads out of the known part.
    """
    nodes = positions(hole)
    guide, rim = smooth.at(nodes)[0], _rim(image, hole)
    beside = image.at(rim.places)[0]
    costs = np.empty((len(offsets), nodes.shape[1]), np.float32)

    def fill(part: slice) -> None:
        for cost, offset in zip(costs[part], offsets[part, :, np.newaxis]):
            found, usable = smooth.at(nodes, offset)
            cost[:] = weight * np.minimum(difference(found, guide), GUIDE_CAP)
            found, also = image.at(rim.places, offset)
            lack = RIM * np.where(also, convex(difference(found, beside)), RIM_UNKNOWN)
            cost += np.bincount(rim.nodes, lack[rim.which], len(cost)).astype(np.float32)
            cost[~usable] = FORBIDDEN

    in_threads(fill, len(offsets), 8)
    return costs


class _Rim(NamedTuple):
    """The known positions near a hole.

    Attributes:
        places: int32 [2, n], each once.
        nodes, which: int [m] each, the pairs of a position of the hole, numbered row by row, and one of `places`.
    """

    places: Ints
    nodes: np.ndarray
    which: np.ndarray


def _rim(image: Source, hole: np.ndarray) -> _Rim:
    """Return the known positions within RIM_REACH of the positions of a hole."""
    width, places = hole.shape[1], positions(hole)
    reach = range(-RIM_REACH, RIM_REACH + 1)
    nodes, near = [], []
    for step in ((i, j) for i in reach for j in reach if 0 < abs(i) + abs(j) <= RIM_REACH):
        known = np.flatnonzero(image.usable_at(places, column(step)))
        nodes.append(known)
        near.append((places[0, known] + step[0]) * width + places[1, known] + step[1])
    found, which = np.unique(np.concatenate(near), return_inverse=True)
    return _Rim(np.stack(np.divmod(found, width)).astype(np.int32), np.concatenate(nodes), which)


def seam_costs(image: Source, first: np.ndarray, second: np.ndarray, own: np.ndarray, other: np.ndarray) -> Floats:
    """Return V_pq(a, b) of pairs of neighbours for each pair of their offsets.

    Args:
        image: I.
        first, second: int32 [2, l, n], p and q: n pairs in each of l lines.
        own, other: int32 [2, l, m, n], the offsets of p and of q.

    Returns:
        float32 [l, m, m, n].
    """
    lines, number, pairs = own.shape[1:]
    costs = np.full((lines, number, number, pairs), CHANGE)
    for places in (first, second):
        (a, usable), (b, also) = (image.at(places[:, :, np.newaxis], offsets) for offsets in (own, other))
        lack = np.zeros_like(costs)
        for x, y in zip(a, b):  # one channel at a time: three times less memory
            apart = x[:, :, np.newaxis] - y[:, np.newaxis]
            lack += np.abs(apart, out=apart)
        lack = convex(lack)
        line, label, pair = np.nonzero(~usable)  # few, so that this is faster than np.where
        lack[line, label, :, pair] = SEAM_UNKNOWN
        line, label, pair = np.nonzero(~also)
        lack[line, :, label, pair] = SEAM_UNKNOWN
        costs += lack
    same = (own[0, :, :, np.newaxis] == other[0, :, np.newaxis]) & (own[1, :, :, np.newaxis] == other[1, :, np.newaxis])
    costs.ravel()[np.flatnonzero(same)] = 0
    return costs
