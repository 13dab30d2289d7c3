"""The patch-wise soft shift of the authors' PyTorch release: weighted 3x3 patches instead of one nearest position.

In: decoder and encoder features [B, H, W, C] and their mask [B, H, W, 1], 1 = hole. Out: decoder, encoder and shifted
features, [B, H, W, 3C]. With N = H * W positions, p_x the 3x3 patch of the encoder features around x and q_y that of
the decoder features around y (zeros beyond the border), a patch is known if at most 4 of its 9 positions are holes, and

    s_xy = <q_y, p_x> / |p_x|  where p_x is known, 0 elsewhere
    w_xy = softmax over x of 10 s_xy, then 0 where p_x is not known
    shifted = (sum over y of the patch  sum over x of w_xy p_x,  laid around y) / 9

for all positions, not only those in the hole. With score fusion (as in Yu et al., 2018, arXiv 1801.07892) each score
s_xy is first summed with those of the pairs one position before and after x and y along the rows, then along the
columns, so that neighbours come from neighbours.

The release cuts the encoder features into patches by reading [C, H, W, 3, 3] numbers as [H * W, C, 3, 3], which mixes
channels and positions; here they are true patches (the tests compare the layer with the release after adding that
slip).

Differs from the paper's shift: everything has a gradient, and the decoder vectors are not normalised, as in the
release.
"""

from typing import TYPE_CHECKING, Any, Literal, overload

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.layers.shift_connection import shift_map_of, static_shape
from shiftnet_tf.ops.most_similar import NEVER

_OFFSETS = [(row, column) for row in range(3) for column in range(3)]
_MOST_MISSING = 4  # positions of a patch that counts as known
_SCALE = 10.0
_SHORTEST = 1e-4  # a shorter patch is similar to nothing


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class SoftShiftConnection(keras.layers.Layer):
    """Fills each position with a weighted sum of known 3x3 patches.

    Args:
        score_fusion: whether neighbours should come from neighbours. Defaults to False.

    Call arguments:
        decoder_features, encoder_features: float [B, H, W, C]; H and W are static.
        feature_mask: [B, H, W, 1], 1 = hole, 0 = known.
        return_shift_map: bool, default False.

    Returns:
        float [B, H, W, 3C]. With `return_shift_map` also int32 [B, H, W]: for each hole position row * W + column of
        the centre of the known patch with the highest weight, among those whose centre is known; -1 elsewhere.

    Raises:
        ValueError: features of unequal or unknown size, or a mask of another size.

    Reference: the authors' PyTorch release, patch-wise soft shift.
    """

    def __init__(self, score_fusion: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.score_fusion = score_fusion

    if TYPE_CHECKING:  # Keras hands a call on to `call`

        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            return_shift_map: Literal[False] = ...,
        ) -> tf.Tensor: ...
        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            *,
            return_shift_map: Literal[True],
        ) -> tuple[tf.Tensor, tf.Tensor]: ...
        @overload
        def __call__(
            self,
            decoder_features: Any,
            encoder_features: Any,
            feature_mask: Any,
            return_shift_map: bool = ...,
        ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]: ...
        def __call__(self, *arguments: Any, **options: Any) -> Any: ...

    def call(
        self,
        decoder_features: tf.Tensor,
        encoder_features: tf.Tensor,
        feature_mask: tf.Tensor,
        return_shift_map: bool = False,
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        height, width, channels = static_shape(decoder_features, encoder_features, feature_mask)
        positions = height * width
        mask = tf.cast(feature_mask > 0.5, tf.float32)
        missing = tf.reduce_sum(_patches(mask), axis=-1)  # [B, N]
        known = tf.cast(missing < _MOST_MISSING + 0.5, tf.float32)[:, tf.newaxis, :]  # [B, 1, N]
        sources = tf.cast(self._sources(encoder_features), tf.float32)  # [B, N, 9C]

        squares = tf.reduce_sum(tf.square(sources), axis=-1, keepdims=True)
        unit_sources = sources * tf.math.rsqrt(tf.maximum(squares, _SHORTEST**2))
        scores = tf.linalg.matmul(_patches(tf.cast(decoder_features, tf.float32)), unit_sources, transpose_b=True)
        if self.score_fusion:
            scores = _fuse(scores, height, width)
        weights = tf.nn.softmax(_SCALE * scores * known, axis=-1) * known  # [B, N positions, N sources]
        shifted = _laid_out(tf.linalg.matmul(weights, sources), height, width, channels) / 9.0
        shifted = tf.cast(shifted, decoder_features.dtype)

        joined = tf.concat([decoder_features, encoder_features, shifted], axis=-1)
        if not return_shift_map:
            return joined
        hole = tf.reshape(mask, [-1, positions])
        candidates = known * (1.0 - hole)[:, tf.newaxis, :]  # [B, 1, N]
        strongest = tf.argmax(scores * candidates + NEVER * (1.0 - candidates), axis=-1, output_type=tf.int32)
        shift_map = shift_map_of(strongest, hole * tf.reduce_max(candidates, axis=-1))
        return joined, tf.reshape(shift_map, [-1, height, width])

    def _sources(self, features: tf.Tensor) -> tf.Tensor:
        """Return the patches that are moved: [B, H, W, C] -> [B, N, 9C]."""
        return _patches(features)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "score_fusion": self.score_fusion}


def _patches(features: tf.Tensor) -> tf.Tensor:
    """Return the 3x3 patch around each position, row by row: [B, H, W, C] -> [B, N, 9C]."""
    height, width, channels = features.shape[1:]
    padded = tf.pad(features, [[0, 0], [1, 1], [1, 1], [0, 0]])
    parts = [padded[:, row : row + height, column : column + width] for row, column in _OFFSETS]
    return tf.reshape(tf.concat(parts, axis=-1), [-1, height * width, 9 * channels])


def _laid_out(patches: tf.Tensor, height: int, width: int, channels: int) -> tf.Tensor:
    """Lay each patch around its position and sum the overlaps: [B, N, 9C] -> [B, H, W, C]."""
    patches = tf.reshape(patches, [-1, height, width, 9 * channels])
    parts = []
    for i, (row, column) in enumerate(_OFFSETS):
        part = patches[..., i * channels : (i + 1) * channels]
        padding = [[0, 0], [row, 2 - row], [column, 2 - column], [0, 0]]
        parts.append(tf.pad(part, padding)[:, 1 : height + 1, 1 : width + 1])
    return tf.add_n(parts)


def _fuse(scores: tf.Tensor, height: int, width: int) -> tf.Tensor:
    """Sum the scores [B, N, N] of neighbouring pairs along the rows, then along the columns."""
    by_columns = np.arange(height * width).reshape(height, width).T.ravel()  # the positions, column by column
    by_rows = np.argsort(by_columns)
    for order in (by_columns, by_rows):
        padded = tf.pad(scores, [[0, 0], [1, 1], [1, 1]])
        scores = padded[:, :-2, :-2] + scores + padded[:, 2:, 2:]
        scores = tf.gather(tf.gather(scores, order, axis=1), order, axis=2)
    return scores
