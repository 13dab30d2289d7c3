"""ops.membrane against Laplace's equation, solved by a slow loop in numpy, and at its edges."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS

from shiftnet_tf.masks import sampling
from shiftnet_tf.ops.membrane import membrane
from shiftnet_tf.photos import image_files


def sample(size=64):
    """A photo [1, S, S, 3] in [-1, 1] and free-form holes [1, S, S, 1]."""
    photo = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")[100 : 100 + size, 100 : 100 + size]
    mask = sampling.freeform_of_share(size, np.random.default_rng(3), 0.2, 0.3)
    return np.float32(photo[None] / 127.5 - 1), np.float32(mask[None, ..., None])


def laplace(image, mask):
    """The solution in the hole: each of its pixels the mean of its neighbours inside the picture."""
    image, hole = image[0].astype(np.float64), mask[0, ..., 0] > 0.5
    values = np.where(hole[..., None], image[~hole].mean(axis=0), image)
    ones = np.pad(np.ones(hole.shape), 1)
    count = ones[:-2, 1:-1] + ones[2:, 1:-1] + ones[1:-1, :-2] + ones[1:-1, 2:]
    for _ in range(3000):
        padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
        total = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        values = np.where(hole[..., None], total / count[..., None], image)
    return np.float32(values[None])


def test_it_is_nearly_the_solution_of_laplaces_equation():
    image, mask = sample()
    truth, filled = laplace(image, mask), membrane(image, mask).numpy()
    hole = np.broadcast_to(mask > 0.5, image.shape)
    flat = np.where(hole, image[~hole].mean(), image)
    assert np.abs(filled - truth)[hole].mean() < 0.25 * np.abs(flat - truth)[hole].mean()
    assert np.abs(filled - truth)[hole].mean() < 0.05


def test_known_pixels_stay_and_what_lies_under_the_mask_has_no_effect():
    image, mask = sample()
    filled = membrane(image, mask).numpy()
    known = np.broadcast_to(mask < 0.5, image.shape)
    np.testing.assert_array_equal(filled[known], image[known])
    image[~known] = np.nan
    np.testing.assert_array_equal(membrane(image, mask), filled)


@pytest.mark.parametrize("size", [1, 7, 12, 64])
def test_a_constant_is_carried_on_at_any_size(size):
    mask = np.zeros([1, size, size, 1], np.float32)
    mask[:, size // 3 :, size // 3 :] = 1
    expected = 0.3 if size > 1 else 0.0
    image = np.full([1, size, size, 3], 0.3, np.float32)
    np.testing.assert_allclose(membrane(image, mask), np.full_like(image, expected), atol=1e-6)


def test_all_hole_gives_zero_and_no_hole_the_image():
    image, mask = sample()
    assert not np.any(membrane(image, np.ones_like(mask)))
    np.testing.assert_array_equal(membrane(image, np.zeros_like(mask)), image)


def test_the_images_of_a_batch_do_not_mix_under_xla_either():
    image, mask = sample()
    images = np.concatenate([image, image[:, ::-1], -image])
    holes = np.concatenate([mask, 1 - mask, np.zeros_like(mask)])
    together = tf.function(membrane, jit_compile=True)(images, holes)
    for i in range(3):
        np.testing.assert_allclose(together[i : i + 1], membrane(images[i : i + 1], holes[i : i + 1]), atol=1e-6)
