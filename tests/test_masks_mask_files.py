"""Masks of any kind: pictures, layers, shapes, several; and what is refused."""

import codecs
import io
import json

import numpy as np
import pytest
from conftest import MASK, PHOTOS
from PIL import Image, ImageFilter, features

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import sampling
from shiftnet_tf.masks.holes import dilate
from shiftnet_tf.masks.mask_files import MaskSettings, read_hole
from shiftnet_tf.masks.shapes import draw_shapes
from shiftnet_tf.runtime.filling import check_pair

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


STEPS = np.repeat(np.array([0, 3, 100, 127, 128, 200, 252, 255], np.uint8), 8)[np.newaxis].repeat(16, 0)
KINDS = {
    "a.png": STEPS,
    "a.bmp": STEPS,
    "a.tif": STEPS,
    "a.webp": np.dstack([STEPS // 2, STEPS, STEPS // 3]),
    "deep.png": STEPS.astype(np.uint16) * 257,
    "deep.tif": STEPS.astype(np.int32) * 257,
    "float.tif": STEPS.astype(np.float32),
    "unit.tif": (STEPS / 255).astype(np.float32),
    "a.jpg": STEPS,
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("threshold", [None, 0, 110, 127, 200, 255])
def test_what_is_lighter_than_the_middle_is_hole_by_every_door(save, name, threshold):
    levels, settings = KINDS[name], MaskSettings(threshold=threshold)
    expected = np.greater(STEPS, 127 if threshold is None else threshold)
    path = save(name, levels, **{"a.webp": {"lossless": True}, "a.jpg": {"quality": 100}}.get(name, {}))
    for source in (path, path.read_bytes()):
        found = read_hole([source], STEPS.shape, settings)
        if name == "a.jpg" and threshold not in (None, 110):  # which loses a level here and there
            assert (found == expected).mean() > 0.8
        else:
            np.testing.assert_array_equal(found, expected)
    if levels.ndim == 2:
        photo = np.zeros((*STEPS.shape, 3), np.uint8)
        np.testing.assert_array_equal(check_pair(photo, levels, settings)[1], expected)


def test_masks_of_0_and_1(save):
    expected = hole(BOX)
    for array in (expected, expected.astype(np.uint8), expected.astype(np.uint16), expected.astype(np.float32)):
        np.testing.assert_array_equal(check_pair(np.zeros((*SHAPE, 3), np.uint8), array, MaskSettings())[1], expected)
        if array.dtype != np.float32:
            np.testing.assert_array_equal(read_hole([save("m.png", array)], SHAPE), expected)
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="must be finite numbers"):
            check_pair(np.zeros((*SHAPE, 3), np.uint8), np.where(expected, value, 0), MaskSettings())


def test_an_array_is_inverted_grown_and_cut_as_a_file_is(save):
    levels = np.where(hole(BOX), 40, 200).astype(np.uint8)
    for settings in (
        MaskSettings(invert=True),
        MaskSettings(invert=True, dilate=3),
        MaskSettings(threshold=30, invert=True),
    ):
        try:
            expected = read_hole([save("m.png", levels)], SHAPE, settings)
        except InputError as error:
            with pytest.raises(InputError, match=str(error).split("(")[0]):
                check_pair(np.zeros((*SHAPE, 3), np.uint8), levels, settings)
        else:
            found = check_pair(np.zeros((*SHAPE, 3), np.uint8), levels, settings)[1]
            np.testing.assert_array_equal(found, expected)


def test_a_mask_that_may_mean_something_else_gets_a_note(save, caplog):
    def notes(levels, **settings):
        caplog.clear()
        path = save("m.png", levels)
        read_hole([path], levels.shape, MaskSettings(**settings))
        assert all(record.getMessage().startswith(f"{path}: ") for record in caplog.records)
        texts = [record.getMessage().removeprefix(f"{path}: ") for record in caplog.records]
        caplog.clear()
        check_pair(np.zeros((*levels.shape, 3), np.uint8), levels, MaskSettings(**settings))
        assert [record.getMessage().removeprefix("the mask: ") for record in caplog.records] == texts
        assert all("--threshold" in text for text in texts) and len(texts) < 2
        return "".join(texts)

    box = np.zeros((200, 300), np.uint8)
    box[60:120, 80:200] = 255
    assert notes(box) == notes(box // 255) == notes(np.zeros_like(box)) == ""
    assert "nothing in the mask is lighter than the middle of its range, 0 to 255; its lightest level is 90" in notes(
        np.where(box, 90, 0).astype(np.uint8)
    )
    assert "0 to 65535; its lightest level is 2e+04" in notes(np.where(box, 20_000, 0).astype(np.uint16))
    rng = np.random.default_rng(0)
    for low, high in ((0, 4), (252, 256)):  # near black, near white
        noise = rng.integers(low, high, box.shape, dtype=np.uint8)
        noisy = np.where(box, 255, noise) if low == 0 else np.where(box, noise, 0)
        assert "of the mask is grey" in notes(noisy.astype(np.uint8))
    assert "of the mask is grey" in notes(rng.integers(0, 256, box.shape, dtype=np.uint8))  # edges everywhere
    with Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg") as photo:  # for a mask
        assert "of the mask is grey" in notes(np.array(photo.convert("L").resize((160, 120))))
    dark = box.copy()
    dark[140:190, 20:280] = 100  # a second paint, which is not filled
    assert notes(dark).startswith("21.7 % of the mask is grey")
    assert notes(dark, threshold=50) == notes(dark, threshold=127) == ""


def test_soft_and_lossy_edges_get_no_note(tmp_path, caplog):
    with Image.open(MASK) as picture:
        mask = picture.convert("L")
    mask.filter(ImageFilter.GaussianBlur(4)).save(tmp_path / "soft.png")
    for quality in (30, 75, 95):
        mask.save(tmp_path / f"{quality}.jpg", quality=quality)
        mask.convert("RGB").save(tmp_path / f"{quality}.webp", quality=quality)
        if features.check("avif"):
            mask.convert("RGB").save(tmp_path / f"{quality}.avif", quality=quality)
    mask.resize((265, 192), Image.Resampling.LANCZOS).save(tmp_path / "small.png")
    for path in tmp_path.iterdir():
        with Image.open(path) as picture:
            share = read_hole([path], picture.size[::-1]).mean()
        assert abs(share - np.asarray(mask).astype(bool).mean()) < 0.005, path
    assert [record.getMessage() for record in caplog.records] == []


def test_a_mask_that_covers_all_names_the_cure(save):
    white, black = np.full(SHAPE, 255, np.uint8), np.zeros(SHAPE, np.uint8)
    most = ~hole(BOX)
    for levels, settings, cure in (
        (white, {}, "mark less, or pass --invert if the mask marks what to keep"),
        (
            black,
            {"invert": True},
            "mark more of what to keep, or leave out --invert if the mask marks what to fill",
        ),
        (most, {"dilate": 50}, r"use less --dilate than 50 .it covers 87.5 % without., or pass --invert"),
    ):
        for read in (
            lambda levels, settings: read_hole([save("m.png", levels)], SHAPE, settings),
            lambda levels, settings: check_pair(np.zeros((*SHAPE, 3), np.uint8), levels, settings),
        ):
            with pytest.raises(InputError, match=f"covers the whole photo .*: {cure}"):
                read(levels, MaskSettings(**settings))


def test_training_reads_masks_by_the_same_rule(save):
    np.testing.assert_array_equal(sampling.from_file(save("a.png", STEPS), *STEPS.shape), STEPS > 127)
    with pytest.raises(InputError, match="lighter than mid-grey"):
        sampling.from_file(save("dark.png", STEPS // 3), *STEPS.shape)


def test_json_is_known_by_its_content(tmp_path):
    text = '{"boxes": [[10, 5, 30, 20]]}'
    codings = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")
    contents = [text.encode(coding) for coding in codings]
    contents += [codecs.BOM_UTF16_BE + text.encode("utf-16-be"), b" \r\n\t" * 99 + text.encode()]
    for content in contents:
        for name in ("m.json", "m.txt", "m.png"):
            (tmp_path / name).write_bytes(content)
            np.testing.assert_array_equal(read_hole([tmp_path / name], SHAPE), hole(BOX))
        np.testing.assert_array_equal(read_hole([content], SHAPE), hole(BOX))


def test_a_picture_that_is_named_json_is_a_picture(tmp_path):
    for kind in ("PNG", "TGA"):
        buffer = io.BytesIO()
        options = {"id_section": b"a" * ord("{")} if kind == "TGA" else {}
        Image.fromarray(hole(BOX).astype(np.uint8) * 255).save(buffer, kind, **options)
        assert kind == "PNG" or buffer.getvalue()[:1] == b"{"
        (tmp_path / "m.json").write_bytes(buffer.getvalue())
        for source in (tmp_path / "m.json", buffer.getvalue()):
            np.testing.assert_array_equal(read_hole([source], SHAPE), hole(BOX))


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
    with pytest.raises(InputError, match="transparent pixels and several colours.*--mask-from alpha"):
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
    area = {"points": [[10, 5], [29, 5], [29, 19], [10, 19]], "fill": True}
    np.testing.assert_array_equal(draw_shapes({"strokes": [area]}, SHAPE), hole(BOX))
    inner = {"points": [[12, 7], [20, 7], [20, 12], [12, 12]], "fill": True, "erase": True}
    line = {"points": [[13, 9], [19, 9]], "width": 2}
    mixed = draw_shapes({"strokes": [area, inner, line]}, SHAPE)  # each one over those before it
    assert mixed[6, 11] and not mixed[11, 15] and mixed[9, 15] and mixed[18, 28]


def test_bytes_are_as_good_as_a_file(save):
    path = save("m.png", hole(BOX))
    np.testing.assert_array_equal(read_hole([path.read_bytes()], SHAPE), hole(BOX))
    np.testing.assert_array_equal(read_hole([b' {"boxes": [[10, 5, 30, 20]]}'], SHAPE), hole(BOX))


@pytest.mark.parametrize(
    "content, message",
    [
        ("{", "not valid JSON"),
        ("[1]", "an object with the lists boxes, polygons, strokes"),
        ('{"circles": []}', "an object with the lists boxes, polygons, strokes"),
        ('{"boxes": 3}', "`boxes` must be a list"),
        ('{"boxes": [[1, 2, 3]]}', r"boxes\[0\] of the mask: must be .left, top, right, bottom."),
        ('{"boxes": [[1, 2, 3, 4], [5, 5, 5, 9]]}', r"boxes\[1\] .*right must be greater than left"),
        ('{"boxes": [[1, 2, "x", 4]]}', r"boxes\[0\]"),
        ('{"polygons": [[[1, 2], [3, 4]]]}', r"polygons\[0\] of the mask: must have at least 3 points"),
        ('{"polygons": [[[1, 2], [3, 4], [NaN, 1]]]}', "finite numbers"),
        ('{"polygons": [[[1, 2], [3, 4], [5]]]}', r"polygons\[0\]"),
        ('{"strokes": [[1, 2]]}', r"strokes\[0\] of the mask: must be ..points"),
        ('{"strokes": [{"points": [[1, 2]], "width": 0}]}', "width must be above 0"),
        ('{"strokes": [{"points": [[1, 2]], "width": 1e9}]}', "width must be above 0"),
        ('{"strokes": [{"points": [], "width": 3}]}', "1 points"),
        ('{"strokes": [{"points": [[1, 2], [3, 4], [5, 9]]}]}', "must be ..points.* instead of the width"),
        ('{"strokes": [{"points": [[1, 2]], "width": 2, "fill": true}]}', "must be ..points"),
        ('{"strokes": [{"points": [[1, 2], [3, 4]], "fill": true}]}', "3 points"),
        ("[" * 100000, "not valid JSON"),
        ('{"boxes": [[-9, -9, 999, 999]]}', "covers the whole photo"),
    ],
)
def test_json_that_is_no_mask(tmp_path, content, message):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_hole([tmp_path / "m.json"], SHAPE)


def test_json_of_more_than_4_mb_is_not_parsed(tmp_path):
    content = b'{"boxes": [[10, 5, 30, 20]]}'
    np.testing.assert_array_equal(read_hole([content.ljust(4_000_000)], SHAPE), hole(BOX))
    (tmp_path / "m.json").write_bytes(content.ljust(4_000_001))
    for source in (content.ljust(4_000_001), tmp_path / "m.json"):
        with pytest.raises(InputError, match="the JSON mask is larger than 4 MB: use fewer points, or a mask image"):
            read_hole([source], SHAPE)


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
    with pytest.raises(InputError, match="60x40. Received: 40x60; width and height are swapped"):
        read_hole([lying], SHAPE)
    with pytest.raises(InputError, match="60x40. Received: 5x5$"):
        read_hole([save("small.png", np.ones((5, 5), np.uint8))], SHAPE)
    fitting = save("fitting.png", hole(BOX))
    with pytest.raises(InputError, match=r"Received: 40x60 \(mask 2 of 3: .*lying.png\); width and height"):
        read_hole([fitting, lying, fitting], SHAPE)
    with pytest.raises(InputError, match="no mask given"):
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
