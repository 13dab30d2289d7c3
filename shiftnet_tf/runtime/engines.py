"""ONNX Runtime, LiteRT and TensorFlow, each as a `backends.Backend`. Each is imported on use.

In a forked child, a model on the CPU is reopened before its next batch. A model on a GPU or in TensorFlow, neither of
which works after a fork, is refused.
"""

import contextlib
import os
import threading
from typing import Any

import numpy as np

from shiftnet_tf.errors import InputError, MissingGpuError, ShiftNetError, first_line
from shiftnet_tf.runtime import forking, providers
from shiftnet_tf.system.machine import usable_cores
from shiftnet_tf.system.packages import import_optional

CLOSED = "the model is closed: load it again"


class OnnxRuntimeBackend:
    """ONNX Runtime, on CUDA if onnxruntime-gpu can load it, else on the CPU.

    Args:
        path: an .onnx file.
        threads: None: one per core that the process may use (`machine.usable_cores`).
        provider: see `providers.open_session`.
        require_gpu: whether to fail instead of running on the CPU.
        image_size: S in pixels, for TensorRT's shape profile; None: TensorRT sets its own.
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
        self._path, self._threads, self._image_size = path, threads, image_size
        self._session = self._open(provider, require_gpu)
        self.provider: str = self._session.get_providers()[0]
        self._short_name = self.provider.removesuffix(providers.SUFFIX).lower()
        on_gpu = self._short_name in providers.GPU
        self.batch_sizes: tuple[int, ...] = providers.BATCH_SIZES if on_gpu else ()
        self.outputs: list[str] = [output.name for output in self._session.get_outputs()]
        self._forked = False
        self._lock = threading.Lock()  # guards reopening
        forking.watch(self)

    def _open(self, provider: str, require_gpu: bool = False) -> Any:
        onnxruntime = import_optional("onnxruntime", "onnxruntime", "running an ONNX model")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads or _fewer_threads()
        options.log_severity_level = 3
        return providers.open_session(onnxruntime, self._path, options, provider, require_gpu, self._image_size)

    def after_fork(self) -> None:
        """See `forking.Forked`."""
        if self._session is not None:
            forking.abandon(self._session)
            self._session, self._forked = None, True
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if self._forked:
            if self._short_name in providers.GPU:
                raise _after_fork(f"ONNX Runtime on {self.provider}")
            with self._lock:
                self._session = self._session or self._open(self._short_name)
                self._forked = False
        if self._session is None:
            raise ShiftNetError(CLOSED)
        try:
            return dict(zip(self.outputs, self._session.run(None, {"image": image, "mask": mask})))
        except Exception as error:  # its exceptions have no common base of their own
            raise _failure("ONNX Runtime", image, error) from error

    def close(self) -> None:
        """Release the session."""
        self._session, self._forked = None, False


class LiteRTBackend:
    """LiteRT (TFLite) on the CPU with XNNPACK; images one at a time.

    Args:
        path: a .tflite file.
        threads: None: one per core that the process may use, at most 4.
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
        self._litert = import_optional("ai_edge_litert.interpreter", "ai-edge-litert", "running a TFLite model")
        providers.check(provider, ["cpu"], require_gpu, "litert")
        self._path, self._threads = path, threads
        self._open()
        self.outputs: list[str] = list(self._runner.get_output_details())
        self._forked = False
        self._lock = threading.Lock()  # an interpreter has one set of tensors
        forking.watch(self)

    def _open(self) -> None:
        threads = self._threads or min(4, usable_cores())
        try:
            self._interpreter = self._litert.Interpreter(str(self._path), num_threads=threads)
            self._interpreter.allocate_tensors()
            self._runner = self._interpreter.get_signature_runner("serving_default")
        except (ValueError, RuntimeError) as error:
            raise InputError(f"LiteRT cannot load {self._path}: {first_line(error)}") from error

    def after_fork(self) -> None:
        """See `forking.Forked`."""
        if self._interpreter is not None:
            forking.abandon(self._runner)
            forking.abandon(self._interpreter)
            self._interpreter, self._runner, self._forked = None, None, True
        self._lock = threading.Lock()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            if self._forked:
                self._open()
                self._forked = False
            if self._runner is None:
                raise ShiftNetError(CLOSED)
            try:
                results = [self._runner(image=image[i : i + 1], mask=mask[i : i + 1]) for i in range(len(image))]
            except (ValueError, RuntimeError) as error:
                raise _failure("LiteRT", image, error) from error
        return {name: np.concatenate([result[name] for result in results]) for name in self.outputs}

    def close(self) -> None:
        """Release the interpreter, once a batch in another thread has finished."""
        with self._lock:
            self._interpreter, self._runner, self._forked = None, None, False


class SavedModelBackend:
    """TensorFlow on a SavedModel, through its `serving_default` signature.

    Args:
        path: a SavedModel folder.
        threads: not used: TensorFlow takes its threads from its own settings.
        provider: `"auto"` (its first GPU if it finds one, else the CPU), `"cpu"` or `"gpu"`.
        require_gpu: whether to fail instead of running on the CPU.
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
        self._process = os.getpid()
        self._on_cpu = provider == "cpu"
        self._tensorflow = tensorflow
        try:
            with self._place():
                self._model = tensorflow.saved_model.load(str(path))
            self._signature = self._model.signatures["serving_default"]
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"TensorFlow cannot load {path}: {first_line(error)}") from error
        self.provider = "GPU (TensorFlow)" if has_gpu and not self._on_cpu else "CPU (TensorFlow)"
        self.outputs: list[str] = list(self._signature.structured_outputs)

    def _place(self) -> contextlib.AbstractContextManager[Any]:
        return self._tensorflow.device("/CPU:0") if self._on_cpu else contextlib.nullcontext()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        if os.getpid() != self._process:
            raise _after_fork("TensorFlow")
        if self._signature is None:
            raise ShiftNetError(CLOSED)
        constant = self._tensorflow.constant
        try:
            with self._place():
                results = self._signature(image=constant(image), mask=constant(mask))
        except (self._tensorflow.errors.OpError, TypeError, ValueError) as error:  # the latter two: wrong inputs
            raise _failure("TensorFlow", image, error) from error
        return {name: result.numpy() for name, result in results.items()}

    def close(self) -> None:
        """Release the model."""
        self._model = self._signature = None


def _fewer_threads() -> int:
    """Return the number of usable cores if affinity or a quota limits them, else 0.

    0 makes ONNX Runtime use one thread per physical core of the machine.
    """
    cores = usable_cores()
    return cores if cores < (os.cpu_count() or 1) else 0


def _after_fork(runtime: str) -> ShiftNetError:
    return ShiftNetError(
        f"{runtime} does not work after a fork: load the model in the child process, or start it with the "
        'method "spawn"'
    )


def _failure(runtime: str, image: np.ndarray, error: Exception) -> ShiftNetError:
    return ShiftNetError(f"{runtime} failed on a batch of {len(image)}: {first_line(error)}")
