"""The most similar source of each position.

In: queries float32 [B, N, C], sources float32 [B, M, C], penalty float32 [B, M]. For each query the source with the
highest score

    score(n, m) = <queries_n, sources_m> - penalty_m

and of equal ones the first. All N x M scores at once take 1 GB for 1024x1024 pixels with a shift at 128x128, so they
are computed in blocks of queries, one block after the other: the same result in memory in proportion to M.
"""

import numpy as np
import tensorflow as tf

# Below every possible similarity, yet finite: infinities turn into NaN in half precision.
NEVER = -1e30

LARGEST_BLOCK = 2**22  # scores: 16 MB


def most_similar(queries, sources, penalty):
    """Index of the source with the highest score.

    Args:
        queries: float32 [B, N, C]; N is static.
        sources: float32 [B, M, C]; M is static.
        penalty: float32 [B, M], what is taken off a source's scores.

    Returns:
        int32 [B, N].
    """
    positions = queries.shape[1]
    rows = max(1, min(positions, LARGEST_BLOCK // sources.shape[1]))
    found = []
    for begin in range(0, positions, rows):
        with tf.control_dependencies(found[-1:]):
            block = queries[:, begin : begin + rows] if rows < positions else queries
            scores = tf.linalg.matmul(block, sources, transpose_b=True) - penalty[:, tf.newaxis]
            found.append(tf.argmax(scores, axis=-1, output_type=tf.int32))
    return tf.concat(found, axis=1) if len(found) > 1 else found[0]


def one_hot_of_most_similar(queries, sources, missing):
    """The same choice as rows of 0 and 1, from operations that delegates for the GPUs of phones take.

    There is no argmax and no gather among those, and 16-bit floats end at 65504: so both sides get length 1, and of
    equal scores the first is found as the highest of descending ranks.

    Args:
        queries: float32 [B, N, C].
        sources: float32 [B, M, C]; at most 2,048 of them, so that 16-bit floats can number them.
        missing: float32 [B, M], 1 = a source that may not be chosen; if all are missing, any is.

    Returns:
        float32 [B, 1, N, M].
    """
    queries, sources = (_unit(x)[:, tf.newaxis] for x in (queries, sources))
    scores = tf.linalg.matmul(queries, tf.transpose(sources, [0, 1, 3, 2]))  # [B, 1, N, M]
    scores -= 4.0 * missing[:, tf.newaxis, tf.newaxis]
    highest = _at_maximum(scores)
    return _at_maximum(highest * tf.constant(np.arange(sources.shape[2], 0, -1), tf.float32))


def _at_maximum(x):
    """1 where the last axis has its maximum, else 0."""
    return tf.cast(x >= tf.reduce_max(x, axis=-1, keepdims=True), tf.float32)


def _unit(x):
    # A mean, where a sum of squares would be folded into L2_NORMALIZATION, which those delegates refuse.
    length = tf.reduce_mean(tf.square(x), axis=-1, keepdims=True)
    return x * (tf.math.rsqrt(length + 1e-6) * x.shape[-1] ** -0.5)
