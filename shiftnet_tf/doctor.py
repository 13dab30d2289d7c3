"""A report about this machine for bug reports: what is installed, which providers load, how long a fill takes.

Failures are lines of the report, never errors. TensorFlow is imported only on request.
"""

import functools
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from shiftnet_tf import __version__, model_folder
from shiftnet_tf.errors import first_line
from shiftnet_tf.runtime import Inpainter, backends, providers
from shiftnet_tf.system.machine import available_memory, cpu_name, total_memory, usable_cores
from shiftnet_tf.system.packages import version
from shiftnet_tf.system.quiet import quiet_stderr

OPTIONAL = ("fastapi", "uvicorn", "pillow-heif")  # not reported if they are missing
PACKAGES = ("numpy", "pillow", *providers.PACKAGES, "ai-edge-litert", "tensorflow", "keras", *OPTIONAL)

Say = Callable[[str], object]  # called with a line, such as `print`

# A minimal model, y = max(x, 0) of one number, opset 18, to test whether a provider loads.
TINY_MODEL = bytes.fromhex(
    "080812003a330a0c0a0178120179220452656c751201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a08080112040a0208014204"
    "0a001012"
)


def examine(say: Say, with_tensorflow: bool = False) -> bool:
    """Report on the machine, line by line, so that a crash in a library leaves what was found before it.

    Args:
        say: called with each line.
        with_tensorflow: whether to import TensorFlow too and report the GPUs that it sees.

    Returns:
        Whether a hole was filled with the model that comes with shiftnet_tf.
    """
    say(f"shiftnet_tf {__version__}, Python {platform.python_version()}, {platform.platform()}")
    say(f"CPU: {_cpu()}; memory: {_gigabytes(total_memory())}, free: {_gigabytes(available_memory())}")
    say(f"NVIDIA driver: {_nvidia()}")
    for package in PACKAGES:
        found = version(package)
        if found or package not in OPTIONAL:
            say(f"{package}: {found or 'not installed'}")
    if conflict := providers.conflict():
        say(f"CONFLICT: {conflict}")
    if "onnxruntime" in backends.list_installed():
        _providers(say)
    if with_tensorflow:
        _attempt(say, "GPUs that tensorflow sees", _tensorflow)
    return _model(say)


def _attempt(say: Say, title: str, step: Callable[[], str]) -> bool:
    """Report what a step returns, or why it failed; return whether it succeeded."""
    try:
        with quiet_stderr():
            text = step()
    except Exception as error:  # whatever a broken installation throws belongs in the report
        say(f"{title}: FAILED, {type(error).__name__}: {_without_home(error)}")
        return False
    say(f"{title}: {text}")
    return True


def _without_home(error: Exception) -> str:
    """Return the first line of an error's text, without the name of the home folder."""
    home = os.path.expanduser("~")  # Path.home() raises for a user unknown to the system
    return first_line(error).replace(home, "~") if len(home) > 1 else first_line(error)


def _cpu() -> str:
    return f"{cpu_name()}, {os.cpu_count()} cores, {usable_cores()} of them usable by this process"


def _gigabytes(count: float | None) -> str:
    return "unknown" if count is None else f"{count / 1e9:.1f} GB"


def _nvidia() -> str:
    program = shutil.which("nvidia-smi")
    if not program:
        return "none (no nvidia-smi)"
    query = [program, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.SubprocessError) as error:
        return f"nvidia-smi failed: {first_line(error)}"
    return "; ".join((answer.stdout if answer.returncode == 0 else answer.stdout + answer.stderr).strip().splitlines())


def _providers(say: Say) -> None:
    """Report the providers that the package was built with, and whether each loads."""
    names: list[str] = []

    def ask() -> str:
        import onnxruntime

        names.extend(providers.list_providers(onnxruntime))
        return ", ".join(names)

    _attempt(say, "providers in onnxruntime", ask)
    for name in names:
        _attempt(say, f"    {name}", functools.partial(_loads, name))


def _loads(name: str) -> str:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    _, reason = providers.try_provider(onnxruntime, TINY_MODEL, options, name)
    return f"FAILS to load, {reason}" if reason else "loads"


def _tensorflow() -> str:
    import tensorflow

    return ", ".join(device.name for device in tensorflow.config.list_physical_devices("GPU")) or "none"


def _model(say: Say) -> bool:
    """Check the bundled model's files, and fill a hole with each installed runtime; return whether one succeeded."""
    try:
        folder = model_folder.default_model()
        spec = model_folder.ModelSpec.read(folder)
    except Exception as error:
        say(f"model: FAILED, {_without_home(error)}")
        return False
    say(f"model: {folder.name}, {spec.image_size}x{spec.image_size}")
    for name, entry in spec.files.items():
        _attempt(say, f"    {name}", functools.partial(_file, folder / name, entry))
    formats = {entry.format for entry in spec.files.values()}
    fitting = [name for name in backends.list_installed() if backends.RUNTIMES[name].format in formats]
    if not fitting:
        packages = " or ".join(f"pip install {r.package}" for r in backends.RUNTIMES.values() if r.format in formats)
        say(f"fill: FAILED, no installed runtime can run the model: {packages}")
    filled = [_attempt(say, f"fill with {name}", functools.partial(_fill, name)) for name in fitting]
    return any(filled)


def _file(path: Path, entry: model_folder.FileEntry) -> str:
    model_folder.verify_file(path, entry)
    return f"{entry.format}, {entry.precision}, sha256 {entry.sha256[:12]}... matches"


def _fill(runtime: str) -> str:
    start = time.perf_counter()
    inpainter = Inpainter.load(runtime=runtime)
    loaded = time.perf_counter()
    size = inpainter.model.image_size
    image = np.broadcast_to(np.linspace(0, 255, size).astype(np.uint8)[:, None, None], (size, size, 3))
    mask = np.zeros((size, size), bool)
    mask[size // 3 : size // 2, size // 3 : size // 2] = True
    times = [loaded]
    for _ in range(2):
        inpainter(image, mask)
        times.append(time.perf_counter())
    return (
        f"{inpainter.model.path.name} on {inpainter.provider}, loaded in {loaded - start:.2f} s, first fill "
        f"{times[1] - times[0]:.2f} s, second {times[2] - times[1]:.2f} s"
    )
