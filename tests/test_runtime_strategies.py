"""Which windows a strategy takes, and that what is put back touches the hole alone."""

import numpy as np
import pytest
from conftest import PHOTOS

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files, pixels
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime import filling
from shiftnet_tf.runtime.strategies import STRATEGIES, plan


def mask_of(shape, *boxes):
    mask = np.zeros(shape, bool)
    for top, left, bottom, right in boxes:
        mask[top:bottom, left:right] = True
    return mask


def covered(mask, found):
    seen = np.zeros(mask.shape, bool)
    for window in found.windows:
        assert window.top >= 0 and window.left >= 0 and window.bottom <= mask.shape[0] and window.right <= mask.shape[1]
        seen[window.slices] = True
    return bool(seen[mask].all())


def test_one_small_hole_in_a_large_photo():
    mask = mask_of((2000, 3000), (1000, 1500, 1050, 1580))
    assert plan(mask, 256, "resize").windows == (Window(0, 0, 2000, 3000),)
    found = plan(mask, 256, "crop")
    assert found.windows == (Window(897, 1412, 256, 256),)  # around its middle, at the model's own size
    assert not found.wider
    assert plan(mask, 256).windows == found.windows
    assert str(found) == "crop, 1 window of 256 pixels"


def test_a_hole_in_the_corner_is_looked_at_from_within_the_photo():
    found = plan(mask_of((2000, 3000), (1980, 2950, 2000, 3000)), 256, "crop")
    assert found.windows == (Window(1744, 2744, 256, 256),)


def test_near_holes_share_a_window_and_far_ones_do_not():
    near = mask_of((2000, 3000), (500, 500, 540, 540), (560, 580, 600, 640))
    assert len(plan(near, 256, "crop").windows) == 1
    far = mask_of((2000, 3000), (500, 500, 540, 540), (1500, 2500, 1540, 2540))
    assert len(plan(far, 256, "crop").windows) == 2


def test_a_crop_of_a_wide_hole_is_scaled_down_and_one_of_most_of_the_photo_is_all_of_it():
    found = plan(mask_of((2000, 3000), (600, 1000, 1100, 1600)), 256, "crop")
    [window] = found.windows
    assert (window.height, window.width) == (1200, 1200)
    assert found.wider == {window: (Window(0, 400, 1800, 1800), Window(0, 0, 2000, 3000))}
    found = plan(mask_of((2000, 3000), (100, 100, 1900, 2900)), 256, "crop")
    assert found.windows == (Window(0, 0, 2000, 3000),) and found.strategy == "resize"


def test_a_line_across_the_photo_is_tiled_at_the_model_s_size():
    mask = mask_of((2000, 3000), (1000, 0, 1020, 3000))
    found = plan(mask, 256)
    assert found.strategy == "tile" and {(w.height, w.width) for w in found.windows} == {(256, 256)}
    assert covered(mask, found) and 20 <= len(found.windows) <= 60
    lefts = sorted(window.left for window in found.windows)
    assert max(np.diff(lefts)) <= 128  # each overlaps the next by half


def test_specks_all_over_a_photo_are_tiled_and_not_refused():
    mask = np.zeros((1500, 1500), bool)
    mask[::3, ::3] = True
    found = plan(mask, 256)
    assert found.strategy == "tile" and {w.height for w in found.windows} == {256} and covered(mask, found)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_hole_pixel_lies_in_a_window(strategy):
    rng = np.random.default_rng(0)
    for _ in range(40):
        shape = tuple(int(x) for x in rng.integers(2, 900, 2))
        mask = np.zeros(shape, bool)
        for _ in range(rng.integers(1, 12)):
            top, left = (int(rng.integers(side)) for side in shape)
            mask[top : top + rng.integers(1, 80), left : left + rng.integers(1, 200)] = True
        assert covered(mask, plan(mask, 64, strategy))


def test_no_hole_needs_no_window():
    found = plan(np.zeros((50, 60), bool), 64)
    assert found.windows == () and str(found) == "no hole"


def test_an_unknown_strategy():
    with pytest.raises(InputError, match="`strategy` must be one of auto, resize, crop, tile. Received: 'best'"):
        plan(np.ones((4, 4), bool), 64, "best")


def test_a_photo_of_the_model_s_size_is_looked_at_whole():
    mask = mask_of((64, 64), (10, 10, 20, 20))
    assert {plan(mask, 64, strategy).windows for strategy in STRATEGIES} == {(Window(0, 0, 64, 64),)}


@pytest.fixture(scope="module")
def inpainter():
    return Inpainter.load(runtime="litert")


@pytest.fixture(scope="module")
def small_inpainter(small_model):
    return Inpainter.load(small_model, runtime="litert")


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_known_pixels_stay_at_any_size(small_inpainter, strategy):
    """Sizes from 2x2 on; a larger selection runs in test_any_photo.py."""
    rng = np.random.default_rng(1)
    for shape in ((2, 2), (2, 700), (257, 255), (350, 280)):
        image = rng.integers(0, 256, (*shape, 3), dtype=np.uint8)
        mask = np.zeros(shape, bool)
        mask[: shape[0] // 2, : max(1, shape[1] // 3)] = True
        answer = small_inpainter(image, mask, FillOptions(strategy=strategy))
        np.testing.assert_array_equal(answer[~mask], image[~mask])


@pytest.mark.slow
@pytest.mark.parametrize(
    "strategy, detail", [("auto", "auto"), ("resize", "model"), ("crop", "shift-map"), ("tile", "model")]
)
def test_what_lies_under_the_mask_changes_no_byte(inpainter, strategy, detail):
    rng = np.random.default_rng(2)
    image = pixels.resize_image(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8), 400, 600)
    mask = mask_of((400, 600), (50, 100, 90, 150), (300, 30, 315, 570))
    noise = rng.integers(0, 256, image.shape, dtype=np.uint8)
    options = FillOptions(strategy=strategy, detail=detail)
    expected = inpainter(image, mask, options)
    np.testing.assert_array_equal(inpainter(pixels.composite(noise, image, mask), mask, options), expected)


def test_windows_read_in_strips_are_what_they_are_at_once(monkeypatch):
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (1030, 1500, 3), dtype=np.uint8)
    canvas, mask = filling.ArrayCanvas(image), mask_of((1030, 1500), (300, 400, 500, 800))
    window = Window(3, 5, 1021, 1490)
    expected = filling.scale_window(canvas, mask, window, 64)
    monkeypatch.setattr(filling, "_STRIP", 1)
    for got, wanted in zip(filling.scale_window(canvas, mask, window, 64), expected):
        np.testing.assert_array_equal(got, wanted)
    plain, _ = pixels.resize_pair(image[window.slices], mask[window.slices], 64, 64)
    known = expected[1][..., 0] == 0
    assert np.abs(plain[known].astype(int) - expected[0][known]).mean() < 2  # means of cells come first, that is all


def test_answers_written_in_parts_are_what_they_are_at_once(monkeypatch):
    photo = image_files.read_image(PHOTOS / "test" / "gc_farm_sheep.jpg")
    image, answer = pixels.resize_image(photo, 450, 620), pixels.resize_image(photo, 64, 64)
    mask = mask_of((450, 620), (100, 150, 350, 450))
    found = plan(mask, 64, "crop")
    results = []
    for side in (10_000, 48):
        monkeypatch.setattr(filling, "_SIDE", side)
        work = filling.Filling(filling.ArrayCanvas(image.copy()), mask, found, 64)
        for look in work.looks:
            work.put(look, answer)
        results.append(work.canvas.image)
    difference = np.abs(results[0].astype(int) - results[1])
    assert difference.max() <= 2 and (difference > 0).mean() < 0.02  # where a float sum is rounded
    assert (results[0][mask] != image[mask]).mean() > 0.9


def test_overlapping_windows_are_blended_without_a_step():
    image = np.zeros((64, 600, 3), np.uint8)
    mask = mask_of((64, 600), (20, 10, 40, 590))
    found = plan(mask, 64, "tile")
    work = filling.Filling(filling.ArrayCanvas(image), mask, found, 64)
    for i, look in enumerate(work.looks):  # neighbours that could not differ more
        work.put(look, np.full((64, 64, 3), 255 * (i % 2), np.uint8))
    row = work.canvas.image[30, 10:590, 0].astype(int)
    assert row.min() < 40 and row.max() > 215 and np.abs(np.diff(row)).max() < 25
    assert not work.canvas.image[~mask].any()


def test_the_feather_takes_a_seam_away_and_reaches_no_further_than_twice_its_radius():
    image = np.full((80, 80, 3), 100, np.uint8)
    mask = mask_of((80, 80), (20, 20, 60, 60))
    filled = np.full_like(image, 140)
    answer = pixels.feather(filled, image, mask, (4, 4)).astype(int)
    assert abs(answer[21, 40, 0] - 100) < 16  # at the edge like its surroundings
    np.testing.assert_array_equal(answer[32:48, 32:48], 140)
    column = answer[20:40, 40, 0]
    assert (np.diff(column) >= 0).all() and np.diff(column).max() < 12


def test_smooth_takes_from_the_hole_alone():
    mask = mask_of((40, 40), (10, 10, 30, 30))
    values = np.where(mask[..., None], 7.0, 1000.0).repeat(3, axis=-1)
    np.testing.assert_allclose(pixels.smooth(values, mask, (3, 3))[mask], 7, rtol=1e-4)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_photo_of_one_row_takes_little_memory(small_inpainter, strategy):
    """Blurs reach along the row alone: what lies beyond the other edge is not made up."""
    tracemalloc = pytest.importorskip("tracemalloc")
    image, mask = np.zeros((1, 60_000, 3), np.uint8), mask_of((1, 60_000), (0, 20_000, 1, 30_000))
    tracemalloc.start()
    answer = small_inpainter(image, mask, FillOptions(strategy=strategy))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert answer.shape == image.shape and peak < 50e6


def test_a_fill_tells_its_progress_and_can_be_cancelled(inpainter):
    image, mask = np.zeros((300, 3000, 3), np.uint8), mask_of((300, 3000), (150, 0, 155, 3000))
    shares = []

    def progress(share):
        shares.append(share)
        if len(shares) == 3:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        inpainter.fill(filling.ArrayCanvas(image), mask, progress=progress)
    assert len(shares) == 3 and shares[0] == 0 < shares[1] < shares[2] < 1
