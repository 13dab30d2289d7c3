"""The shift connection, the heart of Shift-Net (section 3.2, equations 4 to 6).

In: decoder features phi_(L-l) and encoder features phi_l, each [B, H, W, C], and the mask at that size,
[B, H, W, 1], 1 = hole. Out: decoder, encoder and shifted features on the channel axis, [B, H, W, 3C].

For each position y of the hole, the known position with the highest cosine similarity is

    x*(y) = argmax over known x of  <d_y, e_x> / (|d_y| |e_x|)        d = decoder, e = encoder features

and shifted_y = e_(x*(y)); outside the hole shifted is 0. All positions are searched at once, in one matrix product. The
choice has no gradient; the rearrangement is constant, so that its transpose passes the gradient of the shifted features
back to the encoder features (section 3.4).

Beyond the paper: each image of a batch has its own mask; a zero vector has similarity 0 to everything; if no position
is known, shifted is 0 and the shift map -1; optionally, the mirrored image is a second source, as in the authors'
network for faces.
"""

from typing import TYPE_CHECKING, Any, Literal, overload

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.ops.most_similar import NEVER, most_similar


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class ShiftConnection(keras.layers.Layer):
    """Fills each hole position with the most similar known encoder feature.

    Call arguments:
        decoder_features: float [B, H, W, C].
        encoder_features: float [B, H, W, C].
        feature_mask: [B, H, W, 1], 1 = hole, 0 = known. H and W are static.
        mirrored_features: float [B, H, W, C] or None: a second source, the encoder features of the mirrored image,
            mirrored back, so that each position describes the same place of the image as in `encoder_features`.
        return_shift_map: bool, default False. Whether to return the shift map too.

    Returns:
        float [B, H, W, 3C]: decoder, encoder and shifted features. With `return_shift_map` also int32 [B, H, W]: row *
        W + column of the known position that filled a hole position, plus H * W if it is one of `mirrored_features`; -1
        elsewhere.

    Raises:
        ValueError: features of unequal or unknown size, or a mask of another size.

    Examples:

    >>> features = tf.random.normal([2, 32, 32, 64])
    >>> feature_mask = tf.pad(tf.ones([2, 16, 16, 1]), [[0, 0], [8, 8], [8, 8], [0, 0]])
    >>> ShiftConnection()(features, features, feature_mask).shape
    TensorShape([2, 32, 32, 192])

    Reference: [Yan et al., 2018](https://arxiv.org/abs/1801.09392), section 3.
    """

    if TYPE_CHECKING:  # Keras hands a call on to `call`

        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            mirrored_features: Any = ...,
            return_shift_map: Literal[False] = ...,
        ) -> tf.Tensor: ...
        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            mirrored_features: Any = ...,
            *,
            return_shift_map: Literal[True],
        ) -> tuple[tf.Tensor, tf.Tensor]: ...
        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            mirrored_features: Any = ...,
            return_shift_map: bool = ...,
        ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any: ...

    def call(
        self,
        decoder_features: tf.Tensor,
        encoder_features: tf.Tensor,
        feature_mask: tf.Tensor,
        mirrored_features: tf.Tensor | None = None,
        return_shift_map: bool = False,
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = static_shape(decoder_features, encoder_features, feature_mask)
        positions = height * width
        hole = tf.cast(tf.reshape(feature_mask, [-1, positions]) > 0.5, tf.float32)  # [B, N]
        decoder = tf.reshape(decoder_features, [-1, positions, channels])
        sources = tf.reshape(encoder_features, [-1, positions, channels])
        missing = hole
        if mirrored_features is not None:
            static_shape(decoder_features, mirrored_features, feature_mask)
            mirrored = tf.reshape(mirrored_features, [-1, positions, channels])
            sources = tf.concat([sources, mirrored], axis=1)  # from here on M = 2N sources; else M = N
            missing = tf.concat([hole, hole], axis=1)

        shifted, nearest = self._rearrange(decoder, sources, missing)  # [B, N, C], [B, N]
        any_known = tf.reduce_max(1.0 - hole, axis=-1, keepdims=True)  # [B, 1]
        filled = hole * any_known  # [B, N]
        shifted *= tf.cast(filled, shifted.dtype)[:, :, tf.newaxis]
        shifted = tf.reshape(shifted, [-1, height, width, channels])

        joined = tf.concat([decoder_features, encoder_features, shifted], axis=-1)
        if not return_shift_map:
            return joined
        return joined, tf.reshape(shift_map_of(nearest, filled), [-1, height, width])

    def _rearrange(self, decoder: tf.Tensor, sources: tf.Tensor, missing: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return for each position its most similar source [B, N, C] and that source's index [B, N]."""
        # The cosine except for the length of the decoder vector, which does not affect the choice.
        unit_sources = tf.math.l2_normalize(tf.cast(sources, tf.float32), axis=-1)
        nearest = most_similar(tf.cast(decoder, tf.float32), unit_sources, -NEVER * missing)
        return tf.gather(sources, nearest, batch_dims=1), nearest


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class RandomShiftConnection(ShiftConnection):
    """The paper's ablation: each hole position is filled from a known one that does not depend on the features.

    A constant score for each pair of positions replaces the similarity, so that exports and repeated runs choose the
    same positions.

    Args:
        seed: the seed of the scores. Defaults to 0.

    Call arguments and returns: see `ShiftConnection`. The scores take 4 (H * W)^2 bytes of an exported file, 4 MB at
    32x32.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    def _rearrange(self, decoder: tf.Tensor, sources: tf.Tensor, missing: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        shape = (1, decoder.shape[1], sources.shape[1])
        scores = tf.constant(np.random.default_rng(self.seed).random(shape, np.float32))
        nearest = tf.argmax(scores + NEVER * missing[:, tf.newaxis], axis=-1, output_type=tf.int32)
        return tf.gather(sources, nearest, batch_dims=1), nearest

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}


def shift_map_of(nearest: tf.Tensor, filled: tf.Tensor) -> tf.Tensor:
    """Return the source of each filled position, -1 elsewhere.

    Args:
        nearest: int32 [B, N].
        filled: [B, N] of 0 and 1.

    Returns:
        int32 [B, N].
    """
    filled = tf.cast(filled, tf.int32)
    return nearest * filled + filled - 1


def static_shape(
    decoder_features: tf.Tensor, encoder_features: tf.Tensor, feature_mask: tf.Tensor
) -> tuple[int, int, int]:
    """Check the arguments of a shift connection and return their static shape.

    Args:
        decoder_features, encoder_features: [B, H, W, C].
        feature_mask: [B, H, W, 1].

    Returns:
        (H, W, C).

    Raises:
        ValueError: features of unequal or unknown size, or a mask of another size.
    """
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
