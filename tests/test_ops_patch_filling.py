"""layers.fill_from_patches: what it must leave alone, what it must find, and how it looks beside the membrane."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS

from shiftnet_tf.evaluation import quality
from shiftnet_tf.masks import sampling
from shiftnet_tf.ops.membrane import membrane
from shiftnet_tf.ops.patch_filling import fill_from_patches
from shiftnet_tf.photos import image_files


def sample(name="gc_petra", size=128, kind="center"):
    """A photo's middle [1, S, S, 3] in [-1, 1] and a mask [1, S, S, 1]."""
    photo = image_files.read_image(PHOTOS / "test" / f"{name}.jpg")
    top, left = ((side - size) // 2 for side in photo.shape[:2])
    mask = sampling.MaskSampler(size, {kind: 1.0})(np.random.default_rng(1))
    return np.float32(photo[None, top : top + size, left : left + size] / 127.5 - 1), np.float32(mask[None, ..., None])


@pytest.mark.parametrize("kind", ["center", "freeform"])
def test_known_pixels_stay_and_what_lies_under_the_mask_has_no_effect(kind):
    image, mask = sample(kind=kind)
    filled = fill_from_patches(image, mask).numpy()
    known = np.broadcast_to(mask < 0.5, image.shape)
    np.testing.assert_array_equal(filled[known], image[known])
    image[~known] = np.nan
    np.testing.assert_array_equal(fill_from_patches(image, mask), filled)


def test_a_pattern_goes_on():
    tile = np.random.default_rng(0).uniform(-1, 1, size=(16, 16, 3)).astype(np.float32)
    image = np.tile(tile, (8, 8, 1))[None]
    mask = np.zeros((1, 128, 128, 1), np.float32)
    mask[:, 48:88, 40:80] = 1
    np.testing.assert_allclose(fill_from_patches(image, mask), image, atol=1e-5)
    smooth = membrane(image, mask).numpy()
    assert np.abs(smooth - image)[np.broadcast_to(mask > 0.5, image.shape)].mean() > 0.3  # not to be had by smoothness


def test_much_of_it_is_copied_as_it_is_and_from_known_places_alone():
    image, mask = sample()
    image += np.random.default_rng(0).uniform(0, 1e-3, size=image.shape).astype(np.float32)  # no two pixels are equal
    hole = mask[0, ..., 0] > 0.5
    known, under = ({pixel.tobytes() for pixel in image[0][region]} for region in (~hole, hole))
    filled = fill_from_patches(image, mask).numpy()[0][hole]
    exact = [pixel.tobytes() for pixel in filled]
    assert not any(pixel in under for pixel in exact)
    nearest = np.array([np.abs(image[0][~hole] - pixel).max(axis=-1).min() for pixel in filled[::20]])
    assert (nearest < 1e-6).mean() > 0.2 and len(known) > 1000
    smooth = membrane(image, mask).numpy()[0][hole][::20]
    assert np.mean([np.abs(image[0][~hole] - pixel).max(axis=-1).min() < 1e-6 for pixel in smooth]) < 0.02


def test_a_mesh_in_front_of_everything_is_filled_by_the_membrane():
    """No core is known at the coarse level, single ones are at the fine level: none of them may fill everything."""
    image, mask = sample(size=256)
    mask[:] = 0
    for place in range(4):
        mask[:, place::20] = mask[:, :, place::20] = 1
    filled, smooth = fill_from_patches(image, mask), membrane(image, mask)
    np.testing.assert_allclose(filled, smooth, atol=1e-6)


def test_all_hole_gives_zero_and_no_hole_the_image():
    image, mask = sample()
    assert not np.any(fill_from_patches(image, np.ones_like(mask)))
    np.testing.assert_array_equal(fill_from_patches(image, np.zeros_like(mask)), image)


def test_where_no_patch_is_known_the_membrane_remains():
    image, mask = sample(size=64)
    mask[:] = 1
    mask[:, ::8, ::8] = 0  # single pixels
    np.testing.assert_allclose(fill_from_patches(image, mask), membrane(image, mask), atol=1e-6)


def test_the_images_of_a_batch_do_not_mix():
    image, mask = sample()
    images = np.concatenate([image, image[:, ::-1], -image])
    holes = np.concatenate([mask, np.roll(mask, 20, axis=1), np.zeros_like(mask)])
    together = fill_from_patches(images, holes)
    for i in range(3):
        alone = fill_from_patches(images[i : i + 1], holes[i : i + 1])
        assert np.mean(np.abs(together[i : i + 1] - alone) > 1e-5) < 0.01  # near ties may be decided otherwise


def test_it_compiles_under_xla():
    image, mask = sample()
    compiled = tf.function(fill_from_patches, jit_compile=True)(image, mask)
    assert np.mean(np.abs(compiled - fill_from_patches(image, mask)) > 1e-4) < 0.02


def test_its_texture_is_nearer_to_the_photo_than_that_of_the_membrane():
    distances = []
    for name in ("gc_petra", "gc_farm_sheep", "gc_mysorepalace"):
        image, mask = sample(name, size=256)
        photo, *filled = (
            np.uint8(np.clip(np.round((picture[0] + 1) * 127.5), 0, 255))
            for picture in (image, fill_from_patches(image, mask).numpy(), membrane(image, mask).numpy())
        )
        distances.append([quality.texture_distance(photo, picture, mask[0, ..., 0]) for picture in filled])
    patches, smooth = np.mean(distances, axis=0)
    assert patches < 0.5 * smooth
