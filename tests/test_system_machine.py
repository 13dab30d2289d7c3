"""Freed memory stays with the process."""

import platform
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
from shiftnet_tf.system.machine import keep_freed_memory
assert {call}
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(40 * 2**18, np.float32)  # 40 MB: above what glibc ever keeps by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_pages_are_not_asked_for_again():
    counts = []
    for call in ("True", "keep_freed_memory()"):
        code = CODE.format(call=call)
        counts.append(
            int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
        )
    assert counts[1] < 0.05 * counts[0]


def test_other_c_libraries_are_left_alone(monkeypatch):
    from shiftnet_tf.system import machine

    monkeypatch.setattr(machine.ctypes, "CDLL", lambda name: object())
    assert machine.keep_freed_memory() is False
