"""The interface of a loaded model, the runtimes that implement it, and the choice of one for a model folder."""

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, MissingPackageError, check
from shiftnet_tf.runtime.engines import LiteRTBackend, OnnxRuntimeBackend, SavedModelBackend


class Backend(Protocol):
    """A loaded model that fills batches.

    Attributes:
        name: that of the runtime, such as `"onnxruntime"`.
        provider: what it actually runs on, such as `"CPUExecutionProvider"`.
        outputs: names of the arrays that it returns.
        batch_sizes: the batch sizes that it is prepared for; () if it runs any size equally well.
    """

    name: str
    provider: str
    outputs: list[str]
    batch_sizes: tuple[int, ...]

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Fill a batch.

        Args:
            image: uint8 [B, S, S, 3].
            mask: uint8 [B, S, S, 1], nonzero = hole.

        Returns:
            The output arrays by name.

        Raises:
            ShiftNetError: the runtime failed.
        """

    def close(self) -> None:
        """Release the model; the backend cannot be called afterwards."""


@dataclass(frozen=True)
class Runtime:
    """A runtime that can run model files.

    Attributes:
        format: that of its files, one of `model_folder.FORMATS`.
        module: what Python imports.
        package: what `pip install` takes.
        backend: the class that runs a file.
        by_name: whether it runs only if the caller names it, because its files can read and write any file.
    """

    format: str
    module: str
    package: str
    backend: type[OnnxRuntimeBackend | LiteRTBackend | SavedModelBackend]
    by_name: bool = False


RUNTIMES = {  # in the order of preference
    "onnxruntime": Runtime("onnx", "onnxruntime", "onnxruntime", OnnxRuntimeBackend),
    "litert": Runtime("tflite", "ai_edge_litert", "ai-edge-litert", LiteRTBackend),
    "tensorflow": Runtime("saved_model", "tensorflow", "tensorflow", SavedModelBackend, by_name=True),
}


def open_file(file_format: str, path: str | os.PathLike[str], cpu: bool = False) -> Backend:
    """Load a model file with the runtime of its format.

    Args:
        file_format: one of `model_folder.FORMATS`.
        path: the file or folder.
        cpu: whether to stay on the CPU if the runtime has the choice.
    """
    classes = {runtime.format: runtime.backend for runtime in RUNTIMES.values()}
    return classes[file_format](path, provider="cpu" if cpu else "auto")


def list_installed() -> list[str]:
    """Return the names of the runtimes that are installed, in the order of preference."""
    return [name for name, runtime in RUNTIMES.items() if importlib.util.find_spec(runtime.module)]


def choose_file(
    path: Path,
    spec: model_folder.ModelSpec,
    name: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
) -> tuple[str, str]:
    """Choose the file of a model folder to run, and the runtime.

    Args:
        path: the path of the spec, for error messages.
        spec: what the folder holds.
        name: the file to use; None: any.
        runtime, precision: the caller's choices; None: the first installed runtime that fits and need not be named, and
            the most precise file.

    Returns:
        The key of the runtime in RUNTIMES, and the name of the file.

    Raises:
        InputError: the runtime is unknown or must be named, or there is no such file.
        MissingPackageError: no runtime that fits is installed.
    """
    check("runtime", runtime, runtime in (None, *RUNTIMES), f"one of {', '.join(RUNTIMES)}")
    runtimes = {row.format: key for key, row in RUNTIMES.items()}
    entries = {
        n: entry
        for n, entry in spec.files.items()
        if name in (None, n) and precision in (None, entry.precision) and runtime in (None, runtimes[entry.format])
    }
    if not entries:
        wanted = ", ".join(filter(None, (name, precision, runtime)))
        there = ", ".join(f"{n} ({entry.precision}, {runtimes[entry.format]})" for n, entry in spec.files.items())
        raise InputError(f"{path} lists no file for {wanted}, only for {there}")
    formats = {entry.format for entry in entries.values()}
    fitting = [key for key, row in RUNTIMES.items() if row.format in formats and not row.by_name]
    if not fitting and runtime is None:
        raise InputError(
            f"{', '.join(entries)} is a SavedModel, a program that can read and write any file: if you trust its "
            'source, pass --runtime tensorflow (in Python, runtime="tensorflow")'
        )
    taken = runtime or next((key for key in fitting if key in list_installed()), None)
    if taken is None:
        packages = " or ".join(f"pip install {RUNTIMES[key].package}" for key in fitting)
        raise MissingPackageError(f"no installed runtime can run this model: {packages}")

    def rank(n: str) -> tuple[bool, bool, int]:
        entry = entries[n]
        special = entry.profile != "default"  # made for one kind of device: used only if nothing else fits
        return special, entry.image_size != spec.image_size, model_folder.PRECISIONS.index(entry.precision)

    return taken, min((n for n, entry in entries.items() if entry.format == RUNTIMES[taken].format), key=rank)
