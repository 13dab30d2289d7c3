"""Keras layers of Shift-Net; each is registered under the package name `shiftnet_tf`."""

import keras

from shiftnet_tf.errors import InputError
from shiftnet_tf.layers.conv2d import Conv2D
from shiftnet_tf.layers.detail_gate import DetailGate
from shiftnet_tf.layers.instance_normalization import InstanceNormalization
from shiftnet_tf.layers.masking import composite, downsample_mask, hole_window, mask_image
from shiftnet_tf.layers.membrane import membrane
from shiftnet_tf.layers.normalization import SwitchableNormalization, normalization
from shiftnet_tf.layers.patch_filling import fill_from_patches
from shiftnet_tf.layers.residual_shift_connection import ResidualShiftConnection
from shiftnet_tf.layers.shift_connection import RandomShiftConnection, ShiftConnection
from shiftnet_tf.layers.soft_shift_connection import SoftShiftConnection
from shiftnet_tf.layers.subpixel_upsampling import SubpixelUpsampling
from shiftnet_tf.layers.targets import graph_for

if keras.backend.backend() != "tensorflow":
    raise InputError(f"shiftnet_tf needs KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()!r}")

__all__ = [
    "Conv2D",
    "DetailGate",
    "InstanceNormalization",
    "RandomShiftConnection",
    "ResidualShiftConnection",
    "ShiftConnection",
    "SoftShiftConnection",
    "SubpixelUpsampling",
    "SwitchableNormalization",
    "composite",
    "downsample_mask",
    "fill_from_patches",
    "graph_for",
    "hole_window",
    "mask_image",
    "membrane",
    "normalization",
]
