"""How fast every runtime and precision is beside plain PyTorch and plain Keras, in tables."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from harness import report, subjects
from harness.measuring import MeasuringError, in_turns, median, say
from harness.subjects import SAMPLES, Subject
from shiftnet_tf.export import parity
from shiftnet_tf.export.exporter import megabytes
from shiftnet_tf.networks import Generator

SIZES = (256, 512, 768, 1024)  # pixels, of --large


def compare_runtimes(options: argparse.Namespace) -> None:
    """Export, measure and print what benchmarks/runtimes.py describes; `options` are those of its --help."""
    before = report.machine(options.threads)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(options.keep or temporary)
        path.mkdir(parents=True, exist_ok=True)
        run = subjects.open_run(options, path)
        generator = run.load_generator(options.image_size)
        rows, checks = subjects.plain(generator, path, not options.without_torch)
        rows += subjects.exported(run, path / "models", options.precisions, **subjects.export_options(options, path))
        peak = measure(rows, options, path)
        base = derive(rows, gflop(generator), peak)
        large = measure_large(run, options, path) if options.large else []
    say(f"\nfloat32 matrix product: {peak:.0f} GFLOP/s at best\n\n{table(rows, base, options.batch)}")
    if large:
        say(f"\n{growth_table(large)}")
    if options.json:
        network = {name: getattr(generator, name) for name in ("filters", "image_size")} | {"run": options.run}
        network |= {"weights": generator.count_params(), "gflop": gflop(generator)}
        content = {"machine": before, "network": network, "same_network": checks, "matrix_product_gflops": peak}
        content["settings"] = vars(options)
        content |= {"rows": [row.as_dict() for row in rows], "large": [row.as_dict() for row in large]}
        report.write_json(options.json, content)
    if options.picture:
        bars = [(row.label, row.values["ms"], row.values["ratio"]) for row in rows if not row.failure]
        title = f"One photo of {generator.image_size}x{generator.image_size}, base width {generator.filters}, "
        report.draw_bars(options.picture, bars, base.label, f"{title}{before['cpu']}, {options.threads} threads")


def measure_large(run, options, path):
    """Export and measure the rows of --large."""
    found = []
    for size in SIZES:
        if size % 2**run.config.model.depth == 0:  # few photos: comparing with Keras takes long at 1024 pixels
            photos = SAMPLES / "test"
            found += subjects.exported(run, path / "large", "float32", image_size=size, photos=photos)
    few = vars(options) | {"repeats": max(3, options.repeats // 3), "batch": 1}
    measure(found, argparse.Namespace(**few), path)
    return found


def measure(rows: list[Subject], options: argparse.Namespace, path: Path) -> float:
    """Fill `values`, or `failure`, of each row that has not failed yet.

    Args:
        rows: what to measure.
        options: with `threads`, `rounds`, `repeats` and `batch`.
        path: folder for the photo and mask that all rows of one size get.

    Returns:
        The peak rate of float32 matrix products, measured in turns with the rows, 10^9 operations a second.
    """
    requests = {"product": {"kind": "matrix_product", "threads": options.threads}}
    for row in rows:
        if not row.failure:
            inputs = path / f"inputs-{row.image_size}.npz"
            image, mask = parity.sample_pairs(SAMPLES / "test", row.image_size, 1)
            np.savez(inputs, image=image, mask=mask)
            batch = options.batch if row.batches else 1
            more = {"threads": options.threads, "repeats": options.repeats, "inputs": str(inputs), "batch": batch}
            requests[row.key] = row.request | more
    failures = {}
    answers = in_turns(requests, options.rounds, failures)
    for row in rows:
        row.failure = row.failure or failures.get(row.key)
        if not row.failure:
            row.values = {name: median(answers[row.key], name) for name in ("cold_start_s", "ms", "memory_mb")}
            row.values["photos_per_second"] = {1: 1000 / row.values["ms"]}
            if row.batches and options.batch > 1:
                rate = 1000 * options.batch / median(answers[row.key], "batch_ms")
                row.values["photos_per_second"][options.batch] = rate
    return max(answer["gflops"] for answer in answers["product"])


def gflop(generator: Generator) -> float:
    """Return the nominal arithmetic of one picture, 10^9 operations; 13.2 for base width 64 at 256x256.

    Two operations for each multiply-add of the (transposed) convolutions: every value of a kernel is used once at each
    position of the layer's smaller side. Norms, shift and activations do not count; the zeros of the padding do.
    """
    kernels = (generator.encoder_convolutions, generator.decoder_ups)  # of the decoder: [2, 2, C, 4F]
    sides = [generator.image_size >> (layer + 1) for layer in range(generator.depth)]
    uses = (np.prod(layer.kernel.shape) * side**2 for layers in kernels for layer, side in zip(layers, sides))
    return 2 * float(sum(uses)) / 1e9


def derive(rows: list[Subject], gflop: float, peak: float) -> Subject:
    """Add ratios, sizes and rates (10^9 operations a second) to the values of all rows.

    Returns:
        The subject of ratio 1: the fastest of PyTorch's, without them the first.

    Raises:
        MeasuringError: none could be measured.
    """
    timed = [row for row in rows if not row.failure]
    if not timed:
        raise MeasuringError(f"nothing could be measured: {rows[0].failure}")
    torch = [row for row in timed if row.request["kind"] == "torch"]
    base = min(torch or timed[:1], key=lambda row: row.values["ms"])
    for row in timed:
        rate = 1000 * gflop / row.values["ms"]
        row.values |= {"ratio": row.values["ms"] / base.values["ms"], "gflops": rate, "share_of_peak": rate / peak}
        row.values["megabytes"] = megabytes(Path(row.request["path"]))
    return base


def table(rows: list[Subject], base: Subject, batch: int) -> str:
    """Return the Markdown table of all subjects; `base` is that of `derive`, `batch` that of the options."""
    header = ["", "precision", "ms", f"over {base.label}", "GFLOP/s", "of the float32 peak", "photos/s"]
    header += [f"photos/s, batch {batch}"] * (batch > 1) + ["file, MB", "memory, MB", "cold start, s"]
    lines = []
    for row in rows:
        value, line = row.values, [row.name, row.precision]
        if row.failure:
            lines.append([*line, f"fails: {row.failure}"] + [None] * (len(header) - 3))
            continue
        line += [value["ms"], f"{value['ratio']:.2f}", value["gflops"], f"{100 * value['share_of_peak']:.0f} %"]
        line += [value["photos_per_second"].get(size) for size in dict.fromkeys((1, batch))]
        lines.append(line + [value["megabytes"], value["memory_mb"], value["cold_start_s"]])
    return report.markdown(header, lines)


def growth_table(large: list[Subject]) -> str:
    """Return the Markdown table of --large, with the exponents over the number of pixels."""
    sizes = list(dict.fromkeys(row.image_size for row in large))
    lines = []
    for name in dict.fromkeys(row.name for row in large):
        for key, words in (("ms", "ms"), ("memory_mb", "peak memory, MB")):
            values = [row.values.get(key) for row in large if row.name == name]
            known = [(size**2, value) for size, value in zip(sizes, values) if value]
            cells = ("fails" if value is None else value for value in values)
            slope = float(np.polyfit(*np.log(known).T, 1)[0]) if len(known) > 1 else None
            lines.append([name, words, *cells, slope])
    return report.markdown(["float32", "", *(f"{size}x{size}" for size in sizes), "grows as pixels to the"], lines)
