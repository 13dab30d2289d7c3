"""What the documentation shows works: examples in docstrings, code and file names in the README."""

import ast
import dataclasses
import doctest
import importlib
import inspect
import json
import re
import subprocess
import sys
import typing

import numpy as np
import pytest
from conftest import ROOT

from shiftnet_tf import FillOptions

README = (ROOT / "README.md").read_text("utf-8")
PAGES = {path.name: path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
MODULES = [
    "layers.instance_normalization",
    "layers.shift_connection",
    "layers.subpixel_upsampling",
    "networks.discriminator",
    "networks.generator",
    "training.shiftnet",
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


def test_the_runtime_example(small_model, tmp_path, monkeypatch, photo):
    from PIL import Image

    from shiftnet_tf import Inpainter

    image, mask = photo
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mine").symlink_to(small_model)
    (tmp_path / "photos").mkdir()
    Image.fromarray(image).save("photo.jpg", quality=95)
    Image.fromarray(image).save("photos/a.jpg", quality=95)
    Image.fromarray(mask * 255).save("mask.png")
    exec(re.findall(r"```python\n(.*?)```", PAGES["run.md"], flags=re.DOTALL)[0], {})
    expected = Inpainter.load(small_model)(np.array(Image.open("photo.jpg")), mask)
    np.testing.assert_array_equal(np.array(Image.open("out.png")), expected)
    assert Image.open("out.jpg").size == Image.open("filled/a.jpg").size == (530, 384)


def test_the_json_example_is_a_mask():
    from shiftnet_tf.masks.shapes import draw_shapes

    [shapes] = re.findall(r"```json\n(.*?)```", PAGES["run.md"], flags=re.DOTALL)
    hole = draw_shapes(json.loads(shapes), (400, 500))
    assert hole[60, 50] and hole[60, 330] and hole[210, 100] and hole.mean() < 0.1


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_is_named_is_there(page):
    folder = ROOT if page == "README.md" else ROOT / "docs"
    for name in re.findall(r"\]\(([^)#]+)[^)]*\)", PAGES[page]):
        assert name.startswith("http") or (folder / name).exists(), name
    for name in re.findall(r"python ((?:training|export|benchmarks)/\w+\.py)", PAGES[page]):
        assert (ROOT / name).exists(), name


def test_every_part_of_a_page_that_is_linked_is_there():
    for page, text in PAGES.items():
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target, part in re.findall(r"\]\(([^)#]*)#([^)]+)\)", text):
            other = (folder / (target or page)).read_text("utf-8")
            titles = [re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in headings(other)]
            assert part in titles, part


def headings(text):
    return re.findall(r"^#+ (.*)$", text, flags=re.MULTILINE)


def test_every_config_and_every_page_is_named():
    for config in (ROOT / "training" / "configs").glob("*.toml"):
        assert f"`{config.name}`" in PAGES["train.md"]
    for page in PAGES:
        assert page == "README.md" or f"docs/{page}" in README, page


def test_every_make_target_and_option_that_is_named_is_there():
    makefile = (ROOT / "Makefile").read_text()
    sources = "".join(
        path.read_text()
        for folder in ("training", "export", "benchmarks", "docs", "shiftnet_tf")
        for path in (ROOT / folder).rglob("*.py")
    )
    fields = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(FillOptions)}
    for text in PAGES.values():
        for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)`", text, flags=re.MULTILINE):
            assert re.search(rf"^{''.join(target)}:", makefile, flags=re.MULTILINE), target
        ours = re.sub(
            r"^(?:docker|journalctl|systemctl|tritonserver|wrk|[/a-z]*pip) (?:.*\\\n)*.*$", "", text, flags=re.MULTILINE
        )
        for option in set(re.findall(r"(--[a-z][a-z-]+)", ours)) - {"--logdir", "--help"} - fields:
            assert f'"{option}"' in sources, option


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_has_every_public_name(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "WARNING -" not in done.stderr, done.stderr
    text = "".join(page.read_text() for page in tmp_path.glob("api/**/*.html"))
    ids = set(re.findall(r'id="(shiftnet_tf[\w.]*)"', text))
    for package in (ROOT / "shiftnet_tf").glob("**/__init__.py"):
        for node in ast.parse(package.read_text("utf-8")).body:
            if isinstance(node, ast.ImportFrom):
                names = {alias.name for alias in node.names if not alias.name.startswith("_")} & public(package)
                for name in names:
                    assert f"{node.module}.{name}" in ids or f"{node.module}.{name}" in modules(ids), name
    for name in ("runtime.inpainter.Inpainter.batch", "runtime.options.FillOptions.detail", "ops.masking.composite"):
        assert f"shiftnet_tf.{name}" in ids, name
    loaded = r'(?:src|stylesheet" href)="(https?:[^"]*)'
    remote = [re.findall(loaded, page.read_text()) for page in tmp_path.glob("**/*.html")]
    assert not any(remote)  # the site loads nothing from elsewhere


def public(path):
    """The names that a package lists in `__all__`."""
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def modules(ids):
    """The modules among the ids of the reference."""
    return {name.rpartition(".")[0] for name in ids}


def test_the_public_functions_say_their_types():
    import shiftnet_tf
    from shiftnet_tf.runtime import inpaint_photo

    for function in (shiftnet_tf.inpaint_file, shiftnet_tf.inpaint_folder, inpaint_photo, shiftnet_tf.Inpainter):
        function = function.__init__ if isinstance(function, type) else function
        names = set(inspect.signature(function).parameters) - {"self"}
        assert names <= set(typing.get_type_hints(function)), function
    for name in ("__call__", "batch", "fill", "grouped"):
        function = getattr(shiftnet_tf.Inpainter, name)
        names = set(inspect.signature(function).parameters) - {"self"}
        assert names <= set(typing.get_type_hints(function)), name
    assert (ROOT / "shiftnet_tf" / "py.typed").exists()


def test_the_script_for_devices_needs_no_package_of_ours_and_gives_the_same(tmp_path):
    from shiftnet_tf import Inpainter, model_folder
    from shiftnet_tf.export import parity

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
    model = next(model_folder.default_model().glob("*.tflite"))
    arguments = [sys.executable, ROOT / "docs" / "edge_device.py", model, "photo.npy", "mask.npy", "out.npy"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "first picture after" in done.stdout, done.stderr
    expected = Inpainter.load(model)(images[0], masks[0, ..., 0], FillOptions(detail="model"))
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), expected)


def test_a_users_script(tmp_path, photo):
    from PIL import Image

    (tmp_path / "photos").mkdir()
    Image.fromarray(photo[0]).save(tmp_path / "photos" / "photo.png")
    Image.fromarray(photo[1] * np.uint8(255)).save(tmp_path / "mask.png")
    paths = [tmp_path / name for name in ("photos/photo.png", "mask.png", "out.png")]
    done = subprocess.run(
        [sys.executable, ROOT / "tests" / "data" / "user_script.py", *paths], capture_output=True, text=True
    )
    assert done.stdout.endswith("True (384, 530, 3) 1 1: filled\n"), done
