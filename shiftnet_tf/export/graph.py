"""The uint8 graph of all exports, which includes scaling, filling, compositing and rounding.

`image` uint8 [B, S, S, 3] RGB and `mask` uint8 [B, S, S, 1], nonzero = hole, to `inpainted_image` uint8 [B, S, S, 3]
and, on request, `shift_map` int32 [B, h, w]. Known pixels come back bit for bit: they are selected, not computed.
"""

import os

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import InputError
from shiftnet_tf.networks.generator import Generator
from shiftnet_tf.ops.masking import composite
from shiftnet_tf.photos import pixels


def inpaint(
    generator: Generator, image: tf.Tensor, mask: tf.Tensor, with_shift_map: bool = False
) -> dict[str, tf.Tensor]:
    """uint8 in, uint8 out: scale, predict, composite, round.

    Args:
        generator: the network.
        image: uint8 [B, S, S, 3], RGB.
        mask: uint8 [B, S, S, 1], nonzero = hole.
        with_shift_map: whether to output the shift map too. Defaults to False.

    Returns:
        `inpainted_image` uint8 [B, S, S, 3] and, if requested, `shift_map` int32 [B, h, w] of the shift
        connection nearest the output.

    Raises:
        InputError: a shift map is requested of a network without a shift connection.
    """
    # Comparing uint8 is not a TFLite builtin; casting and clipping are.
    hole = tf.minimum(tf.cast(mask, tf.float32), 1.0)
    levels = tf.cast(image, tf.float32)
    inputs = {"image": pixels.to_unit(levels), "mask": hole}
    predicted_image, features = generator(inputs, return_features=True)
    predicted_levels = tf.clip_by_value(tf.round(pixels.to_levels(predicted_image)), 0.0, 255.0)
    outputs = {"inpainted_image": tf.cast(composite(predicted_levels, levels, hole), tf.uint8)}
    if with_shift_map:
        if not generator.shift_layers:
            raise InputError("a network without a shift connection has no shift map")
        outputs["shift_map"] = generator.finest_shift_map(features)
    return outputs


def input_signature(image_size: int, batch: int | None = None) -> list[tf.TensorSpec]:
    """Return the input signature of the graph.

    Args:
        image_size: S in pixels.
        batch: number of images; None: any.

    Returns:
        Image and mask.
    """
    shape = [batch, image_size, image_size]
    return [tf.TensorSpec([*shape, 3], tf.uint8, name="image"), tf.TensorSpec([*shape, 1], tf.uint8, name="mask")]


def write_saved_model(
    generator: Generator, path: str | os.PathLike[str], batch: int | None = None, with_shift_map: bool = False
) -> None:
    """Write the graph as a SavedModel with the signature `serving_default`.

    Args:
        generator: the network.
        path: the folder to create.
        batch: number of images; None: any.
        with_shift_map: see `inpaint`.
    """
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        name="serving_default",
        fn=lambda image, mask: inpaint(generator, image, mask, with_shift_map),
        input_signature=input_signature(generator.image_size, batch),
    )
    archive.write_out(str(path), verbose=False)


class GeneratorBackend:
    """A Keras generator in place of an exported file: a backend as in `runtime.backends`.

    Args:
        generator: fills the holes.
    """

    name = "keras"
    provider = "TensorFlow's choice"
    batch_sizes: tuple[int, ...] = ()

    def __init__(self, generator: Generator) -> None:
        with_shift_map = bool(generator.shift_layers)
        self.outputs = ["inpainted_image", "shift_map"] if with_shift_map else ["inpainted_image"]
        self._inpaint = tf.function(
            lambda image, mask: inpaint(generator, image, mask, with_shift_map),
            input_signature=input_signature(generator.image_size),
        )

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        return {name: value.numpy() for name, value in self._inpaint(image, mask).items()}

    def close(self) -> None:
        """Do nothing: the generator belongs to the caller."""
