"""What the tests share: recorded reference values, real photos, a small trained run and its exports."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell turns off for what it runs in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup turns off

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT / "benchmarks"))  # plain networks of the harness are references
PHOTOS = ROOT / "training" / "sample_photos"
MASK = ROOT / "training" / "sample_masks" / "gc_farm_sheep.png"  # around the sheep

# Small networks, for tests of the path and not of the picture. Most of the time of a training is TensorFlow tracing
# its step, which grows with the number of layers.
PLAIN = [  # the paper's network and losses, for demo.toml has the whole recipe
    *(f"model.{name}=false" for name in ("seamless", "patches", "blend_patches", "smooth_upsampling")),
    "discriminator.window=image",
    "discriminator.spectral_norm=false",
    "losses.reconstruction=100",
    "losses.hole=50",
    "losses.adversarial=0.2",
    "losses.adversarial_region=image",
    "losses.gan=vanilla",
    "losses.feature_matching=0",
    "data.colour=0",
    "masks.freeform=1",
    "masks.objects=0",
    "training.beta_1=0.9",
    "training.average=0",
]
SMALL = [  # for what is exported
    *PLAIN,
    "model.image_size=64",
    "model.depth=4",
    "model.filters=4",
    "discriminator.filters=4",
    "data.short_side=96",
    "training.epochs=2",
    "training.steps_per_epoch=4",
]
TINY = [  # for training alone: half the time of SMALL
    *SMALL,
    "model.image_size=32",
    "model.depth=2",
    "model.shift_layers=[1]",
    "discriminator.depth=1",
    "data.short_side=48",
]


def load_script(path):
    """Import a script of training/, export/ or benchmarks/ by its path; its `main` takes the arguments."""
    spec = importlib.util.spec_from_file_location(path.replace("/", "_"), ROOT / f"{path}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def with_settings(arguments, settings=SMALL):
    return arguments + [word for setting in settings for word in ("--set", setting)]


def untrained_run(path, **model):
    """Make a run folder of a generator with random weights: what needs no training is not trained."""
    import dataclasses

    import keras

    from shiftnet_tf.config.model import ModelConfig
    from shiftnet_tf.config.run import Config
    from shiftnet_tf.networks import Generator
    from shiftnet_tf.run_folder import Run

    keras.utils.set_random_seed(0)
    run = Run.create(path, Config(model=ModelConfig(**model)))
    generator = Generator(**dataclasses.asdict(run.config.model))
    generator.build()
    generator.save_weights(run.generator_weights)
    return run


def change_weights(run):
    """Take the weights of a run far from their small beginnings, at which sources of the shift are nearly alike.

    Moving averages stay: a variance below 0 gives NaN.
    """
    generator, rng = run.load_generator(), np.random.default_rng(0)
    for weight in generator.trainable_weights:
        weight.assign(weight.numpy() + 0.05 * rng.normal(size=weight.shape))
    generator.save_weights(run.generator_weights)
    return generator


def says(capsys, code, message, result):
    """A command ended with that exit code and one sentence on stderr."""
    error = capsys.readouterr().err
    assert result == code and error.startswith("error: ") and message in error and error.count("\n") == 1, error


def drop_checkpoint(run, number):
    """Take a run folder back to before it wrote that checkpoint, as a kill leaves it: metrics.csv has more rows."""
    for path in (run / "checkpoints").glob(f"ckpt-{number}.*"):
        path.unlink()


@pytest.fixture(scope="session")
def reference():
    """Recorded values of the authors' code: name of the file -> dict of arrays, images in NHWC."""

    def load(name):
        with np.load(ROOT / "tests" / "data" / f"{name}.npz") as arrays:
            return {key: arrays[key] for key in arrays.files}

    return load


@pytest.fixture(scope="session")
def train():
    return load_script("training/train").main


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Function that has a folder made by the first worker that needs it, and gives it to all: they only read it."""
    from shiftnet_tf.system.atomic import locked

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root

    def folder(kind, name, make):
        home = root / f"{name}-{kind}"
        home.mkdir(exist_ok=True)
        with locked(home):
            if not (home / "made").exists():
                make(home / name)
                (home / "made").touch()
        return home / name

    return folder


def trained_run(path, settings):
    assert load_script("training/train").main(with_settings(["--run-dir", str(path)], settings)) == 0


@pytest.fixture(scope="session")
def small_run(made_once):
    """A run folder of a very small network."""
    return made_once("run", "small", lambda path: trained_run(path, SMALL))


@pytest.fixture(scope="session")
def tiny_run(made_once):
    """A run folder of TINY: 2 epochs of 4 steps, never stopped."""
    return made_once("run", "tiny", lambda path: trained_run(path, TINY))


@pytest.fixture(scope="session")
def small_model(made_once, small_run):
    """A model folder with all three formats of that run, each with its shift map."""

    def make(path):
        for script in ("export_onnx", "export_tflite", "export_saved_model"):
            main = load_script(f"export/{script}").main
            assert main([str(small_run), "--out", str(path), "--shift-map"]) == 0

    return made_once("model", "small", make)


@pytest.fixture(scope="session")
def few_photos(tmp_path_factory):
    """A folder of 6 sample photos, two for each kind of hole: enough where the test is not about parity itself."""
    folder = tmp_path_factory.mktemp("few_photos")
    for path in sorted((PHOTOS / "train").iterdir())[:6]:
        shutil.copy(path, folder)
    return folder


@pytest.fixture(scope="session")
def hundred_photos(tmp_path_factory):
    """A folder of 120 crops of the sample photos: as many as 8 bits are fitted to."""
    from shiftnet_tf.photos import finding, image_files

    folder = tmp_path_factory.mktemp("photos")
    for i, path in enumerate(finding.find_photos(PHOTOS / "train")):
        photo = image_files.read_image(path)
        corners = ((0, 0), (0, photo.shape[1] - 256), (photo.shape[0] - 256, 0), (photo.shape[0] - 256, 64))
        for j, (top, left) in enumerate(corners):
            image_files.write_image(folder / f"{i:02}-{j}.png", photo[top : top + 256, left : left + 256])
    return folder


@pytest.fixture(scope="session")
def photo():
    """A photo that is not trained on, uint8 [384, 530, 3], and its mask uint8 [384, 530]."""
    from shiftnet_tf.masks import mask_files
    from shiftnet_tf.photos import image_files

    return image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg"), mask_files.read_mask(MASK)


@pytest.fixture(scope="module")
def browser():
    """One Chromium for the tests of a module: while it is open, asyncio has a running loop, which others would find."""
    from pages import chromium

    with chromium() as browser:
        yield browser


@pytest.fixture(scope="session")
def address():
    """The address of one server with the page."""
    from pages import demo

    with demo() as address:
        yield address


@pytest.fixture
def page(browser, address):
    """The page in a window of 1000x760."""
    from pages import visit

    with visit(browser, address) as page:
        yield page


@pytest.fixture
def small_disk(tmp_path):
    """A file system with room for a few checkpoints; function that changes its size."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root alone")
    yield folder, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(folder)], check=True)
    subprocess.run(["umount", "-l", str(folder)], check=True)
