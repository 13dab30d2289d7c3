"""Find the most similar source for each position.

In: queries float32 [B, N, C], sources float32 [B, M, C], penalty float32 [B, M]. For each query the source with the
highest score

    score(n, m) = <queries_n, sources_m> - penalty_m

and the first of equal ones. All N x M scores at once take 1 GB for 1024x1024 pixels with a shift at 128x128, so they
are computed in blocks of queries, one block after the other: the result is the same, and the memory is proportional to
M.
"""

import tensorflow as tf

# Below every possible similarity, yet finite: infinities turn into NaN in half precision.
NEVER = -1e30

LARGEST_BLOCK = 2**22  # scores: 16 MB


def most_similar(queries: tf.Tensor, sources: tf.Tensor, penalty: tf.Tensor) -> tf.Tensor:
    """Return the index of the source with the highest score.

    Args:
        queries: float32 [B, N, C]; N is static.
        sources: float32 [B, M, C]; M is static.
        penalty: float32 [B, M], subtracted from a source's scores.

    Returns:
        int32 [B, N].
    """
    positions = queries.shape[1]
    rows = max(1, min(positions, LARGEST_BLOCK // sources.shape[1]))
    found: list[tf.Tensor] = []
    for begin in range(0, positions, rows):
        with tf.control_dependencies(found[-1:]):
            block = queries[:, begin : begin + rows] if rows < positions else queries
            scores = tf.linalg.matmul(block, sources, transpose_b=True) - penalty[:, tf.newaxis]
            found.append(tf.argmax(scores, axis=-1, output_type=tf.int32))
    return tf.concat(found, axis=1) if len(found) > 1 else found[0]
