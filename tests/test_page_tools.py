"""The tools of the page by mouse, pen, touch and keyboard: what they draw, and how the view moves."""

import json
import math

import numpy as np
import pytest
from conftest import PHOTOS, ROOT
from pages import (
    NEEDS_CHROMIUM,
    PHONE,
    PHOTO,
    Fingers,
    at,
    fill,
    green,
    mask_of,
    open_photo,
    painted,
    saved,
    small,
    stroke,
    visit,
)
from PIL import Image

from shiftnet_tf.cli import main
from shiftnet_tf.masks.mask_files import read_hole

pytestmark = NEEDS_CHROMIUM


def outline(page):
    """The middle and the diameter of the brush's outline, in the window."""
    box = page.locator("#outline").bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"]


def test_brush_sizes_undo_redo_and_clear(page):
    open_photo(page)
    assert page.is_disabled("#fill") and page.is_disabled("#undo") and page.is_disabled("#redo")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert outline(page) == pytest.approx((*at(page, 0.8, 0.5), 40), abs=1)
    thin = painted(page)
    page.keyboard.press("Control+z")
    assert painted(page) == 0 and page.is_disabled("#fill")
    page.keyboard.press("Control+Shift+Z")
    assert painted(page) == thin
    page.click("#undo")
    for _ in range(5):
        page.keyboard.press("]")
    assert page.input_value("#size") == "124"
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert outline(page)[2] == pytest.approx(124, abs=1)
    assert painted(page) > 2 * thin > 0 and page.is_disabled("#redo")
    page.keyboard.press("[")
    page.keyboard.press("e")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert painted(page) < thin
    page.keyboard.press("Control+z")
    assert painted(page) > 2 * thin
    page.click("#clear")
    assert painted(page) == 0
    page.keyboard.press("Control+z")
    assert painted(page) > 2 * thin


def seen_area(page, white):
    """The painted area in square CSS pixels, measured against a white photo; edge pixels count by their coverage."""
    paint = white - green(page)  # the brush is red, so green drops most
    return paint.sum() / max(paint.max(), 1) / page.evaluate("() => window.devicePixelRatio") ** 2


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_click_or_tap_without_movement_paints_and_erases_a_disc(browser, address, tmp_path, touch):
    Image.new("RGB", (682, 512), "white").save(tmp_path / "white.png")
    window = {"viewport": {"width": 700, "height": 640}, "has_touch": touch, "device_scale_factor": 2 if touch else 1}
    with visit(browser, address, **window) as page:
        open_photo(page, tmp_path / "white.png")

        def dot(x, y, size):
            page.fill("#size", str(size))
            (page.touchscreen.tap if touch else page.mouse.click)(*at(page, x, y))
            page.mouse.move(0, 0)  # takes the outline away

        def disc(size):
            return math.pi * (size / 2) ** 2

        page.mouse.move(0, 0)
        white = green(page)
        assert seen_area(page, white) == 0
        dot(0.3, 0.4, 80)
        dot(0.7, 0.5, 30)
        assert seen_area(page, white) == pytest.approx(disc(80) + disc(30), rel=0.02)
        page.click("#erase")
        dot(0.3, 0.4, 50)
        dot(0.7, 0.5, 60)
        assert seen_area(page, white) == pytest.approx(disc(80) - disc(50), rel=0.02)


def test_zoom_and_pan(page, tmp_path):
    open_photo(page)
    fitted = page.locator("#photo").bounding_box()
    x, y = map(round, at(page, 0.7, 0.4))  # a wheel's place has no fractions
    page.mouse.move(x, y)
    page.mouse.wheel(0, -480)  # zooms by e
    page.wait_for_function(
        f"() => document.getElementById('photo').getBoundingClientRect().width > {2 * fitted['width']}"
    )
    assert page.locator("#photo").bounding_box()["width"] == pytest.approx(math.e * fitted["width"], rel=0.001)
    assert at(page, 0.7, 0.4) == pytest.approx((x, y), abs=2)  # what is under the mouse stays there
    assert outline(page) == pytest.approx((x, y, 40), abs=1)

    stroke(page, (0.7, 0.4), (0.75, 0.4))
    [line] = mask_of(page, tmp_path / "mask.json")["strokes"]
    width, height = Image.open(PHOTO).size
    assert line["points"][0] == pytest.approx([0.7 * width, 0.4 * height], abs=0.5)
    assert line["points"][-1] == pytest.approx([0.75 * width, 0.4 * height], abs=0.5)
    assert line["width"] == pytest.approx(40 * width / page.locator("#photo").bounding_box()["width"], rel=0.01)

    page.mouse.move(x, y)
    page.keyboard.down(" ")
    page.mouse.down()
    page.mouse.move(x - 60, y + 50)
    page.mouse.up()
    page.keyboard.up(" ")
    page.mouse.down(button="middle")
    page.mouse.move(x - 80, y + 50)
    page.mouse.up(button="middle")
    assert at(page, 0.7, 0.4) == pytest.approx((x - 80, y + 50), abs=2)
    assert len(mask_of(page, tmp_path / "mask.json")["strokes"]) == 1
    page.keyboard.press("0")
    assert page.locator("#photo").bounding_box() == pytest.approx(fitted)
    page.keyboard.press("+")
    page.click("#zoom-in")
    assert page.locator("#photo").bounding_box()["width"] == pytest.approx(1.25**2 * fitted["width"])
    page.keyboard.press("-")
    page.click("#zoom-out")
    assert page.locator("#photo").bounding_box() == pytest.approx(fitted, rel=0.01)


def test_two_fingers_zoom_and_never_paint(browser, address):
    with visit(browser, address, **PHONE) as page:
        open_photo(page)
        before = page.locator("#photo").bounding_box()
        fingers = Fingers(page)
        a, b, c = at(page, 0.4, 0.5), at(page, 0.6, 0.5), at(page, 0.5, 0.9)
        fingers.put(a=a)
        fingers.move(a=(a[0] + 12, a[1]))  # paints until the second one comes
        assert painted(page) > 0
        fingers.put(b=b)
        assert painted(page) == 0
        fingers.move(a=(a[0] - 60, a[1] + 20), b=(b[0] + 60, b[1] + 20))
        grown = page.locator("#photo").bounding_box()
        apart = (b[0] - a[0] + 120) / (b[0] - a[0] - 12)
        assert grown["width"] == pytest.approx(apart * before["width"], rel=0.05)
        fingers.lift("a")
        fingers.move(b=c)  # the one that is left does not paint either
        fingers.lift("b")
        assert painted(page) == 0 and page.is_disabled("#undo")
        fingers.put(a=a, b=b)
        fingers.lift("a", "b")  # without any movement
        assert painted(page) == 0 and page.is_disabled("#undo")
        fingers.put(a=a)
        fingers.move(a=b)
        fingers.lift("a")
        assert painted(page) > 0 and page.is_enabled("#undo")


def test_a_pen_draws_and_its_other_end_erases(page, tmp_path):
    open_photo(page)
    session = page.context.new_cdp_session(page)

    def pen(kind, place, **values):
        values = {"type": kind, "x": place[0], "y": place[1], "pointerType": "pen", "clickCount": 1, **values}
        session.send("Input.dispatchMouseEvent", values)

    pen("mousePressed", at(page, 0.3, 0.5), button="left", buttons=1)
    pen("mouseMoved", at(page, 0.6, 0.5), button="left", buttons=1)
    Fingers(page).put(a=at(page, 0.5, 0.9))  # the palm
    pen("mouseMoved", at(page, 0.8, 0.5), button="left", buttons=1)
    pen("mouseReleased", at(page, 0.8, 0.5), button="left")
    [line] = mask_of(page, tmp_path / "mask.json")["strokes"]
    assert len(line["points"]) >= 3 and line["erase"] is False
    page.evaluate(  # CDP knows no eraser
        """([x, y]) => { const all = { pointerId: 9, pointerType: "pen", clientX: x, clientY: y, bubbles: true };
        const canvas = document.getElementById("brush"); canvas.setPointerCapture = () => {};
        canvas.dispatchEvent(new PointerEvent("pointerdown", { ...all, button: 5, buttons: 32 }));
        canvas.dispatchEvent(new PointerEvent("pointerup", { ...all, button: 5 })); }""",
        at(page, 0.5, 0.5),
    )
    strokes = mask_of(page, tmp_path / "mask.json")["strokes"]
    assert [each["erase"] for each in strokes] == [False, True]


def test_a_mask_by_the_keyboard_alone(page, tmp_path):
    open_photo(page)
    width, height = Image.open(PHOTO).size
    scale = page.locator("#photo").bounding_box()["width"] / width
    for key in ("r", "ArrowUp", "Shift+ArrowLeft", "Enter", "Shift+ArrowRight", "ArrowRight", "Shift+ArrowDown"):
        page.keyboard.press(key)
    assert "Drawing a rectangle of" in page.inner_text("#status")
    page.keyboard.press("Enter")
    for key in ("l", "ArrowUp", "Enter", "Shift+ArrowRight", "Shift+ArrowUp", "Shift+ArrowLeft", "Enter"):
        page.keyboard.press(key)
    for key in ("b", "Shift+ArrowLeft", "Enter", "ArrowLeft", "Enter", "e", "Enter", "Enter", "Enter", "Escape"):
        page.keyboard.press(key)
    rectangle, lasso, line, dot = mask_of(page, tmp_path / "mask.json")["strokes"]
    left, top = round(width / 2) - 50 / scale, round(height / 2) - 10 / scale
    box = np.array([[left, top], [left + 60 / scale - 1, top], [left + 60 / scale - 1, top + 50 / scale - 1]])
    np.testing.assert_allclose(rectangle["points"][:3], box, atol=2)
    assert rectangle["fill"] and lasso["fill"] and len(lasso["points"]) == 4
    assert len(line["points"]) == 2 and len(dot["points"]) == 1 and [line["erase"], dot["erase"]] == [False, True]
    assert read_hole([tmp_path / "mask.json"], (height, width)).sum() > 60 * 50 / scale**2


def test_every_tool_covers_the_pixels_that_python_draws(page, tmp_path):
    """A canvas draws the shapes for a mask picture as Pillow draws them for JSON."""
    open_photo(page, small(tmp_path / "photo.png", (300, 200)))
    stroke(page, (0.1, 0.1), (0.4, 0.3), (0.2, 0.5))
    page.click("#rectangle")
    stroke(page, (0.5, 0.1), (0.9, 0.4))
    page.click("#erase")
    stroke(page, (0.6, 0.2), (0.7, 0.3))
    page.click("#lasso")
    stroke(page, (0.3, 0.2), (0.3, 0.35), (0.2, 0.3))
    page.click("#erase")
    stroke(page, (0.5, 0.6), (0.9, 0.6), (0.6, 0.9), (0.5, 0.7))
    shapes = mask_of(page, tmp_path / "mask.json")
    assert [shape.get("erase") for shape in shapes["strokes"]] == [False, False, True, True, False]
    Image.new("L", (300, 200)).save(tmp_path / "black.png")
    page.set_input_files("#mask-file", tmp_path / "black.png")
    page.wait_for_function("() => document.getElementById('status').textContent === 'Loaded black.png.'")
    picture = saved(page, "#painting .save-mask", tmp_path / "mask.png")
    drawn, hole = read_hole([picture], (200, 300)), read_hole([tmp_path / "mask.json"], (200, 300))
    assert (drawn & hole).sum() / (drawn | hole).sum() > 0.97 and 0.2 < hole.mean() < 0.5
    only = {"strokes": shapes["strokes"][1:3]}
    (tmp_path / "box.json").write_text(json.dumps(only))
    rectangles = read_hole([tmp_path / "box.json"], (200, 300))
    np.testing.assert_array_equal(drawn[:90, 150:], rectangles[:90, 150:])  # pixel for pixel


def test_loaded_masks(page, tmp_path):
    photo = small(tmp_path / "photo.png")
    open_photo(page, photo)

    def load(path):
        page.set_input_files("#mask-file", path)
        page.wait_for_function("name => document.getElementById('status').textContent.includes(name)", arg=path.name)
        return page.inner_text("#status")

    def hole_of(suffix):
        return read_hole([saved(page, "#painting .save-mask", tmp_path / f"saved{suffix}")], (120, 160))

    shapes = {"boxes": [[10, 20, 60.2, 80]], "polygons": [[[90, 10], [150, 20], [100, 60]]]}
    shapes["strokes"] = [
        {"points": [[5, 100], [150, 110]], "width": 12},
        {"points": [[30, 50]], "width": 9, "erase": True},
    ]
    (tmp_path / "shapes.json").write_text(json.dumps(shapes))
    assert load(tmp_path / "shapes.json") == "Loaded shapes.json." and page.is_enabled("#fill")
    expected = read_hole([tmp_path / "shapes.json"], (120, 160))
    np.testing.assert_array_equal(hole_of(".json"), expected)
    page.click("#clear")

    levels = np.random.default_rng(0).integers(0, 256, (120, 160)).astype(np.uint8)
    Image.fromarray(levels).save(tmp_path / "grey.png")
    Image.fromarray(levels // 128).save(tmp_path / "ones.png")
    layer = np.dstack([np.full((120, 160, 3), (9, 200, 30), np.uint8), levels])
    Image.fromarray(layer).save(tmp_path / "layer.png")
    for name in ("grey.png", "ones.png", "layer.png"):
        load(tmp_path / name)
        np.testing.assert_array_equal(hole_of(".png"), read_hole([tmp_path / name], (120, 160)))
        page.keyboard.press("Control+z")

    Image.fromarray(np.dstack([np.array(Image.open(photo)), levels])).save(tmp_path / "erased.png")
    assert "several colours" in load(tmp_path / "erased.png")
    Image.new("L", (120, 160), 255).save(tmp_path / "turned.png")
    assert load(tmp_path / "turned.png") == (
        "The mask must have the photo's size: turned.png has 120 x 160 pixels, and the photo 160 x 120."
    )
    for content in ('{"circles": []}', '{"strokes": [{"points": [[1, 2]]}]}', "{"):
        (tmp_path / "bad.json").write_text(content)
        page.evaluate("document.getElementById('status').textContent = ''")
        assert load(tmp_path / "bad.json").startswith("bad.json is not a mask")
    (tmp_path / "text.png").write_text("no picture")
    assert "neither an image" in load(tmp_path / "text.png")
    assert painted(page) == 0


def test_a_mask_picture_is_erased_filled_and_saved_as_the_command_takes_it(page, tmp_path):
    photo = small(tmp_path / "photo.png")
    Image.fromarray(np.pad(np.full((40, 60), 255, np.uint8), ((40, 40), (50, 50)))).save(tmp_path / "mask.png")
    open_photo(page, photo)
    page.set_input_files("#mask-file", tmp_path / "mask.png")
    page.wait_for_selector("#fill:enabled")
    page.click("#erase")
    stroke(page, (0.4, 0.5), (0.5, 0.5))
    page.select_option("#detail", "model")
    fill(page)
    filled, mask = (
        saved(page, "#save", tmp_path / "filled.png"),
        saved(page, "#comparing .save-mask", tmp_path / "m.png"),
    )
    assert 0 < read_hole([mask], (120, 160)).sum() < 40 * 60
    command = ["inpaint", str(photo), "--mask", str(mask), "--detail", "model", "-o", str(tmp_path / "command.png")]
    assert main(command) == 0 and filled.read_bytes() == (tmp_path / "command.png").read_bytes()


def test_photos_are_pasted_dropped_and_tried(page):
    give = """async ([kind, address]) => {
        const data = new DataTransfer(), answer = await fetch(address);
        data.items.add(new File([await answer.blob()], `${kind}.jpg`, { type: "image/jpeg" }));
        const event = kind === "paste" ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true })
            : new DragEvent(kind, { dataTransfer: data, bubbles: true });
        document.body.dispatchEvent(event); }"""
    sample = ROOT / "shiftnet_tf" / "server" / "static" / "sample.jpg"
    assert sample.read_bytes() == (PHOTOS / "test" / "gc_farm_sheep.jpg").read_bytes()  # whose author is named
    page.click("#sample")
    for name in ("sample", "paste", "drop"):
        if name != "sample":
            page.evaluate(give, [name, "static/sample.jpg"])
        page.wait_for_function("name => document.getElementById('status').textContent.startsWith(name)", arg=name)
        assert f"{name}.jpg, 530 x 384 pixels" in page.inner_text("#status")
    stroke(page, (0.4, 0.4), (0.5, 0.5))
    assert painted(page) > 0
