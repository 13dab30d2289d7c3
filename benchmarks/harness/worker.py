"""A process that measures one subject once and prints one line of JSON.

    PYTHONPATH=benchmarks python -m harness.worker '{"kind": "onnx", "threads": 2, "path": ..., "started": ..., ...}'

All requests have `kind`, the format of a file, `"torch"` or `"training_step"`; `threads`; `inputs`, path of an .npz;
`repeats`; and `started`, the `time.monotonic()` at which the process was started.
"""

import json
import sys
import time

import numpy as np

from harness.measuring import limit_tensorflow, peak_memory, time_calls
from shiftnet_tf.errors import ShiftNetError, first_line
from shiftnet_tf.photos import pixels


def measure_network(request: dict) -> dict:
    """Time a network in one of the runtimes.

    Args:
        request: has also `path` of the model; its inputs are uint8 `image` [B, S, S, 3] and `mask` [B, S, S, 1].

    Returns:
        `cold_start_s`, seconds from the start of the process to the first answer; `ms` of each batch; `memory_mb`, the
        peak.
    """
    with np.load(request["inputs"]) as arrays:
        image, mask = arrays["image"], arrays["mask"]
    call = (load_torch if request["kind"] == "torch" else load_file)(request, image, mask)
    call()
    answer = {"cold_start_s": time.monotonic() - request["started"]}
    call()  # some runtimes still prepare in the second call
    return answer | {"ms": time_calls(call, request["repeats"]), "memory_mb": peak_memory()}


def load_file(request, image, mask):
    """Load an exported file; return a function that fills the hole, uint8 in and out."""
    from shiftnet_tf.runtime.backends import RUNTIMES

    if request["kind"] == "saved_model":
        limit_tensorflow(request["threads"])
    load = {runtime.format: runtime.backend for runtime in RUNTIMES.values()}[request["kind"]]
    backend = load(request["path"], threads=request["threads"], provider="cpu")
    return lambda: backend(image, mask)["inpainted_image"]


def load_torch(request, image, mask):
    """Load `plain_torch.TorchGenerator`; return a function that fills the hole, float inputs prepared beforehand."""
    from harness import plain_torch

    plain_torch.torch.set_num_threads(request["threads"])
    memory_format = plain_torch.MEMORY_FORMATS[request["memory_format"]]
    model = plain_torch.load(request["path"]).to(memory_format=memory_format).eval()
    arrays = (pixels.to_unit(image.astype(np.float32)), mask.astype(np.float32))
    inputs = [plain_torch.to_torch(array).contiguous(memory_format=memory_format) for array in arrays]
    return plain_torch.torch.inference_mode()(lambda: model(*inputs).numpy())


def main() -> None:
    request = json.loads(sys.argv[1])
    try:
        if request["kind"] == "training_step":
            from harness.steps import measure_step as measure
        else:
            measure = measure_network
        answer = measure(request)
    except Exception as error:  # each runtime has its own exceptions; the first line is the message
        name = "" if isinstance(error, ShiftNetError) else f"{type(error).__name__}: "
        raise SystemExit(name + first_line(error)) from error
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
