"""The generator from Keras's plain layers, with the weights of a `Generator`: one thing that ours is measured against.

Conv2DTranspose and GroupNormalization(groups=-1) in place of SubpixelUpsampling and InstanceNormalization; the shift
connection is the same layer. Inputs and outputs are those of `Generator`.
"""

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import InputError
from shiftnet_tf.layers import ShiftConnection
from shiftnet_tf.ops.masking import downsample_mask


def check_plain(config):
    """Refuses what the plain networks have no part for.

    Args:
        config: ModelConfig.

    Raises:
        InputError: another network than the paper's.
    """
    paper = (config.shift, config.skips, config.normalization, config.third_kernel_size)
    if paper != ("hard", True, "instance", 4) or config.seamless or config.patches:
        raise InputError(
            "the plain networks are the paper's: hard shift, skips, instance normalisation, kernels of 4, neither "
            "`seamless` nor `patches`"
        )


def transposed_kernel(kernel):
    """The inverse of `subpixel_kernel`.

    Args:
        kernel: array [2, 2, C, 4F].

    Returns:
        numpy array [4, 4, F, C], as `keras.layers.Conv2DTranspose` keeps it.
    """
    filters = kernel.shape[-1] // 4
    output = np.zeros((4, 4, filters, kernel.shape[2]), kernel.dtype)
    taps = ((2, 0), (3, 1))  # as in subpixel_upsampling
    for row in range(2):
        for column in range(2):
            group = kernel[..., (2 * row + column) * filters :][..., :filters]
            for i in range(2):
                for j in range(2):
                    output[taps[row][i], taps[column][j]] = group[i, j].T
    return output


class PlainGenerator(keras.Model):
    """The same network from Keras's layers as they come.

    Args:
        generator: Generator, whose weights it takes; of the paper's kind, see `check_plain`.

    Call arguments and returns: those of `Generator`; of the features there is the shift map alone.
    """

    def __init__(self, generator):
        super().__init__()
        self.image_size, self.depth = generator.image_size, generator.depth
        self.shift_layers, self.mask_channel = generator.shift_layers, generator.mask_channel
        self.feature_mask = generator.feature_mask
        self.downs = [self._down(layer) for layer in generator.encoder_convolutions]
        self.ups = [self._up(layer) for layer in generator.decoder_ups]
        self.down_norms = [self._norm(layer) for layer in generator.encoder_norms]
        self.up_norms = [self._norm(layer) for layer in generator.decoder_norms]
        self.shift = ShiftConnection()

    @staticmethod
    def _down(layer):
        plain = keras.layers.Conv2D(layer.filters, 4, strides=2, padding="same")
        plain.build((None, None, None, layer.kernel.shape[2]))
        plain.set_weights(layer.get_weights())
        return plain

    @staticmethod
    def _up(layer):
        plain = keras.layers.Conv2DTranspose(layer.filters, 4, strides=2, padding="same")
        plain.build((None, None, None, layer.kernel.shape[2]))
        kernel, bias = layer.get_weights()
        plain.set_weights([transposed_kernel(kernel), bias])
        return plain

    @staticmethod
    def _norm(layer):
        plain = keras.layers.GroupNormalization(groups=-1, epsilon=layer.epsilon)
        plain.build((None, None, None, layer.gamma.shape[0]))
        plain.set_weights(layer.get_weights())
        return plain

    def build(self, input_shape=None):
        self.built = True  # each layer was built with its weights

    def call(self, inputs, return_features=False):
        image, mask = inputs["image"], inputs["mask"]
        x = tf.where(mask > 0.5, 0.0, image)
        x = tf.concat([x, 1.0 - mask], axis=-1) if self.mask_channel else x
        skips, shift_maps = [], {}
        for i, down in enumerate(self.downs):
            x = down(tf.nn.leaky_relu(x, 0.2) if i else x)
            x = self.down_norms[i - 1](x) if 0 < i < self.depth - 1 else x
            skips.append(x)
        for i in reversed(range(1, self.depth)):
            x = tf.nn.relu(self.up_norms[i - 1](self.ups[i](tf.nn.relu(x))))
            skip = tf.nn.relu(skips[i - 1])
            if i in self.shift_layers:
                feature_mask = downsample_mask(mask, i, self.feature_mask)
                x, shift_maps[i] = self.shift(x, skip, feature_mask, return_shift_map=True)
            else:
                x = tf.concat([x, skip], axis=-1)
        predicted_image = tf.math.tanh(self.ups[0](x))
        if not return_features:
            return predicted_image
        return predicted_image, {"shift_map": [shift_maps[layer] for layer in self.shift_layers]}


def write_float_model(network, path):
    """Writes a network as a SavedModel with float inputs, signature `serving_default`.

    Args:
        network: keras.Model, such as `PlainGenerator`.
        path: str or Path of the folder to make.
    """
    size = network.image_size
    archive = keras.export.ExportArchive()
    archive.add_endpoint(
        name="serving_default",
        fn=lambda image, mask: {"predicted_image": network({"image": image, "mask": mask})},
        input_signature=[
            tf.TensorSpec([None, size, size, 3], tf.float32, name="image"),
            tf.TensorSpec([None, size, size, 1], tf.float32, name="mask"),
        ],
    )
    archive.write_out(str(path), verbose=False)
