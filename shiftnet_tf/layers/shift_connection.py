"""The shift connection, the heart of Shift-Net (section 3.2, equations 4 to 6).

In: decoder features phi_(L-l) and encoder features phi_l, each [B, H, W, C], and the mask at that size,
[B, H, W, 1], 1 = hole. Out: decoder, encoder and shifted features on the channel axis, [B, H, W, 3C].

For each position y of the hole the known position with the highest cosine similarity is

    x*(y) = argmax over known x of  <d_y, e_x> / (|d_y| |e_x|)        d = decoder, e = encoder features

and shifted_y = e_(x*(y)); outside the hole shifted is 0. All positions are searched at once, as one matrix
product. The choice has no gradient; the rearrangement is a constant, so that its transpose brings the gradient
of the shifted features back to the encoder features (section 3.4).

Beyond the paper: each image of a batch has its own mask; a zero vector is similar to nothing (0); where no
position is known, shifted is 0 and the shift map -1.
"""

import keras
import tensorflow as tf

# Below every possible similarity, yet finite: infinities turn into NaN in half precision.
_NEVER = -1e30


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class ShiftConnection(keras.layers.Layer):
    """Fills each hole position with the most similar known encoder feature.

    Call arguments:
        decoder_features: float [B, H, W, C].
        encoder_features: float [B, H, W, C].
        feature_mask: [B, H, W, 1], 1 = hole, 0 = known. H and W are static.
        return_shift_map: bool, default False. Whether to return the shift map too.

    Returns:
        float [B, H, W, 3C]: decoder, encoder and shifted features. With `return_shift_map` also
        int32 [B, H, W]: row * W + column of the known position that filled a hole position, -1 elsewhere.

    Raises:
        ValueError: features of unequal or unknown size, or a mask of another size.

    Example:

    >>> features = tf.random.normal([2, 32, 32, 64])
    >>> feature_mask = tf.pad(tf.ones([2, 16, 16, 1]), [[0, 0], [8, 8], [8, 8], [0, 0]])
    >>> ShiftConnection()(features, features, feature_mask).shape
    TensorShape([2, 32, 32, 192])

    Reference: [Yan et al., 2018](https://arxiv.org/abs/1801.09392), section 3.
    """

    def call(self, decoder_features, encoder_features, feature_mask, return_shift_map=False):
        height, width, channels = _static_shape(decoder_features, encoder_features, feature_mask)
        positions = height * width
        hole = tf.cast(tf.reshape(feature_mask, [-1, positions]) > 0.5, tf.float32)  # [B, N]
        decoder = tf.reshape(tf.cast(decoder_features, tf.float32), [-1, positions, channels])
        encoder = tf.reshape(encoder_features, [-1, positions, channels])

        # A positive factor for each row changes no argmax, so the decoder vectors keep their length.
        unit_encoder = tf.math.l2_normalize(tf.cast(encoder, tf.float32), axis=-1)
        similarity = tf.linalg.matmul(decoder, unit_encoder, transpose_b=True)  # [B, N hole rows, N known columns]
        similarity += _NEVER * hole[:, tf.newaxis, :]
        nearest = tf.argmax(similarity, axis=-1, output_type=tf.int32)  # [B, N]

        any_known = tf.reduce_max(1.0 - hole, axis=-1, keepdims=True)  # [B, 1]
        filled = hole * any_known  # [B, N]
        shifted = tf.gather(encoder, nearest, batch_dims=1)  # [B, N, C]
        shifted *= tf.cast(filled, shifted.dtype)[:, :, tf.newaxis]
        shifted = tf.reshape(shifted, [-1, height, width, channels])

        joined = tf.concat([decoder_features, encoder_features, shifted], axis=-1)
        if not return_shift_map:
            return joined
        filled = tf.cast(filled, tf.int32)
        shift_map = nearest * filled + filled - 1  # the nearest known position where filled, -1 elsewhere
        return joined, tf.reshape(shift_map, [-1, height, width])


def _static_shape(decoder_features, encoder_features, feature_mask):
    shape = tuple(decoder_features.shape[1:])
    if len(shape) != 3 or None in shape or tuple(encoder_features.shape[1:]) != shape:
        raise ValueError(
            "`decoder_features` and `encoder_features` must have the same static shape [B, H, W, C]. "
            f"Received: {tuple(decoder_features.shape)} and {tuple(encoder_features.shape)}"
        )
    if tuple(feature_mask.shape[1:]) != (*shape[:2], 1):
        raise ValueError(
            f"`feature_mask` must have the shape [B, {shape[0]}, {shape[1]}, 1]. Received: {tuple(feature_mask.shape)}"
        )
    return shape
