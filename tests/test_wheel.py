"""The wheel as its users get it: alone in a new environment with one runtime, without TensorFlow."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS, ROOT

from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import image_files, pixels

pytestmark = pytest.mark.slow


def run(*command, cwd, stderr=subprocess.PIPE):
    words, env = [str(word) for word in command], {**os.environ, "PYTHONPATH": ""}
    result = subprocess.run(words, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=cwd, env=env)
    assert result.returncode == 0, f"{result.stdout}{result.stderr}"
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out, source = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("source")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):  # a copy: a build leaves its folder behind
        shutil.copy(ROOT / name, source)
    for name in ("shiftnet_tf", "saved_models", "training/configs"):
        shutil.copytree(ROOT / name, source / name)
    run(sys.executable, "-m", "build", "--wheel", "--outdir", out, source, cwd=out)
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def holiday(tmp_path_factory):
    """A photo of 1000x667 and its mask, as files."""
    folder = tmp_path_factory.mktemp("holiday")
    photo = image_files.read_image(PHOTOS / "test" / "gc_pontdugard.jpg")
    image_files.write_image(folder / "photo.png", pixels.resize_image(photo, 667, 1000))
    mask = np.zeros((667, 1000, 3), np.uint8)
    mask[200:420, 350:620] = 255
    image_files.write_image(folder / "mask.png", mask)
    return folder


def test_one_package_and_three_requirements(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = content.namelist()
        metadata = message_from_bytes(content.read(next(name for name in names if name.endswith("METADATA"))))
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"shiftnet_tf"}
    bare = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(line.split(">=")[0] for line in bare) == ["numpy", "pillow", "tqdm"]
    data = ("py.typed", "masks/object_outlines.json", "server/static/page.js")
    assert {f"shiftnet_tf/{name}" for name in data} <= set(names)
    extras = {"onnx", "onnx-gpu", "tflite", "train", "train-gpu", "export", "torch-import", "bench", "evaluate", "dev"}
    extras |= {"serve", "demo", "heic", "perceptual", "long-tests", "completion", "docs", "cluster", "s3", "lpips-fid"}
    assert set(metadata.get_all("Provides-Extra")) == extras
    assert metadata["License-Expression"] == "Apache-2.0"


def test_the_bundle_is_small_and_its_spec_lists_what_is_there(wheel):
    with zipfile.ZipFile(wheel) as content:
        bundle, model = "shiftnet_tf/bundled/", "saved_models/compact/"
        found = [item for item in content.infolist() if item.filename.startswith(bundle)]
        sizes = {item.filename.removeprefix(bundle): item.file_size for item in found}
        files = json.loads(content.read(f"{bundle}{model}spec.json"))["files"]
    assert {entry["format"] for entry in files.values()} == {"onnx", "tflite"}
    configs = {f"training/configs/{name}.toml" for name in ("compact", "finetune", "paper_paris", "paper_places6")}
    running = {f"{model}{name}" for name in (*files, "spec.json", "README.md")}
    assert set(sizes) == configs | running
    assert sum(sizes[name] for name in running) <= 32e6 and wheel.stat().st_size <= 34e6


BUNDLE = """
from shiftnet_tf.cli import main
from shiftnet_tf.system.bundled import find_config
print(find_config("compact").is_file())
print(main(["train"]), main(["train", "compact", "--set", "data.photos=photos"]))
"""


def test_the_weights_to_fine_tune_are_a_package_of_their_own(wheel, tmp_path):
    weights = tmp_path / "saved_models"
    shutil.copytree(ROOT / "saved_models", weights)  # a copy: a build leaves its folder behind
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path, weights, cwd=tmp_path)
    (package,) = tmp_path.glob("shiftnet_tf_compact-*.whl")
    search = [sys.executable, "-c", "from shiftnet_tf.system.bundled import find_preset; print(find_preset('compact'))"]
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as content:
        content.extractall(site)
    result = subprocess.run(search, capture_output=True, text=True, cwd=site)  # which Python then looks into first
    assert result.returncode and "are not installed: pip install shiftnet-tf-compact" in result.stderr
    with zipfile.ZipFile(package) as content:
        (license,) = (name for name in content.namelist() if name.endswith(".dist-info/licenses/LICENSE"))
        assert content.read(license) == (ROOT / "LICENSE").read_bytes()
        content.extractall(site)
    found = Path(run(*search, cwd=site).strip())
    assert found == site / "shiftnet_tf_compact"
    names = {"generator.weights.h5", "discriminator.weights.h5", "config.toml", "README.md"}
    assert {path.name for path in found.iterdir()} == names | {"ATTRIBUTION.md", "ATTRIBUTION_MORE.md"}


@pytest.mark.parametrize("extra, name", [("onnx", "model.onnx"), ("tflite", "model.tflite")])
def test_inpainting_in_an_environment_of_its_own(wheel, holiday, small_model, tmp_path, extra, name):
    """The wheel without TensorFlow fills a photo."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv", cwd=tmp_path)
    pip = [sys.executable, "-m", "pip", "--python", tmp_path / "venv" / "bin" / "python"]
    constraints = ["-c", ROOT / "constraints.txt"]
    run(*pip, "install", "--no-compile", *constraints, f"{wheel}[{extra}]", cwd=tmp_path)
    packages = run(*pip, "list", cwd=tmp_path).lower()
    assert "tensorflow" not in packages and "keras" not in packages

    arguments = ["inpaint", holiday / "photo.png", "--mask", holiday / "mask.png", "--model", small_model]
    answer = run(tmp_path / "venv" / "bin" / "shiftnet", *arguments, "-o", "out.png", cwd=tmp_path)
    assert name in answer
    photo, out = image_files.read_image(holiday / "photo.png"), image_files.read_image(tmp_path / "out.png")
    hole = mask_files.read_mask(holiday / "mask.png") != 0
    np.testing.assert_array_equal(out[~hole], photo[~hole])
    assert (out[hole] != photo[hole]).mean() > 0.9

    answer = run(
        tmp_path / "venv" / "bin" / "shiftnet", *arguments[:4], "-o", "own.png", "--detail", "model", cwd=tmp_path
    )
    assert re.search(rf" with compact/model-\w+{name.removeprefix('model')} on ", answer)
    out = image_files.read_image(tmp_path / "own.png")
    np.testing.assert_array_equal(out[~hole], photo[~hole])
    answer = run(tmp_path / "venv" / "bin" / "python", "-c", BUNDLE, cwd=tmp_path, stderr=subprocess.STDOUT)
    assert "True\n" in answer and "2 2\n" in answer
    assert (
        answer.count('training needs the package tensorflow, which is not installed: pip install "shiftnet-tf[train]"')
        == 2
    )
    error, of_one_colour = (
        ((picture - photo.astype(float))[hole] ** 2).mean() for picture in (out, photo[~hole].mean(axis=0))
    )
    assert error < 0.85 * of_one_colour
