"""The process that holds one subject of a benchmark and is asked for its times.

    python -m shiftnet_tf.benchmarks.worker '{"kind": "onnxruntime", "threads": 2, "path": ..., "inputs": ...}'

It makes the subject, has it answer once and says so; then each line of its input is a JSON list of a method and its
arguments, and each line of its output a JSON object with `result` or `error`.
"""

import json
import os
import sys
import time

import numpy as np

from shiftnet_tf.benchmarks.measuring import Subject, tensorflow, timed
from shiftnet_tf.errors import ShiftNetError, first_line


class Network(Subject):
    """A network in one of the runtimes.

    Further settings: `path` of the model; `inputs`, path of an .npz with uint8 `image` [B, S, S, 3] and `mask`
    [B, S, S, 1].
    """

    def open(self):
        with np.load(self.settings["inputs"]) as arrays:
            self.image, self.mask = arrays["image"], arrays["mask"]
        self.load()
        self.set_batch(len(self.image))

    def set_batch(self, size):
        """Prepares the inputs of a batch, the same photo so often."""
        self.prepare(np.repeat(self.image[:1], size, axis=0), np.repeat(self.mask[:1], size, axis=0))


class ExportedFile(Network):
    """A file of ours in its runtime: uint8 photo and mask in, uint8 picture out."""

    def load(self):
        from shiftnet_tf.runtime import backends

        if self.settings["kind"] == "tensorflow":
            tensorflow(self.threads)
        backend = backends.RUNTIMES[self.settings["kind"]].backend
        self.backend = backend(self.settings["path"], threads=self.threads)

    def prepare(self, image, mask):
        self.call = lambda: self.backend(image, mask)["inpainted_image"]


class KerasPlain(Network):
    """`plain_keras.PlainGenerator` as a SavedModel; its float inputs are prepared beforehand, which favours it."""

    def load(self):
        self.model = tensorflow(self.threads).saved_model.load(self.settings["path"])
        self.signature = self.model.signatures["serving_default"]

    def prepare(self, image, mask):
        constant = sys.modules["tensorflow"].constant
        inputs = {"image": constant(to_float(image)), "mask": constant(mask.astype(np.float32))}
        self.call = lambda: self.signature(**inputs)["predicted_image"].numpy()


class TorchPlain(Network):
    """`plain_torch.TorchGenerator`, eager; its float inputs are prepared beforehand, which favours it.

    Further setting: `memory_format`, a key of `plain_torch.MEMORY_FORMATS`.
    """

    def load(self):
        from shiftnet_tf.benchmarks import plain_torch

        plain_torch.torch.set_num_threads(self.threads)
        self.memory_format = plain_torch.MEMORY_FORMATS[self.settings["memory_format"]]
        network = plain_torch.load(plain_torch.TorchGenerator, self.settings["path"])
        self.network = network.to(memory_format=self.memory_format).eval()

    def prepare(self, image, mask):
        from shiftnet_tf.benchmarks.plain_torch import to_torch, torch

        arrays = (to_float(image), mask.astype(np.float32))
        inputs = [to_torch(array).contiguous(memory_format=self.memory_format) for array in arrays]

        def call():
            with torch.inference_mode():
                return self.network(*inputs).numpy()

        self.call = call


class MatrixProduct(Subject):
    """Float32 matrix products; further setting: `library`, `"numpy"`, `"tensorflow"` or `"torch"`."""

    SIZES = (768, 1024, 1536, 2048, 3072)

    def open(self):
        self.multiply, self.convert = getattr(self, f"_{self.settings['library']}")()
        self.call = lambda: None

    def _numpy(self):
        return np.matmul, np.asarray  # its threads were set in the environment

    def _tensorflow(self):
        tf = tensorflow(self.threads)
        return (lambda a, b: tf.linalg.matmul(a, b).numpy()), tf.constant

    def _torch(self):
        from shiftnet_tf.benchmarks.plain_torch import torch

        torch.set_num_threads(self.threads)
        return torch.matmul, torch.from_numpy

    def rate(self):
        """The best of several sizes, each for a fifth of a second: float, 10^9 operations a second."""
        best = 0.0
        for size in self.SIZES:
            values = np.random.default_rng(0).standard_normal((size, size), dtype=np.float32)
            operand, end = self.convert(values), time.perf_counter() + 0.2
            while time.perf_counter() < end:
                (milliseconds,) = timed(lambda operand=operand: self.multiply(operand, operand), 1)
                best = max(best, 2 * size**3 / milliseconds / 1e6)
        return best


def to_float(image):
    """uint8 grey levels as float32 in [-1, 1]."""
    return image.astype(np.float32) / np.float32(127.5) - np.float32(1)


def training_subject(settings):
    from shiftnet_tf.benchmarks import training

    return training.SUBJECTS[settings["kind"]](settings)


KINDS = {
    "onnxruntime": ExportedFile,
    "litert": ExportedFile,
    "tensorflow": ExportedFile,
    "keras_plain": KerasPlain,
    "torch_plain": TorchPlain,
    "matrix_product": MatrixProduct,
    "train_tensorflow": training_subject,
    "train_torch": training_subject,
}


def serve(lines, answer):
    """Makes the subject and does what it is asked for, until the input ends.

    Args:
        lines: iterator of str.
        answer: function of a dict.
    """
    settings = json.loads(sys.argv[1])
    try:
        subject = KINDS[settings["kind"]](settings)
        subject.call()
        answer({"result": "ready"})
        for line in lines:
            command, *arguments = json.loads(line)
            answer({"result": getattr(subject, command)(*arguments)})
    except ShiftNetError as error:
        answer({"error": str(error)})
    except Exception as error:  # each runtime raises errors of its own, and all go to the one who asked
        answer({"error": f"{type(error).__name__}: {first_line(error)}"})


def main():
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    serve(sys.stdin, lambda content: print(json.dumps(content), file=output, flush=True))


if __name__ == "__main__":
    main()
