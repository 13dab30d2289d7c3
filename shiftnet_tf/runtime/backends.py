"""The runtimes behind one interface: `backend(image, mask)` -> dict of output name to numpy array.

`image` is uint8 [B, S, S, 3], `mask` uint8 [B, S, S, 1], nonzero = hole. Each runtime is imported on use. A backend
says in `provider` what it really runs on, in `outputs` what it gives, and in `batch_sizes` which sizes of a batch it is
prepared for; () where any is as good.
"""

import contextlib
import importlib.util
import os
import threading
from typing import Protocol

import numpy as np

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, MissingGpuError, MissingPackageError, ShiftNetError, first_line
from shiftnet_tf.runtime import providers
from shiftnet_tf.system.packages import import_optional


class Backend(Protocol):
    """What runs a model."""

    name: str
    provider: str
    outputs: list[str]
    batch_sizes: tuple[int, ...]

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]: ...

    def close(self) -> None:
        """End its threads, where it has any."""
        ...


class OnnxRuntimeBackend:
    """ONNX Runtime, on CUDA where onnxruntime-gpu can load it, else on the CPU.

    Args:
        path: Path of an .onnx file.
        threads: int, or None for one a core.
        provider: str, see `providers.open_session`.
        require_gpu: bool, whether the CPU is an error.
        image_size: int, S in pixels, for TensorRT; None leaves its shapes to it.

    Attributes:
        provider: str, what it really runs on, as the session says, such as `"CPUExecutionProvider"`.
    """

    name = "onnxruntime"

    def __init__(self, path, threads=None, provider="auto", require_gpu=False, image_size=None):
        onnxruntime = import_optional("onnxruntime", "onnxruntime", "running an ONNX model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session = providers.open_session(onnxruntime, path, options, provider, require_gpu, image_size)
        self.provider = self._session.get_providers()[0]
        on_gpu = self.provider.removesuffix(providers.SUFFIX).lower() in providers.GPU
        self.batch_sizes = providers.BATCH_SIZES if on_gpu else ()
        self.outputs = [output.name for output in self._session.get_outputs()]

    def close(self):
        """Do nothing: there is no thread to end."""

    def __call__(self, image, mask):
        try:
            return dict(zip(self.outputs, self._session.run(None, {"image": image, "mask": mask})))
        except Exception as error:  # its exceptions have no common base of their own
            raise _failure("ONNX Runtime", image, error) from error


class LiteRTBackend:
    """LiteRT (TFLite) on the CPU with XNNPACK; images one at a time.

    Args:
        path: Path of a .tflite file.
        threads: int, or None for one a core that is there, at most 4.
        provider: `"auto"` or `"cpu"`, which are the same.
        require_gpu: bool, refused if true.
        image_size: int, not needed here.
    """

    provider = "CPU (XNNPACK)"
    batch_sizes = ()

    name = "litert"

    def __init__(self, path, threads=None, provider="auto", require_gpu=False, image_size=None):
        litert = import_optional("ai_edge_litert.interpreter", "ai-edge-litert", "running a TFLite model")
        providers.check(provider, ["cpu"], require_gpu, "litert")
        try:
            self._interpreter = litert.Interpreter(str(path), num_threads=threads or min(4, os.cpu_count() or 1))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot load {path}: {first_line(error)}") from error
        self._runner = self._interpreter.get_signature_runner("serving_default")
        self.outputs = list(self._runner.get_output_details())
        self._lock = threading.Lock()  # an interpreter has one set of tensors

    def close(self):
        """Do nothing: there is no thread to end."""

    def __call__(self, image, mask):
        with self._lock:
            try:
                results = [self._runner(image=image[i : i + 1], mask=mask[i : i + 1]) for i in range(len(image))]
            except (ValueError, RuntimeError) as error:
                raise _failure("LiteRT", image, error) from error
        return {name: np.concatenate([result[name] for result in results]) for name in self.outputs}


class SavedModelBackend:
    """TensorFlow on a SavedModel, through its `serving_default` signature.

    Args:
        path: Path of a SavedModel folder.
        threads: int or None; TensorFlow takes its threads from its own settings.
        provider: `"auto"` (its first GPU if it finds one, else the CPU), `"cpu"` or `"gpu"`.
        require_gpu: bool, whether the CPU is an error.
        image_size: int, not needed here.
    """

    batch_sizes = ()

    name = "tensorflow"

    def __init__(self, path, threads=None, provider="auto", require_gpu=False, image_size=None):
        tensorflow = import_optional("tensorflow", "tensorflow", "running a SavedModel")
        providers.check(provider, ["gpu", "cpu"], require_gpu, "tensorflow")
        has_gpu = bool(tensorflow.config.list_logical_devices("GPU"))
        if not has_gpu and (require_gpu or provider == "gpu"):
            raise MissingGpuError("TensorFlow finds no GPU (TF_CPP_MIN_LOG_LEVEL=0 shows why)")
        self._on_cpu = provider == "cpu"
        self._tensorflow = tensorflow
        try:
            with self._place():
                self._model = tensorflow.saved_model.load(str(path))
        except (OSError, ValueError) as error:
            raise InputError(f"TensorFlow cannot load {path}: {first_line(error)}") from error
        self._signature = self._model.signatures["serving_default"]
        self.provider = "GPU (TensorFlow)" if has_gpu and not self._on_cpu else "CPU (TensorFlow)"
        self.outputs = list(self._signature.structured_outputs)

    def _place(self):
        return self._tensorflow.device("/CPU:0") if self._on_cpu else contextlib.nullcontext()

    def close(self):
        """Do nothing: there is no thread to end."""

    def __call__(self, image, mask):
        constant = self._tensorflow.constant
        try:
            with self._place():
                results = self._signature(image=constant(image), mask=constant(mask))
        except self._tensorflow.errors.OpError as error:
            raise _failure("TensorFlow", image, error) from error
        return {name: result.numpy() for name, result in results.items()}


def _failure(runtime, image, error):
    return ShiftNetError(f"{runtime} failed on a batch of {len(image)}: {first_line(error)}")


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
    return classes[file_format](path, provider="cpu" if cpu else "auto")


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


def choose_file(path, spec, name=None, runtime=None, precision=None):
    """Which file of a model folder to run, and with what.

    Args:
        path: Path of the spec, for the messages.
        spec: ModelSpec.
        name: str, the one file that is meant, or None.
        runtime, precision: str, the caller's choices, or None: the first that is installed and fits, the most precise.

    Returns:
        (str, a key of RUNTIMES, str, the name of the file).

    Raises:
        InputError: there is no such file.
        MissingPackageError: no runtime that fits is installed.
    """
    entries = {n: e for n, e in spec.files.items() if name in (None, n) and precision in (None, e.precision)}
    if not entries:
        wanted = name or f"file of precision {precision}"
        there = ", ".join(f"{n} ({e.precision})" for n, e in spec.files.items())
        raise InputError(f"{path} lists no {wanted}, only {there}")
    formats = {entry.format for entry in entries.values()}
    if precision and runtime in RUNTIMES and RUNTIMES[runtime][0] not in formats:
        runs = [e.precision for e in spec.files.values() if e.format == RUNTIMES[runtime][0]]
        raise InputError(
            f"{runtime} cannot run precision {precision} of this model, only {', '.join(runs) or 'nothing'}: {path} "
            f"lists {precision} as {', '.join(sorted(formats))}"
        )
    runtime = choose(formats, runtime)

    def rank(n):
        entry = entries[n]
        special = entry.profile != "default"  # made for one kind of device: taken where nothing else fits
        return special, entry.image_size != spec.image_size, model_folder.PRECISIONS.index(entry.precision)

    return runtime, min((n for n, e in entries.items() if e.format == RUNTIMES[runtime][0]), key=rank)


def _words(formats):
    return ", ".join(sorted(formats)) or "nothing"
