"""Every variant of the network and of its training: 30 steps on the sample photos, and its files in the runtimes.

All at once take minutes: `make test-long`. A sample of them runs always.
"""

import csv
import math

import keras
import pytest
from conftest import change_weights, load_script, with_settings

from shiftnet_tf import model_folder
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training.gan_losses import GAN_LOSSES

SETTINGS = [
    "model.image_size=128",
    "model.depth=7",
    "model.filters=8",
    "discriminator.filters=8",
    "data.short_side=160",
    "training.epochs=3",
    "training.steps_per_epoch=10",
]
# Of the sample: at a quarter of the pixels and with three layers less.
SAMPLE_SETTINGS = ["model.image_size=64", "model.depth=4", "data.short_side=96"]
# All photos in each epoch, with one kind of hole: else which ones it draws moves the loss more than training does.
EVEN_EPOCHS = ["masks.rectangle=0", "masks.freeform=0", "training.steps_per_epoch=32"]
GENERATORS = {
    "soft": ["model.shift=soft"],
    "soft_fused": ["model.shift=soft_fused"],
    "mirrored": ["model.shift=mirrored", "model.third_kernel_size=6", "model.feature_mask=nearest"],
    "random": ["model.shift=random"],
    "no shift": ["model.shift_layers=[]"],
    "at another layer": ["model.shift_layers=[2]"],
    "at several layers": ["model.shift_layers=[2, 3, 4]"],
    "context encoder": ["model.shift_layers=[]", "model.skips=false"],
    "batch norm": ["model.normalization=batch", "discriminator.normalization=batch", "training.batch_size=2"],
    "switchable norm": ["model.normalization=switchable", "discriminator.normalization=switchable"],
    "seamless": ["model.seamless=true", *EVEN_EPOCHS],
    "patches": ["model.patches=true", "model.seamless=true", "model.shift=mirrored", *EVEN_EPOCHS],
    "blended patches": ["model.patches=true", "model.blend_patches=true", "model.seamless=true", *EVEN_EPOCHS],
    "smooth": ["model.smooth_upsampling=true"],
    "smooth, blended patches": [
        "model.smooth_upsampling=true",
        "model.patches=true",
        "model.blend_patches=true",
        "model.seamless=true",
        *EVEN_EPOCHS,
    ],
    "all at once": ["model.shift=mirrored", "model.normalization=switchable", "model.shift_layers=[3, 2]"],
}
TRAININGS = {
    **{f"gan {gan}": [f"losses.gan={gan}"] for gan in GAN_LOSSES},
    "wgan_gp, batch norm": ["losses.gan=wgan_gp", "discriminator.normalization=batch", *SAMPLE_SETTINGS],
    "spectral norm on the hole's window": ["discriminator.spectral_norm=true", "discriminator.window=hole"],
    "random window": [
        "discriminator.window=random",
        "discriminator.mask_channel=true",
        "losses.adversarial_region=hole",
    ],
    "feature matching and R1": ["losses.feature_matching=5", "losses.r1=0.1", "losses.r1_every=2"],
    "discount": ["losses.discount=0.9"],
    "total variation": ["losses.total_variation=1"],
    "texture": ["losses.texture=20", "model.seamless=true", *EVEN_EPOCHS],
    "bundled model's network, texture": [
        "model.smooth_upsampling=true",
        "model.patches=true",
        "model.blend_patches=true",
        "model.seamless=true",
        "losses.texture=20",
        *SAMPLE_SETTINGS,
        *EVEN_EPOCHS,
    ],
    "cosine": ["training.schedule=cosine"],
}
SAMPLE = ("wgan_gp, batch norm", "bundled model's network, texture")


def trained(train, settings, path):
    """The run of 30 steps; refuses NaN and losses that stand still."""
    assert train(with_settings(["--run-dir", str(path)], SETTINGS + settings)) == 0
    with open(path / "metrics.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert len(rows) == 3 and all(math.isfinite(value) for row in rows for value in row.values())
    if "model.seamless=true" in settings:  # it begins with the membrane, which 30 steps need not beat
        assert rows[2]["loss"] < rows[0]["loss"]
    else:
        assert rows[2]["val_psnr"] > rows[0]["val_psnr"]
    for name in rows[0]:
        assert len({row[name] for row in rows}) == 3, name
    return Run.open(path)


@pytest.mark.long
@pytest.mark.parametrize("name", GENERATORS)
def test_network(train, tmp_path, name):
    run = trained(train, GENERATORS[name], tmp_path / "run")
    network = change_weights(run)
    keras.backend.clear_session()
    more = ["--shift-map"] if network.shift_layers else []
    for script in ("export_onnx", "export_tflite", "export_saved_model"):
        assert load_script(f"export/{script}").main([str(run.path), *more]) == 0
    entries = model_folder.ModelSpec.read(run.path / "export").files.values()
    assert {entry.format for entry in entries} == {"onnx", "tflite", "saved_model"}
    for entry in entries:
        assert entry.parity["compared_pairs"] >= 10
        assert not network.shift_layers or entry.parity["equal_shifts"] >= 0.99


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SAMPLE else pytest.mark.long) for name in TRAININGS]
)
def test_training(train, tmp_path, name):
    run = trained(train, TRAININGS[name], tmp_path / "run")
    with open(run.metrics, newline="") as file:
        names = next(csv.reader(file))
    assert ("total_variation_loss" in names) == (name == "total variation")


@pytest.mark.long
def test_style_and_content(train, tmp_path):
    """VGG16 with random weights: no file of trained ones comes with the repository."""
    keras.utils.set_random_seed(0)
    keras.applications.VGG16(include_top=False, weights=None).save_weights(tmp_path / "vgg16.weights.h5")
    settings = ["losses.style=10", "losses.content=1", f"losses.vgg16_weights={tmp_path / 'vgg16.weights.h5'}"]
    trained(train, settings, tmp_path / "run")
