"""Execution providers of ONNX Runtime: the choice of one, its options, and why one does not load.

`onnxruntime.get_available_providers()` lists what the package was built with, even on a machine without a GPU; only a
session tells what actually runs. Providers have their ONNX Runtime names without "ExecutionProvider", in lower case:
`cpu`, `cuda`, `tensorrt`. Their options are documented at https://onnxruntime.ai/docs/execution-providers/
"""

import contextlib
import ctypes
import importlib.util
import logging
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, MissingGpuError, first_line
from shiftnet_tf.system.packages import version

logger = logging.getLogger(__name__)

Model = str | os.PathLike[str] | bytes  # the path of an .onnx file, or its content
SUFFIX = "ExecutionProvider"
GPU = ("cuda", "tensorrt", "gpu")  # `auto` tries them in turn; "gpu" is TensorFlow's name
BATCH_SIZES = (1, 2, 4, 8)  # on a GPU each new size costs a search or an engine, so only these are run
PACKAGES = ("onnxruntime", "onnxruntime-gpu")


def conflict() -> str:
    """Return a sentence if both packages, which share the folder `onnxruntime`, are installed; else ""."""
    if not all(map(version, PACKAGES)):
        return ""
    return (
        f"{' and '.join(PACKAGES)} are both installed and hide each other's providers: "
        f"pip uninstall {' '.join(PACKAGES)}, then install one of them"
    )


def list_providers(onnxruntime: ModuleType) -> list[str]:
    """Return the providers that the installed package was built with; they may still fail to load.

    Returns:
        Their names in the order of ONNX Runtime, `cpu` last.
    """
    names = [name.removesuffix(SUFFIX).lower() for name in onnxruntime.get_available_providers()]
    return [name for name in names if name not in ("azure", "cpu")] + ["cpu"]  # azure calls a service elsewhere


def check(provider: str, names: Sequence[str], require_gpu: bool, runtime: str) -> None:
    """Refuse a provider that a runtime does not have, and a required GPU that it cannot use.

    Args:
        provider: `"auto"` or a name.
        names: the providers of the runtime.
        require_gpu: whether the provider must run on a GPU.
        runtime: its name, for the message.

    Raises:
        InputError: the name is unknown, or does not run on a GPU although `require_gpu` is True.
        MissingGpuError: the runtime lacks this GPU provider, or has none at all.
    """
    can = ", ".join(["auto", *names])
    install = "" if version("onnxruntime-gpu") else "; for CUDA, pip install onnxruntime-gpu in place of onnxruntime"
    if provider != "auto" and provider not in names:
        if provider in GPU and runtime == "onnxruntime":
            raise MissingGpuError(f"onnxruntime has no provider {provider} here, only {can}{install}")
        raise InputError(f"`provider` must be one of {can} for {runtime} here. Received: {provider!r}")
    if require_gpu and provider != "auto" and provider not in GPU:
        raise InputError(f"a GPU is required, but the provider is {provider}: leave out one of the two")
    if require_gpu and not set(GPU) & set(names):
        raise MissingGpuError(f"a GPU is required, but {runtime} has only {can} here{install}")


def open_session(
    onnxruntime: ModuleType,
    model: Model,
    options: Any,
    provider: str = "auto",
    require_gpu: bool = False,
    image_size: int | None = None,
) -> Any:
    """Open a session on a provider; with `"auto"`, on the CPU if the GPU's provider fails, with a warning.

    Args:
        onnxruntime: the module.
        model: path of an .onnx file, or its content.
        options: onnxruntime.SessionOptions.
        provider: a name, or `"auto"`: CUDA if the package has it, else the CPU.
        require_gpu: whether to fail instead of running on the CPU.
        image_size: S in pixels, for TensorRT's shape profile; None: TensorRT sets its own.

    Returns:
        onnxruntime.InferenceSession.

    Raises:
        InputError: the package does not know the name, or the model does not load.
        MissingGpuError: the provider or a GPU was requested and does not load.
    """
    if message := conflict():
        logger.warning(message)
    names = list_providers(onnxruntime)
    check(provider, names, require_gpu, "onnxruntime")
    name = next((name for name in GPU if name in names), "cpu") if provider == "auto" else provider
    session, reason = try_provider(onnxruntime, model, options, name, image_size)
    if reason and (require_gpu or provider != "auto"):
        raise MissingGpuError(f"the provider {name} does not load: {reason}; `shiftnet doctor` tries all of them")
    if reason:
        logger.warning("the provider %s does not load: %s; running on the CPU instead", name, reason)
        session = session or try_provider(onnxruntime, model, options, "cpu")[0]
    return session


def try_provider(
    onnxruntime: ModuleType, model: Model, options: Any, name: str, image_size: int | None = None
) -> tuple[Any, str]:
    """Open a session on a provider, with the CPU for the operations that it lacks, and say why it does not load.

    Args:
        onnxruntime, model, options, image_size: those of `open_session`.
        name: one of `list_providers`.

    Returns:
        The session, or None, and why it does not run on the provider; "" if it does.

    Raises:
        InputError: the model does not load on the CPU.
    """
    full = {name.removesuffix(SUFFIX).lower(): name for name in onnxruntime.get_available_providers()}
    chain = [name, *(["cuda"] if name == "tensorrt" and "cuda" in full else []), *(["cpu"] if name != "cpu" else [])]
    if name in GPU and importlib.util.find_spec("nvidia"):
        with contextlib.redirect_stdout(sys.stderr):  # its messages must not mix with results
            getattr(onnxruntime, "preload_dlls", lambda: None)()  # CUDA from pip packages, unknown to the linker
    session, reason = None, "ONNX Runtime does not say why"
    source = model if isinstance(model, bytes) else str(model)
    wanted = [(full[each], _options(onnxruntime, model, each, image_size)) for each in chain]
    try:
        session = onnxruntime.InferenceSession(source, options, providers=wanted, enable_fallback=0)
    except Exception as error:  # its exceptions have no common base of their own
        reason = first_line(error)
        if name == "cpu":
            file = "a model" if isinstance(model, bytes) else model
            raise InputError(f"ONNX Runtime cannot load {file}: {reason}") from error
    if session and session.get_providers()[0] == full[name]:
        return session, ""
    library = _missing_library(onnxruntime, name)
    return session, f"the library {library} is missing" if library else reason


def _options(onnxruntime: ModuleType, model: Model, name: str, image_size: int | None) -> dict[str, Any]:
    """Return a provider's options: those that matter if the batch varies."""
    if name == "cuda":
        return {"cudnn_conv_algo_search": "HEURISTIC"}  # EXHAUSTIVE, the default, tries all at each new shape
    if name != "tensorrt" or image_size is None or isinstance(model, bytes):
        return {}
    # An engine fits one model and one version of ONNX Runtime (and one GPU, which TensorRT checks itself).
    cache: dict[str, Any] = {}
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shiftnet_tf" / "tensorrt"
        folder /= f"{onnxruntime.__version__}-{model_folder.sha256(model)[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        cache = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
    except (OSError, RuntimeError) as error:  # read-only, or a user without a home folder
        logger.warning("TensorRT rebuilds its engine at each start: no folder to cache it in (%s)", first_line(error))
    shapes = {
        f"trt_profile_{which}_shapes": ",".join(
            f"{tensor}:{batch}x{image_size}x{image_size}x{channels}" for tensor, channels in (("image", 3), ("mask", 1))
        )
        for which, batch in (("min", BATCH_SIZES[0]), ("opt", 1), ("max", BATCH_SIZES[-1]))
    }
    return {**cache, **shapes}


def _missing_library(onnxruntime: ModuleType, name: str) -> str:
    """Ask the dynamic linker which library a provider needs and the system lacks; return "" if it names none.

    Only for a provider that ONNX Runtime itself has failed to load: its library must not be loaded before.
    """
    folder = Path(str(onnxruntime.__file__)).parent / "capi"
    library = folder / f"libonnxruntime_providers_{name}.so"
    if not library.is_file():
        return ""
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        found = re.match(r"(\S+): cannot open shared object file", str(error))
        return Path(found[1]).name if found else ""
    return ""
