"""How this process gets its memory from the system.

Light: the standard library alone.
"""

import ctypes

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD = 256 * 2**20  # bytes that are asked for at a time


def keep_freed_memory():
    """Has glibc keep memory that is freed, for the next step of a training, instead of giving it back.

    A training step takes and frees hundreds of megabytes in tensors of some megabytes each. As glibc comes, most of
    them are given back at once, and the kernel clears each page again in the next step: of the recipe's step on two CPU
    cores that was up to 44 % of the time (`perf record` of `train.py`, the kernel's share). To be called before threads
    start. The process then holds on to the most that it ever needed. Without effect on other C libraries.

    Returns:
        bool, whether it took effect.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    settings = {_MMAP_MAX: 0, _ARENA_MAX: 1, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _PAD}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())
