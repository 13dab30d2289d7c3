"""The runtime side needs no TensorFlow: not to import, not to inpaint."""

import ast
import os
import statistics
import subprocess
import sys
import time

import pytest
from conftest import MASK, PHOTOS, ROOT

BLOCKED = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.split(".")[0] in {blocked} else self.finder.find_spec(name, path, target)
    def __getattr__(self, name):  # importlib.metadata looks for packages with the finders too
        return getattr(self.finder, name)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def run(code, blocked=("tensorflow", "keras")):
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(blocked=set(blocked)) + code], capture_output=True, text=True
    )


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert"])
def test_an_inpainting_without_tensorflow(small_model, tmp_path, runtime):
    other = "ai_edge_litert" if runtime == "onnxruntime" else "onnxruntime"
    arguments = ["inpaint", str(PHOTOS / "test" / "gc_farm_sheep.jpg"), "--mask", str(MASK)]
    arguments += ["-o", str(tmp_path / "out.png"), "--model", str(small_model)]
    code = f"from shiftnet_tf.cli import main\nraise SystemExit(main({arguments!r}))"
    result = run(code, blocked=("tensorflow", "keras", other))
    assert result.returncode == 0 and result.stderr == "", result.stderr
    assert f"on {runtime}" in result.stdout and (tmp_path / "out.png").is_file()


def test_a_missing_runtime_is_one_sentence_with_the_pip_line(small_model, tmp_path):
    (tmp_path / "one").mkdir()
    for name in ("spec.json", "model.onnx"):
        (tmp_path / "one" / name).write_bytes((small_model / name).read_bytes())
    code = "from shiftnet_tf import Inpainter\nfrom shiftnet_tf.errors import command\n"
    code += f"raise SystemExit(command(lambda arguments: Inpainter({str(tmp_path / 'one')!r}) and 0)())"
    result = run(code, blocked=("onnxruntime", "ai_edge_litert", "tensorflow"))
    assert result.returncode == 2 and "pip install onnxruntime" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "script, missing, line",
    [
        ("training/train.py", "tensorflow", "pip install tensorflow"),
        ("export/export_onnx.py", "tensorflow", "pip install tensorflow"),
        ("export/export_tflite.py", "tensorflow", "pip install tensorflow"),
        ("export/export_saved_model.py", "tensorflow", "pip install tensorflow"),
        ("export/export_onnx.py", "tf2onnx", "pip install tf2onnx"),
    ],
)
def test_what_a_script_needs_is_said_in_one_sentence(small_run, tmp_path, script, missing, line):
    arguments = [] if "train" in script else [str(small_run), "--out", str(tmp_path / "out")]
    code = f"import runpy\nsys.argv = {[script, *arguments]!r}\n"
    code += f"runpy.run_path({str(ROOT / script)!r}, run_name='__main__')"
    result = run(code, blocked=(missing,))
    assert result.returncode == 2, result.stderr
    assert result.stderr.startswith("error: ") and line in result.stderr and result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_importing_the_package_takes_no_time():
    """Shows 4: under 0.3 s more than numpy alone."""

    def seconds(module):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env={**os.environ})
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    assert seconds("shiftnet_tf") - seconds("numpy") < 0.3


LIGHT = {
    "__init__",
    "runs",
    "cli",
    "doctor",
    "atomic",
    "config",
    "config_model",
    "config_file",
    "pictures",
    "artifact",
    "images",
    "image_files",
}
LIGHT |= {"photo_folder", "masks", "errors", "quiet", "runtime", "quality", "baselines", "server"}
LIGHT |= {
    "photo_lists",
    "near_duplicates",
    "allocation",
    "photo",
    "photo_metadata",
    "mask_files",
    "mask_shapes",
    "strategies",
    "windows",
    "run_inputs",
    "progress",
}
FILES = ("image_files", "mask_files", "photo")
ALLOWED = {
    "cli": {"errors", "artifact", "runtime", "quiet", "doctor", "image_files", "mask_files", "strategies"},
    "doctor": {"errors", "artifact", "runtime", "quiet"},
    "runtime": {
        "artifact",
        "images",
        "pictures",
        "atomic",
        "errors",
        "runtime",
        "progress",
        *FILES,
        "windows",
        "strategies",
    },
    "server": {"server", "runtime", "errors", "image_files", "mask_files", "strategies", "windows"},
    "photo": {"image_files", "photo_metadata", "windows", "errors"},
    "photo_metadata": set(),
    "mask_files": {"image_files", "mask_shapes", "errors"},
    "mask_shapes": {"errors"},
    "run_inputs": {"atomic", "errors"},
    "strategies": {"windows", "errors"},
    "windows": set(),
    "progress": set(),
    "masks": {"images", "image_files", "mask_files", "errors"},
    "artifact": {"atomic", "errors"},
    "config": {"errors", "masks", "config_model"},
    "config_model": {"errors"},
    "config_file": {"config", "errors"},
    "pictures": {"images", "windows"},
    "images": set(),
    "image_files": {"atomic", "errors"},
    "atomic": {"errors"},
    "quiet": {"errors"},
    "quality": {"errors"},
    "baselines": {"images", "errors"},
    "layers": {"layers", "errors"},
    "networks": {"layers", "networks", "config_model", "atomic", "errors"},
    "shiftnet": {"networks", "layers", "losses", "gan_losses", "metrics", "config", "config_model", "config_file"},
    "conversion": {"networks", "layers", "errors"},
    "data": {"masks", "images", "photo_folder", "photo_lists", "errors"},
    "photo_lists": {"errors"},
    "near_duplicates": {"image_files", "atomic", "errors"},
    "allocation": set(),
    "callbacks": {"data", "image_files", "images", "pictures", "serving", "errors", "layers", "networks", "windows"},
    "photo_folder": {"images", "image_files", "errors"},
}


def imports(path):
    """Names that a module imports when it is itself imported: ours below shiftnet_tf, and top-level others."""
    ours, others = set(), set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            first, _, rest = node.module.partition(".")
            if first != "shiftnet_tf":
                others.add(first)
            elif rest:
                ours.add(rest.split(".")[0])
            else:
                ours |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return ours, others


@pytest.mark.parametrize("path", sorted((ROOT / "shiftnet_tf").rglob("*.py")), ids=lambda path: path.stem)
def test_who_imports_whom(path):
    ours, others = imports(path)
    part = path.relative_to(ROOT / "shiftnet_tf").parts[0].removesuffix(".py")
    if part in ALLOWED:
        assert ours <= ALLOWED[part] | {"__version__"}
    if part in LIGHT:
        assert not others & {"tensorflow", "keras", "onnxruntime", "ai_edge_litert"}


@pytest.mark.parametrize("folder", ["training", "export"])
def test_scripts_import_no_sibling(folder):
    siblings = {path.stem for path in (ROOT / folder).glob("*.py")}
    for path in (ROOT / folder).glob("*.py"):
        assert not imports(path)[1] & (siblings | {"training", "export"})
