"""What is said beside the times: equality, sizes, arithmetic, growth, and the machine."""

import os
import platform

import numpy as np

from shiftnet_tf.benchmarks.measuring import MeasuringError
from shiftnet_tf.system.machine import cpu_name, total_memory


def check_equal(name, ours, plain, tolerance=1e-3):
    """Refuses a plain network that does not give what ours gives.

    Rounding decides near ties of the shift's argmax, and a position that is filled from elsewhere changes the picture:
    so pictures are compared where the shift maps are equal, and nearly all positions must be.

    Args:
        name: str, of the plain network, for the message.
        ours, plain: (predicted image float [B, S, S, 3], list of shift maps [B, ...]).
        tolerance: float, the largest difference of values in [-1, 1].

    Returns:
        dict of `max_difference`, `equal_shifts` (the share of positions) and `compared`, the number of pictures.

    Raises:
        MeasuringError: it differs.
    """
    (image, maps), (other_image, other_maps) = ours, plain
    count = len(image)
    pairs = zip(maps, other_maps, strict=True)
    equal = [np.reshape(a, [count, -1]) == np.reshape(b, [count, -1]) for a, b in pairs]
    equal = np.concatenate([np.ones([count, 1], bool), *equal], axis=1)  # [B, N]
    alike = equal.all(axis=1)
    differences = np.abs(np.asarray(image) - np.asarray(other_image))[alike]
    largest = float(differences.max()) if alike.any() else float("inf")
    if not (largest <= tolerance and equal.mean() >= 0.99):
        raise MeasuringError(
            f"{name} is not the same network: its values differ by up to {largest:.2g}, "
            f"{100 * equal.mean():.2f} % of its shifts are equal"
        )
    return {"max_difference": largest, "equal_shifts": float(equal.mean()), "compared": int(alike.sum())}


def machine(threads):
    """What all of this ran on.

    Args:
        threads: int, of each subject.

    Returns:
        dict of str to str or int.
    """
    return {
        "cpu": cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads,
        "memory_gb": round((total_memory() or 0) / 1e9, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "platform": platform.platform(),
    }


def growth(positions, values):
    """The exponent of growth: the slope of a straight line through the logarithms.

    Args:
        positions, values: lists of positive numbers of one length.

    Returns:
        float, or None for fewer than two.
    """
    if len(positions) < 2:
        return None
    return float(np.polyfit(np.log(positions), np.log(values), 1)[0])


def gflop(config):
    """The nominal arithmetic of one picture: two operations a multiply-add of the (transposed) convolutions.

    A layer of C to F channels at s x s, the smaller of its two sizes, has 16 C F s^2 multiply-adds (36 with a kernel of
    6), whether it halves or doubles the size; norms, shift and activations do not count, the zeros of the padding do.

    Args:
        config: ModelConfig.

    Returns:
        float, in 10^9 operations; 13.2 for base width 64 at 256x256.
    """
    size, depth = config.image_size, config.depth
    widths = [config.filters * min(2**layer, 8) for layer in range(depth)]
    multiply_adds, channels = 0, 3 + config.mask_channel
    for layer, width in enumerate(widths):
        kernel = config.third_kernel_size if layer == 2 else 4
        multiply_adds += kernel**2 * channels * width * (size >> (layer + 1)) ** 2
        channels = width
    for layer in reversed(range(depth)):
        output = widths[layer - 1] if layer else 3
        multiply_adds += 16 * channels * output * (size >> (layer + 1)) ** 2
        parts = 3 if layer in config.shift_layers and config.shift != "residual" else 1 + config.skips
        channels = parts * output
    return 2 * multiply_adds / 1e9
