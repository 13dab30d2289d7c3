"""Array helpers of the shift map: cell means, blur, erosion, patches."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shiftnet_tf.system.machine import usable_cores

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Slices = tuple[slice, slice]
_THREADS = 4
BESIDE = ((0, 1), (1, 0), (0, -1), (-1, 0))  # steps (rows, columns) to the four neighbours


def cell_means(picture: np.ndarray) -> Floats:
    """Return the means of cells of 2x2 pixels: float32 [H / 2, W / 2, C].

    Args:
        picture: [H, W, C], H and W even.
    """
    rows: Floats = picture[::2].astype(np.float32) + picture[1::2]
    return (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)


def any_in_cells(mask: np.ndarray) -> np.ndarray:
    """Return which cells of 2x2 pixels hold a True: bool [H / 2, W / 2]."""
    rows = mask[::2] | mask[1::2]
    cells: np.ndarray = rows[:, ::2] | rows[:, 1::2]
    return cells


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Return a Gaussian blur with replicated borders: float32 [H, W, C].

    Args:
        picture: float32 [H, W, C].
        sigma: standard deviation in pixels.
    """
    reach = math.ceil(2.5 * sigma)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    for axis in (0, 1):
        length = picture.shape[axis]
        padded = np.pad(picture, [(reach, reach) if i == axis else (0, 0) for i in range(3)], mode="edge")
        parts = (padded[(slice(None),) * axis + (slice(i, i + length),)] for i in range(2 * reach + 1))
        picture = sum(weight * part for weight, part in zip(weights, parts))
    return picture


def eroded(mask: np.ndarray, reach: int) -> np.ndarray:
    """Return where a square of `reach` positions to each side is all True: bool [H, W]; outside counts as False."""
    padded = np.pad(mask, reach)
    for axis in (0, 1):
        length = mask.shape[axis]
        parts = [padded[(slice(None),) * axis + (slice(i, i + length),)] for i in range(2 * reach + 1)]
        padded = np.logical_and.reduce(parts)
    return padded


def depths(mask: np.ndarray) -> np.ndarray:
    """Return the chessboard distance of each position to the nearest False: int [H, W]; outside counts as False."""
    total = np.zeros(mask.shape, int)
    while mask.any():
        total += mask
        mask = eroded(mask, 1)
    return total


def positions(mask: np.ndarray) -> Ints:
    """Return the rows and columns of all True elements, row by row: int32 [2, n]."""
    return np.stack(np.nonzero(mask)).astype(np.int32)


def column(place: tuple[int, int]) -> Ints:
    """Return a position or a step as a column, to be added to many: int32 [2, 1]."""
    return np.array(place, np.int32)[:, np.newaxis]


def patches(picture: np.ndarray, side: int) -> np.ndarray:
    """Return the square patches around all positions, with replicated borders: a view, [h, w, C, side, side].

    Args:
        picture: [h, w, C].
        side: pixels, odd.
    """
    reach = side // 2
    padded = np.pad(picture, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(0, 1))


def squares(vectors: np.ndarray) -> Floats:
    """Return the squared lengths of vectors: float32 [n, d] -> [n]."""
    found: Floats = np.einsum("ij,ij->i", vectors, vectors)
    return found


def principal_axes(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of vectors and their first principal axes, found on 2,000 of them.

    Args:
        vectors: float32 [n, d], n at least 1.
        count: axes to return, at most d.

    Returns:
        float32 [d] and float32 [d, count].
    """
    mean: np.ndarray = vectors.mean(0)
    some = vectors[:: -(-len(vectors) // 2000)] - mean
    _, axes = np.linalg.eigh(some.T @ some)
    return mean, axes[:, : -count - 1 : -1]


def in_threads(function: Callable[[slice], None], length: int, size: int) -> None:
    """Call a function with each part of a range; several threads share the parts.

    Args:
        function: takes a part and writes the part of the results that depends on it.
        length: of the range.
        size: of a part; small enough for its data to stay in the cache.
    """
    parts = [slice(start, min(start + size, length)) for start in range(0, length, size)]
    threads = max(1, min(_THREADS, usable_cores(), len(parts)))

    def work(first: int) -> None:
        for part in parts[first::threads]:
            function(part)

    if threads < 2:
        work(0)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, range(threads)))


def edge(shape: tuple[int, ...], step: tuple[int, int]) -> tuple[Slices, Slices]:
    """Return the indices of both ends of all edges in one direction.

    Args:
        shape: H and W; further sizes are ignored.
        step: (0, 1) or (1, 0).

    Returns:
        The indices of the positions, and those of their neighbours at `step`.
    """
    rows, columns = step
    first = slice(None, shape[0] - rows), slice(None, shape[1] - columns)
    return first, (slice(rows, None), slice(columns, None))
