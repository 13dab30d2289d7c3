"""What runtimes.py measures: the network in plain PyTorch, in plain Keras, and every file that is exported."""

import argparse
import contextlib
import dataclasses
import io
from pathlib import Path

import keras
import numpy as np

from harness import plain_keras, report
from harness.measuring import say
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config, DataConfig
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.export import exporter, graph, parity, to_onnx, to_saved_model, to_tflite
from shiftnet_tf.networks import Discriminator, Generator
from shiftnet_tf.photos import image_files, pixels
from shiftnet_tf.run_folder import Run

SAMPLES = Path(__file__).resolve().parent.parent.parent / "training" / "sample_photos"
FORMATS = {"TensorFlow": to_saved_model.FORMAT, "ONNX Runtime": to_onnx.FORMAT, "LiteRT": to_tflite.FORMAT}


@dataclasses.dataclass
class Subject:
    """One row of the table: name, precision, image size in pixels, and what was measured.

    Attributes:
        request: `kind` and `path` of its model, see worker.py.
        batches: whether it takes more than one photo at a time.
        failure: why it could not be exported or measured.
    """

    name: str
    precision: str
    image_size: int
    request: dict
    batches: bool = True
    failure: str | None = None
    values: dict = dataclasses.field(default_factory=dict)

    @property
    def label(self) -> str:
        return self.name if self.precision == "float32" else f"{self.name}, {self.precision}"

    @property
    def key(self) -> str:
        return f"{self.label}, {self.image_size}x{self.image_size}"

    def as_dict(self) -> dict:
        """Return what --json writes."""
        return {key: getattr(self, key) for key in ("name", "precision", "image_size", "failure")} | self.values


def open_run(options: argparse.Namespace, path: Path) -> Run:
    """Open the run of --run, or make one with the random weights that a training starts from in the folder `path`."""
    if options.run:
        return Run.open(options.run)
    model = ModelConfig(filters=options.filters or 64, image_size=options.image_size or 256)
    say(f"random weights: base width {model.filters}, {model.image_size}x{model.image_size}")
    return random_run(path / "run", Config(model=model, data=DataConfig(short_side=max(350, model.image_size))))[0]


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
    sources = [image_files.read_image(photo) for photo in image_files.find_photos(photos)]
    path.mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        photo = sources[i % len(sources)]
        side = random.integers(min(photo.shape[:2]) // 2, min(photo.shape[:2]) + 1)
        top, left = (random.integers(0, length - side + 1) for length in photo.shape[:2])
        crop = pixels.resize_image(photo[top : top + side, left : left + side], image_size, image_size)
        image_files.write_image(path / f"{i:03}.png", crop)
    return path


def plain(generator: Generator, path: Path, with_torch: bool) -> tuple[list[Subject], dict]:
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
            request = {"kind": "torch", "path": str(file), "memory_format": name}
            found.append(Subject(name, "float32", generator.image_size, request))
    network, file = plain_keras.PlainGenerator(generator), path / "plain_keras"
    checks["Keras"] = report.check_equal("Keras", ours, plain_keras.answer(network, inputs))
    graph.write_saved_model(network, file)
    request = {"kind": "saved_model", "path": str(file)}
    return [*found, Subject("Keras, plain layers", "float32", generator.image_size, request)], checks


def export_options(options: argparse.Namespace, path: Path) -> dict:
    """Return arguments of `exporter.export`; crops for int8 are written to `path`."""
    found = {"image_size": options.image_size, "photos": SAMPLES / "train"}
    if options.run:
        return found | {"calibration_photos": options.calibration_photos}
    crops = options.calibration_photos or write_crops(path / "crops", SAMPLES / "train", options.image_size or 256)
    return found | {"calibration_photos": crops, "max_psnr_drop": 100.0}  # random weights have no quality to lose


def exported(run: Run, out: Path, precisions: str | None = None, **options: object) -> list[Subject]:
    """Export a run in each precision of each format.

    Args:
        run: what to export.
        out: model folder.
        precisions: the wanted ones, separated by commas; None for all.
        **options: of `exporter.export`.

    Raises:
        InputError: no format has any of these precisions.
    """
    found, size = [], options["image_size"] or run.config.model.image_size
    for name, file_format in FORMATS.items():
        for precision in file_format.precisions:
            if precisions and precision not in precisions.split(","):
                continue
            subject = Subject(name, precision, size, {"kind": file_format.name}, file_format.batch is None)
            say(f"exporting: {subject.key}")
            found.append(subject)
            try:
                with contextlib.redirect_stdout(io.StringIO()):  # the quantizer prints
                    file = exporter.export(file_format, run.path, out, precision=precision, **options)
                subject.request["path"] = str(file)
            except ShiftNetError as error:
                subject.failure = str(error)
                say(f"  fails: {error}")
    if not found:
        raise InputError(f"--precisions: no format has any of {precisions}")
    return found
