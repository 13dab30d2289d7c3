"""Keras layers of Shift-Net; each is registered under the package name `shiftnet_tf`."""

import keras

from shiftnet_tf.errors import InputError
from shiftnet_tf.layers.conv2d import Conv2D
from shiftnet_tf.layers.detail_gate import DetailGate
from shiftnet_tf.layers.instance_normalization import InstanceNormalization
from shiftnet_tf.layers.normalization import SwitchableNormalization, normalization
from shiftnet_tf.layers.shift_connection import RandomShiftConnection, ShiftConnection
from shiftnet_tf.layers.soft_shift_connection import SoftShiftConnection
from shiftnet_tf.layers.subpixel_upsampling import SubpixelUpsampling

if keras.backend.backend() != "tensorflow":
    raise InputError(f"shiftnet_tf needs KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()!r}")

__all__ = [
    "Conv2D",
    "DetailGate",
    "InstanceNormalization",
    "RandomShiftConnection",
    "ShiftConnection",
    "SoftShiftConnection",
    "SubpixelUpsampling",
    "SwitchableNormalization",
    "normalization",
]
