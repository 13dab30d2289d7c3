"""The weighted Laplace equation on a grid with known and unknown positions, by multigrid.

For each unknown position p: sum_q w_pq (x_p - x_q) + f_p x_p = b_p over its unknown neighbours q, with f_p the weight
of its edges to known ones. Conjugate gradients, with one V-cycle of a multigrid method as the preconditioner; cells of
2x2 positions make the coarser grid.

Source: Trottenberg, Oosterlee and Schueller, "Multigrid", 2001, sections 2.4 and 7.8.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from shiftnet_tf.runtime.refine.arrays import Floats, in_threads
from shiftnet_tf.system.progress import Progress, silent

_DAMPING = np.float32(1.39), np.float32(0.56)  # of two Jacobi steps: Chebyshev weights for eigenvalues from 0.5 to 2
_SMALLEST = 4  # positions along a side of the coarsest grid
_BAND = 8192  # positions of a band of rows
_LAST_STEPS = 10  # pairs of smoothing steps on the coarsest grid


@dataclass(frozen=True)
class Grid:
    """The weights of a grid.

    Attributes:
        across: float32 [H, W - 1], of the edge to the right; 0 where either end is known.
        down: float32 [H - 1, W], of the edge to the position below, likewise.
        fixed: float32 [H, W], f, sum of the weights of the edges to known neighbours; 0 at known positions.
    """

    across: Floats
    down: Floats
    fixed: Floats

    @cached_property
    def diagonal(self) -> Floats:
        """The sum of the weights of each position's edges: float32 [H, W]."""
        diagonal = self.fixed.copy()
        diagonal[:, :-1] += self.across
        diagonal[:, 1:] += self.across
        diagonal[:-1] += self.down
        diagonal[1:] += self.down
        return diagonal

    @cached_property
    def inverse(self) -> Floats:
        """The inverse of the diagonal; 0 at known positions."""
        return np.where(self.diagonal > 0, 1 / np.maximum(self.diagonal, np.float32(1e-12)), np.float32(0))

    def in_bands(self, function: Callable[[slice], None]) -> None:
        """Call a function with bands of rows, of even height, that fit into the cache, several at a time."""
        height, width = self.fixed.shape
        in_threads(function, height, height if height * width <= 2 * _BAND else 2 * max(1, _BAND // (2 * width)))

    def apply(self, x: Floats, rows: slice) -> Floats:
        """Return some rows of the equation's left side: float32 [C, h, W]."""
        top, bottom = rows.start, rows.stop
        first, last = max(top, 1), min(bottom, len(self.down))  # rows that have one above, and one below
        out = self.diagonal[rows] * x[:, rows]
        out[:, :, :-1] -= self.across[rows] * x[:, rows, 1:]
        out[:, :, 1:] -= self.across[rows] * x[:, rows, :-1]
        out[:, : last - top] -= self.down[top:last] * x[:, top + 1 : last + 1]
        out[:, first - top :] -= self.down[first - 1 : bottom - 1] * x[:, first - 1 : bottom - 1]
        return out

    def smoothed(self, x: Floats, right: Floats, damping: np.float32) -> Floats:
        """Return x after a damped Jacobi step."""
        out = np.empty_like(x)

        def fill(rows: slice) -> None:
            lack = self.apply(x, rows)
            np.subtract(right[:, rows], lack, out=lack)
            lack *= damping * self.inverse[rows]
            np.add(x[:, rows], lack, out=out[:, rows])

        self.in_bands(fill)
        return out

    def coarser(self) -> "Grid":
        """Return the grid of 2x2 cells: edges, twice as long, weigh half, edges to known positions two thirds."""
        height, width = (length + length % 2 for length in self.fixed.shape)
        across, down = np.zeros((2, height, width), np.float32)
        across[: self.across.shape[0], : self.across.shape[1]] = self.across
        down[: self.down.shape[0], : self.down.shape[1]] = self.down
        return Grid(
            (across[::2, 1::2] + across[1::2, 1::2])[:, :-1] / 2,
            (down[1::2, ::2] + down[1::2, 1::2])[:-1] / 2,
            _cell_sums(self.fixed[np.newaxis])[0] * np.float32(2 / 3),
        )


def solve(grid: Grid, right: Floats, tolerance: float = 0.25, rounds: int = 20, progress: Progress = silent) -> Floats:
    """Solve the equation for x.

    Args:
        grid: the weights.
        right: float32 [C, H, W], b; 0 at known positions.
        tolerance: stop at residuals up to this.
        rounds: maximum number of rounds of conjugate gradients.
        progress: called before each round, see `shiftnet_tf.system.progress`.

    Returns:
        float32 [C, H, W]; 0 at known positions.
    """
    grids = [grid]
    while min(grids[-1].fixed.shape) > _SMALLEST:
        grids.append(grids[-1].coarser())
    x, residual = np.zeros_like(right), right.copy()
    direction, image, before = np.zeros_like(right), np.empty_like(right), np.ones((1, 1, 1), np.float32)
    for done in range(rounds):
        if np.abs(residual).max(initial=0) <= tolerance:
            break
        progress(done / rounds)
        wanted = _cycle(grids, residual)
        product = _products(grid, residual, wanted)
        share = product / before

        def turn(rows: slice, wanted: Floats = wanted, share: Floats = share) -> None:
            direction[:, rows] *= share
            direction[:, rows] += wanted[:, rows]

        def apply(rows: slice) -> None:
            image[:, rows] = grid.apply(direction, rows)

        grid.in_bands(turn)
        grid.in_bands(apply)
        length = product / _nonzero(_products(grid, direction, image))

        def go(rows: slice, length: Floats = length) -> None:
            x[:, rows] += length * direction[:, rows]
            residual[:, rows] -= length * image[:, rows]

        grid.in_bands(go)
        before = _nonzero(product)
    return x


def _products(grid: Grid, a: Floats, b: Floats) -> Floats:
    """Return the scalar product of each channel: float32 [C, 1, 1]."""
    sums = np.zeros((a.shape[1], len(a), 1, 1))  # of a band, at its first row

    def fill(rows: slice) -> None:
        sums[rows.start] = (a[:, rows] * b[:, rows]).sum((1, 2), dtype=np.float64, keepdims=True)

    grid.in_bands(fill)
    total: np.ndarray = sums.sum(0).astype(np.float32)
    return total


def _nonzero(values: Floats) -> Floats:
    return np.where(values > 0, values, np.float32(1))


def _cycle(grids: list[Grid], residual: Floats) -> Floats:
    """Run one V-cycle from zero, with as many smoothing steps before as after, which keeps it symmetric."""
    grid = grids[0]
    first, second = _DAMPING
    x = grid.smoothed(first * grid.inverse * residual, residual, second)
    if len(grids) == 1:
        for _ in range(_LAST_STEPS):
            x = grid.smoothed(grid.smoothed(x, residual, first), residual, second)
        return x
    width = grid.fixed.shape[1]
    sums = np.empty((len(x), *grids[1].fixed.shape), np.float32)

    def restrict(rows: slice) -> None:
        sums[:, rows.start // 2 : -(-rows.stop // 2)] = _cell_sums(residual[:, rows] - grid.apply(x, rows))

    grid.in_bands(restrict)
    coarse = _cycle(grids[1:], sums)

    def correct(rows: slice) -> None:
        repeated = np.repeat(np.repeat(coarse[:, rows.start // 2 : -(-rows.stop // 2)], 2, 1), 2, 2)
        x[:, rows] += repeated[:, : rows.stop - rows.start, :width] * (grid.diagonal[rows] > 0)

    grid.in_bands(correct)
    return grid.smoothed(grid.smoothed(x, residual, second), residual, first)


def _cell_sums(x: Floats) -> Floats:
    """Return sums of cells of 2x2: [C, H, W] -> [C, ceil(H / 2), ceil(W / 2)]."""
    x = np.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2)))
    rows = x[:, ::2] + x[:, 1::2]
    return rows[:, :, ::2] + rows[:, :, 1::2]
