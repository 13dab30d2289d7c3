"""A model repository for NVIDIA Triton Inference Server, from a model folder.

Triton runs the ONNX file on its ONNX Runtime backend, and clients get the outputs of the file. See
https://github.com/triton-inference-server/server/blob/main/docs/user_guide/model_configuration.md
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from shiftnet_tf.errors import check
from shiftnet_tf.model_folder import INPUTS
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.system.atomic import make_folder, write_atomically

ACCELERATORS = ("tensorrt", "cuda")
MOST_BATCH = 128
_QUEUE_MICROSECONDS = 2000  # that a request may wait for others, on a GPU
_PARAMETERS = {  # for ONNX Runtime's execution providers
    "tensorrt": {
        "trt_engine_cache_enable": "true",
        "trt_engine_cache_path": "trt-cache",
        "max_workspace_size_bytes": str(2**31),
    },
    "cuda": {"cudnn_conv_use_max_workspace": "1"},
}


class _Word(str):
    """An enum value, which is written without quotes."""


_Value = str | int | bool | list["_Value"] | Mapping[str, "_Value"]


def write_repository(
    model: str | Path,
    out: str | os.PathLike[str],
    *,
    name: str = "shiftnet",
    accelerator: str | None = None,
    max_batch: int = 8,
    precision: str | None = None,
) -> Path:
    """Write a model's folder into a repository: its config.pbtxt, and version 1 with the ONNX file.

    Args:
        model: a model folder with an ONNX file, or the ONNX file in it.
        out: the repository, for `tritonserver --model-repository`; created if it does not exist.
        name: the model's name for clients.
        accelerator: `"tensorrt"` or `"cuda"` to run on GPUs; None: on the CPU.
        max_batch: maximum number of images in a batch.
        precision: the precision of the file to use; None: the most precise.

    Returns:
        The folder of the model.

    Raises:
        InputError: the model or its ONNX file does not exist, a setting is invalid, or the repository cannot be
            written.
        MissingPackageError: ONNX Runtime is not installed; it runs the file once to get the shapes of its outputs.
    """
    check("--name", name, re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name), "letters, digits and any of . _ -")
    check("--accelerator", accelerator, accelerator in (None, *ACCELERATORS), f"one of {', '.join(ACCELERATORS)}")
    check("--max-batch", max_batch, 1 <= max_batch <= MOST_BATCH, f"from 1 to {MOST_BATCH}")
    with Inpainter.load(model, runtime="onnxruntime", precision=precision, provider="cpu") as inpainter:
        config = _config(inpainter, name, accelerator, max_batch)
        file = inpainter.model.path
    folder = Path(out) / name
    make_folder(folder / "1")
    write_atomically(folder / "1" / "model.onnx", lambda part: shutil.copyfile(file, part))
    write_atomically(folder / "config.pbtxt", lambda part: part.write_text(_text(config), encoding="utf-8"))
    return folder


def _config(inpainter: Inpainter, name: str, accelerator: str | None, max_batch: int) -> dict[str, _Value]:
    """Return Triton's ModelConfig of a model; `dims` omit the batch, which Triton adds."""
    size = inpainter.model.image_size
    inputs = {key: np.zeros((1, size, size, facts["shape"][3]), np.uint8) for key, facts in INPUTS.items()}
    outputs = inpainter.backend(**inputs)
    preferred: list[_Value] = [*sorted({max(2, max_batch // 2), max_batch})] if accelerator and max_batch > 1 else []
    warm_up: _Value = [
        {"name": f"batch of {number}", "batch_size": number, "inputs": [_example(*item) for item in inputs.items()]}
        for number in [1, *preferred]
    ]
    config: dict[str, _Value] = {
        "name": name,
        "backend": "onnxruntime",
        "max_batch_size": max_batch,
        "input": [{"name": key, **_tensor(values)} for key, values in inputs.items()],
        "output": [{"name": key, **_tensor(values)} for key, values in outputs.items()],
        "instance_group": [{"count": 1, "kind": _Word("KIND_GPU" if accelerator else "KIND_CPU")}],
        "model_warmup": warm_up,
    }
    if accelerator is None:
        return config
    if preferred:  # on a CPU, a batch takes as long as its images one by one
        config["dynamic_batching"] = {
            "preferred_batch_size": preferred,
            "max_queue_delay_microseconds": _QUEUE_MICROSECONDS,
        }
    parameters: _Value = [{"key": key, "value": value} for key, value in _PARAMETERS[accelerator].items()]
    provider: _Value = [{"name": accelerator, "parameters": parameters}]
    config["optimization"] = {"execution_accelerators": {"gpu_execution_accelerator": provider}}
    return config


def _tensor(values: np.ndarray) -> dict[str, _Value]:
    return {"data_type": _Word(f"TYPE_{values.dtype.name.upper()}"), "dims": [*values.shape[1:]]}


def _example(name: str, values: np.ndarray) -> dict[str, _Value]:
    return {"key": name, "value": {**_tensor(values), "random_data": True}}


def _text(message: Mapping[str, _Value], indent: str = "") -> str:
    """Return a message in protobuf's text format."""
    lines = []
    for key, value in message.items():
        if isinstance(value, Mapping):
            value = [value]
        messages = [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
        if messages:
            lines += [f"{indent}{key} {{\n{_text(one, indent + '  ')}{indent}}}\n" for one in messages]
        else:
            lines.append(f"{indent}{key}: {value if isinstance(value, _Word) else json.dumps(value)}\n")
    return "".join(lines)
