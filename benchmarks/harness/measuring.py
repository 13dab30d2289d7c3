"""Measurements: each in a new process, and those of different subjects in turns.

A new process each time, because waiting thread pools take the cores from each other and because only the memory of
different processes can be told apart. In turns, so that machine drift affects all subjects equally.
"""

import functools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.system.quiet import import_tensorflow

BENCHMARKS = Path(__file__).resolve().parent.parent
say = functools.partial(print, flush=True)


class MeasuringError(ShiftNetError):
    """A subject could not be measured."""


def time_calls(call: Callable[[], object], repeats: int) -> list[float]:
    """Return the milliseconds of each of `repeats` calls."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def peak_memory() -> float:
    """Return the peak resident memory of this process, MB; unlike `getrusage`, without that of its parent."""
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) * 1024 / 1e6


def limit_tensorflow(threads: int) -> ModuleType:
    """Import TensorFlow and set its number of threads; to be called before its first operation."""
    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


def measure(request: dict) -> dict:
    """Run worker.py once and return what it prints.

    Args:
        request: what to measure, see worker.py.

    Raises:
        MeasuringError: the worker failed; the text is the last line of its stderr.
    """
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}  # the CPU is measured
    environment |= {f"{name}_NUM_THREADS": str(request["threads"]) for name in ("OMP", "OPENBLAS", "MKL")}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(BENCHMARKS), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "harness.worker", json.dumps(request | {"started": time.monotonic()})]
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment)
    if result.returncode:
        last = "out of memory?" if result.returncode == -9 else "no message"
        raise MeasuringError([f"worker ended with code {result.returncode}: {last}", *result.stderr.splitlines()][-1])
    return json.loads(result.stdout.splitlines()[-1])


def in_turns(requests: dict[str, dict], rounds: int, failures: dict[str, str] | None = None) -> dict[str, list[dict]]:
    """Measure every subject once a round.

    Args:
        requests: name of each subject and its request.
        rounds: number of rounds.
        failures: gets the messages of the subjects that fail, which are not tried again; None: a failure is raised.

    Returns:
        The answers of each subject, one a round.
    """
    answers = {name: [] for name in requests}
    for turn in range(rounds):
        say(f"round {turn + 1} of {rounds}")
        for name in (name for name in requests if name not in (failures or ())):
            try:
                answers[name].append(measure(requests[name]))
            except MeasuringError as error:
                if failures is None:
                    raise MeasuringError(f"{name}: {error}") from error
                failures[name] = str(error)
                say(f"  fails: {name}: {error}")
    return answers


def median(answers: list[dict], key: str) -> float:
    """Return the median of a value over all rounds; of the items of all rounds if the value is a list."""
    return float(np.median(np.hstack([answer[key] for answer in answers])))
