"""The generator from Keras's plain layers, with the weights of a `Generator`: what ours is measured against."""

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.layers import ShiftConnection, downsample_mask


def transposed_kernel(kernel):
    """The inverse of `subpixel_kernel`: [2, 2, C, 4F] -> [4, 4, F, C]."""
    filters = kernel.shape[-1] // 4
    output = np.zeros((4, 4, filters, kernel.shape[2]), kernel.dtype)
    taps = ((3, 1), (2, 0))
    for row in range(2):
        for column in range(2):
            group = kernel[..., (2 * row + column) * filters :][..., :filters]
            for i in range(2):
                for j in range(2):
                    output[taps[row][i], taps[column][j]] = group[i, j].T
    return output


class PlainGenerator(keras.Model):
    """Conv2DTranspose and GroupNormalization(groups=-1) in place of SubpixelUpsampling and InstanceNormalization."""

    def __init__(self, generator):
        super().__init__()
        self.image_size, self.depth = generator.image_size, generator.depth
        self.shift_layers = generator.shift_layers
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
        x = tf.concat([tf.where(mask > 0.5, 0.0, image), 1.0 - mask], axis=-1)
        skips, shift_map = [], None
        for i, down in enumerate(self.downs):
            x = down(tf.nn.leaky_relu(x, 0.2) if i else x)
            x = self.down_norms[i - 1](x) if 0 < i < self.depth - 1 else x
            skips.append(x)
        for i in reversed(range(1, self.depth)):
            x = tf.nn.relu(self.up_norms[i - 1](self.ups[i](tf.nn.relu(x))))
            skip = tf.nn.relu(skips[i - 1])
            if i in self.shift_layers:
                x, shift_map = self.shift(x, skip, downsample_mask(mask, i), return_shift_map=True)
            else:
                x = tf.concat([x, skip], axis=-1)
        predicted_image = tf.math.tanh(self.ups[0](x))
        return (predicted_image, {"shift_map": [shift_map]}) if return_features else predicted_image
