"""The runtimes behind one interface: `backend(image, mask)` -> dict of output name to numpy array.

`image` is uint8 [B, S, S, 3], `mask` uint8 [B, S, S, 1], nonzero = hole. Each runtime is imported on use.
"""

import importlib.util
import os
import threading

import numpy as np

from shiftnet_tf.errors import InputError, MissingPackageError, first_line, import_optional


class OnnxRuntimeBackend:
    """ONNX Runtime, on CUDA where onnxruntime-gpu can load it, else on the CPU.

    Args:
        path: Path of an .onnx file.
        threads: int, or None for one a core.
        cpu: bool, whether to stay on the CPU. Defaults to False.

    Attributes:
        device: str, what it really runs on, as the session says.
    """

    def __init__(self, path, threads=None, cpu=False):
        onnxruntime = import_optional("onnxruntime", "onnxruntime", "running an ONNX model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        wanted = ["CPUExecutionProvider"] if cpu else ["CUDAExecutionProvider", "CPUExecutionProvider"]
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # its exceptions have no common base of their own
            raise InputError(f"ONNX Runtime cannot load {path}: {first_line(error)}") from error
        self.device = self._session.get_providers()[0]
        self.outputs = [output.name for output in self._session.get_outputs()]

    def __call__(self, image, mask):
        return dict(zip(self.outputs, self._session.run(None, {"image": image, "mask": mask})))


class LiteRTBackend:
    """LiteRT (TFLite) on the CPU with XNNPACK; images one at a time.

    Args:
        path: Path of a .tflite file.
        threads: int, or None for one a core that is there, at most 4.
        cpu: bool; it always stays on the CPU.
    """

    device = "CPU"

    def __init__(self, path, threads=None, cpu=False):
        litert = import_optional("ai_edge_litert.interpreter", "ai-edge-litert", "running a TFLite model")
        try:
            self._interpreter = litert.Interpreter(str(path), num_threads=threads or min(4, os.cpu_count() or 1))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot load {path}: {first_line(error)}") from error
        self._runner = self._interpreter.get_signature_runner("serving_default")
        self.outputs = list(self._runner.get_output_details())
        self._lock = threading.Lock()  # an interpreter has one set of tensors

    def __call__(self, image, mask):
        with self._lock:
            results = [self._runner(image=image[i : i + 1], mask=mask[i : i + 1]) for i in range(len(image))]
        return {name: np.concatenate([result[name] for result in results]) for name in self.outputs}


class SavedModelBackend:
    """TensorFlow on a SavedModel, through its `serving_default` signature.

    Args:
        path: Path of a SavedModel folder.
        threads: int or None; TensorFlow takes its threads from its own settings.
        cpu: bool; TensorFlow chooses its device itself.
    """

    device = "TensorFlow's choice"

    def __init__(self, path, threads=None, cpu=False):
        tensorflow = import_optional("tensorflow", "tensorflow", "running a SavedModel")
        try:
            self._model = tensorflow.saved_model.load(str(path))
        except (OSError, ValueError) as error:
            raise InputError(f"TensorFlow cannot load {path}: {first_line(error)}") from error
        self._signature = self._model.signatures["serving_default"]
        self._constant = tensorflow.constant
        self.outputs = list(self._signature.structured_outputs)

    def __call__(self, image, mask):
        results = self._signature(image=self._constant(image), mask=self._constant(mask))
        return {name: result.numpy() for name, result in results.items()}


# In the order of preference: runtime -> (format, module to look for, package, class).
RUNTIMES = {
    "onnxruntime": ("onnx", "onnxruntime", "onnxruntime", OnnxRuntimeBackend),
    "litert": ("tflite", "ai_edge_litert", "ai-edge-litert", LiteRTBackend),
    "tensorflow": ("saved_model", "tensorflow", "tensorflow", SavedModelBackend),
}


def open_file(file_format, path, cpu=False):
    """A backend on a model file.

    Args:
        file_format: str, `"onnx"`, `"tflite"` or `"saved_model"`.
        path: Path of the file or folder.
        cpu: bool, whether to stay on the CPU where the runtime leaves the choice.

    Returns:
        A backend.
    """
    classes = {its_format: backend for its_format, _, _, backend in RUNTIMES.values()}
    return classes[file_format](path, cpu=cpu)


def installed():
    """The runtimes that are installed, in the order of preference.

    Returns:
        list of str.
    """
    return [name for name, (_, module, _, _) in RUNTIMES.items() if importlib.util.find_spec(module)]


def choose(formats, runtime=None):
    """Which runtime to take for a model folder.

    Args:
        formats: set of the formats that the folder holds.
        runtime: str, the caller's choice, or None.

    Returns:
        str, a key of RUNTIMES.

    Raises:
        InputError: an unknown runtime, or one whose format the folder lacks.
        MissingPackageError: none that fits is installed.
    """
    if runtime is not None:
        if runtime not in RUNTIMES:
            raise InputError(f"`runtime` must be one of {', '.join(RUNTIMES)}. Received: {runtime!r}")
        if RUNTIMES[runtime][0] not in formats:
            raise InputError(f"the model has no {RUNTIMES[runtime][0]} file for {runtime}, only {_words(formats)}")
        return runtime
    fitting = [name for name in RUNTIMES if RUNTIMES[name][0] in formats]
    for name in fitting:
        if name in installed():
            return name
    packages = " or ".join(f"pip install {RUNTIMES[name][2]}" for name in fitting)
    raise MissingPackageError(f"no installed runtime can run this model ({_words(formats)}): {packages}")


def _words(formats):
    return ", ".join(sorted(formats)) or "nothing"
