"""A process that measures one subject once and prints one line of JSON.

    PYTHONPATH=benchmarks python -m harness.worker '{"kind": "onnx", "threads": 2, "path": ..., "started": ..., ...}'

All requests have `threads`, `started`, the `time.monotonic()` at which the process was started, and `kind`: the format
of a file, `"torch"`, `"matrix_product"` or `"training_step"`.
"""

import json
import sys
import time

import numpy as np

from harness.measuring import peak_memory, timed
from shiftnet_tf.errors import ShiftNetError, first_line
from shiftnet_tf.photos import pixels


def network(request: dict) -> dict:
    """Time a network in one of the runtimes.

    Args:
        request: has also `path` of the model; `inputs`, path of an .npz with uint8 `image` [1, S, S, 3] and `mask` [1,
            S, S, 1]; `repeats`; `batch`, photos at a time in the second measurement, 1 for none.

    Returns:
        `cold_start_s`, seconds from the start of the process to the first answer; `ms` of each photo; `memory_mb`, the
        peak with one photo at a time; `batch_ms` of each batch.
    """
    with np.load(request["inputs"]) as arrays:
        image, mask = arrays["image"], arrays["mask"]
    prepare = torch_network(request) if request["kind"] == "torch" else exported_file(request)
    call = prepare(image, mask)
    call()
    answer = {"cold_start_s": time.monotonic() - request["started"]}
    call()  # some runtimes still prepare in the second call
    answer |= {"ms": timed(call, request["repeats"]), "memory_mb": peak_memory()}
    if request["batch"] > 1:
        call = prepare(*(np.repeat(array, request["batch"], axis=0) for array in (image, mask)))
        call()
        answer["batch_ms"] = timed(call, max(2, request["repeats"] // 3))
    return answer


def exported_file(request):
    """Load an exported file; return a function (image, mask) -> function that fills the hole, uint8 in and out."""
    from shiftnet_tf.runtime import backends

    if request["kind"] == "saved_model":
        tensorflow(request["threads"])
    classes = {"saved_model": "SavedModelBackend", "onnx": "OnnxRuntimeBackend", "tflite": "LiteRTBackend"}
    backend = getattr(backends, classes[request["kind"]])(request["path"], threads=request["threads"])
    return lambda image, mask: lambda: backend(image, mask)["inpainted_image"]


def torch_network(request):
    """Load `plain_torch.TorchGenerator`; as `exported_file`, but the float inputs are prepared beforehand."""
    from harness import plain_torch

    plain_torch.torch.set_num_threads(request["threads"])
    memory_format = plain_torch.MEMORY_FORMATS[request["memory_format"]]
    model = plain_torch.load(request["path"]).to(memory_format=memory_format).eval()

    def prepare(image, mask):
        arrays = (pixels.to_unit(image.astype(np.float32)), mask.astype(np.float32))
        inputs = [plain_torch.to_torch(array).contiguous(memory_format=memory_format) for array in arrays]
        return plain_torch.torch.inference_mode()(lambda: model(*inputs).numpy())

    return prepare


def matrix_product(request: dict) -> dict:
    """Return `gflops`, the best rate of numpy's float32 matrix products, 10^9 operations a second."""
    rates = []
    for size in (768, 1024, 1536, 2048):
        operand = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
        rates.append(2 * size**3 / min(timed(lambda operand=operand: operand @ operand, 10)) / 1e6)
    return {"gflops": max(rates)}


def training_step(request: dict) -> dict:
    """Time a training step, see steps.py."""
    from harness import steps

    return steps.measure_step(request)


def tensorflow(threads: int):
    """Import TensorFlow and set its number of threads; call it before TensorFlow's first operation."""
    from shiftnet_tf.system.quiet import import_tensorflow

    tf = import_tensorflow()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    return tf


def main() -> None:
    request = json.loads(sys.argv[1])
    kinds = {"matrix_product": matrix_product, "training_step": training_step}
    try:
        answer = kinds.get(request["kind"], network)(request)
    except Exception as error:  # each runtime has its own exceptions; the first line is the message
        name = "" if isinstance(error, ShiftNetError) else f"{type(error).__name__}: "
        raise SystemExit(name + first_line(error)) from error
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
