"""Min-sum belief propagation on a grid of positions, each with a few labels of its own.

Messages pass along whole rows and columns, forward and back, so that each round carries them across the hole:

m_pq(b) = min_a (D_p(a) + sum_(s in N(p) without q) m_sp(a) + V_pq(a, b)), less its minimum over b.

Source: Tappen and Freeman, "Comparison of Graph Cuts with Belief Propagation for Stereo", ICCV 2003, section 3 (the
accelerated schedule).
"""

import numpy as np

from shiftnet_tf.system.progress import Progress, silent


def solve(
    data: np.ndarray, across: np.ndarray, down: np.ndarray, rounds: int, progress: Progress = silent
) -> np.ndarray:
    """Return the label of the lowest cost of each position.

    Args:
        data: float32 [H, W, M], D; 0 outside the hole.
        across: float32 [H, W - 1, M, M], V of each position and its right neighbour; 0 where either is not in the hole.
        down: float32 [H - 1, W, M, M], V of each position and the one below it, likewise.
        rounds: number of rounds.
        progress: called before each round, see `shiftnet_tf.system.progress`.

    Returns:
        int [H, W].
    """
    right, left, below, above = (np.zeros_like(data) for _ in range(4))  # the messages from that neighbour
    for done in range(rounds):
        progress(done / rounds)
        vertical = data + below + above
        _sweep(_columns(vertical), _columns(left), _columns(across), forward=True)
        _sweep(_columns(vertical), _columns(right), _columns(across), forward=False)
        horizontal = data + left + right
        _sweep(horizontal, above, down, forward=True)
        _sweep(horizontal, below, down, forward=False)
    best: np.ndarray = (data + left + right + above + below).argmin(-1)
    return best


def _columns(array: np.ndarray) -> np.ndarray:
    return array.swapaxes(0, 1)


def _sweep(own: np.ndarray, messages: np.ndarray, costs: np.ndarray, forward: bool) -> None:
    """Pass messages from each line to the next one; changes `messages`."""
    lines = range(1, len(own)) if forward else range(len(own) - 2, -1, -1)
    for i in lines:
        before = i - 1 if forward else i + 1
        sent = own[before] + messages[before]
        if forward:
            message = (sent[:, :, np.newaxis] + costs[before]).min(1)
        else:
            message = (sent[:, np.newaxis] + costs[i]).min(2)
        messages[i] = message - message.min(1, keepdims=True)
