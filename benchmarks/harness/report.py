"""Checks before and tables, pictures and JSON after a measurement."""

import argparse
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.measuring import MeasuringError, say
from shiftnet_tf.errors import check
from shiftnet_tf.system.atomic import make_folder, write_atomically
from shiftnet_tf.system.machine import cpu_name, total_memory, usable_cores
from shiftnet_tf.system.packages import import_optional, versions_of

PACKAGES = ("tensorflow", "keras", "torch", "onnxruntime", "ai-edge-litert", "onnx", "tf2onnx", "numpy")


def parse(parser: argparse.ArgumentParser, repeats: int, arguments: list[str] | None) -> dict[str, Any]:
    """Add the options that both benchmarks have, parse, and refuse bad values before any work is done.

    Args:
        parser: with an option --batch.
        repeats: default of --repeats.
        arguments: None for those of the process.

    Returns:
        The values by the names of the options, as keyword arguments.

    Raises:
        InputError: a number out of range, a JSON file that cannot be written, no torch.
    """
    parser.add_argument(
        "--json", metavar="FILE", help="write all measurements, versions and the machine to FILE (default: no file)"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="use N threads per process (default: 2)")
    parser.add_argument(
        "--rounds", type=int, default=3, metavar="N", help="run N processes per subject, interleaved (default: 3)"
    )
    parser.add_argument(
        "--repeats", type=int, default=repeats, metavar="N", help=f"time N calls per round (default: {repeats})"
    )
    parser.add_argument("--without-torch", action="store_true", help="leave out the comparison with PyTorch")
    options = vars(parser.parse_args(arguments))
    for name, most in (("threads", 256), ("rounds", 1000), ("repeats", 1000), ("batch", 64)):
        check(f"--{name}", options[name], 1 <= options[name] <= most, f"from 1 to {most}")
    if options["json"]:
        path = Path(options["json"])
        check("--json", options["json"], not path.is_dir(), "a file, not a folder")
        trial = path.with_name(f".{path.name}.try")
        write_atomically(trial, lambda part: part.write_text(""))
        trial.unlink()
    if not options["without_torch"]:
        from harness import plain_torch  # noqa: F401
    return options


def check_equal(name, ours, plain, tolerance=1e-3):
    """Refuse a plain network whose output differs from ours.

    Rounding decides near ties of the shift's argmax, and another source position changes the picture: so pictures are
    compared where the shift maps are equal, and 99 % of all positions must be.

    Args:
        name: str, of the plain network.
        ours, plain: (predicted image float [B, S, S, 3], list of shift maps [B, ...]).
        tolerance: float, the largest difference of values in [-1, 1].

    Returns:
        dict of `max_difference`, `equal_shifts` (share of positions) and `compared`, the number of pictures.
    """
    (image, maps), (other_image, other_maps) = ours, plain
    count = len(image)
    equal = [np.ones([count, 1], bool)]  # for a network without a shift
    equal += [np.reshape(a, [count, -1]) == np.reshape(b, [count, -1]) for a, b in zip(maps, other_maps, strict=True)]
    equal = np.concatenate(equal, axis=1)  # [B, N]
    alike = equal.all(axis=1)
    largest = float(np.abs(image - other_image)[alike].max()) if alike.any() else np.inf
    if not (largest <= tolerance and equal.mean() >= 0.99):
        raise MeasuringError(
            f"{name} is not the same network: its values differ by up to {largest:.2g}, and "
            f"{100 * equal.mean():.2f} % of its shifts are equal"
        )
    say(f"{name} gives the same picture from the same weights: largest difference {largest:.1g}")
    return {"max_difference": largest, "equal_shifts": float(equal.mean()), "compared": int(alike.sum())}


def machine(threads: int) -> dict:
    """Describe the machine; warn if it has other work, which slows PyTorch most."""
    cores, load = usable_cores(), round(os.getloadavg()[0], 2)
    say(f"{cpu_name()}, {threads} threads of {cores} cores, load before: {load}")
    if load > 0.3 * cores:
        say("warning: the machine has other work: the ratios will not be those at rest")
    found = {"cpu": cpu_name(), "cores": cores, "threads": threads, "load_before": load}
    return found | {"memory_gb": round((total_memory() or 0) / 1e9, 1), "platform": platform.platform()}


def markdown(header: list[str], rows: list[list]) -> str:
    """Return a Markdown table; a float is shown with three digits, None as a dash."""
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "/")


def write_json(path: str, content: dict) -> None:
    """Write all that was measured, with the versions of the packages, and print the path."""
    text = json.dumps({"versions": versions_of(PACKAGES)} | content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))
    say(path)


def draw_bars(path: str, labels: Sequence[str], values: Sequence[float], title: str) -> None:
    """Draw a bar for each value, milliseconds, with its label, in a PNG; print the path."""
    matplotlib = import_optional("matplotlib", "matplotlib", "drawing the picture")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 1.1 + 0.42 * len(labels)), layout="tight")
    axis.bar_label(axis.barh(labels, values), fmt=" %.3g", fontsize=9)
    axis.invert_yaxis()
    axis.set(xlabel="milliseconds per photo", title=title)
    axis.spines[["top", "right"]].set_visible(False)
    make_folder(Path(path).parent)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=120))
    pyplot.close(figure)
    say(path)
