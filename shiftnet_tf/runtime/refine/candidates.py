"""Candidate offsets: where the content of a hole may come from.

An offset leads from a position of the hole to the known position that it copies. There are two sources:
- dominant offsets of the known part, because a photo repeats itself at few distances; - a sparse regular grid, because
a smooth background repeats at no particular distance.

Source: He and Sun, "Statistics of Patch Offsets for Image Completion", ECCV 2012, section 3. The grid is ours.
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import (
    any_in_cells,
    blurred,
    cell_means,
    eroded,
    in_threads,
    patches,
    positions,
    principal_axes,
)

_COUNT = 80  # dominant offsets
_GRID = 9  # offsets of the grid along each axis
_REACH = 0.6  # of each side of the photo: the longest offset of the grid
_PATCH = 7  # side of the patches that are compared, in positions
_COMPONENTS = 24  # principal components that are kept of a patch
_NEAR = 6  # shorter offsets only say that photos are smooth, in positions
_QUERIES, _KEYS = 1500, 3000  # patches that are compared, drawn with a fixed seed
_SIDE = 70  # larger grids are searched at half their resolution, in positions


def candidates(picture: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Return all candidate offsets, the most frequent first.

    Args:
        picture: float32 [h, w, 3], grey levels.
        source: bool [h, w], positions that may be copied.

    Returns:
        int [n, 2], rows and columns, each offset once.
    """
    height, width = (length - length % 2 for length in source.shape)
    if min(height, width) > _SIDE:
        small = ~any_in_cells(~source[:height, :width])
        dominant = 2 * dominant_offsets(cell_means(picture[:height, :width]), small)
    else:
        dominant = dominant_offsets(picture, source)
    offsets = np.concatenate([dominant, grid_offsets(source.shape)])
    _, first = np.unique(offsets, axis=0, return_index=True)
    return offsets[np.sort(first)]


def dominant_offsets(picture: np.ndarray, source: np.ndarray, count: int = _COUNT) -> np.ndarray:
    """Return the offsets at which known patches most often find their most similar patch.

    Args:
        picture: float32 [h, w, 3], grey levels.
        source: bool [h, w], positions that may be copied.
        count: most offsets to return.

    Returns:
        int [n, 2], the most frequent first; n may be 0.

    Source:
        He and Sun, ECCV 2012, section 3.1, with an exhaustive search in place of a k-d tree.
    """
    shape = np.array(source.shape)
    places = positions(eroded(source, _PATCH // 2)).T
    if not len(places):
        return places
    rng = np.random.default_rng(0)
    if len(places) > _KEYS:
        places = places[rng.choice(len(places), _KEYS, replace=False)]
    vectors = patches(picture, _PATCH)[tuple(places.T)].reshape(len(places), -1)
    mean, axes = principal_axes(vectors, _COMPONENTS)
    vectors = (vectors - mean) @ axes
    queries = rng.choice(len(places), min(_QUERIES, len(places)), replace=False)
    distances = (vectors**2).sum(1) - 2 * vectors[queries] @ vectors.T  # squared, less what is equal in a row
    nearest, (rows, columns) = np.full(len(queries), -1), places.T.astype(np.int16)  # four times faster than int64

    def search(part: slice) -> None:
        near = np.abs(rows[queries[part], np.newaxis] - rows) < _NEAR
        near &= np.abs(columns[queries[part], np.newaxis] - columns) < _NEAR
        distances[part][near] = np.inf
        nearest[part] = np.where(near.all(1), -1, distances[part].argmin(1))

    in_threads(search, len(queries), 50)
    found = nearest >= 0
    offsets = places[nearest[found]] - places[queries[found]]
    votes = np.zeros(2 * shape + 1, np.float32)
    for signed in (offsets, -offsets):  # an offset that fits also fits in the opposite direction
        np.add.at(votes, tuple((signed + shape).T), 1)
    peaks: np.ndarray = _peaks(blurred(votes[..., np.newaxis], 1.4)[..., 0], count) - shape
    return peaks


def _peaks(votes: np.ndarray, count: int) -> np.ndarray:
    """Return the highest positions of a map, no two within 2 of each other: int [n, 2]."""
    padded = np.pad(votes, 2)
    peaks: list[tuple[int, int]] = []
    for row, column in zip(*np.unravel_index(np.argsort(-votes, axis=None, kind="stable"), votes.shape)):
        if len(peaks) == count or votes[row, column] <= 0:
            break
        around = padded[row : row + 5, column : column + 5]
        if around[2, 2] > 0:
            peaks.append((row, column))
            around[:] = 0
    return np.array(peaks, int).reshape(-1, 2)


def grid_offsets(shape: tuple[int, ...]) -> np.ndarray:
    """Return offsets on a regular grid, up to 0.6 of the shape each way, without the zero offset: int [n, 2]."""
    rows, columns = (np.linspace(-_REACH * length, _REACH * length, _GRID).astype(int) for length in shape)
    offsets: np.ndarray = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1).reshape(-1, 2)
    moving: np.ndarray = offsets[(offsets != 0).any(1)]
    return moving
