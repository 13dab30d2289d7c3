"""How fast the network is on this machine: every runtime and precision beside plain PyTorch and plain Keras.

    python export/benchmark.py --json benchmark.json --picture benchmark.png
    python export/benchmark.py --run runs/mine --threads 4 --without-torch
    python export/benchmark.py --large                     # 256 to 1024 pixels: time, peak memory, their growth

By default the paper's network at base width 64 with random weights. It is exported in every precision, and each file
is timed on the CPU in a process of its own, all in turns, so that a drift of the machine meets all alike: only the
ratios of one run count. The plain networks have the weights of ours and are checked to give the same picture; they get
their inputs as floats, prepared beforehand, while the files take the photo in grey levels: that favours the plain ones.

ms: median for one photo. GFLOP/s: the nominal arithmetic of the (transposed) convolutions, two operations a
multiply-add (13.2 GFLOP at base width 64 and 256x256), over that time; the float32 peak is the best matrix product of
numpy, TensorFlow and PyTorch on as many threads, which files of 8 bits may pass. memory: peak of a process that does
nothing else, its libraries included. cold start: from starting a process to the first picture, the file being in the
disk cache.
"""

import argparse
import contextlib
import tempfile
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf import run_folder
from shiftnet_tf.benchmarks import comparison, figures, plain_keras, reporting, subjects
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.export import parity
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import versions_of

HERE = Path(__file__).resolve().parent
PHOTOS = HERE.parent / "training" / "sample_photos" / "test"
PACKAGES = ["tensorflow", "keras", "torch", "onnxruntime", "ai-edge-litert", "onnx", "tf2onnx", "numpy"]
SIZES = (256, 512, 768, 1024)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write all that was measured, with versions and machine")
    parser.add_argument("--picture", metavar="FILE", help="PNG to draw the times in")
    parser.add_argument("--filters", type=int, help="base width; default: 64")
    parser.add_argument("--image-size", type=int, help="pixels; default: 256, or the run's")
    parser.add_argument("--run", metavar="RUN", help="run folder whose network is taken; default: random weights")
    parser.add_argument("--threads", type=int, default=2, help="of each runtime; default: 2")
    parser.add_argument("--rounds", type=int, default=3, help="how often each comes round; default: 3")
    parser.add_argument("--repeats", type=int, default=15, help="photos a round; default: 15")
    parser.add_argument("--batch", type=int, default=4, help="for the throughput; default: 4, 1: leave it out")
    parser.add_argument("--precisions", metavar="LIST", help="such as float32,int8; default: all that are offered")
    parser.add_argument(
        "--calibration-photos", metavar="DIR", help="for int8; default: the run's, else crops of samples"
    )
    parser.add_argument("--large", action="store_true", help="also at 512, 768 and 1024 pixels")
    parser.add_argument("--keep", metavar="DIR", help="new folder that keeps the exported files")
    parser.add_argument("--without-torch", action="store_true", help="ratios are to plain Keras then")
    options = parser.parse_args(arguments)
    for name, most in (("threads", 256), ("rounds", 1000), ("repeats", 1000), ("batch", 64)):
        check(f"--{name}", getattr(options, name), 1 <= getattr(options, name) <= most, f"from 1 to {most}")
    if options.run and options.filters:
        raise InputError("--filters is the base width of random weights: a --run has its own")
    if options.keep and Path(options.keep).exists():
        raise InputError(f"--keep must be a new folder. Received: {options.keep!r}")
    reporting.check_outputs(options.json, options.picture)
    return options


def say(words):
    print(words, flush=True)


@contextlib.contextmanager
def folder(keep):
    """The folder for all that is exported: a temporary one, or that of --keep."""
    if keep:
        Path(keep).mkdir(parents=True)
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)


def open_run(options, path):
    """The run that is measured, and whether its weights are random."""
    if options.run:
        return run_folder.Run.open(options.run)
    model = ModelConfig(filters=options.filters or 64, image_size=options.image_size or 256)
    say(f"random weights: base width {model.filters}, {model.image_size}x{model.image_size}")
    return subjects.random_run(path / "run", model)


def plain(generator, path, options):
    """The plain networks as subjects, and how near to ours each is."""
    try:
        plain_keras.check_plain(generator)
    except InputError as error:
        say(f"{error}: left out, the ratios are to our network in TensorFlow")
        return [], {}
    pairs = parity.sample_pairs(PHOTOS, generator.image_size, 3)
    found, checks = subjects.plain_subjects(generator, path, pairs, not options.without_torch)
    for name, values in checks.items():
        say(f"{name} gives the same picture from the same weights: differs by {values['max_difference']:.1g} at most")
    return found, checks


def exported(run, path, options):
    """A subject for each precision of each format."""
    size = run.config.model.image_size
    more = ["--image-size", options.image_size] if options.image_size else []
    calibration = options.calibration_photos
    lower = []
    if not options.run:
        lower = ["--max-psnr-drop", "100"]  # random weights have no quality to lose
        calibration = calibration or subjects.write_crops(path / "crops", PHOTOS.with_name("train"), size)
    wanted = options.precisions.split(",") if options.precisions else None
    found = []
    for file_format, (script, *_) in subjects.EXPORTERS.items():
        offered = subjects.offered(HERE / script)
        for precision in offered:
            if wanted is None or precision in wanted:
                say(f"exporting: {file_format}, {precision}")
                arguments = [*more, *(lower if precision != "float32" else [])]
                arguments += ["--calibration-photos", calibration] if precision == "int8" and calibration else []
                found.append(subjects.export(HERE, file_format, run, path / "models", precision, arguments))
                if found[-1].failure:
                    say(f"  fails: {found[-1].failure}")
    if not found:
        raise InputError(f"--precisions: no exporter offers any of {options.precisions}")
    return found


def at_sizes(run, path, options):
    """The rows of --large: each float32 file exported at each size."""
    sizes = [size for size in SIZES if size % 2**run.config.model.depth == 0]
    photos = path / "few_photos"  # each exporter compares its file with Keras on them, which takes long at 1024 pixels
    photos.mkdir()
    for photo in parity.sample_paths(PHOTOS, 8):
        (photos / photo.name).write_bytes(photo.read_bytes())
    rows = []
    for size in sizes:
        inputs = subjects.write_inputs(path / f"inputs-{size}.npz", PHOTOS, size)
        for file_format in subjects.EXPORTERS:
            say(f"exporting: {file_format}, {size}x{size}")
            arguments = ["--image-size", size, "--photos", photos]
            subject = subjects.export(HERE, file_format, run, path / "large", options=arguments)
            comparison.measure_alone(subject, options.threads, inputs, options.repeats, say)
            rows.append((size, subject))
    return rows


def contents(options, run, generator, rows, checks, rates, large):
    """All that --json writes."""
    return {
        "versions": versions_of(PACKAGES),
        "network": {
            "run": options.run,
            "filters": generator.filters,
            "image_size": generator.image_size,
            "weights": generator.count_params(),
            "gflop": figures.gflop(generator),
        },
        "settings": {name: getattr(options, name) for name in ("threads", "rounds", "repeats", "batch")},
        "same_network": checks,
        "matrix_product_gflops": rates,
        "rows": [comparison.as_dict(row) for row in rows],
        "large": [{"image_size": size, **comparison.as_dict(row)} for size, row in large],
    }


@command
def main(arguments=None):
    options = parse(arguments)
    if not options.without_torch:
        subjects.check_torch()
    before = figures.machine(options.threads)
    reporting.warn_of_load(before, say)
    with folder(options.keep) as path:
        run = open_run(options, path)
        generator = run.load_generator(options.image_size)
        rows, checks = plain(generator, path, options)
        rows += exported(run, path, options)
        inputs = subjects.write_inputs(path / "inputs.npz", PHOTOS, generator.image_size)
        rates = comparison.measure(rows, options, inputs, say)
        base = comparison.derive(rows, figures.gflop(generator), max(rates.values()))
        large = at_sizes(run, path, options) if options.large else []
    library = max(rates, key=rates.get)
    say(
        f"\n{before['cpu']}, {options.threads} threads of {before['cores']} cores, load before: {before['load_before']}"
    )
    say(f"float32 matrix product: {rates[library]:.0f} GFLOP/s at best ({library})\n")
    say(comparison.table(rows, base, options.batch))
    if large:
        say(f"\n{comparison.growth_table(large)}")
    if options.json:
        content = contents(options, run, generator, rows, checks, rates, large)
        reporting.write_json(options.json, content | {"machine": before})
    if options.picture:
        bars = [(row.label, row.values["ms"], row.values["ratio"]) for row in rows if not row.failure]
        title = f"One photo of {generator.image_size}x{generator.image_size}, base width {generator.filters}, "
        reporting.draw_bars(options.picture, bars, base.label, f"{title}{before['cpu']}, {options.threads} threads")
    for written in filter(None, (options.json, options.picture)):
        say(written)


if __name__ == "__main__":
    raise SystemExit(main())
