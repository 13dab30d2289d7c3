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
    code = "from shiftnet_tf import Inpainter\nfrom shiftnet_tf.system.command import command\n"
    code += f"raise SystemExit(command(lambda arguments: Inpainter.load({str(tmp_path / 'one')!r}) and 0)())"
    result = run(code, blocked=("onnxruntime", "ai_edge_litert", "tensorflow"))
    assert result.returncode == 2 and "pip install onnxruntime" in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "script, missing, line",
    [
        ("training/train.py", "tensorflow", 'pip install "shiftnet-tf[train]"'),
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
    """Under 0.3 s more than numpy alone."""

    def seconds(module):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {module}"], check=True, env={**os.environ})
            times.append(time.perf_counter() - start)
        return statistics.median(times)

    assert seconds("shiftnet_tf") - seconds("numpy") < 0.3


# Who may import whom, from the ground up; whatever lies lower than a named room is allowed too.
ROOMS = {
    "errors": (),
    "ops": ("errors",),
    "config": ("errors",),
    "system": ("errors",),
    "layers": ("ops",),
    "photos": ("system",),
    "model_folder": ("system",),
    "masks": ("photos",),
    "networks": ("layers", "config", "system"),
    "run_folder": ("networks", "photos"),
    "runtime": ("masks", "model_folder"),
    "training": ("run_folder", "masks"),
    "export": ("runtime", "training"),
    "evaluation": ("export",),
    "server": ("runtime",),
    "cluster": ("server",),
    "triton": ("runtime",),
    "doctor": ("runtime",),
    "cli": ("cluster", "triton", "doctor", "evaluation"),
    "__main__": ("cli",),
}
# Rooms that load without TensorFlow, and without a runtime.
LIGHT = {"errors", "config", "system", "photos", "masks", "model_folder", "runtime", "server", "doctor", "cli"}
LIGHT |= {"cluster", "triton", "__main__"}
HEAVY = {"tensorflow", "keras", "onnxruntime", "ai_edge_litert"}


def below(room):
    """A room and all that it may import."""
    return {room}.union(*(below(lower) for lower in ROOMS[room]))


def imports(path, nested=False):
    """The rooms that a module imports, and the other packages; `nested`: also those that its functions import."""
    rooms, others = set(), set()
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.ImportFrom):
            first, _, rest = node.module.partition(".")
            if first != "shiftnet_tf":
                others.add(first)
            elif rest:
                rooms.add(rest.split(".")[0])
            else:
                rooms |= {alias.name for alias in node.names} - {"__version__"}
        elif isinstance(node, ast.Import):
            others |= {alias.name.split(".")[0] for alias in node.names}
    return rooms, others


@pytest.mark.parametrize(
    "path", sorted((ROOT / "shiftnet_tf").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT / "shiftnet_tf"))
)
def test_who_imports_whom(path):
    part = path.relative_to(ROOT / "shiftnet_tf").parts[0].removesuffix(".py")
    if part == "__init__":
        assert imports(path) == (set(), {"importlib", "os", "typing"})
        return
    assert part in ROOMS, f"{part} is in no room: give it a line"
    assert imports(path, nested=True)[0] <= below(part)
    if part in LIGHT:
        rooms, packages = imports(path)
        assert rooms <= LIGHT and not packages & HEAVY


@pytest.mark.parametrize("folder", ["training", "export"])
def test_scripts_import_no_sibling(folder):
    siblings = {path.stem for path in (ROOT / folder).glob("*.py")}
    for path in (ROOT / folder).glob("*.py"):
        assert not imports(path)[1] & (siblings | {"training", "export"})


def test_no_modules_import_each_other_in_a_circle():
    paths = {}
    for path in (ROOT / "shiftnet_tf").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    imported = {}
    for name, path in paths.items():
        nodes = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.ImportFrom)]
        found = {node.module for node in nodes} | {f"{n.module}.{alias.name}" for n in nodes for alias in n.names}
        imported[name] = (found & set(paths)) - {name, *_packages(name)}
    while free := {name for name, others in imported.items() if not others & set(imported)}:
        imported = {name: others for name, others in imported.items() if name not in free}
    assert not imported


def _packages(name):
    """The packages that a module lies in: their __init__.py gathers what they offer."""
    parts = name.split(".")
    return {".".join(parts[:i]) for i in range(1, len(parts))}
