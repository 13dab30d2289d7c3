"""The interface of a loaded model, the runtimes that implement it, and the choice of one for a model folder."""

import importlib.util
import os
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, MissingPackageError
from shiftnet_tf.runtime.engines import LiteRTBackend, OnnxRuntimeBackend, SavedModelBackend


class Backend(Protocol):
    """A loaded model that fills batches.

    Attributes:
        name: that of the runtime, such as `"onnxruntime"`.
        provider: what it really runs on, such as `"CPUExecutionProvider"`.
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
            The arrays of the outputs by their names.

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
    """

    format: str
    module: str
    package: str
    backend: type[OnnxRuntimeBackend | LiteRTBackend | SavedModelBackend]


RUNTIMES = {  # in the order of preference
    "onnxruntime": Runtime("onnx", "onnxruntime", "onnxruntime", OnnxRuntimeBackend),
    "litert": Runtime("tflite", "ai_edge_litert", "ai-edge-litert", LiteRTBackend),
    "tensorflow": Runtime("saved_model", "tensorflow", "tensorflow", SavedModelBackend),
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


def installed() -> list[str]:
    """Return the names of the runtimes that are installed, in the order of preference."""
    return [name for name, runtime in RUNTIMES.items() if importlib.util.find_spec(runtime.module)]


def choose(formats: Collection[str], runtime: str | None = None) -> str:
    """Choose a runtime for a model folder; return its key of RUNTIMES.

    Args:
        formats: those of the files of the folder.
        runtime: the caller's choice, or None.

    Raises:
        InputError: the runtime is unknown, or the folder has no file of its format.
        MissingPackageError: no runtime that fits is installed.
    """
    if runtime is not None:
        if runtime not in RUNTIMES:
            raise InputError(f"`runtime` must be one of {', '.join(RUNTIMES)}. Received: {runtime!r}")
        if RUNTIMES[runtime].format not in formats:
            raise InputError(f"the model has no {RUNTIMES[runtime].format} file for {runtime}, only {_words(formats)}")
        return runtime
    fitting = [name for name in RUNTIMES if RUNTIMES[name].format in formats]
    for name in fitting:
        if name in installed():
            return name
    packages = " or ".join(f"pip install {RUNTIMES[name].package}" for name in fitting)
    raise MissingPackageError(f"no installed runtime can run this model ({_words(formats)}): {packages}")


def choose_file(
    path: Path,
    spec: model_folder.ModelSpec,
    name: str | None = None,
    runtime: str | None = None,
    precision: str | None = None,
) -> tuple[str, str]:
    """Choose the file of a model folder to run, and the runtime.

    Args:
        path: that of the spec, for the messages.
        spec: what the folder holds.
        name: that of the one file to take, or None.
        runtime, precision: the caller's choices; None: the first runtime that is installed and fits, the most precise.

    Returns:
        The key of the runtime in RUNTIMES, and the name of the file.

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
    if precision and runtime in RUNTIMES and RUNTIMES[runtime].format not in formats:
        runs = [e.precision for e in spec.files.values() if e.format == RUNTIMES[runtime].format]
        raise InputError(
            f"{runtime} cannot run precision {precision} of this model, only {', '.join(runs) or 'nothing'}: {path} "
            f"lists {precision} as {', '.join(sorted(formats))}"
        )
    runtime = choose(formats, runtime)

    def rank(n: str) -> tuple[bool, bool, int]:
        entry = entries[n]
        special = entry.profile != "default"  # made for one kind of device: taken where nothing else fits
        return special, entry.image_size != spec.image_size, model_folder.PRECISIONS.index(entry.precision)

    return runtime, min((n for n, e in entries.items() if e.format == RUNTIMES[runtime].format), key=rank)


def _words(formats: Collection[str]) -> str:
    return ", ".join(sorted(formats)) or "nothing"
