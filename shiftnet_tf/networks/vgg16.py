"""VGG16 features for style and content losses (Simonyan and Zisserman, 2014, arXiv 1409.1556), frozen.

In: images float32 [B, S, S, 3] in [-1, 1]. Out: its features after the first three poolings, [B, S / 2, S / 2, 64],
[B, S / 4, S / 4, 128] and [B, S / 8, S / 8, 256]. The user supplies the file of weights: nothing is downloaded.
"""

import pathlib
import zipfile
from collections.abc import Callable

import keras
import tensorflow as tf

from shiftnet_tf.errors import InputError, first_line

_LAYERS = ("block1_pool", "block2_pool", "block3_pool")

# Keras's weights expect BGR grey levels minus these means. The features are divided by the spread of grey levels in
# ImageNet, which gives them the scale of weights for normalised images, for which the loss weights are meant.
_MEANS = (103.939, 116.779, 123.68)
_SPREAD = 57.0


def load_vgg16(path: str | pathlib.Path) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Load VGG16 with the weights of keras.applications.

    Args:
        path: of the file `vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5`, or one that
            `keras.applications.VGG16(include_top=False).save_weights` wrote.

    Returns:
        Function from images float32 [B, S, S, 3] in [-1, 1] to the three features.

    Raises:
        InputError: the file does not exist or contains other weights.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"`losses.vgg16_weights` does not exist: {path}")
    try:
        vgg16 = keras.applications.VGG16(include_top=False, weights=str(path))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} does not hold the weights of VGG16 without its top layers: {first_line(error)}"
        ) from error
    model = keras.Model(vgg16.input, [vgg16.get_layer(name).output for name in _LAYERS], trainable=False)

    def features(images: tf.Tensor) -> list[tf.Tensor]:
        levels = tf.reverse((images + 1.0) * 127.5, axis=[-1]) - tf.constant(_MEANS)
        return [feature / _SPREAD for feature in model(levels)]

    return features
