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


def cgroups(folder, membership, **files):
    """A folder as /sys/fs/cgroup is, and the file that says where the process is in it."""
    for name, text in files.items():
        path = folder / "cgroup" / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "membership").write_text(membership)
    return str(folder / "cgroup"), str(folder / "membership")


@pytest.mark.parametrize(
    "membership, files, cores",
    [
        ("0::/\n", {"cpu_dot_max": "max 100000\n"}, 16),
        ("0::/\n", {"cpu_dot_max": "200000 100000\n"}, 2),  # a container, which sees its own cgroup as the root
        ("0::/\n", {"cpu_dot_max": "250000 100000\n"}, 3),
        ("0::/\n", {"cpu_dot_max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu_dot_max": "6400000 100000\n"}, 16),
        ("0::/a/b\n", {"a__cpu_dot_max": "300000 100000\n", "a__b__cpu_dot_max": "max 100000\n"}, 3),
        ("0::/a/b\n", {"a__cpu_dot_max": "300000 100000\n", "a__b__cpu_dot_max": "200000 100000\n"}, 2),
        ("4:cpu,cpuacct:/x\n", {"cpu__cpu_dot_cfs_quota_us": "150000\n", "cpu__cpu_dot_cfs_period_us": "50000\n"}, 3),
        ("4:cpu:/\n", {"cpu__cpu_dot_cfs_quota_us": "-1\n", "cpu__cpu_dot_cfs_period_us": "100000\n"}, 16),
        (
            "4:cpuacct,cpu:/docker/1\n0::/\n",
            {
                "cpu,cpuacct__docker__1__cpu_dot_cfs_quota_us": "400000\n",
                "cpu,cpuacct__docker__1__cpu_dot_cfs_period_us": "100000\n",
            },
            4,
        ),
        ("nonsense", {"cpu_dot_max": "much\n"}, 16),
    ],
)
def test_cores_by_the_quota_of_a_cgroup(tmp_path, monkeypatch, membership, files, cores):
    from shiftnet_tf.system import machine

    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(16)), raising=False)
    assert machine.usable_cores(*cgroups(tmp_path, membership, **files)) == cores


def test_cores_by_affinity(tmp_path, monkeypatch):
    from shiftnet_tf.system import machine

    nowhere = str(tmp_path / "nowhere"), str(tmp_path / "nowhere")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: {3, 5}, raising=False)
    assert machine.usable_cores(*nowhere) == 2
    monkeypatch.delattr(machine.os, "sched_getaffinity")  # macOS, Windows
    assert machine.usable_cores(*nowhere) == 64


def test_threads_are_chosen_by_the_cores_that_can_be_used(monkeypatch):
    from concurrent.futures import ThreadPoolExecutor

    import ai_edge_litert.interpreter
    import onnxruntime

    from shiftnet_tf import Inpainter
    from shiftnet_tf.errors import InputError
    from shiftnet_tf.runtime import engines
    from shiftnet_tf.runtime.refine import arrays
    from shiftnet_tf.server import limits

    seen = {}

    def interpreter(path, num_threads):
        seen["litert"] = num_threads
        raise ValueError

    def session(path, options, **_):
        seen["onnxruntime"] = options.intra_op_num_threads
        raise ValueError

    class Pool(ThreadPoolExecutor):
        def __init__(self, threads):
            seen["refine"] = threads
            super().__init__(threads)

    monkeypatch.setattr(ai_edge_litert.interpreter, "Interpreter", interpreter)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(arrays, "ThreadPoolExecutor", Pool)
    monkeypatch.setattr(engines.os, "cpu_count", lambda: 64)
    for module in (engines, arrays, limits):
        monkeypatch.setattr(module, "usable_cores", lambda: 3)
    for runtime in ("onnxruntime", "litert"):
        with pytest.raises(InputError):
            Inpainter.load(runtime=runtime)
    arrays.in_threads(lambda part: None, 10, 1)
    assert seen == {"litert": 3, "onnxruntime": 3, "refine": 3} and limits.Limits().workers == 6
    monkeypatch.setattr(engines, "usable_cores", lambda: 64)
    with pytest.raises(InputError):
        Inpainter.load(runtime="onnxruntime")
    assert seen["onnxruntime"] == 0  # ONNX Runtime's own choice, one a physical core


def test_no_module_counts_the_cores_of_the_machine():
    """But those that say how many it has, or compare."""
    from conftest import ROOT

    counting = {
        path.name
        for folder in ("shiftnet_tf", "training", "export", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        if any(word in path.read_text() for word in ("cpu_count", "sched_getaffinity"))
    }
    assert counting == {"machine.py", "doctor.py", "engines.py"}
