"""The Open Inference Protocol, https://github.com/kserve/open-inference-protocol: requests and answers as tensors.

Inputs: image, UINT8 [B, S, S, 3] RGB; mask, UINT8 [B, S, S, 1], nonzero = hole. Outputs: those of the model file:
inpainted_image, UINT8 [B, S, S, 3], and shift_map, INT32 [B, h, w]. The values of a tensor are in the JSON, or follow
it as bytes in the order of the tensors, as in Triton's binary tensor extension.
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shiftnet_tf.model_folder import INPUTS, OUTPUTS
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.backends import Backend
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.messages import Reply, TensorJob
from shiftnet_tf.server.responses import RequestError

HEADER = "Inference-Header-Content-Length"  # bytes of the JSON before the binary tensors
_MOST_SIGNS = 10_000_000  # commas and brackets of JSON: that many values take up to 800 MB


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True)


class Parameters(_Strict):
    """Parameters of the binary tensor extension, for a request and its tensors; others are ignored."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    binary_data_output: bool = False


class Input(_Strict):
    """A tensor of a request; its values are in `data`, flat or nested, or follow the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Parameters()
    data: list[Any] | None = None


class RequestedOutput(_Strict):
    """A requested output tensor."""

    name: str
    parameters: Parameters = Parameters()


class InferenceRequest(_Strict):
    """The JSON of a request."""

    id: str | None = None
    parameters: Parameters = Parameters()
    inputs: list[Input]
    outputs: list[RequestedOutput] = Field([], description="tensors to return (default: all of the model's)")


class Tensor(BaseModel):
    """A tensor in a model's description; -1 is any size."""

    name: str
    datatype: str
    shape: list[int]


@dataclass(frozen=True)
class Inference:
    """A parsed request.

    Attributes:
        image: uint8 [B, S, S, 3].
        mask: uint8 [B, S, S, 1].
        binary: names of the requested outputs, and whether their values are returned as bytes.
        id: the request's id, which the answer repeats; None if there is none.
    """

    image: np.ndarray
    mask: np.ndarray
    binary: dict[str, bool]
    id: str | None


def describe_tensors(names: list[str], image_size: int) -> list[Tensor]:
    """Return the tensors of the model with these names."""
    sizes: dict[str, int] = {"image_size": image_size}
    tensors = []
    for name in names:
        facts = (INPUTS | OUTPUTS)[name]
        shape = [sizes.get(side, -1) if isinstance(side, str) else side for side in facts["shape"]]
        tensors.append(Tensor(name=name, datatype=facts["dtype"].upper(), shape=shape))
    return tensors


def infer(inpainter: Inpainter, limits: Limits, job: TensorJob) -> Reply:
    """Answer a request with the outputs of the model file.

    Raises:
        RequestError: 400, 413.
    """
    inference = read_inference(job, inpainter.model.image_size, inpainter.backend.outputs, limits.pixels)
    return _reply(job.model, inference, _run(inpainter.backend, inference))


def read_inference(job: TensorJob, image_size: int, outputs: list[str], max_pixels: int) -> Inference:
    """Parse a request.

    Args:
        job: the request.
        image_size: S in pixels.
        outputs: names of the model's outputs.
        max_pixels: maximum for all images of the request together.

    Raises:
        RequestError: 400, 413.
    """
    head, binary = _split(job)
    request = _read_json(head)
    expected = {tensor.name: tensor for tensor in describe_tensors(list(INPUTS), image_size)}
    if sorted(tensor.name for tensor in request.inputs) != sorted(expected):
        raise RequestError(400, f"`inputs` must be {' and '.join(expected)}, each once")
    at, arrays = 0, {}
    for tensor in request.inputs:
        _check(tensor, expected[tensor.name])
        size = tensor.parameters.binary_data_size
        arrays[tensor.name] = _from_json(tensor) if size is None else _from_bytes(tensor, binary[at : at + size], size)
        at += size or 0
    if at != len(binary):
        raise RequestError(400, f"{len(binary)} bytes follow the JSON, but `binary_data_size` adds up to {at}")
    image, mask = arrays["image"], arrays["mask"]
    if len(image) != len(mask):
        raise RequestError(400, f"{len(image)} images and {len(mask)} masks: send one mask per image")
    if image.size // 3 > max_pixels:
        text = f"the images have {image.size / 3e6:g} megapixels, the limit is {max_pixels / 1e6:g}: send fewer images"
        raise RequestError(413, text)
    return Inference(image, mask, _wanted(request, outputs), request.id)


def _split(job: TensorJob) -> tuple[memoryview, memoryview]:
    """Return the JSON and the bytes that follow it."""
    body = memoryview(job.body)
    if job.json_bytes is None:
        return body, body[:0]
    number = job.json_bytes.strip()
    if not (number.isascii() and number.isdecimal() and len(number) < 20 and int(number) <= len(body)):
        raise RequestError(
            400, f"{HEADER} must be the JSON's size in bytes, at most {len(body)}. Received: {number[:40]}"
        )
    return body[: int(number)], body[int(number) :]


def _read_json(head: memoryview) -> InferenceRequest:
    content = bytes(head)
    if sum(content.count(sign) for sign in b",[{") > _MOST_SIGNS:
        raise RequestError(413, f"the JSON has more than {_MOST_SIGNS:,} commas and brackets: send binary tensors")
    try:
        return InferenceRequest.model_validate(json.loads(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "request"
        raise RequestError(400, f"`{place}`: {first['msg'].removeprefix('Input ')}") from error
    except (ValueError, RecursionError) as error:
        raise RequestError(400, f"invalid JSON: {error}") from error


def _check(tensor: Input, expected: Tensor) -> None:
    """Refuse a datatype or shape other than the model's."""
    if tensor.datatype != expected.datatype:
        text = f"`{tensor.name}` must have the datatype {expected.datatype}. Received: {tensor.datatype[:40]!r}"
        raise RequestError(400, text)
    batch, *sides = tensor.shape or [0]
    if batch < 1 or sides != expected.shape[1:]:
        text = f"`{tensor.name}` must have the shape {expected.shape}, where -1 is any number from 1"
        raise RequestError(400, f"{text}. Received: {str(tensor.shape)[:80]}")


def _from_bytes(tensor: Input, values: memoryview, size: int) -> np.ndarray:
    if tensor.data is not None or not len(values) == size == math.prod(tensor.shape):
        text = f"`{tensor.name}` of the shape {tensor.shape} takes {math.prod(tensor.shape)} bytes and no `data`"
        raise RequestError(400, f"{text}. Received: binary_data_size {size}, {len(values)} bytes")
    return np.frombuffer(values, np.uint8).reshape(tensor.shape)


def _from_json(tensor: Input) -> np.ndarray:
    try:
        values = np.asarray(tensor.data)
    except (ValueError, OverflowError):  # lists of different lengths
        values = np.empty(0)
    if values.dtype.kind != "i" or values.size != math.prod(tensor.shape):
        text = f"`data` of `{tensor.name}` must be {math.prod(tensor.shape)} whole numbers, flat or nested"
        raise RequestError(400, text)
    if values.min() < 0 or values.max() > 255:
        raise RequestError(400, f"`data` of `{tensor.name}` must be from 0 to 255")
    return values.astype(np.uint8).reshape(tensor.shape)


def _wanted(request: InferenceRequest, known: list[str]) -> dict[str, bool]:
    """Return the requested outputs, and whether they are returned as bytes."""
    wanted = {}
    for output in request.outputs or [RequestedOutput(name=name) for name in known]:
        if output.name not in known:
            text = f"unknown output {output.name[:40]!r}: the model has {', '.join(known)}"
            raise RequestError(400, text)
        binary = output.parameters.binary_data
        wanted[output.name] = request.parameters.binary_data_output if binary is None else binary
    return wanted


def _run(backend: Backend, inference: Inference) -> dict[str, np.ndarray]:
    """Run the model; on a CPU image by image, so that each gets the values that it has alone."""
    step = max(backend.batch_sizes, default=1)
    parts = [
        backend(inference.image[i : i + step], inference.mask[i : i + step])
        for i in range(0, len(inference.image), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in inference.binary}


def _reply(model: str, inference: Inference, arrays: dict[str, np.ndarray]) -> Reply:
    outputs, parts = [], []
    for name, binary in inference.binary.items():
        values = np.ascontiguousarray(arrays[name])
        output: dict[str, Any] = {"name": name, "datatype": values.dtype.name.upper(), "shape": list(values.shape)}
        if binary:
            output["parameters"] = {"binary_data_size": values.nbytes}
            parts.append(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())
        else:
            output["data"] = values.ravel().tolist()
        outputs.append(output)
    answer = {"model_name": model, "model_version": "1", "outputs": outputs}
    if inference.id is not None:
        answer["id"] = inference.id
    text = json.dumps(answer, separators=(",", ":")).encode()
    if not parts:
        return Reply(text, "application/json", {})
    return Reply(b"".join([text, *parts]), "application/octet-stream", {HEADER: str(len(text))})
