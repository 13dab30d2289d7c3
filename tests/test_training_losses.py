"""The losses against recorded values of the authors' code and against numpy."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS
from PIL import Image, ImageFilter

from shiftnet_tf.evaluation import quality
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import Discriminator
from shiftnet_tf.photos import image_files
from shiftnet_tf.training import gan_losses, losses
from shiftnet_tf.training.gan_losses import GAN_LOSSES


@pytest.mark.parametrize("gan", ["vanilla", "lsgan"])
def test_adversarial_losses_equal_the_authors(reference, gan):
    values = reference("losses")
    logits = tf.constant(values["logits"])
    real = float(values[f"{gan}_real"])
    assert float(gan_losses.adversarial_loss(logits, logits, gan)) == pytest.approx(real, abs=1e-5)
    expected = 0.5 * (float(values[f"{gan}_real"]) + float(values[f"{gan}_fake"]))
    assert float(gan_losses.discriminator_loss(logits, logits, gan)) == pytest.approx(expected, abs=1e-5)


def test_vanilla_stays_finite():
    logits = tf.constant([-1e4, 1e4])
    assert float(gan_losses.adversarial_loss(logits, logits)) == pytest.approx(5e3)


def test_relative_losses_equal_the_authors(reference):
    values = reference("losses")
    logits, other = tf.constant(values["logits"]), tf.constant(values["logits_other"])
    zero = tf.zeros_like(logits)  # the record of re_s_gan is of one difference of logits
    assert float(gan_losses.adversarial_loss(zero, logits, "relativistic")) == pytest.approx(
        float(values["re_s_gan_real"]), abs=1e-5
    )
    assert float(gan_losses.discriminator_loss(zero, logits, "relativistic")) == pytest.approx(
        float(values["re_s_gan_fake"]), abs=1e-5
    )
    assert float(gan_losses.adversarial_loss(other, logits, "relativistic_average")) == pytest.approx(
        float(values["re_avg_generator"]), abs=1e-5
    )
    assert float(gan_losses.adversarial_loss(other, logits, "wgan_gp")) == pytest.approx(
        float(values["wgan_gp_real"]), abs=1e-5
    )
    assert float(gan_losses.discriminator_loss(other, logits, "wgan_gp")) == pytest.approx(
        float(tf.reduce_mean(logits)) - float(tf.reduce_mean(other)), abs=1e-5
    )


def test_hinge():
    real, generated = np.array([2.0, 0.5, -1.0]), np.array([-2.0, 0.0, 3.0])
    expected = 0.5 * (np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + generated).mean())
    assert float(gan_losses.discriminator_loss(real, generated, "hinge")) == pytest.approx(expected)
    assert float(gan_losses.adversarial_loss(real, generated, "hinge")) == pytest.approx(-generated.mean())


@pytest.mark.parametrize("gan", GAN_LOSSES)
def test_both_losses_pull_the_right_way(gan):
    real, generated = tf.constant([0.3, -0.2]), tf.constant([0.1, 0.4])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([real, generated])
        generator_loss = gan_losses.adversarial_loss(real, generated, gan)
        discriminator_loss = gan_losses.discriminator_loss(real, generated, gan)
    assert (tape.gradient(generator_loss, generated).numpy() < 0).all()
    assert (tape.gradient(discriminator_loss, generated).numpy() > 0).all()
    assert (tape.gradient(discriminator_loss, real).numpy() < 0).all()


def test_gradient_penalty_of_a_plane():
    slope = tf.constant(np.random.default_rng(0).normal(size=(1, 4, 4, 3)), tf.float32)
    images = tf.random.normal([2, 2, 4, 4, 3])
    penalty = gan_losses.gradient_penalty(lambda x: tf.reduce_sum(x * slope, axis=[1, 2, 3]), *images, seed=[0, 1])
    assert float(penalty) == pytest.approx((np.linalg.norm(slope) - 1) ** 2, rel=1e-4)


def test_reconstruction_and_hole():
    rng = np.random.default_rng(0)
    predicted_image, image = rng.uniform(-1, 1, size=(2, 2, 8, 8, 3)).astype(np.float32)
    mask = (rng.uniform(size=(2, 8, 8, 1)) < 0.3).astype(np.float32)
    difference = np.abs(predicted_image - image)
    assert float(losses.reconstruction_loss(predicted_image, image)) == pytest.approx(difference.mean(), abs=1e-6)
    expected = difference[mask[..., 0] == 1].mean()
    assert float(losses.hole_loss(predicted_image, tf.constant(image), mask)) == pytest.approx(expected, abs=1e-6)
    assert float(losses.hole_loss(predicted_image, tf.constant(image), 0 * mask)) == 0
    expected = (difference**2)[mask[..., 0] == 1].mean()
    assert float(losses.hole_squared_loss(predicted_image, tf.constant(image), mask)) == pytest.approx(
        expected, abs=1e-6
    )
    assert float(losses.hole_squared_loss(predicted_image, tf.constant(image), 0 * mask)) == 0


def test_guidance_is_of_the_hole_alone_and_its_target_a_constant():
    rng = np.random.default_rng(1)
    decoder, target = (tf.constant(x, tf.float32) for x in rng.normal(size=(2, 2, 4, 4, 3)))
    mask = tf.constant(rng.uniform(size=(2, 4, 4, 1)) < 0.5, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([decoder, target])
        loss = losses.guidance_loss(decoder, target, mask)
    grad_decoder, grad_target = tape.gradient(loss, [decoder, target])
    expected = (((decoder - target) * mask).numpy() ** 2).mean()
    assert float(loss) == pytest.approx(expected, abs=1e-6)
    assert grad_target is None
    np.testing.assert_allclose(grad_decoder, 2 * (decoder - target) * mask / decoder.numpy().size, atol=1e-7)


def test_discount_equals_the_authors(reference):
    mask = sampling.center(256).astype(np.float32)[np.newaxis, ..., np.newaxis]
    weights = losses.discount_weights(tf.constant(mask), 0.9)[0, 68:188, 68:188, 0]
    np.testing.assert_allclose(weights, reference("losses")["discount_mask"][0, 0], atol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_discount_of_holes_of_any_shape(jit_compile):
    rng = np.random.default_rng(0)
    mask = np.stack(
        [sampling.freeform(48, rng), sampling.rectangle(48, rng), np.zeros((48, 48)), sampling.freeform(48, rng)]
    )
    mask[3, :, :20] = 1  # to the border: beyond it nothing is known
    expected = np.ones(mask.shape)
    for i, row, column in np.argwhere(mask == 1):
        lines = [mask[i, :row, column][::-1], mask[i, row + 1 :, column]]
        lines += [mask[i, row, :column][::-1], mask[i, row, column + 1 :]]
        steps = [np.argmin(line) if not line.all() else np.inf for line in lines]  # holes before the first known pixel
        expected[i, row, column] = 0.9 ** min(steps[0], steps[1] + 1, steps[2], steps[3] + 1)
    run = tf.function(losses.discount_weights, jit_compile=jit_compile)
    given = run(tf.constant(mask[..., np.newaxis], tf.float32), 0.9)[..., 0]
    far = expected < 0.9**40  # without a known pixel in any direction: next to nothing
    np.testing.assert_allclose(given[~far], expected[~far], atol=1e-5)
    assert given.numpy()[far].max(initial=0) < 0.9**40


def test_discounted_hole_loss():
    rng = np.random.default_rng(0)
    predicted_image, image = rng.uniform(-1, 1, size=(2, 1, 16, 16, 3)).astype(np.float32)
    mask = np.zeros((1, 16, 16, 1), np.float32)
    mask[:, 4:8, 4:9] = 1
    weights = losses.discount_weights(tf.constant(mask), 0.5).numpy()
    expected = (np.abs(predicted_image - image) * weights * mask).sum() / 60
    given = losses.hole_loss(predicted_image, tf.constant(image), tf.constant(mask), discount=0.5)
    assert float(given) == pytest.approx(expected, rel=1e-5)


def test_total_variation_and_gram_equal_the_authors(reference):
    values = reference("losses")
    image = tf.constant(values["image"].transpose(0, 2, 3, 1))
    assert float(losses.total_variation_loss(image)) == pytest.approx(float(values["tv"]), abs=1e-5)
    np.testing.assert_allclose(losses.gram_matrix(image), values["gram"], atol=1e-5)


def test_style_and_content():
    rng = np.random.default_rng(0)
    features, targets = ([tf.constant(rng.normal(size=(2, 4, 4, c)), tf.float32) for c in (3, 5)] for _ in range(2))
    expected = sum(np.mean((a - b) ** 2) for a, b in zip(features, targets))
    assert float(losses.content_loss(features, targets)) == pytest.approx(expected, rel=1e-5)
    grams = [[np.einsum("bhwc,bhwd->bcd", x, x) / x.numpy()[0].size for x in xs] for xs in (features, targets)]
    expected = sum(np.mean((a - b) ** 2) for a, b in zip(*grams))
    assert float(losses.style_loss(features, targets)) == pytest.approx(expected, rel=1e-5)
    turned = [tf.reverse(x, axis=[1]) for x in features]  # the same style elsewhere
    assert float(losses.style_loss(features, turned)) == pytest.approx(0, abs=1e-12)
    assert float(losses.content_loss(features, turned)) > 0.1


def textures():
    """A photo's crop and its blur, float32 [1, 96, 96, 3] in [-1, 1], and a mask with a hole [1, 96, 96, 1]."""
    photo = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")[100:196, 100:196]
    blurred = np.array(Image.fromarray(photo).filter(ImageFilter.GaussianBlur(3)))
    mask = np.zeros((1, 96, 96, 1), np.float32)
    mask[:, 20:70, 30:80] = 1
    return photo, blurred, mask


def test_texture_is_what_quality_measures():
    photo, blurred, mask = textures()
    measured = quality.texture_distance(photo, blurred, mask[0, ..., 0])
    pictures = [tf.constant(picture[None] / 127.5 - 1, tf.float32) for picture in (blurred, photo)]
    loss = np.mean([losses.texture_loss(*pictures, mask, [0, step]) for step in range(8)])
    assert measured > 3 and 127.5 * loss == pytest.approx(measured, rel=0.15)  # other places, other projections


def test_texture_is_of_what_it_looks_like_not_of_where_it_lies():
    photo, blurred, mask = textures()
    photo, blurred = (tf.constant(picture[None] / 127.5 - 1, tf.float32) for picture in (photo, blurred))
    of_a_blur = float(losses.texture_loss(blurred, photo, mask, [0, 0]))
    assert float(losses.texture_loss(photo, photo, mask, [0, 0])) == 0
    assert float(losses.texture_loss(photo + 0.1, photo, mask, [0, 0])) < 1e-6  # each patch is less its mean
    turned = tf.where(mask > 0.5, tf.roll(photo, 10, axis=1), photo)
    assert float(losses.texture_loss(turned, photo, mask, [0, 0])) < 0.5 * of_a_blur
    assert math.isfinite(float(losses.texture_loss(blurred, photo, 0 * mask, [0, 0])))


def test_texture_is_what_its_gradient_brings_back():
    photo, blurred, mask = textures()
    photo = tf.constant(photo[None] / 127.5 - 1, tf.float32)
    picture = tf.Variable(blurred[None] / 127.5 - 1, dtype=tf.float32)
    optimizer = keras.optimizers.Adam(0.02)
    values = []
    for step in range(40):
        with tf.GradientTape() as tape:
            loss = losses.texture_loss(picture, photo, mask, [0, step])
        optimizer.apply_gradients([(tape.gradient(loss, picture), picture)])
        values.append(float(loss))
    assert np.mean(values[-5:]) < 0.25 * values[0]
    corner = (slice(None), slice(0, 16))  # farther from the hole than a patch reaches
    np.testing.assert_array_equal(picture.numpy()[corner], (np.float32(blurred[None] / 127.5 - 1))[corner])


def test_weighted_adversarial_losses_are_those_of_the_counted_patches():
    rng = np.random.default_rng(0)
    real, generated = (tf.constant(x, tf.float32) for x in rng.normal(size=(2, 2, 5, 5, 1)))
    weights = (rng.uniform(size=(2, 5, 5, 1)) < 0.4).astype(np.float32)
    counted = [tf.boolean_mask(x, weights > 0) for x in (real, generated)]
    for gan in GAN_LOSSES:
        for loss in (gan_losses.adversarial_loss, gan_losses.discriminator_loss):
            expected = float(loss(*counted, gan))
            assert float(loss(real, generated, gan, tf.constant(weights))) == pytest.approx(expected, abs=1e-5), gan
            assert float(loss(real, generated, gan, tf.ones_like(real))) == pytest.approx(
                float(loss(real, generated, gan)), abs=1e-5
            )
            assert np.isfinite(float(loss(real, generated, gan, tf.zeros_like(real))))


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_hole_patches_are_those_whose_logits_a_change_in_the_hole_moves(depth):
    """By trial: a discriminator that only adds up, with and without a change of the hole's pixels."""
    discriminator = Discriminator(filters=2, depth=depth)
    discriminator.build()
    discriminator.norms = [tf.identity] * depth
    for layer in discriminator.convolutions:
        layer.kernel.assign(tf.ones_like(layer.kernel))
    mask = np.zeros((3, 64, 64, 1), np.float32)
    mask[0, 20:25, 33:40] = mask[1, 0, 63] = 1  # the last has no hole
    logits = discriminator(tf.repeat(tf.constant(mask), 3, axis=-1))
    patches = gan_losses.hole_patches(tf.constant(mask), depth)
    np.testing.assert_array_equal(patches, (logits.numpy() > 0).astype(np.float32))
    assert 0 < float(tf.reduce_sum(patches[1])) < float(tf.reduce_sum(patches[0]))


def test_r1_of_a_discriminator_whose_gradient_is_known():
    slope = np.random.default_rng(0).normal(size=(1, 4, 4, 3)).astype(np.float32)
    real = tf.random.normal([2, 4, 4, 3], seed=1)

    def discriminator(images):  # two logits, a x . s and b (x . s)^2
        product = tf.reduce_sum(images * slope, axis=[1, 2, 3])
        return tf.stack([2.0 * product, 3.0 * product**2], axis=-1)

    products = (real.numpy() * slope).sum((1, 2, 3))
    expected = 0.5 * np.mean(((2 + 6 * products) ** 2) * (slope**2).sum())
    assert float(gan_losses.r1_penalty(discriminator, real)) == pytest.approx(expected, rel=1e-4)


def slow_perceptual(features, targets, mask):
    ratios = []
    for feature, target in zip(features, targets):
        total = scale = 0.0
        for a, b in zip(feature.reshape(-1), target.reshape(-1)):
            total += abs(float(a) - float(b))
            scale += abs(float(b))
        ratios.append(total / (scale * mask.mean()))
    return sum(ratios) / len(ratios)


@pytest.mark.parametrize("loss", [losses.perceptual_loss, losses.feature_matching_loss])
def test_distances_of_features(loss):
    rng = np.random.default_rng(0)
    shapes = ((2, 6, 5, 3), (2, 3, 2, 7))
    features, targets = ([rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in range(2))
    mask = (rng.uniform(size=(2, 8, 8, 1)) < 0.3).astype(np.float32)
    tensors = [[tf.constant(x) for x in group] for group in (features, targets)]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        value = loss(*tensors, mask)
    assert float(value) == pytest.approx(slow_perceptual(features, targets, mask), rel=1e-4)
    of_features, of_targets = tape.gradient(value, tensors)
    assert of_targets == [None, None]
    for gradient, feature, target in zip(of_features, features, targets):
        expected = np.sign(feature - target) / (np.abs(target).sum() * mask.mean() * 2)
        np.testing.assert_allclose(gradient, expected, rtol=1e-3)
    assert float(loss(tensors[0], tensors[0], np.zeros_like(mask))) == 0
