"""The residual shift: the shifted features correct the decoder features in place of standing beside them.

In: as for `ShiftConnection`. Out: corrected decoder features and encoder features, [B, H, W, 2C]. With d, e and s the
decoder, encoder and shifted features,

    d + norm(conv3x3(relu(norm(conv3x3([d, d * s])))))   and   e.

An idea of the authors' PyTorch release, whose code for it does not run; there are no recorded values.
"""

import keras
import tensorflow as tf

from shiftnet_tf.layers.instance_normalization import InstanceNormalization
from shiftnet_tf.layers.shift_connection import ShiftConnection


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class ResidualShiftConnection(ShiftConnection):
    """Corrects the decoder features by the shifted encoder features.

    Call arguments and shift map: see `ShiftConnection`.

    Returns:
        float [B, H, W, 2C]. With `return_shift_map` also int32 [B, H, W].
    """

    output_parts = 2

    def build(self, decoder_shape, *_):
        channels = decoder_shape[-1]
        initializer = keras.initializers.RandomNormal(stddev=0.02)
        self.convolutions, self.norms = [], []
        for i, inputs in enumerate((2 * channels, channels), start=1):
            convolution = keras.layers.Conv2D(
                channels, 3, padding="same", kernel_initializer=initializer, name=f"convolution_{i}"
            )
            norm = InstanceNormalization(name=f"norm_{i}")
            convolution.build((None, None, None, inputs))
            norm.build((None, None, None, channels))
            self.convolutions.append(convolution)
            self.norms.append(norm)

    def _join(self, decoder_features, encoder_features, shifted_features):
        x = tf.concat([decoder_features, decoder_features * shifted_features], axis=-1)
        x = tf.nn.relu(self.norms[0](self.convolutions[0](x)))
        correction = self.norms[1](self.convolutions[1](x))
        return tf.concat([decoder_features + correction, encoder_features], axis=-1)
