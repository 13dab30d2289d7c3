"""What export/benchmark.py measures: the network in plain PyTorch, in plain Keras, and every file that is exported."""

import dataclasses
import importlib
import os
import re
import subprocess
import sys

import keras
import numpy as np

from shiftnet_tf.benchmarks import figures, plain_keras
from shiftnet_tf.benchmarks.measuring import MeasuringError
from shiftnet_tf.config.run import Config, DataConfig
from shiftnet_tf.export import parity
from shiftnet_tf.model_folder import ModelSpec
from shiftnet_tf.networks import Generator
from shiftnet_tf.photos import image_files, pixels
from shiftnet_tf.run_folder import Run

# The format in spec.json -> the exporter, the runtime, what people call it.
EXPORTERS = {
    "saved_model": ("export_saved_model.py", "tensorflow", "TensorFlow"),
    "onnx": ("export_onnx.py", "onnxruntime", "ONNX Runtime"),
    "tflite": ("export_tflite.py", "litert", "LiteRT"),
}


@dataclasses.dataclass
class Subject:
    """One row of the table.

    Attributes:
        name: str, such as `"ONNX Runtime"`.
        precision: str, one of `model_folder.PRECISIONS`.
        kind: str, a key of `worker.KINDS`.
        path: Path of its model.
        settings: dict, what its worker takes beside the path.
        batches: bool, whether it takes more than one photo at a time.
        failure: str, why it could not be exported or measured; None where it could.
        values: dict, what was measured.
    """

    name: str
    precision: str
    kind: str
    path: object = None
    settings: dict = dataclasses.field(default_factory=dict)
    batches: bool = True
    failure: str | None = None
    values: dict = dataclasses.field(default_factory=dict)

    @property
    def label(self):
        return self.name if self.precision == "float32" else f"{self.name}, {self.precision}"


def check_torch():
    """Refuses to go on without torch, before any work is done.

    Raises:
        MissingPackageError: it is not installed.
    """
    importlib.import_module("shiftnet_tf.benchmarks.plain_torch")


def write_inputs(path, photos, image_size):
    """Keeps a photo and the mask of its centre for the workers.

    Args:
        path: Path of the .npz.
        photos: Path of a folder.
        image_size: int, pixels.

    Returns:
        `path`.
    """
    image, mask = parity.sample_pairs(photos, image_size, 1)
    np.savez(path, image=image, mask=mask)
    return path


def write_crops(path, photos, image_size, count=120):
    """Makes a folder of squares cut from photos at random places: enough of them to fit int8 to.

    Args:
        path: Path of the folder to make.
        photos: Path of a folder.
        image_size: int, pixels.
        count: int.

    Returns:
        `path`.
    """
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


def random_run(path, model, seed=0):
    """A run folder with random weights of the size that a trained network has.

    Each convolution keeps the variance of what it gets (He et al., 2015), and the last one gives values of about a
    half, so that tanh does not saturate.

    Args:
        path: Path of the folder to make.
        model: ModelConfig.
        seed: int.

    Returns:
        Run.
    """
    data = DataConfig(short_side=max(350, model.image_size))
    run = Run.create(path, Config(model=model, data=data))
    generator = Generator(**dataclasses.asdict(model))
    generator.build()
    random = np.random.default_rng(seed)
    for layer in (*generator.encoder_convolutions, *generator.decoder_ups):
        shape = tuple(layer.kernel.shape)
        gain = 0.25 if layer is generator.decoder_ups[0] else 2.0
        scale = np.float32(np.sqrt(gain / np.prod(shape[:-1])))
        layer.kernel.assign(scale * random.standard_normal(shape, np.float32))
    generator.save_weights(run.generator_weights)
    return run


def plain_subjects(generator, folder, pairs, with_torch):
    """The plain networks with the weights of ours, each checked to be the same network.

    Args:
        generator: Generator.
        folder: Path for their files.
        pairs: (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]) to compare on.
        with_torch: bool.

    Returns:
        (list of Subject, dict of name to what `figures.check_equal` gives).

    Raises:
        InputError: the network is not the paper's.
        MissingPackageError: torch is wanted and not installed.
        MeasuringError: one is not the same network.
    """
    plain_keras.check_plain(generator)
    inputs = {"image": pairs[0].astype(np.float32) / 127.5 - 1, "mask": (pairs[1] != 0).astype(np.float32)}
    ours = _answer(generator, inputs)
    subjects, checks = [], {}
    if with_torch:
        from shiftnet_tf.benchmarks import plain_torch

        network = plain_torch.generator_of(generator)
        checks["PyTorch"] = figures.check_equal("PyTorch", ours, plain_torch.answer(network, inputs))
        plain_torch.save(network, folder / "plain.pt")
        for name in plain_torch.MEMORY_FORMATS:
            settings = {"memory_format": name}
            label = "PyTorch" if name == "contiguous" else f"PyTorch ({name})"
            subjects.append(Subject(label, "float32", "torch_plain", folder / "plain.pt", settings))
    network = plain_keras.PlainGenerator(generator)
    checks["Keras"] = figures.check_equal("Keras's plain network", ours, _answer(network, inputs))
    plain_keras.write_float_model(network, folder / "plain_keras")
    subjects.append(Subject("Keras, plain layers", "float32", "keras_plain", folder / "plain_keras"))
    return subjects, checks


def _answer(network, inputs):
    predicted_image, features = network(inputs, return_features=True)
    return keras.ops.convert_to_numpy(predicted_image), [np.asarray(value) for value in features["shift_map"]]


def offered(script):
    """The precisions that an exporter offers, as its --help says.

    Args:
        script: Path.

    Returns:
        list of str.
    """
    text = _run([script, "--help"])
    found = re.search(r"--precision \{([^}]*)\}", text)
    return found[1].split(",") if found else ["float32"]


def export(exporters, file_format, run, out, precision="float32", options=()):
    """Exports a run by the exporter's own command.

    Args:
        exporters: Path of the folder with the exporters.
        file_format: str, a key of EXPORTERS.
        run: Run.
        out: Path of the model folder.
        precision: str.
        options: list of str, further arguments.

    Returns:
        Subject; with its `failure` where the exporter refuses.
    """
    script, kind, name = EXPORTERS[file_format]
    batches = file_format != "tflite"
    arguments = [exporters / script, run.path, "--out", out, *options]
    arguments += ["--precision", precision] if precision != "float32" else []
    before = set(ModelSpec.read(out).files) if (out / "spec.json").is_file() else set()
    try:
        _run(arguments)
        (new,) = set(ModelSpec.read(out).files) - before
    except MeasuringError as error:
        return Subject(name, precision, kind, batches=batches, failure=str(error))
    return Subject(name, precision, kind, out / new, batches=batches)


def _run(arguments):
    """The output of a script; its last words on stderr as an error."""
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, *(str(argument) for argument in arguments)]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        raise MeasuringError(lines[-1].removeprefix("error: "))
    return result.stdout
