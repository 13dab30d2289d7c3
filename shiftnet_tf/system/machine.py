"""The machine that a process runs on: its processor, its memory, and how the process allocates memory."""

import contextlib
import ctypes
import functools
import math
import os
import platform
from pathlib import Path

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD = 256 * 2**20  # bytes requested at a time


def cpu_name() -> str:
    """Return the processor's name as the system reports it."""
    name = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        name = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return name


def affinity_cores() -> int:
    """Return the number of cores that this process may be scheduled on (taskset, `docker --cpuset-cpus`)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def usable_cores(cgroup: str = "/sys/fs/cgroup", membership: str = "/proc/self/cgroup") -> int:
    """Return the number of cores that this process can keep busy, from its affinity and the quota of its cgroups.

    A quota (`docker --cpus`, a CPU limit of Kubernetes, CPUQuota= of systemd) is a share of time, not of cores: surplus
    threads are paused in turn. A fraction of a core counts as one, as in Go and the JVM.

    Args:
        cgroup, membership: the folder and the file in which Linux reports quotas and the cgroups of the process.
    """
    cores, quota = affinity_cores(), _quota(cgroup, membership)
    return cores if quota is None else max(1, min(cores, math.ceil(quota)))


@functools.cache  # called before each use of threads
def _quota(cgroup: str, membership: str) -> float | None:
    """Return the smallest quota of the process's cgroups and their parents, in cores; None if there is none."""
    try:
        lines = [line.split(":", 2) for line in Path(membership).read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        lines = []
    # A container sees its own cgroup as the root, whatever the path says: missing folders are skipped.
    places = {Path(cgroup) / "cpu": "/", Path(cgroup) / "cpu,cpuacct": "/", Path(cgroup): "/"}
    for fields in lines:
        if len(fields) == 3 and not fields[1]:  # version 2
            places[Path(cgroup)] = fields[2]
        elif len(fields) == 3 and "cpu" in fields[1].split(","):
            places |= {Path(cgroup) / "cpu": fields[2], Path(cgroup) / "cpu,cpuacct": fields[2]}
    found = []
    for root, path in places.items():
        own = root / path.lstrip("/")
        for folder in (own, *own.parents):
            found += [quota for quota in (_quota_of(folder),) if quota is not None]
            if folder == root:
                break
    return min(found, default=None)


def _quota_of(folder: Path) -> float | None:
    """Return the quota of one cgroup in cores; None if there is none."""
    try:
        if (folder / "cpu.max").exists():  # version 2: "max 100000" without one
            quota, period = map(float, (folder / "cpu.max").read_text().split())
        else:  # version 1: -1 without one
            quota, period = (float((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def available_memory(meminfo: str = "/proc/meminfo", cgroup: str = "/sys/fs/cgroup") -> int | None:
    """Return the memory still available to the program, in bytes: that of the machine or, if less, of its container.

    Args:
        meminfo, cgroup: the file and the folder in which Linux reports it.

    Returns:
        Bytes, or None if the system does not report it.
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
    except (OSError, ValueError):  # no container, or the value "max"
        pass
    return min(limits) if limits else None


def total_memory() -> int | None:
    """Return the memory of the machine in bytes, or None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next training step instead of returning it to the system.

    A training step allocates and frees hundreds of megabytes in tensors of a few megabytes each. By default glibc
    returns most of them at once, and the kernel clears each page again in the next step, which took up to 44 % of the
    time of the recipe's step on two CPU cores (`perf record` of `train.py`, the kernel's share). Call this before
    threads start. The process then keeps the most memory that it ever needed. It has no effect on other C libraries.

    Returns:
        Whether it took effect.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl, macOS, Windows
        return False
    settings = {_MMAP_MAX: 0, _ARENA_MAX: 1, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _PAD}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())


def release_freed_memory() -> None:
    """Return free memory to the system that glibc would keep."""
    with contextlib.suppress(OSError, AttributeError, TypeError):  # musl, macOS, Windows
        ctypes.CDLL(None).malloc_trim(0)
