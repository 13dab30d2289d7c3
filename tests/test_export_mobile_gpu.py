"""Files for the GPUs of phones: their operations, and the same answers as the other graph's."""

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says, with_settings

from shiftnet_tf import Inpainter, model_folder
from shiftnet_tf.export import mobile_gpu, parity


@pytest.fixture(scope="module")
def export():
    return load_script("export/export_tflite").main


@pytest.mark.parametrize("precision, name", [("float32", "model-mobile-gpu"), ("float16", "model-mobile-gpu-float16")])
def test_only_what_the_delegate_takes_and_the_same_values(export, small_run, tmp_path, precision, name):
    arguments = [str(small_run), "--out", str(tmp_path), "--shift-map"]
    assert export(arguments) == 0
    assert export([*arguments, "--profile", "mobile-gpu", "--precision", precision]) == 0
    entry = model_folder.ModelSpec.read(tmp_path).files[f"{name}.tflite"]
    assert entry.profile == "mobile-gpu" and entry.parity["equal_shifts"] >= 0.99
    assert mobile_gpu.find_refused(tmp_path / f"{name}.tflite") == []
    refused = " ".join(mobile_gpu.find_refused(tmp_path / "model.tflite"))
    assert all(operation in refused for operation in ("ARG_MAX", "GATHER", "L2_NORMALIZATION", "MEAN"))
    images, masks = parity.sample_pairs(PHOTOS / "test", 64, 3)
    plain, mobile = (Inpainter.load(tmp_path / f"{file}.tflite") for file in ("model", name))
    for image, mask in zip(images, masks[..., 0]):
        difference = np.abs(plain(image, mask).astype(int) - mobile(image, mask))
        assert difference.max() <= (1 if precision == "float32" else 8)


def test_a_folder_is_run_by_its_default_profile(export, small_run, tmp_path):
    for more in (["--profile", "mobile-gpu"], []):
        assert export([str(small_run), "--out", str(tmp_path), *more]) == 0
    assert Inpainter.load(tmp_path).model.path.name == "model.tflite"


def test_a_network_that_a_gpu_cannot_run_is_refused(export, train, tmp_path, capsys):
    settings = ["training.epochs=1", "training.steps_per_epoch=1", "model.image_size=64", "model.depth=6"]
    settings += ["model.filters=4", "discriminator.filters=4", "data.short_side=96", "model.patches=true"]
    run = tmp_path / "run"
    assert train(with_settings(["--run-dir", str(run)], settings)) == 0
    capsys.readouterr()
    result = export([str(run), "--profile", "mobile-gpu"])
    says(capsys, 1, "the GPU of a phone would leave this network to the CPU in part: ", result)
    assert not (run / "export").exists()
