"""The cost of a choice of offsets: shift-map editing with a guide.

E(o) = sum_p D_p(o_p) + sum_(p,q) V_pq(o_p, o_q) over the hole's positions p and its pairs of neighbours (p, q),

D_p(o) = guide * min(|B(p + o) - G(p)|, cap) + rim * sum_k f(|I(k + o) - I(k)|),  k known, near p,
V_pq(a, b) = change + f(|I(p + a) - I(p + b)|) + f(|I(q + a) - I(q + b)|)  for a != b, else 0,

with the photo I, the guide G, and B, the photo blurred like the guide; | | is the sum of absolute differences of the
three channels in grey levels, and f(d) = d + d^2 / 20: a seam through an edge costs more than many through what is
nearly alike. An offset that leads out of the known part is forbidden.

Source: Pritch, Kav-Venaki and Peleg, "Shift-Map Image Editing", ICCV 2009, equations 2 to 4. The guide's term, f,
the wider rim and the price of a change are ours; docs/strategies.md says how they were chosen.
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import Floats

FORBIDDEN = np.float32(1e7)
GUIDE, GUIDE_CAP = np.float32(0.08), np.float32(45)
GUIDE_BLUR = 2.0  # standard deviation in positions
RIM, RIM_UNKNOWN = np.float32(1), np.float32(150)  # RIM_UNKNOWN: where k + o is unknown itself
RIM_REACH = 3  # positions from p to k, rows plus columns
CONVEX = 20  # grey levels, summed over channels, at which a difference counts twice
CHANGE, SEAM_UNKNOWN = np.float32(4), np.float32(60)  # SEAM_UNKNOWN: where p + b or q + a is unknown


_STAY = np.zeros(2, int)


class Source:
    """A photo in which offsets are looked up, at one resolution.

    Args:
        picture: uint8 or float32 [h, w, 3], grey levels.
        usable: bool [h, w], positions that may be copied.
    """

    def __init__(self, picture: np.ndarray, usable: np.ndarray) -> None:
        self.shape = usable.shape
        self._picture, self._usable = picture.reshape(-1, picture.shape[-1]), usable.ravel()

    def at(self, places: np.ndarray, offsets: np.ndarray = _STAY) -> tuple[np.ndarray, np.ndarray]:
        """Look up positions, which may lie outside.

        Args:
            places: int [..., 2], rows and columns.
            offsets: int [..., 2], added to the places.

        Returns:
            The colours, float32 [..., 3], and whether they may be copied, bool [...].
        """
        rows, columns = places[..., 0] + offsets[..., 0], places[..., 1] + offsets[..., 1]
        inside = (rows >= 0) & (rows < self.shape[0]) & (columns >= 0) & (columns < self.shape[1])
        index = np.where(inside, rows * self.shape[1] + columns, 0)
        return self._picture[index].astype(np.float32, copy=False), inside & self._usable[index]


def convex(lack: Floats) -> Floats:
    """Return f(d) of differences d in grey levels: float32 [...]."""
    return lack + lack * lack * np.float32(1 / CONVEX)


def difference(a: Floats, b: Floats) -> Floats:
    """Return the sum of absolute differences over channels: float32 [...]."""
    total: Floats = np.abs(a - b).sum(-1)
    return total


def data_costs(
    image: Source,
    smooth: Source,
    guide: np.ndarray,
    nodes: np.ndarray,
    offsets: np.ndarray,
    weight: np.float32 = GUIDE,
) -> np.ndarray:
    """Return D_p(o) of each position for each offset.

    Args:
        image, smooth: I and B.
        guide: float32 [h, w, 3], G.
        nodes: int [n, 2], the hole's positions.
        offsets: int [k, 2].
        weight: that of the guide.

    Returns:
        float32 [n, k]; FORBIDDEN where an offset leads out of the known part.
    """
    colours, usable = smooth.at(nodes[:, np.newaxis], offsets)
    costs = weight * np.minimum(difference(colours, guide[tuple(nodes.T)][:, np.newaxis]), GUIDE_CAP)
    reach = range(-RIM_REACH, RIM_REACH + 1)
    for step in ((i, j) for i in reach for j in reach if 0 < abs(i) + abs(j) <= RIM_REACH):
        colours, known = image.at(nodes + step)
        index = np.flatnonzero(known)
        if len(index):
            found, also = image.at((nodes[index] + step)[:, np.newaxis], offsets)
            costs[index] += RIM * np.where(also, convex(difference(found, colours[index, np.newaxis])), RIM_UNKNOWN)
    return np.where(usable, costs, FORBIDDEN)


def seam_costs(image: Source, first: np.ndarray, second: np.ndarray, own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return V_pq(a, b) of pairs of neighbours for each pair of their offsets.

    Args:
        image: I.
        first, second: int [n, 2], p and q.
        own, other: int [n, m, 2], the offsets of p and of q.

    Returns:
        float32 [n, m, m].
    """
    costs = np.full((len(first), own.shape[1], other.shape[1]), CHANGE)
    for places in (first, second):
        (a, usable), (b, also) = (image.at(places[:, np.newaxis], offsets) for offsets in (own, other))
        lack = np.zeros_like(costs)
        for channel in range(a.shape[-1]):  # one at a time: three times less memory
            lack += np.abs(a[:, :, np.newaxis, channel] - b[:, np.newaxis, :, channel])
        costs += np.where(usable[:, :, np.newaxis] & also[:, np.newaxis], convex(lack), SEAM_UNKNOWN)
    costs[(own[:, :, np.newaxis] == other[:, np.newaxis]).all(-1)] = 0
    return costs
