"""The adversarial losses of generator and discriminator: float32 tensors in, one scalar out.

The paper's is `"vanilla"` (section 3.4); the others are those of the authors' PyTorch code.
"""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from shiftnet_tf.ops import replicas

_Loss = Callable[[tf.Tensor, tf.Tensor, tf.Tensor | None], tf.Tensor]


def _mean(values: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Return the mean, or the weighted mean with weights of the same shape; 0 if all weights are 0."""
    if weights is None:
        return tf.reduce_mean(values)
    return tf.math.divide_no_nan(tf.reduce_sum(values * weights), replicas.mean(tf.reduce_sum(weights)))


def _taken_for_real(logits: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Return the cross-entropy of sigmoid(logits) with 1, in its stable form; for -logits, with 0."""
    return _mean(tf.nn.softplus(-logits), weights)


def _relative_to_average(higher: tf.Tensor, lower: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    """Return the loss of `higher` exceeding the mean of `lower`, and of `lower` staying below that of `higher`."""
    above = _taken_for_real(higher - _mean(lower, weights), weights)
    return 0.5 * (above + _taken_for_real(_mean(higher, weights) - lower, weights))


@dataclasses.dataclass(frozen=True)
class GanLoss:
    """A pair of losses, each a function of real_logits, generated_logits and weights to a float32 scalar.

    Attributes:
        generator: the generator's loss: how far its image is from being judged real.
        discriminator: the discriminator's loss, without the gradient penalties: the mean of the losses for real and
            generated images.
    """

    generator: _Loss
    discriminator: _Loss


def _vanilla(real: tf.Tensor, generated: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return 0.5 * (_taken_for_real(real, weights) + _taken_for_real(-generated, weights))


def _least_squares(real: tf.Tensor, generated: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return 0.5 * _mean(tf.square(real - 1.0) + tf.square(generated), weights)


def _hinge(real: tf.Tensor, generated: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return 0.5 * _mean(tf.nn.relu(1.0 - real) + tf.nn.relu(1.0 + generated), weights)


def _critic(real: tf.Tensor, generated: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return _mean(generated, weights) - _mean(real, weights)


def _raise(real: tf.Tensor, generated: tf.Tensor, weights: tf.Tensor | None) -> tf.Tensor:
    return -_mean(generated, weights)


GAN_LOSSES = {
    "vanilla": GanLoss(lambda real, generated, weights: _taken_for_real(generated, weights), _vanilla),
    "lsgan": GanLoss(lambda real, generated, weights: _mean(tf.square(generated - 1.0), weights), _least_squares),
    "hinge": GanLoss(_raise, _hinge),
    "wgan_gp": GanLoss(_raise, _critic),
    "relativistic": GanLoss(
        lambda real, generated, weights: _taken_for_real(generated - real, weights),
        lambda real, generated, weights: _taken_for_real(real - generated, weights),
    ),
    "relativistic_average": GanLoss(
        lambda real, generated, weights: _relative_to_average(generated, real, weights), _relative_to_average
    ),
}


def adversarial_loss(
    real_logits: tf.Tensor, generated_logits: tf.Tensor, gan: str = "vanilla", weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Return L_adv, the generator's loss: how far its image is from being judged real.

    Args:
        real_logits, generated_logits: float32 of one shape, from the discriminator.
        gan: a key of GAN_LOSSES: `"vanilla"` (cross-entropy, in the non-saturating form), `"lsgan"` (least squares,
            arXiv 1611.04076), `"hinge"` (1705.02894), `"wgan_gp"` (1704.00028), `"relativistic"` or
            `"relativistic_average"` (1807.00734, with cross-entropy).
        weights: float32 of the same shape, the weight of each patch, such as `hole_patches`; None: all equal.

    Returns:
        float32 scalar.

    Raises:
        KeyError: `gan` is unknown.
    """
    return GAN_LOSSES[gan].generator(real_logits, generated_logits, weights)


def discriminator_loss(
    real_logits: tf.Tensor, generated_logits: tf.Tensor, gan: str = "vanilla", weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Return the discriminator's loss, without the gradient penalties.

    Args:
        real_logits, generated_logits: float32 of one shape.
        gan, weights: see `adversarial_loss`.

    Returns:
        float32 scalar.

    Raises:
        KeyError: `gan` is unknown.
    """
    return GAN_LOSSES[gan].discriminator(real_logits, generated_logits, weights)


def hole_patches(mask: tf.Tensor, depth: int) -> tf.Tensor:
    """Return which of a discriminator's patches see part of the hole.

    Args:
        mask: float32 [B, H, W, 1], 1 = hole, for the image that the discriminator sees.
        depth: number of its convolutions of stride 2.

    Returns:
        float32 [B, h, w, 1] of 0 and 1, the shape of its logits.
    """
    # `depth` 4x4 convolutions of stride 2 and two of stride 1, each padded by 1: a patch is 70 pixels wide for a depth
    # of 3, patches begin 8 pixels apart, and the first begins 23 pixels outside the image.
    stride = 2**depth
    border, width = 3 * stride - 1, 3 * (3 * stride - 1) + 1
    padded = tf.pad(mask, [[0, 0], [border, border], [border, border], [0, 0]])
    rows = tf.nn.max_pool2d(padded, (width, 1), (stride, 1), "VALID")
    return tf.nn.max_pool2d(rows, (1, width), (1, stride), "VALID")


def gradient_penalty(
    discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor, generated: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    """Return how far the discriminator's slope between real and generated images is from 1 (WGAN-GP, equation 3).

    Args:
        discriminator: returns the logits of images.
        real, generated: float32 [B, H, W, 3].
        seed: int tensor [2], for the random point between the two images of each pair.

    Returns:
        float32 scalar.
    """
    place = replicas.rows(lambda images: tf.random.stateless_uniform([images, 1, 1, 1], seed), tf.shape(real)[0])
    between = tf.stop_gradient(place * real + (1.0 - place) * generated)
    with tf.GradientTape() as tape:
        tape.watch(between)
        logits = discriminator(between)
    slope = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(logits, between)), axis=[1, 2, 3]) + 1e-12)  # [B]
    return tf.reduce_mean(tf.square(slope - 1.0))


def r1_penalty(discriminator: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor) -> tf.Tensor:
    """Return the R1 penalty: half the squared gradient at real images, averaged over the batch.

    Args:
        discriminator: returns the logits of images; the gradient is that of the sum of an image's logits.
        real: float32 [B, H, W, 3].

    Returns:
        float32 scalar.

    Reference: [Mescheder et al., 2018](https://arxiv.org/abs/1801.04406), equation 9.
    """
    with tf.GradientTape() as tape:
        tape.watch(real)
        logits = discriminator(real)
    return 0.5 * tf.reduce_mean(tf.reduce_sum(tf.square(tape.gradient(logits, real)), axis=[1, 2, 3]))
