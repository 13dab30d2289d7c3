"""Masks: the paper's centre hole, and that each kind is a pure function of its seed and within its limits."""

import numpy as np
import pytest

from shiftnet_tf import image_files, images, masks
from shiftnet_tf.errors import InputError


def test_the_papers_centre_hole():
    mask = masks.center(256)
    assert mask.dtype == np.uint8 and mask.sum() == 120 * 120
    assert mask[68:188, 68:188].all()


@pytest.mark.parametrize("kind, least, most", [("rectangle", 1 / 64, 1 / 4), ("freeform", 0.02, 0.6)])
@pytest.mark.parametrize("size", [64, 256])
def test_random_kinds(kind, least, most, size):
    sampler = masks.MaskSampler(size, {kind: 1.0})
    drawn = [sampler(np.random.default_rng(seed)) for seed in range(50)]
    assert all(mask.shape == (size, size) and set(np.unique(mask)) == {0, 1} for mask in drawn)
    assert all(least <= mask.mean() <= most for mask in drawn)
    assert len({mask.tobytes() for mask in drawn}) > 45
    np.testing.assert_array_equal(drawn[7], sampler(np.random.default_rng(7)))


def test_a_mix_keeps_its_weights():
    sampler = masks.MaskSampler(64, {"center": 3.0, "freeform": 1.0})
    centers = sum(np.array_equal(sampler(np.random.default_rng(i)), masks.center(64)) for i in range(400))
    assert 260 < centers < 340


def test_a_folder_of_mask_files(tmp_path):
    mask = np.zeros((100, 60, 3), np.uint8)
    mask[10:30, 20:50] = 255
    (tmp_path / "nested").mkdir()
    image_files.write_image(tmp_path / "nested" / "mask.png", mask)
    sampler = masks.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)
    drawn = sampler(np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, images.resize_mask(mask[..., 0], 64, 64))


def test_bad_folders(tmp_path):
    with pytest.raises(InputError, match="must be a folder of mask files"):
        masks.MaskSampler(64, {"folder": 1.0}, folder=tmp_path / "absent")
    with pytest.raises(InputError, match="no mask file"):
        masks.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)
    image_files.write_image(tmp_path / "empty.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="must cover a part of the image"):
        masks.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)(np.random.default_rng(0))
