"""Measures the subjects of export/benchmark.py in turns, and says what came of it."""

import contextlib
import statistics

from shiftnet_tf.benchmarks import figures, reporting
from shiftnet_tf.benchmarks.measuring import MeasuringError, Worker, in_turns
from shiftnet_tf.export.exporter import megabytes

STARTS = 3  # fresh processes, of whose cold starts the median is taken


def open_worker(subject, threads, inputs, starts=1):
    """A worker for a subject, the last of several; notes the median of their cold starts.

    Args:
        subject: Subject.
        threads: int.
        inputs: Path of the photo and mask, see `worker.Network`.
        starts: int.

    Returns:
        Worker.

    Raises:
        MeasuringError: it gives no picture.
    """
    times = []
    for left in reversed(range(starts)):
        worker = Worker(subject.kind, threads, path=str(subject.path), inputs=str(inputs), **subject.settings)
        times.append(worker.cold_start)
        if left:
            worker.close()
    subject.values["cold_start_s"] = statistics.median(times)
    return worker


class Guarded:
    """The worker of a subject: a failure becomes the subject's, and from then on it gives nothing.

    Args:
        subject: Subject.
        worker: Worker.
        say: function of a str.
    """

    def __init__(self, subject, worker, say):
        self.subject, self.worker, self.say = subject, worker, say

    def ask(self, *command):
        if self.subject.failure:
            return None
        try:
            return self.worker.ask(*command)
        except MeasuringError as error:
            fail(self.subject, error, self.say)
            return None

    def times(self, repeats):
        return self.ask("times", repeats) or []


def fail(subject, error, say):
    """Notes that a subject could not be measured."""
    subject.failure = str(error)
    say(f"  fails: {subject.label}: {error}")


def measure(rows, options, inputs, say):
    """Fills the values of all subjects.

    Args:
        rows: list of Subject.
        options: namespace with `threads`, `rounds`, `repeats`, `batch` and `without_torch`.
        inputs: Path, see `open_worker`.
        say: function of a str, for the progress.

    Returns:
        dict of library to float, the peak rate of its float32 matrix product in 10^9 operations a second.
    """
    libraries = ["numpy", "tensorflow"] + ([] if options.without_torch else ["torch"])
    with contextlib.ExitStack() as stack:
        workers = {}
        for subject in rows:
            if not subject.failure:
                say(f"starting: {subject.label}")
                try:
                    worker = stack.enter_context(open_worker(subject, options.threads, inputs, STARTS))
                    workers[subject.label] = Guarded(subject, worker, say)
                except MeasuringError as error:
                    fail(subject, error, say)
        products = {
            name: stack.enter_context(Worker("matrix_product", options.threads, library=name)) for name in libraries
        }
        times, rates = {name: [] for name in workers}, dict.fromkeys(libraries, 0.0)
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}")
            timers = {name: worker.times for name, worker in workers.items()}
            for name, values in in_turns(timers, 1, options.repeats).items():
                times[name] += values
            rates = {name: max(rates[name], worker.ask("rate")) for name, worker in products.items()}
        for name, worker in workers.items():
            if times[name]:
                _finish(worker, statistics.median(times[name]), options, say)
    return rates


def _finish(worker, milliseconds, options, say):
    """Peak memory, and then, which takes more of it, the throughput of batches."""
    values, memory = worker.subject.values, worker.ask("memory")
    values |= {"ms": milliseconds, "memory_mb": memory and memory / 1e6}
    values["photos_per_second"] = {1: 1000 / milliseconds}
    if worker.subject.batches and options.batch > 1:
        say(f"batches of {options.batch}: {worker.subject.label}")
        worker.ask("set_batch", options.batch)
        times = worker.times(max(2, options.repeats // 3) + 1)[1:]
        if times:
            values["photos_per_second"][options.batch] = 1000 * options.batch / statistics.median(times)


def measure_alone(subject, threads, inputs, repeats, say):
    """Time and peak memory of one subject, not in turns.

    Args:
        subject: Subject.
        threads, repeats: int.
        inputs, say: see `measure`.
    """
    if subject.failure:
        return say(f"  fails: {subject.label}: {subject.failure}")
    try:
        with open_worker(subject, threads, inputs) as worker:
            subject.values["ms"] = statistics.median(worker.times(max(3, repeats // 3)))
            subject.values["memory_mb"] = worker.ask("memory") / 1e6
    except MeasuringError as error:
        fail(subject, error, say)


def derive(rows, gflop, peak):
    """Ratios, sizes and shares, from what was measured.

    Args:
        rows: list of Subject.
        gflop: float, of one photo, see `figures.gflop`.
        peak: float, 10^9 operations a second.

    Returns:
        The Subject that the ratios are to: the fastest of the first kind that could be measured.

    Raises:
        MeasuringError: none could be measured.
    """
    timed = [row for row in rows if not row.failure]
    if not timed:
        raise MeasuringError(f"nothing could be measured: {rows[0].failure}")
    base = min((row for row in timed if row.kind == timed[0].kind), key=lambda row: row.values["ms"])
    for row in timed:
        rate = 1000 * gflop / row.values["ms"]
        row.values |= {"ratio": row.values["ms"] / base.values["ms"], "megabytes": megabytes(row.path)}
        row.values |= {"gflops": rate, "share_of_peak": rate / peak}
    return base


def table(rows, base, batch):
    """The Markdown table of all subjects; `base` and `batch` as of `derive` and `measure`."""
    header = ["", "precision", "ms", f"over {base.label}", "GFLOP/s", "of the float32 peak", "photos/s"]
    header += [f"photos/s, batch {batch}"] * (batch > 1) + ["file, MB", "memory, MB", "cold start, s"]
    lines = []
    for row in rows:
        if row.failure:
            lines.append([row.name, row.precision, f"fails: {row.failure}"] + [None] * (len(header) - 3))
            continue
        value, rates = row.values, row.values["photos_per_second"]
        line = [row.name, row.precision, value["ms"], f"{value['ratio']:.2f}", value["gflops"]]
        line += [f"{100 * value['share_of_peak']:.0f} %", rates[1]] + [rates.get(batch)] * (batch > 1)
        lines.append(line + [value["megabytes"], value["memory_mb"], value["cold_start_s"]])
    return reporting.markdown(header, lines)


def growth_table(large):
    """The Markdown table of --large: list of (image size, Subject); exponents are over the number of pixels."""
    sizes = sorted({size for size, _ in large})
    header = ["float32", "", *(f"{size}x{size}" for size in sizes), "grows as pixels to the"]
    lines = []
    for name in dict.fromkeys(row.name for _, row in large):
        of_name = {size: row for size, row in large if row.name == name}
        for key, words in (("ms", "ms"), ("memory_mb", "peak memory, MB")):
            values = [of_name[size].values.get(key) for size in sizes]
            known = [(size**2, value) for size, value in zip(sizes, values) if value]
            line = [name, words, *("fails" if value is None else value for value in values)]
            lines.append([*line, figures.growth(*zip(*known)) if known else None])
    return reporting.markdown(header, lines)


def as_dict(row):
    """A Subject as --json writes it."""
    return {"name": row.name, "precision": row.precision, **row.values, "failure": row.failure}
