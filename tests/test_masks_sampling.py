"""Masks: the paper's centre hole, and that each kind is a pure function of its seed and within its limits."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import image_files, pixels


def test_the_papers_centre_hole():
    mask = sampling.center(256)
    assert mask.dtype == np.uint8 and mask.sum() == 120 * 120
    assert mask[68:188, 68:188].all()


@pytest.mark.parametrize(
    "kind, least, most", [("rectangle", 1 / 64, 1 / 4), ("freeform", 0.02, 0.6), ("objects", 0.01, 0.6)]
)
@pytest.mark.parametrize("size", [64, 256])
def test_random_kinds(kind, least, most, size):
    sampler = sampling.MaskSampler(size, {kind: 1.0})
    drawn = [sampler(np.random.default_rng(seed)) for seed in range(50)]
    assert all(mask.shape == (size, size) and set(np.unique(mask)) == {0, 1} for mask in drawn)
    assert all(least <= mask.mean() <= most for mask in drawn)
    assert len({mask.tobytes() for mask in drawn}) > 45
    np.testing.assert_array_equal(drawn[7], sampler(np.random.default_rng(7)))


def test_half_of_the_freeform_masks_have_wide_strokes(monkeypatch):
    def record(draw, size, rng, widths):
        used.append(widths)
        stroke(draw, size, rng, widths)

    stroke, used, wide = sampling._stroke, [], 0
    monkeypatch.setattr(sampling, "_stroke", record)
    for seed in range(200):
        used.clear()
        sampling.freeform(64, np.random.default_rng(seed))
        assert len(set(used)) == 1
        wide += used[0] == (10, 4)
    assert 75 < wide < 125


def test_masks_of_published_numbers_stay_as_they_are():
    """Recorded before `freeform` had wide strokes: `training/evaluate.py --masks freeform:0` draws these."""
    ranges = ((0.1, 0.2), (0.3, 0.4), (0.5, 0.6))
    seeds = [([0, i, round(10 * least)], least, most) for least, most in ranges for i in range(3)]
    drawn = [sampling.freeform_of_share(256, np.random.default_rng(seed), *limits) for seed, *limits in seeds]
    assert [int(mask.sum()) for mask in drawn] == [9049, 10111, 8431, 20142, 23217, 24814, 35601, 32803, 33417]
    digest = hashlib.sha256(b"".join(mask.tobytes() for mask in drawn)).hexdigest()
    assert digest == "13510dd457b280b396e951d13aacf4f33cdb26a40dee24549f6d0890b5cdac7b"


def test_outlines_file():
    things = json.loads((Path(sampling.__file__).parent / "object_outlines.json").read_text("utf-8"))
    assert len(things) >= 28 and len({thing["thing"] for thing in things}) == len(things)
    for thing in things:
        points = np.array(thing["points"])
        assert thing["photo"].endswith(".jpg") and 15 <= len(points) <= 60, thing["thing"]
        assert points.min(axis=0).tolist() == [0, 0] and points.max() == 1, thing["thing"]
        assert not crossings(points), thing["thing"]


def crossings(points):
    """Pairs of edges of a polygon that cross, by their index."""

    def side(a, b, c):
        return np.sign((b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]))

    edges = list(zip(points, np.roll(points, -1, axis=0)))
    pairs = [(i, j) for j in range(len(edges)) for i in range(j)]
    return [
        (i, j)
        for (i, j), (a, b, c, d) in ((pair, (*edges[pair[0]], *edges[pair[1]])) for pair in pairs)
        if side(a, b, c) * side(a, b, d) < 0 and side(c, d, a) * side(c, d, b) < 0
    ]


@pytest.mark.parametrize("margin", [0, 3])
def test_an_outline_is_filled_as_by_a_loop_over_its_edges(margin):
    """By the even-odd rule and the distance to the edge; a pixel within one pixel of the limit may go either way."""
    points = 100 * max(sampling._outlines(), key=len)
    drawn = np.array(sampling._fill_outline(points, margin))
    assert set(np.unique(drawn)) == {0, 1} and not (drawn[0].any() or drawn[-1].any())
    points = points - points.min(axis=0) + margin + 1
    y, x = np.indices(drawn.shape)
    inside, distance = np.zeros(drawn.shape, bool), np.full(drawn.shape, np.inf)
    for (ax, ay), (bx, by) in zip(points, np.roll(points, -1, axis=0)):
        crosses = (ay > y) != (by > y)
        inside ^= crosses & (x < ax + (y - ay) / (by - ay if by != ay else 1) * (bx - ax))
        along = ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)
        along = along.clip(0, 1)
        distance = np.minimum(distance, np.hypot(ax + along * (bx - ax) - x, ay + along * (by - ay) - y))
    beyond = np.where(inside, -distance, distance) - margin
    assert drawn[beyond < -1].all() and not drawn[beyond > 1].any()
    assert (beyond < -1).sum() > 1000 and (beyond > 1).sum() > 1000


@pytest.mark.parametrize("size", [64, 256])
def test_objects_are_of_many_shapes_within_the_limits(size, monkeypatch):
    def record(points, margin):
        shapes.append((np.array(fill(points, margin)), margin))
        return fill(points, margin)

    fill, shapes, kept = sampling._fill_outline, [], []
    monkeypatch.setattr(sampling, "_fill_outline", record)
    drawn = [sampling._object(size, np.random.default_rng(seed)) for seed in range(200)]
    for mask, (shape, margin) in zip(drawn, shapes):
        assert 1 <= margin <= max(1, 6 * size / 256)
        assert size / 4 - 1 <= max(shape.shape) - 2 * margin - 3 <= size * 5 / 8 + 1
        kept.append(mask.sum() / shape.sum())
    assert min(kept) >= 0.75 and max(kept) == 1
    assert 0.2 < np.mean(np.array(kept) < 1) < 0.6
    assert len({mask.tobytes() for mask in drawn}) > 190


def test_one_mask_in_four_holds_two_objects(monkeypatch):
    monkeypatch.setattr(sampling, "_object", lambda size, rng: counted.append(rng) or np.ones((size, size), np.uint8))
    counted = []
    for seed in range(200):
        sampling.objects(8, np.random.default_rng(seed))
    assert 230 < len(counted) < 270


def test_a_mix_keeps_its_weights():
    sampler = sampling.MaskSampler(64, {"center": 3.0, "freeform": 1.0})
    centers = sum(np.array_equal(sampler(np.random.default_rng(i)), sampling.center(64)) for i in range(400))
    assert 260 < centers < 340


def test_a_folder_of_mask_files(tmp_path):
    mask = np.zeros((100, 60, 3), np.uint8)
    mask[10:30, 20:50] = 255
    (tmp_path / "nested").mkdir()
    image_files.write_image(tmp_path / "nested" / "mask.png", mask)
    sampler = sampling.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)
    drawn = sampler(np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, pixels.resize_mask(mask[..., 0], 64, 64))


def test_bad_folders(tmp_path):
    with pytest.raises(InputError, match="must be a folder of mask files"):
        sampling.MaskSampler(64, {"folder": 1.0}, folder=tmp_path / "absent")
    with pytest.raises(InputError, match="no mask files"):
        sampling.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)
    image_files.write_image(tmp_path / "empty.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="must cover part of the image"):
        sampling.MaskSampler(64, {"folder": 1.0}, folder=tmp_path)(np.random.default_rng(0))
