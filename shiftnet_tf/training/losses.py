"""The losses: pure functions, float32 tensors in, one scalar out. Their weights are applied in `shiftnet.py` alone.

Sections 3.1 and 3.4 of the paper, with means where the paper has sums (as in both releases of the authors, with the
weights scaled to match).
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from shiftnet_tf.ops import replicas
from shiftnet_tf.ops.masking import random_hole_pixels

_PATCH = 7  # pixels, of the texture loss
_PATCHES = 1024
_DIRECTIONS = 128


def reconstruction_loss(predicted_image: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Return L_l1: the mean absolute difference over the whole image.

    Args:
        predicted_image, image: float32 [B, H, W, 3].

    Returns:
        float32 scalar.
    """
    return tf.reduce_mean(tf.abs(predicted_image - image))


def hole_loss(predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, discount: float = 1.0) -> tf.Tensor:
    """Return the mean absolute difference over the hole's pixels; 0 if no image has a hole.

    Args:
        predicted_image, image: float32 [B, H, W, 3].
        mask: float32 [B, H, W, 1], 1 = hole.
        discount: in (0, 1], see `discount_weights`; 1 weights all pixels equally. Defaults to 1.

    Returns:
        float32 scalar.
    """
    weights = mask if discount == 1 else mask * discount_weights(mask, discount)
    difference = tf.abs(predicted_image - image) * weights
    hole = replicas.mean(tf.reduce_sum(mask))
    return tf.math.divide_no_nan(tf.reduce_sum(difference), hole * image.shape[-1])


def hole_squared_loss(predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Return the mean squared difference over the hole's pixels; 0 if no image has a hole.

    Args:
        predicted_image, image: float32 [B, H, W, 3].
        mask: float32 [B, H, W, 1], 1 = hole.

    Returns:
        float32 scalar.
    """
    difference = tf.square(predicted_image - image) * mask
    hole = replicas.mean(tf.reduce_sum(mask))
    return tf.math.divide_no_nan(tf.reduce_sum(difference), hole * image.shape[-1])


def discount_weights(mask: tf.Tensor, discount: float) -> tf.Tensor:
    """Return the spatial discount: pixels deep in the hole, where many fillings are plausible, count less.

    The weight is `discount` to the power of a pixel's distance from the nearest known one in its row or column. As in
    the authors' code, which handles only squares, the first pixel has distance 0 from the left and the top and 1 from
    the right and the bottom; here this applies to holes of any shape. Nothing outside the image is known.

    Args:
        mask: float32 [B, H, W, 1], 1 = hole.
        discount: in (0, 1]; 0.9 in the authors' code.

    Returns:
        float32 [B, H, W, 1]; 1 at known pixels.

    Reference: [Yu et al., 2018](https://arxiv.org/abs/1801.07892), section 3.2.
    """
    distances = []
    for axis in (1, 2):
        backward = tf.reverse(_run_length(tf.reverse(mask, axis=[axis]), axis), axis=[axis])
        distances += [_run_length(mask, axis) - 1.0, backward]
    return tf.pow(discount, tf.maximum(functools.reduce(tf.minimum, distances), 0.0))


def _run_length(mask: tf.Tensor, axis: int) -> tf.Tensor:
    """Return for each pixel the run of hole pixels along the axis up to it; everything before the first is hole."""
    length, reach = mask, 1
    size = mask.shape[axis]
    while reach < size:  # `length` counts up to `reach`; at that limit, the count continues in the pixel that far back
        padding = [[reach, 0] if i == axis else [0, 0] for i in range(4)]
        before = tf.pad(length, padding, constant_values=float(reach))
        before = tf.gather(before, tf.range(size), axis=axis)
        length += tf.where(length >= reach, before, 0.0)
        reach *= 2
    return length


def total_variation_loss(images: tf.Tensor) -> tf.Tensor:
    """Return the roughness of images: twice the mean squared difference of neighbours, along rows and columns.

    Args:
        images: float32 [B, H, W, C].

    Returns:
        float32 scalar.
    """
    rows = tf.reduce_mean(tf.square(images[:, 1:] - images[:, :-1]))
    columns = tf.reduce_mean(tf.square(images[:, :, 1:] - images[:, :, :-1]))
    return 2.0 * (rows + columns)


def texture_loss(inpainted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return the sliced Wasserstein distance of small patches of the hole: their appearance, not their positions.

    1,024 patches of 7x7 pixels around random pixels of the hole, at the same positions in both images and each minus
    its own mean in each channel, are projected on 128 random unit vectors; the distance is the mean absolute difference
    of the sorted projections. Unlike an l1 loss, it does not reward blur.

    Args:
        inpainted_image, image: float32 [B, H, W, 3], equal outside the hole, because patches extend beyond it; H and W
            at least 7.
        mask: float32 [B, H, W, 1], 1 = hole.
        seed: int tensor [2], for the positions and the projections.

    Returns:
        float32 scalar.

    Reference: [Heitz et al., 2021](https://arxiv.org/abs/2006.07229), who compare features; `quality.texture_distance`
    measures the same in the hole's bounding box.
    """
    directions = tf.random.stateless_normal([_PATCH * _PATCH * image.shape[-1], _DIRECTIONS], seed)
    directions /= tf.norm(directions, axis=0)
    places = _patch_corners(mask, tf.reverse(seed, axis=[0]))
    projections = []
    for picture in (inpainted_image, image):
        patches = _patches(picture, places)  # [B, N, 7 * 7, 3]
        patches -= tf.reduce_mean(patches, axis=2, keepdims=True)
        flat = tf.reshape(patches, [-1, _PATCHES, directions.shape[0]])
        projections.append(tf.sort(tf.linalg.matrix_transpose(flat @ directions), axis=-1))  # [B, D, N]
    return tf.reduce_mean(tf.abs(projections[0] - projections[1]))


def _patch_corners(mask: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Return corners of patches around random hole pixels, moved inside, as row * W + column: int32 [B, N]."""
    height, width = mask.shape[1:3]
    rows, columns = tf.unstack(random_hole_pixels(mask, _PATCHES, seed) - _PATCH // 2, axis=-1)
    return tf.clip_by_value(rows, 0, height - _PATCH) * width + tf.clip_by_value(columns, 0, width - _PATCH)


def _patches(images: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Return patches [B, N, 7 * 7, C] of images [B, H, W, C] at these corners [B, N]."""
    height, width, channels = images.shape[1:]
    offsets = tf.reshape(width * tf.range(_PATCH)[:, tf.newaxis] + tf.range(_PATCH), [-1])
    pixels = tf.reshape(images, [-1, height * width, channels])
    return tf.gather(pixels, places[..., tf.newaxis] + offsets, axis=1, batch_dims=1)


def gram_matrix(features: tf.Tensor) -> tf.Tensor:
    """Return which features occur together, regardless of their positions.

    Args:
        features: float32 [B, H, W, C].

    Returns:
        float32 [B, C, C], the mean over positions of the products of channels, divided by C.
    """
    height, width, channels = features.shape[1:]
    flat = tf.reshape(features, [-1, height * width, channels])
    return tf.linalg.matmul(flat, flat, transpose_a=True) / float(height * width * channels)


def style_loss(features: Sequence[tf.Tensor], target_features: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the mean squared difference of the Gram matrices, summed over the feature stages (Gatys et al., 2016).

    Args:
        features, target_features: float32 [B, H, W, C] each, from a pretrained network.

    Returns:
        float32 scalar.
    """
    pairs = zip(features, target_features)
    return tf.add_n([tf.reduce_mean(tf.square(gram_matrix(a) - gram_matrix(b))) for a, b in pairs])


def content_loss(features: Sequence[tf.Tensor], target_features: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the mean squared difference of the features, summed over their stages (Johnson et al., 2016).

    Args:
        features, target_features: float32 [B, H, W, C] each, from a pretrained network.

    Returns:
        float32 scalar.
    """
    return tf.add_n([tf.reduce_mean(tf.square(a - b)) for a, b in zip(features, target_features)])


def perceptual_loss(features: Sequence[tf.Tensor], target_features: Sequence[tf.Tensor], mask: tf.Tensor) -> tf.Tensor:
    """Return the distance of the inpainted image's features from those of the true one: the mean over stages of

        sum |f - t| / (s sum |t|)        with s the share of the batch that is hole

    so that all stages count equally, and a small hole as much as a large one. No gradient reaches the target.

    Args:
        features, target_features: float32 [B, H, W, C] each, from a pretrained network.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 scalar; 0 if no image has a hole and the features are equal.

    Reference: [Johnson et al., 2016](https://arxiv.org/abs/1603.08155), with l1 and this scaling instead of theirs.
    """
    share = replicas.mean(tf.reduce_mean(mask))
    ratios = []
    for feature, target in zip(features, target_features):
        target = tf.stop_gradient(target)
        scale = share * replicas.mean(tf.reduce_sum(tf.abs(target)))
        ratios.append(tf.math.divide_no_nan(tf.reduce_sum(tf.abs(feature - target)), scale))
    return tf.add_n(ratios) / float(len(ratios))


def feature_matching_loss(
    generated_features: Sequence[tf.Tensor], real_features: Sequence[tf.Tensor], mask: tf.Tensor
) -> tf.Tensor:
    """Return the same distance as `perceptual_loss`, for the discriminator's own features.

    Args:
        generated_features, real_features: float [B, H, W, C], one per layer of the discriminator.
        mask: float32 [B, S, S, 1], 1 = hole.

    Returns:
        float32 scalar.

    Reference: [Wang et al., 2018](https://arxiv.org/abs/1711.11585), section 3.2.
    """
    both = (generated_features, real_features)
    generated, real = ([tf.cast(x, tf.float32) for x in features] for features in both)
    return perceptual_loss(generated, real, mask)


def guidance_loss(decoder_features: tf.Tensor, target_features: tf.Tensor, feature_mask: tf.Tensor) -> tf.Tensor:
    """Return L_g (equation 2): the squared distance in the hole of decoder features from the complete image's features.

    The target is constant: no gradient reaches it. The mean is over all of [B, H, W, C], with 0 at positions outside
    the hole.

    Args:
        decoder_features: float [B, H, W, C], of the image with its hole masked.
        target_features: float [B, H, W, C], `generator.encode` of the complete image.
        feature_mask: float [B, H, W, 1], 1 = hole.

    Returns:
        float32 scalar.
    """
    difference = (decoder_features - tf.stop_gradient(target_features)) * feature_mask
    return tf.reduce_mean(tf.square(tf.cast(difference, tf.float32)))


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The inputs of the losses in LOSSES.

    Attributes:
        predicted_image, inpainted_image, image: float32 [B, H, W, 3] in [-1, 1].
        mask: float32 [B, H, W, 1], 1 = hole.
        seed: int tensor [2], the seed of the step.
        discount: see `hole_loss`.
        features, target_features: float32 [B, h, w, C] each, from a pretrained network; empty if no loss uses them.
    """

    predicted_image: tf.Tensor
    inpainted_image: tf.Tensor
    image: tf.Tensor
    mask: tf.Tensor
    seed: tf.Tensor
    discount: float
    features: Sequence[tf.Tensor]
    target_features: Sequence[tf.Tensor]


LOSSES: dict[str, Callable[[Comparison], tf.Tensor]] = {  # those of the image only, by their names in the config
    "reconstruction": lambda x: reconstruction_loss(x.predicted_image, x.image),
    "hole": lambda x: hole_loss(x.predicted_image, x.image, x.mask, x.discount),
    "hole_squared": lambda x: hole_squared_loss(x.predicted_image, x.image, x.mask),
    "total_variation": lambda x: total_variation_loss(x.predicted_image),
    "texture": lambda x: texture_loss(x.inpainted_image, x.image, x.mask, x.seed),
    "style": lambda x: style_loss(x.features, x.target_features),
    "content": lambda x: content_loss(x.features, x.target_features),
    "perceptual": lambda x: perceptual_loss(x.features, x.target_features, x.mask),
}
