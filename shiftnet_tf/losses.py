"""The losses: pure functions, float32 tensors in, one scalar out. Their weights are applied in `shiftnet.py` alone.

Section 3.1 and 3.4 of the paper, as means where the paper writes sums (as both releases of the authors do, with the
weights scaled to match).
"""

import tensorflow as tf


def reconstruction_loss(predicted_image, image):
    """L_l1: the mean absolute difference over the whole image.

    Args:
        predicted_image, image: float32 [B, H, W, 3].

    Returns:
        float32 scalar.
    """
    return tf.reduce_mean(tf.abs(predicted_image - image))


def hole_loss(predicted_image, image, mask):
    """The mean absolute difference over the hole's pixels; 0 where no image has a hole.

    Args:
        predicted_image, image: float32 [B, H, W, 3].
        mask: float32 [B, H, W, 1], 1 = hole.

    Returns:
        float32 scalar.
    """
    difference = tf.abs(predicted_image - image) * mask
    return tf.math.divide_no_nan(tf.reduce_sum(difference), tf.reduce_sum(mask) * image.shape[-1])


def guidance_loss(decoder_features, target_features, feature_mask):
    """L_g (equation 2): the decoder features in the hole against the encoder features of the complete image.

    The target is a constant: no gradient reaches it. The mean is over all of [B, H, W, C], in which positions
    outside the hole count as 0.

    Args:
        decoder_features: float [B, H, W, C], with the hole masked out of the image.
        target_features: float [B, H, W, C], `generator.encode` of the complete image.
        feature_mask: float [B, H, W, 1], 1 = hole.

    Returns:
        float32 scalar.
    """
    difference = (decoder_features - tf.stop_gradient(target_features)) * feature_mask
    return tf.reduce_mean(tf.square(tf.cast(difference, tf.float32)))


def _vanilla(logits, real):
    # The cross-entropy of sigmoid(logits) with 1 for real and 0 for generated, in its stable form.
    return tf.reduce_mean(tf.nn.softplus(-logits if real else logits))


def _lsgan(logits, real):
    return tf.reduce_mean(tf.square(logits - (1.0 if real else 0.0)))


_GAN_LOSSES = {"vanilla": _vanilla, "lsgan": _lsgan}


def adversarial_loss(generated_logits, gan="vanilla"):
    """L_adv of the generator: how far its image is from being taken for real.

    Args:
        generated_logits: float32, any shape; of the discriminator, on generated images.
        gan: `"vanilla"` (cross-entropy, in the form that does not saturate) or `"lsgan"` (least squares).

    Returns:
        float32 scalar.
    """
    return _GAN_LOSSES[gan](generated_logits, real=True)


def discriminator_loss(real_logits, generated_logits, gan="vanilla"):
    """The discriminator's loss: the mean of its losses on real and on generated images.

    Args:
        real_logits, generated_logits: float32, any shape.
        gan: see `adversarial_loss`.

    Returns:
        float32 scalar.
    """
    loss = _GAN_LOSSES[gan]
    return 0.5 * (loss(real_logits, real=True) + loss(generated_logits, real=False))
