"""Copied pixels, blended into their surroundings in the gradient domain.

Find the picture u whose differences between neighbours are closest to those of their sources, in least squares:

min_u sum_(p,q) w_pq (u_p - u_q - g_pq)^2 + sum_p v_p (u_p - n_p)^2,  u_q = I_q where q is known,

with g_pq = I(p + o_p) - I(q + o_p) within one source and at the hole's rim, and at a seam the mean of both sources'
differences. The unknown is the correction c = u - copy, which is smooth between seams. Where copy and g_pq differ by e
grey levels, at a seam or at the rim, w_pq = 1 / (1 + (e / 25)^2), elsewhere 1: different materials that meet stay
distinct, while equal weights would spread their difference over the hole as a haze.

The second sum pulls the colours towards a guide n, the network's prediction: v_p = v / (1 + (e / 100)^2), where copy
and guide differ by e grey levels. The pull acts over 1 / sqrt(v) pixels: 16 in holes up to 120x120, in larger ones as
much more as their sides are longer, so fine detail remains that of the copy.

Source: Perez, Gangnet and Blake, "Poisson Image Editing", SIGGRAPH 2003, equation 7; Bhat, Curless, Cohen and Zitnick,
"Fourier Analysis of the 2D Screened Poisson Equation for Gradient Domain Problems", ECCV 2008. The weights are ours.
"""

import numpy as np

from shiftnet_tf.runtime.refine import multigrid
from shiftnet_tf.runtime.refine.arrays import Slices, column, edge, positions
from shiftnet_tf.runtime.refine.energy import Source
from shiftnet_tf.system.progress import Progress, silent

_TOLERATED = np.float32(25)  # grey levels: a difference that is still smoothed out
_STRAYED = np.float32(100)  # grey levels, as _TOLERATED, of a copy from its guide
_GUIDE, _GUIDED = 1 / 16**2, 120**2  # v in a hole of so many pixels


def blended(
    image: Source,
    pixels: np.ndarray,
    hole: np.ndarray,
    known: np.ndarray,
    offsets: np.ndarray,
    corner: tuple[int, int],
    progress: Progress = silent,
    guided: bool = False,
) -> np.ndarray:
    """Copy the pixels of a hole and blend them.

    Args:
        image: the photo at full resolution.
        pixels: uint8 [H, W, 3], the box of the hole with a border of known pixels; the hole keeps its content where an
            offset leads to no known pixel.
        hole: bool [H, W], the pixels that are filled.
        known: bool [H, W], the pixels that may be copied.
        offsets: int32 [2, H, W].
        corner: row and column in `image` of the first pixel.
        progress: called before each step, see `shiftnet_tf.system.progress`.
        guided: whether the content of the hole pulls the colours towards it.

    Returns:
        uint8 [H, W, 3]; known pixels are those of `pixels`.
    """
    copy = np.moveaxis(pixels, -1, 0).astype(np.float32)
    found, usable = image.at(positions(hole) + column(corner), offsets[:, hole])
    copy[:, hole] = np.where(usable, found, copy[:, hole])
    right, fixed = np.zeros_like(copy), np.zeros(hole.shape, np.float32)
    weights = []  # of the edges to the right and down
    for step in ((0, 1), (1, 0)):
        first, second = edge(hole.shape, step)
        both = hole[first] & hole[second]
        weights.append(both.astype(np.float32))
        _add_seams(image, copy, offsets, both, step, corner, right, weights[-1])
        for inner, outer, away in ((first, second, step), (second, first, (-step[0], -step[1]))):
            _add_rim(image, copy, offsets, hole[inner] & known[outer], inner, away, corner, right, fixed)
    if guided:
        lack = np.moveaxis(pixels, -1, 0)[:, hole] - copy[:, hole]
        weight = np.float32(_GUIDE * min(1, _GUIDED / max(1, lack.shape[1]))) * _robust(lack, _STRAYED)
        fixed[hole] += weight
        right[:, hole] += weight * lack
    across, down = weights
    copy += multigrid.solve(multigrid.Grid(across, down, fixed), right, progress=progress)
    levels = np.moveaxis(np.clip(np.round(copy), 0, 255).astype(np.uint8), 0, -1)
    return np.where(hole[..., np.newaxis], levels, pixels)


def _robust(lack: np.ndarray, tolerated: np.float32) -> np.ndarray:
    """Return the weight of each equation, lower the larger its error: float32 [C, n], grey levels -> float32 [n]."""
    weight: np.ndarray = 1 / (1 + (np.abs(lack).max(0) / tolerated) ** 2)
    return weight


def _add_seams(
    image: Source,
    copy: np.ndarray,
    offsets: np.ndarray,
    both: np.ndarray,
    step: tuple[int, int],
    corner: tuple[int, int],
    right: np.ndarray,
    weights: np.ndarray,
) -> None:
    """Add the right side of the equations of edges between two sources, c_p - c_q = g_pq - (copy_p - copy_q)."""
    first, second = edge(offsets.shape[1:], step)
    at = positions(both & (offsets[:, *first] != offsets[:, *second]).any(0))
    ends = at + column(corner), at + column(step) + column(corner)
    p, q = tuple(at), tuple(at + column(step))
    total, count = np.zeros((3, len(p[0])), np.float32), np.zeros(len(p[0]), np.float32)
    for own in (offsets[:, *p], offsets[:, *q]):
        (a, usable), (b, also) = (image.at(end, own) for end in ends)
        total += np.where(usable & also, a - b, 0)
        count += usable & also
    copied = copy[:, *p] - copy[:, *q]
    lack = np.where(count > 0, total / np.maximum(count, 1) - copied, 0)
    weights[p] = _robust(lack, _TOLERATED)
    lack *= weights[p]
    right[:, *p] += lack  # each position has one edge in this direction: no index comes twice
    right[:, *q] -= lack


def _add_rim(
    image: Source,
    copy: np.ndarray,
    offsets: np.ndarray,
    where: np.ndarray,
    inner: Slices,
    step: tuple[int, int],
    corner: tuple[int, int],
    right: np.ndarray,
    fixed: np.ndarray,
) -> None:
    """Add the edges between hole and known pixels, c_p = I_q - I(q + o_p)."""
    at = positions(where) + column((inner[0].start or 0, inner[1].start or 0))
    beside = at + column(step)
    p, q = tuple(at), tuple(beside)
    found, usable = image.at(beside + column(corner), offsets[:, *p])
    lack = np.where(usable, copy[:, *q] - found, 0)
    weight = _robust(lack, _TOLERATED)
    fixed[p] += weight
    right[:, *p] += weight * lack
