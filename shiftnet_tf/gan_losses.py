"""The losses of generator and discriminator against each other: float32 tensors in, one scalar out.

The paper's is `"vanilla"` (section 3.4); the others are those of the authors' PyTorch code.
"""

import tensorflow as tf


def _taken_for_real(logits):
    """The cross-entropy of sigmoid(logits) with 1, in its stable form; of -logits: with 0."""
    return tf.reduce_mean(tf.nn.softplus(-logits))


def _relative_to_average(higher, lower):
    """How far `higher` is from exceeding the mean of `lower`, and `lower` from falling below that of `higher`."""
    return 0.5 * (_taken_for_real(higher - tf.reduce_mean(lower)) + _taken_for_real(tf.reduce_mean(higher) - lower))


def adversarial_loss(real_logits, generated_logits, gan="vanilla"):
    """L_adv of the generator: how far its image is from being taken for real.

    Args:
        real_logits, generated_logits: float32 of one shape, of the discriminator.
        gan: `"vanilla"` (cross-entropy, in the form that does not saturate), `"lsgan"` (least squares, arXiv
            1611.04076), `"hinge"` (1705.02894), `"wgan_gp"` (1704.00028), `"relativistic"` or
            `"relativistic_average"` (1807.00734, with cross-entropy).

    Returns:
        float32 scalar.
    """
    if gan == "vanilla":
        return _taken_for_real(generated_logits)
    if gan == "lsgan":
        return tf.reduce_mean(tf.square(generated_logits - 1.0))
    if gan == "relativistic":
        return _taken_for_real(generated_logits - real_logits)
    if gan == "relativistic_average":
        return _relative_to_average(generated_logits, real_logits)
    return -tf.reduce_mean(generated_logits)  # hinge, wgan_gp


def discriminator_loss(real_logits, generated_logits, gan="vanilla"):
    """The discriminator's loss, without the gradient penalty of wgan_gp.

    Args:
        real_logits, generated_logits: float32 of one shape.
        gan: see `adversarial_loss`.

    Returns:
        float32 scalar; where real and generated images each have a loss, their mean.
    """
    if gan == "vanilla":
        return 0.5 * (_taken_for_real(real_logits) + _taken_for_real(-generated_logits))
    if gan == "lsgan":
        return 0.5 * tf.reduce_mean(tf.square(real_logits - 1.0) + tf.square(generated_logits))
    if gan == "hinge":
        return 0.5 * tf.reduce_mean(tf.nn.relu(1.0 - real_logits) + tf.nn.relu(1.0 + generated_logits))
    if gan == "relativistic":
        return _taken_for_real(real_logits - generated_logits)
    if gan == "relativistic_average":
        return _relative_to_average(real_logits, generated_logits)
    return tf.reduce_mean(generated_logits) - tf.reduce_mean(real_logits)  # wgan_gp


def gradient_penalty(discriminator, real, generated, seed):
    """How far the discriminator's slope is from 1 between real and generated images (WGAN-GP, equation 3).

    Args:
        discriminator: function of images to logits.
        real, generated: float32 [B, H, W, 3].
        seed: int tensor [2], of the place between the two, one for each pair.

    Returns:
        float32 scalar.
    """
    place = tf.random.stateless_uniform([tf.shape(real)[0], 1, 1, 1], seed)
    between = tf.stop_gradient(place * real + (1.0 - place) * generated)
    with tf.GradientTape() as tape:
        tape.watch(between)
        logits = discriminator(between)
    slope = tf.sqrt(tf.reduce_sum(tf.square(tape.gradient(logits, between)), axis=[1, 2, 3]) + 1e-12)  # [B]
    return tf.reduce_mean(tf.square(slope - 1.0))
