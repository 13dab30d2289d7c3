"""Array helpers of the shift map: cell means, blur, erosion, patches."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from shiftnet_tf.system.machine import usable_cores

Floats = NDArray[np.float32]
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


def patches(picture: np.ndarray, where: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the square patches that lie within a mask.

    Args:
        picture: float32 [h, w, C].
        where: bool [h, w].
        side: pixels, odd.

    Returns:
        Rows and columns of the centres, int [n, 2], and the patches, float32 [n, side * side * C]; n may be 0.
    """
    rows, columns = np.nonzero(eroded(where, side // 2))
    if not len(rows):
        return np.zeros((0, 2), int), np.zeros((0, side * side * picture.shape[-1]), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(0, 1))
    found = windows[rows - side // 2, columns - side // 2]
    return np.stack([rows, columns], 1), found.reshape(len(rows), -1)


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


def in_threads(function: Callable[..., np.ndarray], *arrays: np.ndarray) -> np.ndarray:
    """Apply a function to parts of arrays, one thread for each, and join the results.

    Args:
        function: takes rows of each array and returns an array with as many rows, each from its own row alone.
        arrays: [n, ...] each.

    Returns:
        What `function(*arrays)` returns.
    """
    threads = max(1, min(_THREADS, usable_cores(), len(arrays[0])))
    parts = zip(*(np.array_split(array, threads) for array in arrays))
    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(lambda part: function(*part), parts)))


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
