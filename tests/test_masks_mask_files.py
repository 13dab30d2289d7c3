"""Masks of any kind: pictures, layers, shapes, several; and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks.mask_files import MaskSettings, dilate, read_hole
from shiftnet_tf.masks.shapes import draw_shapes

SHAPE = (40, 60)


def hole(*boxes):
    mask = np.zeros(SHAPE, bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


@pytest.fixture
def save(tmp_path):
    def write(name, array, **options):
        Image.fromarray(array).save(tmp_path / name, **options)
        return tmp_path / name

    return write


BOX = (10, 5, 30, 20)


def test_several_masks_are_joined(save, tmp_path):
    other = (40, 25, 55, 35)
    paths = [save("a.png", hole(BOX).astype(np.uint8) * 255), save("b.png", hole(other))]
    (tmp_path / "c.json").write_text(json.dumps({"boxes": [[0, 0, 3, 4]]}))
    found = read_hole([*paths, tmp_path / "c.json"], SHAPE)
    np.testing.assert_array_equal(found, hole(BOX, other, (0, 0, 3, 4)))


def test_a_layer_of_paint_is_its_own_mask(save):
    """As drawing programs save it: transparent but for the brush, of any colour, black too; its rim is soft."""
    for colour in ((255, 0, 0), (0, 0, 0)):
        layer = np.zeros((*SHAPE, 4), np.uint8)
        layer[hole(BOX)] = (*colour, 255)
        layer[5, 31:34] = (*colour, 60)
        np.testing.assert_array_equal(read_hole([save("layer.png", layer)], SHAPE), hole(BOX))
        np.testing.assert_array_equal(
            read_hole([save("grey.png", np.dstack([layer[..., 0], layer[..., 3]]))], SHAPE), hole(BOX)
        )


def test_a_photo_with_a_part_erased_needs_to_be_told_so(save):
    photo = np.random.default_rng(0).integers(0, 256, (*SHAPE, 4), dtype=np.uint8)
    photo[..., 3] = np.where(hole(BOX), 0, 255)
    path = save("erased.png", photo)
    with pytest.raises(InputError, match="transparent pixels and several colours.*mask from alpha"):
        read_hole([path], SHAPE)
    np.testing.assert_array_equal(read_hole([path], SHAPE, MaskSettings(invert=True, mask_from="alpha")), hole(BOX))


def test_threshold(save):
    levels = np.zeros(SHAPE, np.uint8)
    levels[5, 5], levels[6, 6] = 100, 200
    path = save("grey.png", levels)
    assert [read_hole([path], SHAPE, MaskSettings(threshold=t)).sum() for t in (0, 100, 199)] == [2, 1, 1]
    deep = save("deep.png", levels.astype(np.uint16) * 257)
    assert [read_hole([deep], SHAPE, MaskSettings(threshold=t)).sum() for t in (0, 100, 199)] == [2, 1, 1]
    assert not read_hole([path], SHAPE, MaskSettings(threshold=200)).any()


@pytest.mark.parametrize("pixels", [1, 2, 3, 5, 8, 100])
def test_dilation_by_a_square(pixels):
    mask = hole((20, 10, 22, 11), (50, 30, 51, 33))
    expected = np.zeros_like(mask)
    for y, x in np.argwhere(mask):
        expected[max(0, y - pixels) : y + pixels + 1, max(0, x - pixels) : x + pixels + 1] = True
    np.testing.assert_array_equal(dilate(mask, pixels), expected)


def test_dilation_comes_after_the_inversion(save):
    path = save("m.png", ~hole(BOX))
    settings = MaskSettings(invert=True, dilate=2)
    np.testing.assert_array_equal(read_hole([path], SHAPE, settings), hole((8, 3, 32, 22)))


def test_shapes():
    np.testing.assert_array_equal(draw_shapes({"boxes": [[10.2, 5, 30, 20]]}, SHAPE), hole(BOX))
    triangle = draw_shapes({"polygons": [[[0, 0], [20, 0], [0, 20]]]}, SHAPE)
    assert triangle[2, 2] and triangle[0, 19] and not triangle[15, 15] and 200 <= triangle.sum() <= 240
    stroke = {"points": [[10, 20], [50, 20]], "width": 10}
    drawn = draw_shapes({"strokes": [stroke]}, SHAPE)
    assert drawn[16:25, 10:50].all() and drawn[20, 6] and not drawn[20, 2] and not drawn[13].any()
    erased = draw_shapes({"strokes": [stroke, {"points": [[30, 20]], "width": 12, "erase": True}]}, SHAPE)
    assert not erased[20, 30] and erased[20, 15] and erased[20, 45]
    dot = draw_shapes({"strokes": [{"points": [[30, 20]], "width": 9}]}, SHAPE)
    assert 60 <= dot.sum() <= 85


def test_bytes_are_as_good_as_a_file(save):
    path = save("m.png", hole(BOX))
    np.testing.assert_array_equal(read_hole([path.read_bytes()], SHAPE), hole(BOX))
    np.testing.assert_array_equal(read_hole([b' {"boxes": [[10, 5, 30, 20]]}'], SHAPE), hole(BOX))


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "no JSON"),
        ("[1]", "an object with boxes, polygons, strokes"),
        ('{"circles": []}', "an object with boxes, polygons, strokes"),
        ('{"boxes": 3}', "`boxes` must be a list"),
        ('{"boxes": [[1, 2, 3]]}', r"boxes\[0\] of the mask: it must be .left, top, right, bottom."),
        ('{"boxes": [[1, 2, 3, 4], [5, 5, 5, 9]]}', r"boxes\[1\] .*beyond its left"),
        ('{"boxes": [[1, 2, "x", 4]]}', r"boxes\[0\]"),
        ('{"polygons": [[[1, 2], [3, 4]]]}', r"polygons\[0\] of the mask: it must have 3 points"),
        ('{"polygons": [[[1, 2], [3, 4], [NaN, 1]]]}', "finite numbers"),
        ('{"polygons": [[[1, 2], [3, 4], [5]]]}', r"polygons\[0\]"),
        ('{"strokes": [[1, 2]]}', r"strokes\[0\] of the mask: it must be ..points"),
        ('{"strokes": [{"points": [[1, 2]], "width": 0}]}', "width must be above 0"),
        ('{"strokes": [{"points": [[1, 2]], "width": 1e9}]}', "width must be above 0"),
        ('{"strokes": [{"points": [], "width": 3}]}', "1 points"),
        ("[" * 100000, "no JSON"),
        ('{"boxes": [[-9, -9, 999, 999]]}', "covers the whole photo"),
    ],
)
def test_json_that_is_no_mask(tmp_path, content, message):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_hole([tmp_path / "m.json"], SHAPE)


def test_shapes_that_would_take_for_ever_are_refused():
    zigzag = [[0, 0], [9000, 9000]] * 50_000
    with pytest.raises(InputError, match="too long to draw"):
        draw_shapes({"strokes": [{"points": zigzag, "width": 5000}]}, (9000, 9000))
    with pytest.raises(InputError, match="too long to draw"):
        draw_shapes({"boxes": [[0, 0, 9000, 9000]] * 5000}, (9000, 9000))
    edges = np.random.default_rng(0).integers(0, 7000, (100_000, 2)).tolist()  # it takes Pillow half a minute
    with pytest.raises(InputError, match="too long to draw"):
        draw_shapes({"polygons": [edges]}, (7000, 7000))


def test_masks_of_another_size(save):
    lying = save("lying.png", np.ones(SHAPE[::-1], np.uint8))
    with pytest.raises(InputError, match="60x40. Received: 40x60: it lies on its side"):
        read_hole([lying], SHAPE)
    with pytest.raises(InputError, match="60x40. Received: 5x5$"):
        read_hole([save("small.png", np.ones((5, 5), np.uint8))], SHAPE)
    with pytest.raises(InputError, match="there is no mask"):
        read_hole([], SHAPE)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"dilate": -1}, "`dilate` must be a whole number from 0 to 1000"),
        ({"dilate": 2.5}, "`dilate`"),
        ({"threshold": 256}, "`threshold` must be a whole number from 0 to 255"),
        ({"mask_from": "red"}, "`mask_from` must be one of auto, color, alpha"),
        ({"invert": "yes"}, "`invert` must be true or false"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        MaskSettings(**values)
