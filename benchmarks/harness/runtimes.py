"""How fast every runtime and precision is beside plain PyTorch and plain Keras, in a table."""

import contextlib
import dataclasses
import io
import tempfile
from pathlib import Path

import keras
import numpy as np

from harness import plain_keras, report
from harness.measuring import MeasuringError, in_turns, median, say
from shiftnet_tf import model_folder
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config, DataConfig
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.export import exporter, graph, parity, to_onnx, to_saved_model, to_tflite
from shiftnet_tf.networks import Discriminator, Generator
from shiftnet_tf.photos import finding, image_files, pixels
from shiftnet_tf.run_folder import Run

SAMPLES = Path(__file__).resolve().parent.parent.parent / "training" / "sample_photos"
FORMATS = {"TensorFlow": to_saved_model.FORMAT, "ONNX Runtime": to_onnx.FORMAT, "LiteRT": to_tflite.FORMAT}


@dataclasses.dataclass
class Subject:
    """One row of the table.

    Attributes:
        request: `kind` and `path` of its model, see worker.py.
        failure: why it could not be exported or measured.
        values: what was measured.
    """

    name: str
    precision: str
    request: dict
    failure: str | None = None
    values: dict = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.name if self.precision == "float32" else f"{self.name}, {self.precision}"


def compare_runtimes(
    *,
    batch: int,
    threads: int,
    rounds: int,
    repeats: int,
    run: str | None = None,
    filters: int | None = None,
    image_size: int | None = None,
    precisions: str | None = None,
    json: str | None = None,
    picture: str | None = None,
    without_torch: bool = False,
) -> None:
    """Export, measure and print what benchmarks/runtimes.py describes; the arguments are its options.

    Raises:
        InputError: the run, the size or the precisions cannot be used.
        MeasuringError: a plain network is not the same, or nothing could be measured.
    """
    machine = report.machine(threads)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary)
        if run:
            opened, more = Run.open(run), {}
        else:
            model = ModelConfig(filters=filters or 64, image_size=image_size or 256)
            data = DataConfig(short_side=max(350, model.image_size))
            opened, *_ = random_run(path / "run", Config(model=model, data=data))
            crops = write_crops(path / "crops", SAMPLES / "train", model.image_size)
            more = {"calibration_photos": crops, "max_psnr_drop": 100.0}  # random weights have no quality to lose
        generator = opened.load_generator(image_size)
        subjects, checks = write_plain(generator, path, not without_torch)
        subjects += export_all(opened, path / "models", precisions, image_size=image_size, **more)
        image, mask = parity.sample_pairs(SAMPLES / "test", generator.image_size, 1)
        inputs = path / "inputs.npz"
        np.savez(inputs, image=image.repeat(batch, axis=0), mask=mask.repeat(batch, axis=0))
        shared = {"threads": threads, "repeats": repeats, "inputs": str(inputs)}
        base = measure(subjects, shared, rounds, batch)
    say(f"\n{table(subjects, base)}")
    title = f"{generator.image_size}x{generator.image_size}, base width {generator.filters}, batch {batch}, "
    title += f"{machine['cpu']}, {threads} threads"
    if json:
        content = {"machine": machine, "title": title, "run": run, "rounds": rounds, "repeats": repeats}
        content |= {"same_network": checks, "over": base.label}
        rows = [{"name": row.name, "precision": row.precision, "failure": row.failure} | row.values for row in subjects]
        report.write_json(json, content | {"rows": rows})
    if picture:
        measured = [row for row in subjects if not row.failure]
        report.draw_bars(picture, [row.label for row in measured], [row.values["ms"] for row in measured], title)


def random_run(path: Path, settings: Config) -> tuple[Run, Generator, Discriminator]:
    """Make a run folder of untrained networks; return them too."""
    keras.utils.set_random_seed(0)
    run = Run.create(path, settings)
    generator = Generator(**dataclasses.asdict(settings.model))
    discriminator = Discriminator(settings.discriminator.filters)
    for network, file in ((generator, run.generator_weights), (discriminator, run.discriminator_weights)):
        network.build()
        network.save_weights(file)
    return run, generator, discriminator


def write_crops(path: Path, photos: Path, image_size: int, count: int = 120) -> Path:
    """Make a folder of random square crops of photos, enough to calibrate int8; return it."""
    sources = [image_files.read_image(photo) for photo in finding.find_photos(photos)]
    path.mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        photo = sources[i % len(sources)]
        side = random.integers(min(photo.shape[:2]) // 2, min(photo.shape[:2]) + 1)
        top, left = (random.integers(0, length - side + 1) for length in photo.shape[:2])
        crop = pixels.resize_image(photo[top : top + side, left : left + side], image_size, image_size)
        image_files.write_image(path / f"{i:03}.png", crop)
    return path


def write_plain(generator: Generator, path: Path, with_torch: bool) -> tuple[list[Subject], dict]:
    """Write the plain networks with the weights of ours to `path`, each checked to be the same network.

    Returns:
        (subjects; name of each network -> what `report.check_equal` returns); nothing if ours is not the paper's.

    Raises:
        MeasuringError: a plain network differs.
    """
    try:
        plain_keras.check_plain(generator)
    except InputError as error:
        say(f"{error}: left out, the ratios are to the first row")
        return [], {}
    images, masks = parity.sample_pairs(SAMPLES / "test", generator.image_size, 3)
    inputs = {"image": pixels.to_unit(images.astype(np.float32)), "mask": masks.astype(np.float32)}
    ours, found, checks = plain_keras.answer(generator, inputs), [], {}
    if with_torch:
        from harness import plain_torch

        network, file = plain_torch.TorchGenerator(generator), path / "plain.pt"
        checks["PyTorch"] = report.check_equal("PyTorch", ours, plain_torch.answer(network, inputs))
        plain_torch.torch.save(network, file)
        for name in plain_torch.MEMORY_FORMATS:
            found.append(Subject(name, "float32", {"kind": "torch", "path": str(file), "memory_format": name}))
    network, file = plain_keras.PlainGenerator(generator), path / "plain_keras"
    checks["Keras"] = report.check_equal("Keras", ours, plain_keras.answer(network, inputs))
    graph.write_saved_model(network, file)
    return [*found, Subject("Keras, plain layers", "float32", {"kind": "saved_model", "path": str(file)})], checks


def export_all(run: Run, out: Path, precisions: str | None = None, **options: object) -> list[Subject]:
    """Export a run in each precision of each format.

    Args:
        run: what to export.
        out: model folder.
        precisions: the wanted ones, separated by commas; None for all.
        **options: of `exporter.export`.

    Raises:
        InputError: no format has any of these precisions.
    """
    found = []
    for name, file_format in FORMATS.items():
        for precision in model_folder.FORMATS[file_format.name].precisions:
            if precisions and precision not in precisions.split(","):
                continue
            subject = Subject(name, precision, {"kind": file_format.name})
            say(f"exporting: {subject.label}")
            found.append(subject)
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # the quantizer prints
                    photos = SAMPLES / "train"
                    file = exporter.export(file_format, run.path, out, precision=precision, photos=photos, **options)
                subject.request["path"] = str(file)
            except ShiftNetError as error:
                subject.failure = str(error)
                say(f"  fails: {error}")
    if not found:
        raise InputError(f"--precisions: no format has any of {precisions}")
    return found


def measure(subjects: list[Subject], shared: dict, rounds: int, batch: int = 1) -> Subject:
    """Fill `values`, or `failure`, of each subject that has not failed yet.

    Args:
        subjects: what to measure.
        shared: what all requests have, see worker.py.
        rounds: number of rounds.
        batch: photos in the inputs.

    Returns:
        The subject of ratio 1: the fastest of PyTorch's, without them the first.

    Raises:
        MeasuringError: none could be measured.
    """
    failures = {row.label: row.failure for row in subjects if row.failure}
    answers = in_turns({row.label: row.request | shared for row in subjects}, rounds, failures)
    for row in subjects:
        row.failure = failures.get(row.label)
    measured = [row for row in subjects if not row.failure]
    if not measured:
        raise MeasuringError(f"nothing could be measured: {subjects[0].failure}")
    for row in measured:
        row.values = {name: median(answers[row.label], name) for name in ("ms", "memory_mb", "cold_start_s")}
        row.values["ms"] /= batch
        row.values["megabytes"] = exporter.megabytes(Path(row.request["path"]))
    torch = [row for row in measured if row.request["kind"] == "torch"]
    base = min(torch or measured[:1], key=lambda row: row.values["ms"])
    for row in measured:
        row.values["ratio"] = row.values["ms"] / base.values["ms"]
    return base


def table(subjects: list[Subject], base: Subject) -> str:
    """Return the Markdown table of all subjects; `base` is that of `measure`."""
    lines = []
    for row in subjects:
        line, value = [row.name, row.precision], row.values
        if row.failure:
            lines.append([*line, f"fails: {row.failure}", *[None] * 4])
            continue
        numbers = [value["megabytes"], value["memory_mb"], value["cold_start_s"]]
        lines.append([*line, value["ms"], f"{value['ratio']:.2f}", *numbers])
    header = ["", "precision", "ms", f"over {base.label}", "file, MB", "memory, MB", "cold start, s"]
    return report.markdown(header, lines)
