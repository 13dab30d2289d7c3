"""The generator from Keras's own layers, with the weights of a `Generator`: a reference for speed and for values.

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
    """Refuse a network that the plain ones cannot copy.

    Args:
        config: ModelConfig.

    Raises:
        InputError: it is not the paper's.
    """
    paper = (config.shift, config.skips, config.normalization, config.third_kernel_size)
    if paper != ("hard", True, "instance", 4) or config.seamless or config.patches:
        raise InputError(
            "the plain networks support only the paper's network: hard shift, skips, instance normalisation, "
            "kernels of 4, neither `seamless` nor `patches`"
        )


def transposed_kernel(kernel):
    """Return the kernel of a transposed convolution of stride 2: the inverse of `subpixel_kernel`.

    Args:
        kernel: numpy array [2, 2, C, 4F] of a `SubpixelUpsampling`.

    Returns:
        numpy array [4, 4, F, C], as `keras.layers.Conv2DTranspose` keeps it.
    """
    channels, filters = kernel.shape[2], kernel.shape[3] // 4
    taps = kernel.reshape(2, 2, channels, 2, 2, filters).transpose(0, 3, 1, 4, 5, 2)  # [i, row, j, column, F, C]
    return np.roll(taps.reshape(4, 4, filters, channels), 2, axis=(0, 1))


class PlainGenerator(keras.Model):
    """The same network from Keras's own layers.

    Args:
        generator: Generator of the paper's kind, see `check_plain`; its weights are copied.

    Call arguments and returns: those of `Generator`, but of the features only `shift_map`.
    """

    def __init__(self, generator):
        super().__init__()
        self.image_size, self.depth = generator.image_size, generator.depth
        self.shift_layers, self.mask_channel = generator.shift_layers, generator.mask_channel
        self.feature_mask = generator.feature_mask
        self.downs = [
            _copy(keras.layers.Conv2D(layer.filters, 4, strides=2, padding="same"), layer.get_weights())
            for layer in generator.encoder_convolutions
        ]
        self.ups = []
        for layer in generator.decoder_ups:
            kernel, bias = layer.get_weights()
            plain = keras.layers.Conv2DTranspose(layer.filters, 4, strides=2, padding="same")
            self.ups.append(_copy(plain, [transposed_kernel(kernel), bias], kernel.shape[2]))
        self.down_norms = [_plain_norm(layer) for layer in generator.encoder_norms]
        self.up_norms = [_plain_norm(layer) for layer in generator.decoder_norms]
        self.shift = ShiftConnection()

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


def _copy(plain, weights, channels=None):
    plain.build((None, None, None, channels or weights[0].shape[2]))
    plain.set_weights(weights)
    return plain


def _plain_norm(layer):
    plain = keras.layers.GroupNormalization(groups=-1, epsilon=layer.epsilon)
    return _copy(plain, layer.get_weights(), layer.gamma.shape[0])


def answer(network, inputs):
    """Return what a network gives in eager mode.

    Args:
        network: Generator or PlainGenerator.
        inputs: dict of `image` float32 [B, S, S, 3] and `mask` float32 [B, S, S, 1].

    Returns:
        (predicted image, numpy float32 [B, S, S, 3]; list of shift maps, numpy int32 [B, h, w]).
    """
    predicted_image, features = network(inputs, return_features=True)
    return np.asarray(predicted_image), [np.asarray(value) for value in features["shift_map"]]
