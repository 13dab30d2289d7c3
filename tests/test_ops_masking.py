"""The feature mask both ways against slow numpy versions, and selection."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.masks import sampling
from shiftnet_tf.ops.masking import composite, downsample_mask, hole_window, mask_image, random_hole_pixels


def slow_convolution_mask(mask, layers):
    """4x4 windows of stride 2 on the mask with a border of 0, all weights 1/16, in exact arithmetic."""
    mask = mask.astype(float)
    for _ in range(layers):
        padded = np.pad(mask, 1)
        height, width = mask.shape[0] // 2, mask.shape[1] // 2
        mask = np.array(
            [[padded[2 * i : 2 * i + 4, 2 * j : 2 * j + 4].sum() / 16 for j in range(width)] for i in range(height)]
        )
    return (mask >= 5 / 16).astype(np.float32)


def some_masks():
    rng = np.random.default_rng(0)
    return np.stack(
        [sampling.center(128), *(sampling.freeform(128, rng) for _ in range(3)), sampling.rectangle(128, rng)]
    )


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("jit_compile", [False, True])
def test_convolution_equals_a_slow_loop(layers, jit_compile):
    mask = some_masks()
    run = tf.function(lambda x: downsample_mask(x, layers), jit_compile=jit_compile)
    output = run(tf.constant(mask[..., np.newaxis], tf.float32))
    for given, source in zip(output, mask):
        np.testing.assert_array_equal(given[..., 0], slow_convolution_mask(source, layers))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_nearest_takes_every_eighth_pixel(jit_compile):
    mask = some_masks()
    run = tf.function(lambda x: downsample_mask(x, 3, "nearest"), jit_compile=jit_compile)
    output = run(tf.constant(mask[..., np.newaxis], tf.float32))
    np.testing.assert_array_equal(output[..., 0], mask[:, ::8, ::8])


def test_the_papers_centre_hole_at_32():
    mask = tf.constant(sampling.center(256)[np.newaxis, ..., np.newaxis], tf.float32)
    rows = np.flatnonzero(downsample_mask(mask, 3)[0, :, :, 0].numpy().any(axis=1))
    assert (rows[0], rows[-1]) == (8, 23)  # pixels 68 to 187: a position of 8 pixels counts from 5/16 on


def test_hole_window_is_around_each_hole_and_inside_the_picture():
    places = {(0, 0): (0, 0), (63, 63): (32, 32), (31, 40): (15, 24), (20, 5): (4, 0)}
    mask = np.zeros((5, 64, 64, 1), np.float32)
    for i, (row, column) in enumerate(places):
        mask[i, row, column] = 1  # the last image has no hole
    image = tf.random.normal([5, 64, 64, 3])
    for jit_compile in (False, True):
        (window,) = tf.function(hole_window, jit_compile=jit_compile)([image], tf.constant(mask))
        for i, (top, left) in enumerate([*places.values(), (16, 16)]):
            expected = image[i, top : top + 32, left : left + 32]
            assert window.shape == (5, 32, 32, 3)
            np.testing.assert_array_equal(window[i], expected)


def test_hole_window_of_the_papers_hole():
    mask = tf.constant(sampling.center(256)[np.newaxis, ..., np.newaxis], tf.float32)
    (window,) = hole_window([mask], mask)
    assert float(tf.reduce_sum(window)) == 120 * 120  # 128x128, all of the hole


def test_unknown_method():
    with pytest.raises(ValueError, match="`method` must be"):
        downsample_mask(tf.zeros([1, 8, 8, 1]), 1, "bilinear")


def test_selection_lets_nothing_through():
    image = np.full((1, 2, 2, 3), np.nan, np.float32)
    mask = np.ones((1, 2, 2, 1), np.float32)
    assert not mask_image(image, mask).numpy().any()
    assert not composite(tf.zeros_like(image), image, mask).numpy().any()
    np.testing.assert_array_equal(composite(image, tf.ones_like(image), 1 - mask), tf.ones_like(image))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_random_pixels_are_of_the_hole_and_each_comes_alike(jit_compile):
    mask = np.zeros((3, 6, 9, 1), np.float32)
    mask[0, 1:3, 2:6] = mask[1, 5, 8] = 1  # the last image has no hole
    draw = tf.function(lambda seed: random_hole_pixels(tf.constant(mask), 4000, seed), jit_compile=jit_compile)
    pixels = draw(tf.constant([3, 4])).numpy()
    counts = np.zeros((6, 9))
    np.add.at(counts, tuple(pixels[0].T), 1)
    assert counts[mask[0, ..., 0] == 0].sum() == 0 and counts[1:3, 2:6].min() > 400
    assert (pixels[1] == (5, 8)).all() and (pixels[2] == (5, 8)).all()
    np.testing.assert_array_equal(draw(tf.constant([3, 4])), pixels)


def test_a_window_around_a_random_pixel_of_the_hole():
    mask = np.zeros((1, 64, 64, 1), np.float32)
    mask[0, 10, 5] = mask[0, 50, 40] = 1
    image = tf.random.normal([1, 64, 64, 3])
    places = {(0, 0), (32, 24)}  # of the windows' corners: around either pixel, inside the picture
    found = set()
    for step in range(20):
        (window,) = hole_window([image], tf.constant(mask), tf.constant([0, step]))
        matches = [(i, j) for i, j in places if np.array_equal(window[0], image[0, i : i + 32, j : j + 32])]
        assert len(matches) == 1
        found |= set(matches)
    assert found == places
