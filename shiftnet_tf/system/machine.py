"""The machine that a process runs on: its processor, its memory, and how the process takes memory from it."""

import ctypes
import os
import platform
from pathlib import Path

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD = 256 * 2**20  # bytes that are asked for at a time


def cpu_name():
    """The processor's name, as the system tells it: str."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return name


def available_memory(meminfo="/proc/meminfo", cgroup="/sys/fs/cgroup"):
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


def total_memory():
    """The memory of the machine.

    Returns:
        int in bytes, or None where the system does not tell.
    """
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


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
