"""How much memory there is, and how many pictures at a time it is for."""

import os
from pathlib import Path

from shiftnet_tf.errors import InputError

# What a picture takes while it runs, a pixel of the model's square. Measured with ONNX Runtime: about 540 bytes at base
# width 32; the rest is room for width 64 and for the similarities of a shift at 1024x1024.
BYTES_A_PIXEL = 2048
SHARE = 0.5  # of the available memory, for a batch that nobody has named the size of
LARGEST = 8  # more at a time gains nothing on a CPU


def available(meminfo="/proc/meminfo", cgroup="/sys/fs/cgroup"):
    """The memory that a program may still take: that of the machine, or of its container where that is less.

    Args:
        meminfo, cgroup: str, where Linux tells.

    Returns:
        int in bytes, or None where the system does not tell.
    """
    limits = []
    try:
        lines = dict(line.split(":", 1) for line in Path(meminfo).read_text().splitlines() if ":" in line)
        limits.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError, ValueError):
        pass
    try:
        limit, used = (int((Path(cgroup) / f"memory.{name}").read_text()) for name in ("max", "current"))
        limits.append(max(0, limit - used))
    except (OSError, ValueError):  # no container, or the word "max"
        pass
    return min(limits) if limits else None


def total():
    """The memory of the machine.

    Returns:
        int in bytes, or None where the system does not tell.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def batch_size(wanted, image_size):
    """How many pictures to run at a time.

    A picture is taken for BYTES_A_PIXEL bytes a pixel of the model's square, 134 MB at 256x256. Without a wish it is as
    many as fit into half of the available memory, at least 1 and at most 8. The memory is the system's, not a GPU's.

    Args:
        wanted: int, the caller's choice, or None.
        image_size: int, S in pixels.

    Returns:
        int.

    Raises:
        InputError: no positive whole number, or one that needs more memory than there is.
    """
    each, there = BYTES_A_PIXEL * image_size**2, available()
    if wanted is None:
        return LARGEST if there is None else max(1, min(LARGEST, int(SHARE * there / each)))
    if type(wanted) is not int or wanted < 1:
        raise InputError(f"`batch_size` must be a whole number from 1. Received: {wanted!r}")
    if there is not None and wanted > 1 and wanted * each > there:
        raise InputError(
            f"a batch of {wanted} pictures of {image_size}x{image_size} needs about {wanted * each / 1e9:.1f} GB of "
            f"memory, and {there / 1e9:.1f} are free: take a `batch_size` of {max(1, there // each)} or less"
        )
    return wanted
