"""Times, memory and cold starts: each subject in a process of its own, all in turns.

A process of its own, since thread pools that wait for work take the cores from each other, and since memory can only be
told apart between processes. In turns, so that a drift of the machine meets all alike: only ratios of one run count.
"""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

from shiftnet_tf.errors import ShiftNetError


class MeasuringError(ShiftNetError):
    """A subject could not be measured."""


def in_turns(timers, rounds, repeats):
    """Milliseconds of each subject, in turns.

    Args:
        timers: dict of name to function (repeats) -> list of float.
        rounds: int, how often each comes round.
        repeats: int, calls in a row each time.

    Returns:
        dict of name to list of float, `rounds` * `repeats` milliseconds.
    """
    times = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            times[name] += timer(repeats)
    return times


def medians(calls, rounds=3, repeats=15):
    """The median time of functions of this process, in turns, each called once before.

    Args:
        calls: dict of name to function without arguments.
        rounds, repeats: int, see `in_turns`.

    Returns:
        dict of name to float, milliseconds.
    """
    for call in calls.values():
        call()
    timers = {name: lambda count, call=call: timed(call, count) for name, call in calls.items()}
    return {name: statistics.median(values) for name, values in in_turns(timers, rounds, repeats).items()}


def timed(call, repeats):
    """Calls a function so often.

    Args:
        call: function without arguments.
        repeats: int.

    Returns:
        list of float, the milliseconds of each call.
    """
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        times.append(1000 * (time.perf_counter() - start))
    return times


def peak_memory():
    """The peak resident memory of this process so far.

    Returns:
        int, bytes. What the process held before it became Python does not count, unlike in `getrusage`.
    """
    with open("/proc/self/status", encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


def tensorflow(threads):
    """TensorFlow with so many threads; only before its first operation.

    Args:
        threads: int.

    Returns:
        The module.
    """
    from shiftnet_tf.system.quiet import import_tensorflow

    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


class Subject:
    """What is timed: a subclass has `open`, and leaves in `call` the function that answers once.

    Args:
        settings: dict, what the process was started with.
    """

    def __init__(self, settings):
        self.settings, self.threads = settings, settings["threads"]
        self.open()

    def times(self, repeats):
        return timed(self.call, repeats)

    def memory(self):
        return peak_memory()


class Worker:
    """A process that holds one subject, see worker.py.

    Args:
        kind: str, a key of `worker.KINDS`.
        threads: int.
        **settings: what that kind takes, such as `path`.

    Attributes:
        cold_start: float, seconds from starting the process to its first answer; the files it reads are likely in the
            disk cache.
        answer: dict, what it said when it was ready.

    Raises:
        MeasuringError: it does not get to its first answer, here and in all that is asked of it later.
    """

    def __init__(self, kind, threads, **settings):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = os.environ | {name: str(threads) for name in names}
        environment |= {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}  # the CPU is measured
        request = json.dumps({"kind": kind, "threads": threads, **settings})
        self.kind = kind
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        start = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "shiftnet_tf.benchmarks.worker", request],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment,
        )
        try:
            self.answer = self._read()
        except BaseException:
            self.close()
            raise
        self.cold_start = time.monotonic() - start

    def ask(self, command, *arguments):
        """Has a method of the subject called.

        Args:
            command: str.
            *arguments: numbers.

        Returns:
            What it gives, as JSON keeps it.
        """
        with contextlib.suppress(OSError):  # it has ended: the next line says why
            print(json.dumps([command, *arguments]), file=self._process.stdin, flush=True)
        return self._read()["result"]

    def times(self, repeats):
        """list of float, the milliseconds of so many answers."""
        return self.ask("times", repeats)

    def _read(self):
        line = self._process.stdout.readline()
        if line:
            answer = json.loads(line)
            if "error" in answer:
                raise MeasuringError(answer["error"])
            return answer
        code = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read().strip().splitlines()[-1:] or ["no memory left?" if code == -9 else "no words"]
        raise MeasuringError(f"its process ended with code {code}: {last[0]}")

    def close(self):
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()
