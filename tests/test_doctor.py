"""The page of `shiftnet doctor`: what it says, and that nothing makes it fail."""

import os
import re
import shutil
from pathlib import Path

import onnxruntime
import pytest
from test_light import run

from shiftnet_tf import doctor, model_folder
from shiftnet_tf.cli import main
from shiftnet_tf.runtime import providers

CALL = "from shiftnet_tf.cli import main\nraise SystemExit(main(['doctor']))"


@pytest.fixture
def without_fills(monkeypatch):
    """The page ends before it loads a model and fills a hole, which other tests see."""
    monkeypatch.setattr(doctor, "_model", lambda say: True)


def test_the_page_without_tensorflow():
    result = run(CALL)
    assert result.returncode == 0 and result.stderr == "", result.stderr
    page = result.stdout
    for line in (
        r"^shiftnet_tf \d.*, Python 3\.\d+\.\d+, Linux",
        r"^CPU: .*\d+ cores, \d+ of them usable by this process; memory: [\d.]+ GB, free: [\d.]+ GB$",
        r"^NVIDIA driver: ",
        r"^numpy: \d",
        rf"^onnxruntime: {re.escape(onnxruntime.__version__)}$",
        r"^onnxruntime-gpu: not installed$",
        r"^providers in onnxruntime: cpu$",
        r"^    cpu: loads$",
        r"^model: compact, 256x256$",
        r"^    [\w-]+.onnx: onnx, \w+, sha256 \w{12}... matches$",
        r"^fill with onnxruntime: [\w-]+.onnx on CPUExecutionProvider, loaded in [\d.]+ s, first fill [\d.]+ s, ",
        r"^fill with litert: [\w-]+.tflite on CPU .XNNPACK., ",
    ):
        assert re.search(line, page, flags=re.MULTILINE), f"{line} is not in\n{page}"
    assert "FAIL" not in page and "CONFLICT" not in page
    assert str(model_folder.default_model().parent) not in page and f"{os.sep}home{os.sep}" not in page


def test_no_runtime_at_all():
    result = run(CALL, blocked=("tensorflow", "keras", "onnxruntime", "ai_edge_litert"))
    assert result.returncode == 1 and result.stderr == "", result.stderr
    assert "fill: FAILED, no installed runtime can run the model: pip install onnxruntime or" in result.stdout


def test_a_broken_runtime_is_a_line(capsys, monkeypatch):
    def broken(*_, **__):
        raise OSError(f"{Path.home()}/lib/libx.so: invalid ELF header\nand more")

    monkeypatch.setattr(onnxruntime, "SessionOptions", broken)
    assert main(["doctor"]) == 0  # LiteRT still fills
    page = capsys.readouterr().out
    assert "    cpu: FAILED, OSError: ~/lib/libx.so: invalid ELF header\n" in page
    assert "fill with onnxruntime: FAILED, OSError: ~/lib/libx.so: invalid ELF header\n" in page
    assert re.search(r"^fill with litert: [\w-]+.tflite on CPU", page, flags=re.MULTILINE)
    assert "tensorflow sees" not in page


def test_a_user_without_a_home_folder(capsys, monkeypatch, without_fills):
    """Such as a container's user of whom only the number is known."""

    def broken(*_, **__):
        raise OSError("libx.so: invalid ELF header")

    def unknown():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(onnxruntime, "SessionOptions", broken)
    monkeypatch.setattr(Path, "home", unknown)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    doctor.examine(print)
    assert "    cpu: FAILED, OSError: libx.so: invalid ELF header\n" in capsys.readouterr().out


def test_a_damaged_model_is_a_line(capsys, monkeypatch, tmp_path):
    model = shutil.copytree(model_folder.default_model(), tmp_path / "model", ignore=shutil.ignore_patterns("*.h5"))
    for path in (*model.glob("*.onnx"), *model.glob("*.tflite")):
        with open(path, "ab") as file:
            file.write(b"x")
    monkeypatch.setattr(model_folder, "default_model", lambda: model)
    assert main(["doctor"]) == 1
    page = capsys.readouterr().out
    files = len([*model.glob("*.onnx"), *model.glob("*.tflite")])
    assert page.count("is not the exported file") == files + 2  # and two fills
    (model / "spec.json").write_text("{")
    assert main(["doctor"]) == 1
    assert re.search(r"^model: FAILED, .*is damaged", capsys.readouterr().out, flags=re.MULTILINE)


def test_a_provider_that_does_not_load_and_two_packages(capsys, monkeypatch, without_fills):
    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(providers, "_missing_library", lambda *_: "libcublasLt.so.13")
    monkeypatch.setattr(providers, "version", lambda package: "1.31.1" if "onnxruntime" in package else None)
    with pytest.warns(UserWarning, match="Specified provider"):
        doctor.examine(print)
    page = capsys.readouterr().out
    assert "    cuda: FAILS to load, the library libcublasLt.so.13 is missing\n    cpu: loads\n" in page
    assert "CONFLICT: onnxruntime and onnxruntime-gpu are both installed" in page


def test_tensorflow_is_asked_on_request(capsys, without_fills):
    main(["doctor", "--tensorflow"])
    assert "GPUs that tensorflow sees: none" in capsys.readouterr().out
