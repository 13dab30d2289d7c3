"""Shift-Net image inpainting (Yan et al., ECCV 2018, arXiv 1801.09392) for TensorFlow and Keras.

Importing the package loads neither TensorFlow nor a runtime: each public name is
imported on first use (PEP 562).
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shiftnet_tf.errors import InputError
    from shiftnet_tf.runtime import FillOptions, Inpainter, inpaint_file, inpaint_folder
    from shiftnet_tf.training.shiftnet import ShiftNet

__version__ = "1.0.0"

# The layers call TensorFlow operations directly, so Keras must run on TensorFlow whatever keras.json says.
# (The environment's own KERAS_BACKEND stands; layers/ refuses another.)
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

# ONNX Runtime 1.29 and newer sends Microsoft what it runs, unless told before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

_ROOMS = {"config", "evaluation", "export", "layers", "masks", "networks", "ops", "photos", "runtime", "training"}
_MODULE_OF = {
    "FillOptions": "shiftnet_tf.runtime",
    "InputError": "shiftnet_tf.errors",
    "Inpainter": "shiftnet_tf.runtime",
    "inpaint_file": "shiftnet_tf.runtime",
    "inpaint_folder": "shiftnet_tf.runtime",
    "ShiftNet": "shiftnet_tf.training.shiftnet",
}

__all__ = ["FillOptions", "Inpainter", "InputError", "ShiftNet", "__version__", "inpaint_file", "inpaint_folder"]


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    if name in _ROOMS:
        return importlib.import_module(f"shiftnet_tf.{name}")
    raise AttributeError(f"module 'shiftnet_tf' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
