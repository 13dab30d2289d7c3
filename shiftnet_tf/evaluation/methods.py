"""What is measured: models, other methods, and what a shift map makes of their answers."""

import functools
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from shiftnet_tf.errors import check
from shiftnet_tf.evaluation.baselines import Method, baseline
from shiftnet_tf.export.graph import GeneratorBackend
from shiftnet_tf.run_folder import Run
from shiftnet_tf.runtime import FillOptions, Inpainter, refine
from shiftnet_tf.runtime.filling import ArrayCanvas
from shiftnet_tf.runtime.model_file import ModelFile
from shiftnet_tf.runtime.strategies import plan
from shiftnet_tf.system.bundled import find_preset

DETAILS = ("model", "shift-map", "unguided")


def open_methods(
    models: Iterable[str | os.PathLike[str]] = (), baselines: Iterable[str] = (), details: Sequence[str] = ("model",)
) -> dict[str, Method]:
    """Open models and other methods, and name them.

    Args:
        models: presets, run folders or exported model folders.
        baselines: names of other methods, see `evaluation.baselines`.
        details: of `"model"`, answers as they are; `"shift-map"`, pixels copied by a shift map that the answer guides;
            `"unguided"`, a shift map without a guide.

    Returns:
        Functions of image uint8 [H, W, 3] and mask [H, W] by their names, models first; each returns uint8 [H, W, 3].

    Raises:
        InputError: a model that cannot be opened, an unknown name.
    """
    for detail in details:
        check("details", detail, detail in DETAILS, f"one of {', '.join(DETAILS)}")
    methods: dict[str, Method] = {}
    for path in map(find_preset, models):
        model = open_model(path)
        folder = next(part for part in reversed(path.resolve().parts) if part != "export")
        name = f"{folder} ({model.runtime})"
        methods[f"{name} {len(methods) + 1}" if name in methods else name] = functools.partial(
            model, options=FillOptions(detail="model")
        )
    for name in baselines:
        methods[name] = baseline(name)
    return {
        name + (f", {detail}" if detail != "model" else ""): take_detail(method, detail)
        for name, method in methods.items()
        for detail in details
    }


def take_detail(method: Method, detail: str) -> Method:
    """Return a method whose answers get their detail from there, see `open_methods`."""
    if detail == "model":
        return method

    def copied(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
        canvas = ArrayCanvas(method(image, mask).copy())
        refine.refine(canvas, mask != 0, plan(mask, max(mask.shape)).holes, guided=detail == "shift-map")
        return canvas.image

    return copied


def open_model(path: Path) -> Inpainter:
    """Open a run folder's network in Keras, or an exported model folder in its runtime."""
    if (path / "config.toml").is_file():
        generator = Run.open(path).load_generator()
        return Inpainter(GeneratorBackend(generator), ModelFile(path, generator.image_size))
    return Inpainter.load(path)
