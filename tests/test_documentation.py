"""What the documentation shows works: examples in docstrings, code and file names in the README."""

import doctest
import importlib
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

README = (ROOT / "README.md").read_text("utf-8")
MODULES = [
    "layers.instance_normalization",
    "layers.shift_connection",
    "layers.subpixel_upsampling",
    "networks.discriminator",
    "networks.generator",
    "shiftnet",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of_docstrings(name):
    result = doctest.testmod(importlib.import_module(f"shiftnet_tf.{name}"))
    assert result.attempted > 0 and result.failed == 0


def test_the_readmes_layer_example():
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    names = {}
    exec(blocks[0], names)
    assert names["joined"].shape == (2, 32, 32, 768) and names["predicted_image"].shape == (1, 256, 256, 3)


def test_the_readmes_runtime_example(small_model, tmp_path, monkeypatch, photo):
    import numpy as np
    from PIL import Image

    from shiftnet_tf import Inpainter

    image, mask = photo
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine").symlink_to(small_model)
    Image.fromarray(image).save("photo.jpg", quality=95)
    Image.fromarray(mask * 255).save("mask.png")
    exec(re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)[1], {})
    expected = Inpainter(small_model)(np.array(Image.open("photo.jpg")), mask)
    np.testing.assert_array_equal(np.array(Image.open("out.png")), expected)


def test_every_file_that_the_readme_names_is_there():
    names = re.findall(r"\]\(([^)h#][^)]*)\)", README) + re.findall(r"python ((?:training|export)/\w+\.py)", README)
    assert len(names) > 8
    for name in names:
        assert (ROOT / name).exists(), name
    for config in (ROOT / "training" / "configs").glob("*.toml"):
        assert f"`{config.name}`" in README


def test_every_make_target_and_option_that_the_readme_names_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", README, flags=re.MULTILINE):
        target = "".join(target)
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    sources = "".join(
        path.read_text() for folder in ("training", "export", "shiftnet_tf") for path in (ROOT / folder).rglob("*.py")
    )
    for option in set(re.findall(r"(--[a-z][a-z-]+)", README)) - {"--logdir"}:
        assert f'"{option}"' in sources, option


def test_the_script_for_devices_needs_no_package_of_ours_and_gives_the_same(tmp_path):
    from shiftnet_tf import Inpainter, artifact, parity

    script = (ROOT / "docs" / "edge_device.py").read_text("utf-8")
    assert set(re.findall(r"^(?:import|from) (\w+)", script, re.MULTILINE)) <= {
        "ai_edge_litert",
        "numpy",
        "resource",
        "sys",
        "time",
    }
    images, masks = parity.sample_pairs(ROOT / "training" / "sample_photos" / "test", 256, 1)
    np.save(tmp_path / "photo.npy", images[0])
    np.save(tmp_path / "mask.npy", masks[0, ..., 0])
    model = next(artifact.default_model().glob("*.tflite"))
    arguments = [sys.executable, ROOT / "docs" / "edge_device.py", model, "photo.npy", "mask.npy", "out.npy"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "first picture after" in done.stdout, done.stderr
    expected = Inpainter(model)(images[0], masks[0, ..., 0])
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)
