"""Checks the files of a release as their users get them: `make release` runs this.

    python tests/release.py dist

Names and versions agree with the package and CHANGELOG.md. Then the wheel goes into a fresh environment for each extra,
and a command that needs the extra runs there; without `train` TensorFlow must be absent. The other extras, which need
CUDA or are for developers, are resolved only.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PHOTO = ROOT / "training" / "sample_photos" / "test" / "gc_farm_sheep.jpg"
MASK = ROOT / "training" / "sample_masks" / "gc_farm_sheep.png"
MOST_BYTES = 34e6
MOST_SECONDS = 60  # for `pip install` and the first picture
IMPORT = "import importlib, sys; [importlib.import_module(name) for name in sys.argv[1:]]"
PRESET = "from shiftnet_tf.networks.generator import Generator; assert Generator.from_preset('compact').built"
TO_HEIC = """
import sys, pillow_heif, PIL.Image
pillow_heif.register_heif_opener()
PIL.Image.open(sys.argv[1]).save("a.heic")
"""
ABSENT = "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorflow') is not None)"


def run(*words: object, cwd: Path) -> str:
    """Run a command outside the checkout and return what it prints; its failure ends the check."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd=cwd, env=env)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\n{result.stdout}{result.stderr}")
    return result.stdout


def fill(shiftnet: Path, folder: Path) -> None:
    run(shiftnet, "inpaint", PHOTO, "--mask", MASK, "-o", folder / "out.png", cwd=folder)
    assert (folder / "out.png").stat().st_size > 100_000


def fill_heic(shiftnet: Path, folder: Path) -> None:
    python = shiftnet.parent / "python"
    run(python, "-c", TO_HEIC, PHOTO, cwd=folder)
    run(shiftnet, "inpaint", "a.heic", "--mask", MASK, "-o", "out.png", cwd=folder)


def serve(shiftnet: Path, folder: Path) -> None:
    with (folder / "log.txt").open("w", encoding="utf-8") as log:
        words = [str(shiftnet), "serve", "--port", "0"]
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdout is not None
    found = None
    while not found:  # a server that ends closes its output
        line = process.stdout.readline()
        assert line, (folder / "log.txt").read_text("utf-8")
        found = re.search(r"http://127\.0\.0\.1:\d+", line)
    with urllib.request.urlopen(f"{found[0]}/healthz", timeout=30) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def complete(shiftnet: Path, folder: Path) -> None:
    assert "shiftnet" in run(shiftnet, "completion", "bash", cwd=folder)


def load_weights(shiftnet: Path, folder: Path) -> None:
    run(shiftnet.parent / "python", "-c", PRESET, cwd=folder)


def export(shiftnet: Path, folder: Path) -> None:
    words = ("--out", "exported", "--photos", PHOTO.parent)
    run(shiftnet, "export", "onnx", "compact", *words, cwd=folder)
    assert (folder / "exported" / "model.onnx").is_file()


def evaluate(shiftnet: Path, folder: Path) -> None:
    (folder / "photos").mkdir()
    (folder / "photos" / PHOTO.name).write_bytes(PHOTO.read_bytes())
    words = (
        "evaluate",
        "compact",
        "--images",
        "photos",
        "--masks",
        "center",
        "--baselines",
        "telea",
        "--out",
        "results",
    )
    run(shiftnet, *words, cwd=folder)
    assert json.loads((folder / "results" / "results.json").read_text("utf-8"))


def importing(*names: str) -> Callable[[Path, Path], None]:
    return lambda shiftnet, folder: run(shiftnet.parent / "python", "-c", IMPORT, *names, cwd=folder) and None


LIGHT = {  # extras: a check
    "onnx": fill,
    "tflite": fill,
    "onnx,serve": serve,
    "tflite,demo": serve,
    "onnx,heic": fill_heic,
    "completion": complete,
    "onnx,s3": importing("fsspec", "s3fs"),
    "onnx,cluster": importing("ray.data", "ray.serve", "shiftnet_tf.cluster.serve"),
}
HEAVY = {"train": load_weights, "export": export, "evaluate": evaluate}


def check_names(dist: Path) -> tuple[Path, Path]:
    """Return the wheel and that of the weights."""
    version = re.search(r'__version__ = "(.+)"', (ROOT / "shiftnet_tf" / "__init__.py").read_text("utf-8"))
    assert version
    assert f"\n## [{version[1]}] - 20" in (ROOT / "CHANGELOG.md").read_text("utf-8"), "CHANGELOG.md lacks the version"
    assert f"version: {version[1]}" in (ROOT / "CITATION.cff").read_text("utf-8"), "CITATION.cff has another version"
    wheel = dist / f"shiftnet_tf-{version[1]}-py3-none-any.whl"
    (weights,) = dist.glob("shiftnet_tf_compact-*-py3-none-any.whl")
    assert (dist / f"shiftnet_tf-{version[1]}.tar.gz").is_file() and wheel.is_file()
    size = wheel.stat().st_size
    assert size <= MOST_BYTES, f"{wheel.name} has {size / 1e6:.1f} MB, more than {MOST_BYTES / 1e6:.0f}"
    print(f"{wheel.name}: {size / 1e6:.1f} MB; {weights.name}: {weights.stat().st_size / 1e6:.1f} MB")
    return wheel, weights


def extras_of(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        return set(message_from_bytes(content.read(name)).get_all("Provides-Extra", []))


def check_extra(wheel: Path, weights: Path | None, extra: str, use: Callable[[Path, Path], None]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, start = Path(name), time.monotonic()
        run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
        python = folder / "venv" / "bin" / "python"
        files = [f"{wheel}[{extra}]", *([weights] if weights else [])]
        run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", *files, cwd=folder)
        use(folder / "venv" / "bin" / "shiftnet", folder)
        seconds = time.monotonic() - start
        if not weights:
            run(python, "-c", ABSENT, cwd=folder)
        print(f"[{extra}] installed and used in {seconds:.0f} s", flush=True)
        if use is fill and seconds > MOST_SECONDS:
            raise SystemExit(f"the first picture took {seconds:.0f} s, more than {MOST_SECONDS}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dist", type=Path, help="folder with the wheels and the sdist")
    wheel, weights = check_names(parser.parse_args().dist.resolve())
    for extra, use in LIGHT.items():
        check_extra(wheel, None, extra, use)
    for extra, use in HEAVY.items():
        check_extra(wheel, weights, extra, use)
    used = {name for extras in (*LIGHT, *HEAVY) for name in extras.split(",")}
    for extra in sorted(extras_of(wheel) - used):
        with tempfile.TemporaryDirectory() as name:  # empty: nothing that is installed counts
            run(
                Path(sys.executable).parent / "uv",
                "pip",
                "install",
                "--dry-run",
                "--target",
                name,
                f"{wheel}[{extra}]",
                cwd=Path(name),
            )
        print(f"[{extra}] can be resolved", flush=True)


if __name__ == "__main__":
    main()
