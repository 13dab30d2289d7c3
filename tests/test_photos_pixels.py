"""Scaling and compositing: hole and known never mix."""

import numpy as np
import pytest
from PIL import Image

from shiftnet_tf.photos import pixels


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def slow_touched(mask, height, width):
    """Which scaled pixels a hole pixel touches, by the triangle filter that antialiasing takes, one axis at a time."""

    def axis(old, new):
        scale = old / new
        reach = max(scale, 1.0)
        centers = (np.arange(new) + 0.5) * scale
        distance = np.abs(np.arange(old)[None] + 0.5 - centers[:, None]) / reach
        return distance < 1 - 1e-9

    return (axis(mask.shape[0], height) @ mask.astype(int) @ axis(mask.shape[1], width).T) > 0


@pytest.mark.parametrize("old, new", [((100, 60), (64, 64)), ((20, 30), (64, 64)), ((501, 1000), (64, 64))])
def test_every_touched_pixel_is_hole(old, new):
    rng = np.random.default_rng(0)
    mask = np.zeros(old, np.uint8)
    for _ in range(5):
        mask[rng.integers(old[0]), rng.integers(old[1])] = 1
    given = pixels.resize_mask(mask, *new)
    np.testing.assert_array_equal(given, slow_touched(mask, *new))


@pytest.mark.parametrize("shape", [(100, 60), (64, 64), (30, 200), (667, 1000), (2, 2)])
def test_what_lies_under_the_mask_is_gone(shape):
    mask = np.zeros(shape, np.uint8)
    mask[shape[0] // 3 : shape[0] // 2 + 1, shape[1] // 3 : shape[1] // 2 + 1] = 1
    image, other = random_image(*shape), random_image(*shape, seed=1)
    other = pixels.composite(other, image, mask)
    for a, b in zip(pixels.resize_pair(image, mask, 64, 64), pixels.resize_pair(other, mask, 64, 64)):
        np.testing.assert_array_equal(a, b)


def test_known_pixels_are_those_of_the_plainly_scaled_photo():
    image, mask = random_image(100, 130), np.zeros((100, 130), np.uint8)
    mask[20:50, 30:90] = 1
    small, small_mask = pixels.resize_pair(image, mask, 64, 64)
    plain = pixels.resize_image(image, 64, 64, Image.Resampling.BILINEAR)
    known = small_mask == 0
    np.testing.assert_array_equal(small[known], plain[known])
    assert not small[~known].any()


def test_from_float():
    np.testing.assert_array_equal(pixels.from_float(np.array([[[-1.0, 1.0, 0.0]]])), [[[0, 255, 128]]])
