"""Files for the GPUs of phones: their operations, and the same answers as the other graph's."""

import dataclasses
import shutil

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says, untrained_run

from shiftnet_tf import Inpainter, model_folder
from shiftnet_tf.export import mobile_gpu, parity


@pytest.fixture(scope="module")
def export():
    return load_script("export/export_tflite").main


@pytest.fixture(scope="module")
def mobile_model(export, small_run, small_model, tmp_path_factory):
    """A model folder that lists the file for GPUs before the default one."""
    out = tmp_path_factory.mktemp("models") / "mobile"
    assert export([str(small_run), "--out", str(out), "--shift-map", "--profile", "mobile-gpu"]) == 0
    spec = model_folder.ModelSpec.read(small_model)
    shutil.copy(small_model / "model.tflite", out)
    dataclasses.replace(spec, files={"model.tflite": spec.files["model.tflite"]}).merge_into(out).write(out)
    return out


@pytest.mark.parametrize("precision, name", [("float32", "model-mobile-gpu"), ("float16", "model-mobile-gpu-float16")])
def test_only_what_the_delegate_takes_and_the_same_values(export, small_run, mobile_model, tmp_path, precision, name):
    shutil.copytree(mobile_model, tmp_path, dirs_exist_ok=True)
    if precision != "float32":
        arguments = [str(small_run), "--out", str(tmp_path), "--shift-map", "--profile", "mobile-gpu"]
        assert export([*arguments, "--precision", precision]) == 0
    entry = model_folder.ModelSpec.read(tmp_path).files[f"{name}.tflite"]
    assert entry.profile == "mobile-gpu" and entry.parity["equal_shifts"] >= 0.99
    assert mobile_gpu.find_refused(tmp_path / f"{name}.tflite") == []
    refused = " ".join(mobile_gpu.find_refused(tmp_path / "model.tflite"))
    assert all(operation in refused for operation in ("ARG_MAX", "GATHER", "L2_NORMALIZATION", "MEAN"))
    images, masks = parity.sample_pairs(PHOTOS / "test", 64, 3)
    plain, mobile = (Inpainter.load(tmp_path / f"{file}.tflite") for file in ("model", name))
    for image, mask in zip(images, masks[..., 0]):
        difference = np.abs(plain(image, mask).astype(int) - mobile(image, mask)).max(axis=-1)
        if precision == "float32":
            assert difference.max() <= 1
        else:  # rounding may turn a near tie of the shift: one of 8x8 positions
            assert (difference > 8).mean() <= 1 / 64


def test_a_folder_is_run_by_its_default_profile(mobile_model):
    assert list(model_folder.ModelSpec.read(mobile_model).files) == ["model-mobile-gpu.tflite", "model.tflite"]
    assert Inpainter.load(mobile_model).model.path.name == "model.tflite"


def test_a_network_that_a_gpu_cannot_run_is_refused(export, tmp_path, capsys):
    run = tmp_path / "run"
    untrained_run(run, image_size=64, depth=6, filters=4, patches=True)
    result = export([str(run), "--profile", "mobile-gpu"])
    says(capsys, 1, "the GPU of a phone would leave this network to the CPU in part: ", result)
    assert not (run / "export").exists()
