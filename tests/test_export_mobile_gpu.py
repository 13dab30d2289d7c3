"""Files for the GPUs of phones: their operations, and the same answers as the other graph's."""

import dataclasses
import re
import shutil

import numpy as np
import pytest
from conftest import PHOTOS, load_script, says, untrained_run

from shiftnet_tf import Inpainter, model_folder
from shiftnet_tf.errors import InputError
from shiftnet_tf.export import exporter, mobile_gpu, parity, to_tflite
from shiftnet_tf.export.mobile_network import for_mobile_gpu
from shiftnet_tf.networks import Generator


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
        else:  # rounding may turn a near tie of the shift: one of 8x8 positions, which the decoder spreads
            assert (difference > 8).mean() <= 4 / 64


def test_a_folder_is_run_by_its_default_profile(mobile_model):
    assert list(model_folder.ModelSpec.read(mobile_model).files) == ["model-mobile-gpu.tflite", "model.tflite"]
    assert Inpainter.load(mobile_model).model.path.name == "model.tflite"


def test_a_seamless_network(export, few_photos, tmp_path, capsys):
    """With a membrane over 96 pixels, whose coarsest level is of 3x3."""
    run = untrained_run(tmp_path / "run", image_size=96, depth=4, filters=4, seamless=True)
    out = tmp_path / "out"
    arguments = [str(run.path), "--out", str(out), "--photos", str(few_photos), "--profile", "mobile-gpu"]
    assert export(arguments) == 0  # which compares it with Keras
    path = out / "model-mobile-gpu.tflite"
    assert mobile_gpu.find_refused(path) == []
    last = capsys.readouterr().out.splitlines()[-1]
    sentence = r"[0-9.]+ MB; on 6 photos it differs from Keras by \S+ grey levels on average and \d at most"
    assert re.fullmatch(f"{re.escape(str(path))}: {sentence}", last), last


def test_a_network_that_a_gpu_cannot_run_is_refused_by_the_key_of_its_config(export, tmp_path, capsys):
    run = untrained_run(tmp_path / "run", image_size=64, depth=4, filters=4, patches=True)
    says(capsys, 2, "`model.patches = true` needs operations", export([str(run.path), "--profile", "mobile-gpu"]))
    assert not (run.path / "export").exists()


FIT = [
    {"smooth_upsampling": True},
    {"shift_layers": (), "skips": False},
    {"shift_layers": (), "shift": "soft"},
    {"shift": "mirrored"},
    {"normalization": "batch"},
    {"third_kernel_size": 6, "feature_mask": "nearest", "mask_channel": False},
]


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments", [*FIT, *({key: value} for key, values in mobile_gpu.UNFIT.items() for value in values)]
)
def test_the_keys_that_are_refused_are_those_that_need_other_operations(tmp_path, arguments):
    generator = Generator(**{"image_size": 64, "depth": 4, "filters": 4} | arguments)
    generator.build()
    path = tmp_path / "model.tflite"
    job = exporter.Job(format="tflite", profile="mobile-gpu")
    if arguments in FIT:
        to_tflite.convert(generator, path, job)
        assert mobile_gpu.find_refused(path) == []
        return
    with pytest.raises(InputError, match=f"`model.{next(iter(arguments))} = "):
        to_tflite.convert(generator, path, job)
    to_tflite.convert(for_mobile_gpu(generator), path, dataclasses.replace(job, profile="default"))
    assert mobile_gpu.find_refused(path)
