"""ONNX Runtime, LiteRT and TensorFlow, each as a `backends.Backend`. Each is imported on use."""

import contextlib
import os
import threading
from typing import Any

import numpy as np

from shiftnet_tf.errors import InputError, MissingGpuError, ShiftNetError, first_line
from shiftnet_tf.runtime import providers
from shiftnet_tf.system.packages import import_optional

CLOSED = "the model is closed: load it again"


class OnnxRuntimeBackend:
    """ONNX Runtime, on CUDA where onnxruntime-gpu can load it, else on the CPU.

    Args:
        path: an .onnx file.
        threads: None for one a core.
        provider: see `providers.open_session`.
        require_gpu: whether the CPU is an error.
        image_size: S in pixels, for the shapes of TensorRT; None leaves them to it.
    """

    name = "onnxruntime"

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        provider: str = "auto",
        require_gpu: bool = False,
        image_size: int | None = None,
    ) -> None:
        onnxruntime = import_optional("onnxruntime", "onnxruntime", "running an ONNX model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3
        self._session = providers.open_session(onnxruntime, path, options, provider, require_gpu, image_size)
        self.provider: str = self._session.get_providers()[0]
        on_gpu = self.provider.removesuffix(providers.SUFFIX).lower() in providers.GPU
        self.batch_sizes: tuple[int, ...] = providers.BATCH_SIZES if on_gpu else ()
        self.outputs: list[str] = [output.name for output in self._session.get_outputs()]

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if self._session is None:
            raise ShiftNetError(CLOSED)
        try:
            return dict(zip(self.outputs, self._session.run(None, {"image": image, "mask": mask})))
        except Exception as error:  # its exceptions have no common base of their own
            raise _failure("ONNX Runtime", image, error) from error

    def close(self) -> None:
        """Release the session."""
        self._session = None


class LiteRTBackend:
    """LiteRT (TFLite) on the CPU with XNNPACK; images one at a time.

    Args:
        path: a .tflite file.
        threads: None for one a core, at most 4.
        provider: `"auto"` or `"cpu"`, which are the same.
        require_gpu: refused if True.
        image_size: not used.
    """

    name = "litert"
    provider = "CPU (XNNPACK)"
    batch_sizes: tuple[int, ...] = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        provider: str = "auto",
        require_gpu: bool = False,
        image_size: int | None = None,
    ) -> None:
        litert = import_optional("ai_edge_litert.interpreter", "ai-edge-litert", "running a TFLite model")
        providers.check(provider, ["cpu"], require_gpu, "litert")
        try:
            self._interpreter = litert.Interpreter(str(path), num_threads=threads or min(4, os.cpu_count() or 1))
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot load {path}: {first_line(error)}") from error
        self._runner = self._interpreter.get_signature_runner("serving_default")
        self.outputs: list[str] = list(self._runner.get_output_details())
        self._lock = threading.Lock()  # an interpreter has one set of tensors

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            if self._runner is None:
                raise ShiftNetError(CLOSED)
            try:
                results = [self._runner(image=image[i : i + 1], mask=mask[i : i + 1]) for i in range(len(image))]
            except (ValueError, RuntimeError) as error:
                raise _failure("LiteRT", image, error) from error
        return {name: np.concatenate([result[name] for result in results]) for name in self.outputs}

    def close(self) -> None:
        """Release the interpreter, after a batch that another thread runs."""
        with self._lock:
            self._interpreter = self._runner = None


class SavedModelBackend:
    """TensorFlow on a SavedModel, through its `serving_default` signature.

    Args:
        path: a SavedModel folder.
        threads: not used: TensorFlow takes its threads from its own settings.
        provider: `"auto"` (its first GPU if it finds one, else the CPU), `"cpu"` or `"gpu"`.
        require_gpu: whether the CPU is an error.
        image_size: not used.
    """

    name = "tensorflow"
    batch_sizes: tuple[int, ...] = ()

    def __init__(
        self,
        path: str | os.PathLike[str],
        threads: int | None = None,
        provider: str = "auto",
        require_gpu: bool = False,
        image_size: int | None = None,
    ) -> None:
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
        self.outputs: list[str] = list(self._signature.structured_outputs)

    def _place(self) -> contextlib.AbstractContextManager[Any]:
        return self._tensorflow.device("/CPU:0") if self._on_cpu else contextlib.nullcontext()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if self._signature is None:
            raise ShiftNetError(CLOSED)
        constant = self._tensorflow.constant
        try:
            with self._place():
                results = self._signature(image=constant(image), mask=constant(mask))
        except self._tensorflow.errors.OpError as error:
            raise _failure("TensorFlow", image, error) from error
        return {name: result.numpy() for name, result in results.items()}

    def close(self) -> None:
        """Release the model."""
        self._model = self._signature = None


def _failure(runtime: str, image: np.ndarray, error: Exception) -> ShiftNetError:
    return ShiftNetError(f"{runtime} failed on a batch of {len(image)}: {first_line(error)}")
