"""Metrics against numpy."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.training import metrics


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    image, inpainted_image = rng.uniform(-1, 1, size=(2, 3, 16, 16, 3)).astype(np.float32)
    mask = rng.uniform(size=(3, 16, 16, 1)) < 0.4
    return tf.constant(image), tf.constant(inpainted_image), tf.constant(mask, tf.float32)


def test_psnr_of_the_whole_and_of_the_hole(pictures):
    image, inpainted_image, mask = pictures
    error = (image - inpainted_image).numpy() ** 2
    np.testing.assert_allclose(
        metrics.psnr(image, inpainted_image), 10 * np.log10(4 / error.mean((1, 2, 3))), atol=1e-4
    )
    hole = [error[i][mask[i, ..., 0] == 1].mean() for i in range(3)]
    np.testing.assert_allclose(metrics.psnr(image, inpainted_image, mask), 10 * np.log10(4 / np.array(hole)), atol=1e-4)


def test_equal_images_have_a_finite_psnr(pictures):
    np.testing.assert_allclose(metrics.psnr(pictures[0], pictures[0]), 100.0, atol=1e-3)
