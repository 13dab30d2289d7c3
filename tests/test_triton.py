"""The model repository for Triton: Triton's own protobuf reads it; where TRITON_PYTHON names it, Triton itself."""

import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, load_script, says
from test_deploy import free_port

from shiftnet_tf import Inpainter
from shiftnet_tf.cli import main

MODEL = ROOT / "saved_models" / "compact"


@pytest.fixture(scope="module")
def script():
    return load_script("export/triton_repository").main


def parsed(folder):
    """The configuration, read by Triton's own definition of it."""
    text_format = pytest.importorskip("google.protobuf.text_format")
    definition = pytest.importorskip("tritonclient.grpc.model_config_pb2")
    return definition, text_format.Parse((folder / "config.pbtxt").read_text(), definition.ModelConfig())


def test_the_configuration_on_a_gpu(script, tmp_path, capsys):
    assert script([str(MODEL), "--out", str(tmp_path), "--accelerator", "tensorrt"]) == 0
    assert f"tritonserver --model-repository {tmp_path}" in capsys.readouterr().out
    folder = tmp_path / "shiftnet"
    assert (folder / "1" / "model.onnx").read_bytes() == (MODEL / "model-int8.onnx").read_bytes()
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert names == {"1", "1/model.onnx", "config.pbtxt"}
    pb, config = parsed(folder)
    assert (config.name, config.backend, config.max_batch_size) == ("shiftnet", "onnxruntime", 8)
    tensors = {x.name: (x.data_type, list(x.dims)) for x in (*config.input, *config.output)}
    assert tensors == {
        "image": (pb.TYPE_UINT8, [256, 256, 3]),
        "mask": (pb.TYPE_UINT8, [256, 256, 1]),
        "inpainted_image": (pb.TYPE_UINT8, [256, 256, 3]),
        "shift_map": (pb.TYPE_INT32, [32, 32]),
    }
    assert list(config.dynamic_batching.preferred_batch_size) == [4, 8]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    assert [(x.kind, x.count) for x in config.instance_group] == [(pb.ModelInstanceGroup.KIND_GPU, 1)]
    [accelerator] = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "tensorrt" and accelerator.parameters["trt_engine_cache_enable"] == "true"
    assert [x.batch_size for x in config.model_warmup] == [1, 4, 8]
    for warm_up in config.model_warmup:
        assert {key: list(x.dims) for key, x in warm_up.inputs.items()} == {
            "image": [256, 256, 3],
            "mask": [256, 256, 1],
        }


def test_other_configurations(tmp_path):
    command = ["export", "triton", str(MODEL), "--out", str(tmp_path)]
    assert main(command) == 0
    pb, config = parsed(tmp_path / "shiftnet")
    assert config.instance_group[0].kind == pb.ModelInstanceGroup.KIND_CPU
    assert not config.HasField("dynamic_batching") and not config.HasField("optimization")
    for most, preferred in (("1", []), ("2", [2]), ("3", [2, 3]), ("16", [8, 16])):
        assert main([*command, "--accelerator", "cuda", "--max-batch", most, "--name", "b"]) == 0
        _, config = parsed(tmp_path / "b")
        assert config.max_batch_size == int(most) and config.name == "b"
        assert list(config.dynamic_batching.preferred_batch_size) == preferred
        assert [x.batch_size for x in config.model_warmup] == [1, *preferred]
        assert config.optimization.execution_accelerators.gpu_execution_accelerator[0].name == "cuda"


def test_what_is_refused(script, tmp_path, capsys):
    def refused(message, *options):
        says(capsys, 2, message, script([str(MODEL), "--out", str(tmp_path / "new"), *options]))
        assert not (tmp_path / "new").exists()

    refused("unknown --accelerator 'gpu'", "--accelerator", "gpu")
    refused("`--max-batch` must be from 1 to 128", "--max-batch", "0")
    refused("`--name` must be letters", "--name", "../x")
    refused("lists no file for float32, onnxruntime", "--precision", "float32")
    says(capsys, 2, "the model does not exist", script([str(tmp_path / "none"), "--out", str(tmp_path / "new")]))


# ---- the real server, with a model in Python that runs the ONNX file: nvidia-pytriton brings no other backend

MODEL_PY = """
import sys; sys.path.insert(0, {packages!r})
import onnxruntime
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, arguments):
        self.session = onnxruntime.InferenceSession({model!r})

    def execute(self, requests):
        answers = []
        for request in requests:
            tensors = {{n: triton.get_input_tensor_by_name(request, n).as_numpy() for n in ("image", "mask")}}
            names = ["inpainted_image", "shift_map"]
            outputs = zip(names, self.session.run(names, tensors))
            answers.append(triton.InferenceResponse([triton.Tensor(name, values) for name, values in outputs]))
        return answers
"""


class Triton:
    """tritonserver of nvidia-pytriton; TRITON_PYTHON is the Python of an environment with it, see docs/scale.md."""

    def __init__(self, repository, log):
        code = (
            "import importlib.util, sys, sysconfig\n"
            "print(importlib.util.find_spec('pytriton').submodule_search_locations[0])\n"
            "print('%d.%d' % sys.version_info[:2])\n"
            "print(sysconfig.get_path('purelib'), sysconfig.get_config_var('LIBDIR'))"
        )
        said = subprocess.run([os.environ["TRITON_PYTHON"], "-c", code], capture_output=True, text=True, check=True)
        home, version, packages, libraries = said.stdout.split()
        home = Path(home) / "tritonserver"
        shutil.copy(
            home / "python_backend_stubs" / version / "triton_python_backend_stub", home / "backends" / "python"
        )
        for config in repository.glob("*/config.pbtxt"):
            text = config.read_text().replace('"onnxruntime"', '"python"').replace("KIND_GPU", "KIND_CPU")
            config.write_text(text)
            model = config.parent / "1" / "model.onnx"
            (config.parent / "1" / "model.py").write_text(MODEL_PY.format(packages=packages, model=str(model)))
        self.address = f"127.0.0.1:{free_port()}"
        command = [home / "bin" / "tritonserver", "--model-repository", repository]
        command += ["--backend-directory", home / "backends", "--http-port", self.address.split(":")[1]]
        command += ["--allow-grpc", "false", "--allow-metrics", "false"]
        environment = os.environ | {"LD_LIBRARY_PATH": f"{libraries}:{home.parents[1] / 'nvidia_pytriton.libs'}"}
        with open(log, "w") as file:
            self.process = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@pytest.mark.long
@pytest.mark.skipif("TRITON_PYTHON" not in os.environ, reason="TRITON_PYTHON names no Python with nvidia-pytriton")
def test_triton_takes_the_configuration(tmp_path):
    client = pytest.importorskip("tritonclient.http")
    repository = tmp_path / "repository"
    command = ["export", "triton", str(MODEL), "--out", str(repository)]
    for options in ([], ["--accelerator", "tensorrt"], ["--accelerator", "cuda"]):
        assert main([*command, "--name", (options or ["cpu"])[-1], *options]) == 0
    triton = Triton(repository, tmp_path / "log")
    try:
        with client.InferenceServerClient(triton.address, network_timeout=60) as asked:
            for _ in range(300):
                assert triton.process.poll() is None, (tmp_path / "log").read_text()
                try:
                    if asked.is_server_ready():
                        break
                except OSError:
                    time.sleep(0.2)
            backend, rng = Inpainter.load(MODEL).backend, np.random.default_rng(0)
            image = rng.integers(0, 256, (2, 256, 256, 3), np.uint8)
            mask = np.zeros((2, 256, 256, 1), np.uint8)
            mask[:, 80:150, 90:160] = 255
            for name in ("cpu", "tensorrt", "cuda"):
                tensors = [client.InferInput(key, x.shape, "UINT8") for key, x in (("image", image), ("mask", mask))]
                for tensor, values in zip(tensors, (image, mask)):
                    tensor.set_data_from_numpy(values)
                answer = asked.infer(name, tensors)
                for key, expected in backend(image, mask).items():
                    np.testing.assert_array_equal(answer.as_numpy(key), expected)
                given = asked.get_model_config(name)
                assert given["max_batch_size"] == 8 and json.dumps(given).count("TYPE_UINT8") == 3 + 2 * len(
                    given["model_warmup"]
                )
    finally:
        triton.stop()


@pytest.mark.long
@pytest.mark.skipif("TRITON_PYTHON" not in os.environ, reason="TRITON_PYTHON names no Python with nvidia-pytriton")
def test_triton_refuses_a_wrong_configuration(tmp_path):
    repository = tmp_path / "repository"
    assert main(["export", "triton", str(MODEL), "--out", str(repository), "--accelerator", "cuda"]) == 0
    config = repository / "shiftnet" / "config.pbtxt"
    config.write_text(config.read_text().replace("[4, 8]", "[4, 16]"))
    triton = Triton(repository, tmp_path / "log")
    assert triton.process.wait(60) != 0
    assert "preferred size must be <= max batch size" in (tmp_path / "log").read_text()
