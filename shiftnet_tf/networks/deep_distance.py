"""The distance of a filled photo from the true one in the features of an image classifier.

PSNR prefers a blur and a texture distance ignores structure; the distance of deep features is closer to what people see
(Zhang et al., 2018, arXiv 1801.03924). The features are those of EfficientNet-Lite2, without weights on top: the values
are neither LPIPS nor FID and must not be compared with either.
"""

import functools

import numpy as np
import tensorflow as tf

from shiftnet_tf.networks.efficientnet_lite import STAGES, EfficientNetLite, load_efficientnet_lite

_MARGIN = 8  # known pixels around the hole
_SMALLEST = 128  # pixels: a smaller box is enlarged to it, so that the deep features have positions to compare


@functools.cache
def _network() -> EfficientNetLite:
    return load_efficientnet_lite(2)


def _features(photo: np.ndarray, network: EfficientNetLite) -> list[tf.Tensor]:
    """Return the features after each block, [1, h, w, C], of a uint8 photo [H, W, 3]."""
    return network(tf.constant(photo, tf.float32)[tf.newaxis] / 127.5 - 1.0)


def deep_distance(
    image: np.ndarray, inpainted: np.ndarray, mask: np.ndarray, network: EfficientNetLite | None = None
) -> float:
    """Return the distance between the deep features of the hole and a few pixels around it.

    It uses the features after blocks 0, 3, 6, 10 and 14 of EfficientNet-Lite2, with each position scaled to unit
    length: squared differences, summed over channels, averaged over positions and blocks.

    Args:
        image: uint8 [H, W, 3], the truth.
        inpainted: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole; must have a hole. Its `hole_box` is compared.
        network: EfficientNetLite number 2; None: the one with ImageNet weights.

    Returns:
        From 0 (equal) to 4.

    Raises:
        MissingPackageError, InputError: see `load_efficientnet_lite`.
    """
    box = hole_box(mask)
    blocks = [_features(photo[box], network or _network()) for photo in (image, inpainted)]
    distances = []
    for stage in STAGES[2]:
        true, filled = (_unit(features[stage]) for features in blocks)
        distances.append(tf.reduce_mean(tf.reduce_sum(tf.square(true - filled), axis=-1)))
    return float(tf.reduce_mean(distances))


def _unit(features: tf.Tensor) -> tf.Tensor:
    return features / (tf.norm(features, axis=-1, keepdims=True) + 1e-6)


def pooled_features(photo: np.ndarray, mask: np.ndarray, network: EfficientNetLite | None = None) -> np.ndarray:
    """Return the last block's features of `hole_box`, averaged over positions, for `frechet_distance`.

    Args:
        photo: uint8 [H, W, 3].
        mask: [H, W], nonzero = hole; must have a hole.
        network: EfficientNetLite number 2; None: the one with ImageNet weights.

    Returns:
        float64 [C].
    """
    features = _features(photo[hole_box(mask)], network or _network())[-1]
    return np.asarray(tf.reduce_mean(features, axis=[0, 1, 2]), np.float64)


def frechet_distance(features: np.ndarray, others: np.ndarray) -> float:
    """Return the Frechet distance between two sets of features, each assumed to be normally distributed.

    ||m_1 - m_2||^2 + tr(C_1 + C_2 - 2 (C_1 C_2)^(1/2)), with means m and covariances C (Heusel et al., 2017, equation
    6, arXiv 1706.08500). FID is this formula with other features of many more images.

    Args:
        features, others: float [N, C], N at least 2.

    Returns:
        0 or more.
    """
    features, others = np.asarray(features, np.float64), np.asarray(others, np.float64)
    means = [x.mean(axis=0) for x in (features, others)]
    # A covariance is X^T X with the centred X / sqrt(N - 1), and the roots of the eigenvalues of the product of two are
    # the singular values of X_1 X_2^T, so that no root of a singular matrix is needed. X = Q R has the same X^T X as
    # its R, which has the smaller of N and C rows.
    centred = [(x - mean) / np.sqrt(len(x) - 1) for x, mean in zip((features, others), means)]
    factors = [np.asarray(np.linalg.qr(x, mode="r")) for x in centred]
    traces = sum(float((factor**2).sum()) for factor in factors)
    root = float(np.linalg.svd(factors[0] @ factors[1].T, compute_uv=False).sum())
    return max(0.0, float(((means[0] - means[1]) ** 2).sum()) + traces - 2.0 * root)


def hole_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Return the part of a photo to compare: one box around all holes plus 8 pixels, inside the photo.

    A box below 128 pixels is enlarged to 128 around its centre, limited by the photo.

    Args:
        mask: [H, W], nonzero = hole; must have a hole.

    Returns:
        Slice of rows, slice of columns.
    """
    box = []
    for axis, size in ((1, mask.shape[0]), (0, mask.shape[1])):
        touched = np.flatnonzero((np.asarray(mask) != 0).any(axis=axis))
        first, last = max(0, touched[0] - _MARGIN), min(size, touched[-1] + 1 + _MARGIN)
        length = max(_SMALLEST, last - first)
        start = min(max(0, (first + last - length) // 2), max(0, size - length))
        box.append(slice(int(start), int(min(size, start + length))))
    return box[0], box[1]
