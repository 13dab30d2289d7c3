"""Which provider runs, and what is said where a GPU is asked for and absent.

No machine of the tests has a GPU. ONNX Runtime is made to believe that its package has CUDA's provider; whose library
is a real one that needs a library that is not there, so that the dynamic linker's own words are read.
"""

import logging
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from conftest import MASK, PHOTOS, says

from shiftnet_tf import Inpainter
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError, MissingGpuError, ShiftNetError
from shiftnet_tf.runtime import providers

CUDA = "CUDAExecutionProvider"
ABSENT = "libq.so.6"


@pytest.fixture
def package_with_cuda(monkeypatch, tmp_path):
    """ONNX Runtime's package as onnxruntime-gpu has it, on a machine without CUDA."""
    available = [CUDA, *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    real = next((Path(onnxruntime.__file__).parent / "capi").glob("onnxruntime_pybind11_state*.so"))
    library = shutil.copy(real, capi / "libonnxruntime_providers_cuda.so")
    content = Path(library).read_bytes()
    assert content.count(b"\0libm.so.6\0") == 1
    Path(library).write_bytes(content.replace(b"\0libm.so.6\0", b"\0libq.so.6\0"))
    monkeypatch.setattr(onnxruntime, "__file__", str(capi.parent / "__init__.py"))


@pytest.fixture
def fake_session(monkeypatch, package_with_cuda):
    """A session that loads what it is told to, and keeps what that was."""
    made = []

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model, options, providers, enable_fallback):
            made.append(dict(providers))
            super().__init__(model, options, providers=["CPUExecutionProvider"])

        def get_providers(self):
            return list(made[-1])

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return made


def arguments(out, *more):
    return ["inpaint", str(PHOTOS / "test" / "gc_farm_sheep.jpg"), "--mask", str(MASK), "-o", str(out), *more]


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_auto_says_what_is_missing_and_runs_on_the_cpu(small_model, package_with_cuda, caplog):
    with caplog.at_level(logging.WARNING, "shiftnet_tf"):
        inpainter = Inpainter.load(small_model, runtime="onnxruntime")
    assert inpainter.provider == "CPUExecutionProvider"
    message = f"the provider cuda does not load: the library {ABSENT} is missing; running on the CPU instead"
    assert caplog.messages == [message]
    caplog.clear()
    assert Inpainter.load(small_model, runtime="onnxruntime", provider="cpu").provider == "CPUExecutionProvider"
    assert not caplog.messages


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_the_command_says_it_once(package_with_cuda, small_model, tmp_path, capsys):
    assert main(arguments(tmp_path / "out.png", "--model", str(small_model), "--detail", "model")) == 0
    said = capsys.readouterr()
    assert said.err.startswith(f"note: the provider cuda does not load: the library {ABSENT} is missing")
    assert said.err.count("\n") == 1 and "on onnxruntime (CPUExecutionProvider)" in said.out


@pytest.mark.filterwarnings("ignore:Specified provider")
@pytest.mark.parametrize("more", [["--require-gpu"], ["--provider", "cuda"], ["--provider", "cuda", "--require-gpu"]])
def test_a_gpu_that_is_required_and_absent(package_with_cuda, tmp_path, capsys, more):
    result = main(arguments(tmp_path / "out.png", *more))
    says(capsys, 3, f"the provider cuda does not load: the library {ABSENT} is missing", result)
    assert not (tmp_path / "out.png").exists()


def test_a_package_without_gpu(tmp_path, capsys):
    for more in (["--require-gpu"], ["--provider", "cuda"]):
        result = main(arguments(tmp_path / "out.png", "--runtime", "onnxruntime", *more))
        says(capsys, 3, "pip install onnxruntime-gpu in place of onnxruntime", result)
    result = main(arguments(tmp_path / "out.png", "--runtime", "litert", "--require-gpu"))
    says(capsys, 3, "a GPU is required, but litert has only auto, cpu here", result)
    assert main(["info", "--require-gpu"]) == 3
    assert "a GPU is required, but onnxruntime has only" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "runtime, provider, message",
    [
        ("onnxruntime", "abacus", "must be one of auto, cpu for onnxruntime here. Received: 'abacus'"),
        ("litert", "cuda", "must be one of auto, cpu for litert here. Received: 'cuda'"),
        ("litert", "", '`provider` must be a name such as "auto" or "cpu". Received: '),
        ("litert", None, '`provider` must be a name such as "auto" or "cpu". Received: None'),
    ],
)
def test_a_provider_that_a_runtime_cannot_take(runtime, provider, message):
    with pytest.raises(InputError, match=message) as caught:
        Inpainter.load(runtime=runtime, provider=provider)
    assert not isinstance(caught.value, MissingGpuError)


def test_the_cpu_and_a_required_gpu_are_a_contradiction():
    for runtime in ("onnxruntime", "litert"):
        with pytest.raises(InputError, match="a GPU is required, but the provider is cpu"):
            Inpainter.load(runtime=runtime, provider="cpu", require_gpu=True)


def test_tensorflow_on_a_machine_without_gpu(small_model):
    assert Inpainter.load(small_model, runtime="tensorflow").provider == "CPU (TensorFlow)"
    assert Inpainter.load(small_model, runtime="tensorflow", provider="cpu").provider == "CPU (TensorFlow)"
    for choice in ({"provider": "gpu"}, {"require_gpu": True}):
        with pytest.raises(MissingGpuError, match="TensorFlow finds no GPU"):
            Inpainter.load(small_model, runtime="tensorflow", **choice)
    with pytest.raises(InputError, match="must be one of auto, gpu, cpu for tensorflow here. Received: 'cuda'"):
        Inpainter.load(small_model, runtime="tensorflow", provider="cuda")


def test_litert_runs_on_xnnpack_as_it_says():
    inpainter = Inpainter.load(runtime="litert")
    assert inpainter.provider == "CPU (XNNPACK)"
    operations = inpainter.backend._interpreter._get_ops_details()
    assert any(operation["op_name"] == "DELEGATE" for operation in operations)


def test_where_cuda_loads(small_model, fake_session, caplog):
    inpainter = Inpainter.load(small_model, runtime="onnxruntime", require_gpu=True)
    assert inpainter.provider == CUDA and inpainter.backend.batch_sizes == (1, 2, 4, 8)
    assert fake_session == [{CUDA: {"cudnn_conv_algo_search": "HEURISTIC"}, "CPUExecutionProvider": {}}]
    assert not caplog.messages


def test_options_of_tensorrt(small_model, fake_session, monkeypatch, tmp_path):
    available = ["TensorrtExecutionProvider", *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert Inpainter.load(small_model, runtime="onnxruntime").provider == CUDA  # auto builds no engine
    inpainter = Inpainter.load(small_model, runtime="onnxruntime", provider="tensorrt")
    assert list(fake_session[-1]) == ["TensorrtExecutionProvider", CUDA, "CPUExecutionProvider"]
    options = fake_session[-1]["TensorrtExecutionProvider"]
    folder = Path(options.pop("trt_engine_cache_path"))
    assert folder.is_dir() and folder.is_relative_to(tmp_path / "cache" / "shiftnet_tf")
    assert onnxruntime.__version__ in folder.name and inpainter.model.entry.sha256[:16] in folder.name
    assert options == {
        "trt_engine_cache_enable": True,
        "trt_profile_min_shapes": "image:1x64x64x3,mask:1x64x64x1",
        "trt_profile_opt_shapes": "image:1x64x64x3,mask:1x64x64x1",
        "trt_profile_max_shapes": "image:8x64x64x3,mask:8x64x64x1",
    }


def test_tensorrt_without_a_folder_for_its_engines(small_model, fake_session, monkeypatch, tmp_path, caplog):
    available = ["TensorrtExecutionProvider", *onnxruntime.get_available_providers()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    Inpainter.load(small_model, runtime="onnxruntime", provider="tensorrt")
    assert not any("cache" in name for name in fake_session[-1]["TensorrtExecutionProvider"])
    assert "TensorRT rebuilds its engine at each start: no folder to cache it in" in caplog.text


def test_a_provider_that_throws(small_model, package_with_cuda, monkeypatch, caplog):
    """What CUDA does with a driver and no device, and TensorRT without its libraries."""

    class Session(onnxruntime.InferenceSession):
        def __init__(self, model, options, providers, enable_fallback):
            if CUDA in dict(providers):
                raise RuntimeError("CUDA failure 100: no CUDA-capable device is detected\nand more")
            super().__init__(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    monkeypatch.setattr(providers, "_missing_library", lambda *_: "")
    assert Inpainter.load(small_model, runtime="onnxruntime").provider == "CPUExecutionProvider"
    assert "CUDA failure 100: no CUDA-capable device is detected; running on the CPU" in caplog.messages[0]
    with pytest.raises(MissingGpuError, match="no CUDA-capable device is detected; "):
        Inpainter.load(small_model, runtime="onnxruntime", require_gpu=True)


def test_two_packages_at_once_are_said(small_model, monkeypatch, caplog):
    assert providers.conflict() == ""
    versions = {"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"}
    monkeypatch.setattr(providers, "version", versions.get)
    Inpainter.load(small_model, runtime="onnxruntime")
    assert "onnxruntime and onnxruntime-gpu are both installed" in caplog.messages[0]
    assert "pip uninstall onnxruntime onnxruntime-gpu" in caplog.messages[0]


@pytest.mark.parametrize("runtime, name", [("onnxruntime", "ONNX Runtime"), ("litert", "LiteRT")])
def test_a_run_that_fails_is_a_sentence(runtime, name):
    """As where a GPU's memory is at its end; here by pictures of a size that the file does not take."""
    backend = Inpainter.load(runtime=runtime).backend
    with pytest.raises(ShiftNetError, match=f"{name} failed on a batch of 2: "):
        backend(np.zeros((2, 9, 9, 3), np.uint8), np.zeros((2, 9, 9, 1), np.uint8))
