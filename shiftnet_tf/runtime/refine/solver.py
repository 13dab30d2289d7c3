"""Min-sum belief propagation on a grid of positions, each with a few labels of its own.

Messages pass along whole rows and columns, forward and back, so that each round carries them across the hole:

m_pq(b) = min_a (D_p(a) + sum_(s in N(p) without q) m_sp(a) + V_pq(a, b)), less its minimum over b.

Source: Tappen and Freeman, "Comparison of Graph Cuts with Belief Propagation for Stereo", ICCV 2003, section 3 (the
accelerated schedule).
"""

import numpy as np

from shiftnet_tf.runtime.refine.arrays import Floats
from shiftnet_tf.system.progress import Progress, silent


def solve(data: Floats, across: Floats, down: Floats, rounds: int, progress: Progress = silent) -> np.ndarray:
    """Return the label of the lowest cost of each position.

    The positions of a line send their messages at the same time. The line is the last axis of each array, along which
    numpy is fast.

    Args:
        data: float32 [H, M, W], D; 0 outside the hole.
        across: float32 [W - 1, M, M, H], V of each position and its right neighbour; 0 where either is not in the hole.
        down: float32 [H - 1, M, M, W], V of each position and the one below it, likewise.
        rounds: number of rounds.
        progress: called before each round, see `shiftnet_tf.system.progress`.

    Returns:
        int [H, W].
    """
    below, above = np.zeros_like(data), np.zeros_like(data)  # the messages from that neighbour, lines are rows
    right, left = (np.zeros(data.shape[::-1], np.float32) for _ in range(2))  # lines are columns
    for done in range(rounds):
        progress(done / rounds)
        vertical = np.ascontiguousarray((data + below + above).T)
        _sweep(vertical, left, across, forward=True)
        _sweep(vertical, right, across, forward=False)
        horizontal = data + left.T + right.T
        _sweep(horizontal, above, down, forward=True)
        _sweep(horizontal, below, down, forward=False)
    best: np.ndarray = (data + left.T + right.T + above + below).argmin(1)
    return best


def _sweep(own: Floats, messages: Floats, costs: Floats, forward: bool) -> None:
    """Pass messages from each line to the next one; changes `messages`."""
    lines = range(1, len(own)) if forward else range(len(own) - 2, -1, -1)
    for i in lines:
        before = i - 1 if forward else i + 1
        sent = own[before] + messages[before]
        if forward:
            message = (sent[:, np.newaxis] + costs[before]).min(0)
        else:
            message = (sent + costs[i]).min(1)
        np.subtract(message, message.min(0), out=messages[i])
