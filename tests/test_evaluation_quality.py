"""The numbers of the table against slow numpy versions and scikit-image."""

import numpy as np
import pytest
import skimage.metrics
from conftest import PHOTOS

from shiftnet_tf.evaluation import quality
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import finding, image_files


def pairs(count=20):
    """Real photos, each with noise in a free-form hole."""
    for i, path in enumerate(finding.find_photos(PHOTOS / "train")[:count]):
        rng = np.random.default_rng(i)
        image = image_files.read_image(path)[:256, :256]
        mask = sampling.freeform(256, rng)
        noise = rng.integers(-60, 60, image.shape) * mask[..., np.newaxis]
        yield image, np.clip(image + noise, 0, 255).astype(np.uint8), mask


def test_psnr_and_ssim_are_those_of_scikit_image():
    for image, inpainted, mask in pairs():
        values = quality.measure(image, inpainted, mask)
        assert values["psnr"] == pytest.approx(skimage.metrics.peak_signal_noise_ratio(image, inpainted), abs=1e-3)
        ssim = skimage.metrics.structural_similarity(image, inpainted, channel_axis=-1)
        assert values["ssim"] == pytest.approx(ssim, abs=1e-3)
        assert values["hole_psnr"] < values["psnr"] and values["hole_ssim"] < values["ssim"]


def test_l1_l2_and_the_psnr_of_the_hole():
    for image, inpainted, mask in pairs(3):
        values = quality.measure(image, inpainted, mask)
        difference = image.astype(float) - inpainted
        hole = difference[mask != 0]
        expected = {
            "l1": np.abs(difference).mean(),
            "l2": (difference**2).mean(),
            "hole_l1": np.abs(hole).mean(),
            "hole_l2": (hole**2).mean(),
            "hole_psnr": 10 * np.log10(255**2 / (hole**2).mean()),
        }
        assert {name: values[name] for name in expected} == pytest.approx(expected)


def test_equal_photos():
    image, _, mask = next(pairs(1))
    values = quality.measure(image, image, mask)
    assert values["psnr"] == values["hole_psnr"] == 100 and values["ssim"] == pytest.approx(1)
    assert values["l1"] == values["l2"] == values["texture_distance"] == 0


def slow_texture_distance(image, inpainted, mask):
    """One patch and one direction at a time."""
    rng = np.random.default_rng(0)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tops = rng.integers(rows[0], rows[-1] - 6, size=1024, endpoint=True)
    lefts = rng.integers(columns[0], columns[-1] - 6, size=1024, endpoint=True)
    directions = rng.normal(size=(147, 256))
    distances = []
    for direction in directions.T[:20]:
        weights = (direction / np.sqrt((direction**2).sum())).reshape(3, 7, 7)
        sides = []
        for photo in (image, inpainted):
            projections = []
            for top, left in zip(tops, lefts):
                patch = photo[top : top + 7, left : left + 7].astype(float)
                patch -= patch.mean(axis=(0, 1))
                projections.append((patch.transpose(2, 0, 1) * weights).sum())
            sides.append(np.sort(projections))
        distances.append(np.abs(sides[0] - sides[1]).mean())
    return np.mean(distances)


def test_texture_distance_equals_a_slow_loop(monkeypatch):
    image, inpainted, mask = next(pairs(1))
    whole = quality.texture_distance(image, inpainted, mask)
    assert whole == pytest.approx(slow_texture_distance(image, inpainted, mask), rel=0.05)  # of 20 directions of 256


def test_texture_distance_sees_a_blur_and_no_shift_in_colour():
    image, _, mask = next(pairs(1))
    mean = np.broadcast_to(image.mean(axis=(0, 1)).astype(np.uint8), image.shape)
    brighter = (image // 2 + 60).astype(np.uint8), (image // 2).astype(np.uint8)
    assert quality.texture_distance(*brighter, mask) == pytest.approx(0, abs=1e-6)
    assert quality.texture_distance(image, mean, mask) > 5


def test_the_smallest_holes_and_photos():
    image, inpainted, _ = next(pairs(1))
    for place in ((0, 0), (255, 255), (100, 3)):
        mask = np.zeros((256, 256), np.uint8)
        mask[place] = 1
        assert np.isfinite(list(quality.measure(image, inpainted, mask).values())).all()
    assert quality.texture_distance(image[:7, :7], inpainted[:7, :7], np.ones((7, 7))) >= 0
