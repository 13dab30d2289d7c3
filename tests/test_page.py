"""The page of `shiftnet demo`: filling, comparing, going on, saving, and what it says when something goes wrong."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT
from pages import NEEDS_CHROMIUM, PHONE, PHOTO, fill, open_photo, painted, saved, small, stroke, visit
from PIL import Image

from shiftnet_tf.cli import main

pytestmark = NEEDS_CHROMIUM
ARTIST = 0x013B  # a field of EXIF
NOTE_DETAILS = """() => { window.details = []; const append = FormData.prototype.append;
    FormData.prototype.append = function (name, value) {
        if (name === "detail") window.details.push(value);
        append.call(this, name, value); }; }"""


def test_the_saved_picture_is_byte_for_byte_that_of_the_command(page, tmp_path):
    exif = Image.Exif()
    exif[ARTIST] = "a person who was there"
    Image.open(PHOTO).resize((341, 192)).save(tmp_path / "photo.jpg", quality=83, exif=exif)
    open_photo(page, tmp_path / "photo.jpg")
    page.evaluate(NOTE_DETAILS)
    stroke(page, (0.35, 0.2), (0.4, 0.4))
    stroke(page, (0.3, 0.7))  # a dot
    page.click("#lasso")
    stroke(page, (0.6, 0.2), (0.7, 0.2), (0.65, 0.3))
    page.click("#erase")
    page.click("#paint")
    stroke(page, (0.36, 0.3), (0.5, 0.3))
    page.click("#erase")
    page.click("#rectangle")
    stroke(page, (0.36, 0.28), (0.37, 0.31))
    fill(page)
    assert page.evaluate("details") == ["model", "auto"] and "window" in page.inner_text("#status")
    first = saved(page, "#save", tmp_path / "first.jpg")

    page.click("#go-on")
    assert "original" in page.inner_text("#status") and page.is_disabled("#fill")
    stroke(page, (0.8, 0.7), (0.85, 0.8))
    fill(page)
    filled = saved(page, "#save", tmp_path / "second.jpg")
    mask = saved(page, "#comparing .save-mask", tmp_path / "mask.json")
    assert [shape["erase"] for shape in json.loads(mask.read_text())["strokes"]] == [False] * 3 + [True] + [False] * 2
    out = tmp_path / "command.jpg"
    assert main(["inpaint", str(tmp_path / "photo.jpg"), "--mask", str(mask), "-o", str(out)]) == 0
    assert filled.read_bytes() == out.read_bytes() != first.read_bytes()
    photo, result = Image.open(tmp_path / "photo.jpg"), Image.open(filled)
    assert result.getexif()[ARTIST] == "a person who was there" and result.quantization == photo.quantization


def test_compare_sources_and_continue(page, tmp_path):
    open_photo(page, small(tmp_path / "photo.jpg"))
    shows = """id => { const image = document.getElementById(id), canvas = document.createElement("canvas");
        if (image.hidden) return null; [canvas.width, canvas.height] = [160, 120];
        canvas.getContext("2d").drawImage(image, 0, 0); return canvas.toDataURL(); }"""
    stroke(page, (0.4, 0.3), (0.45, 0.5))
    fill(page)
    before, first = page.evaluate(shows, "before"), page.evaluate(shows, "after")
    clip = "() => getComputedStyle(document.getElementById('after')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 0%)" and first != before
    assert page.is_visible("#label-after") and page.is_hidden("#label-before") and page.is_hidden("#divider")
    page.fill("#compare", "70")  # the left 70 % are the photo before
    assert page.evaluate(clip) == "inset(0px 0px 0px 70%)" and page.is_visible("#divider")
    assert page.is_visible("#label-before") and page.is_visible("#label-after")
    stroke(page, (0.7, 0.5), (0.25, 0.5))  # drags the divider
    assert page.input_value("#compare") == "25"
    page.click("#show-map")
    page.wait_for_selector("#map:not([hidden])")
    assert page.is_hidden("#divider")
    page.click("#show-map")
    assert page.is_hidden("#map")

    page.click("#back")
    whole = painted(page)
    assert whole > 0 and page.evaluate(shows, "after") is None  # the mask is as it was, on the original
    fill(page)
    assert page.input_value("#compare") == "0"  # the new result is seen whole
    page.click("#go-on")
    assert page.evaluate(shows, "after") == first and 0 < painted(page) < whole / 4  # a contour
    stroke(page, (0.7, 0.6), (0.75, 0.7))
    fill(page)
    assert page.evaluate(shows, "after") not in (before, first) and page.evaluate(shows, "before") == before
    page.click("#back")
    page.keyboard.press("Control+z")
    assert page.is_disabled("#fill") and page.evaluate(shows, "after") == first
    page.click("#original")
    assert page.evaluate(shows, "after") is None and painted(page) == pytest.approx(whole)
    page.keyboard.press("Control+z")
    assert page.evaluate(shows, "after") == first


def test_preview_progress_and_cancel(page, tmp_path):
    open_photo(page, small(tmp_path / "photo.jpg"))
    stroke(page, (0.4, 0.3), (0.45, 0.5))
    held = []
    page.route("**/v1/inpaint", lambda route: held.append(route))
    page.click("#fill")
    page.wait_for_selector("#cancel")
    assert page.is_visible("#progress") and page.evaluate("document.activeElement.id") == "cancel"
    assert page.is_disabled("#undo") and page.is_disabled("#fill")
    page.keyboard.press("Control+z")
    stroke(page, (0.7, 0.3), (0.75, 0.5))
    page.keyboard.press("Escape")
    assert page.inner_text("#status") == "Cancelled." and page.is_enabled("#fill") and page.is_hidden("#progress")
    assert page.evaluate("document.activeElement.id") == "brush"

    page.keyboard.press("Control+Enter")
    page.wait_for_function("() => document.getElementById('cancel').checkVisibility()")
    while len(held) < 2:
        page.wait_for_timeout(20)
    held[1].continue_()
    page.wait_for_selector("#comparing:not([hidden])")  # the network's result, while the second one is held
    assert "network's result" in page.inner_text("#status") and page.is_visible("#cancel")
    assert page.is_hidden("#save") and page.is_disabled("#go-on")
    page.click("#cancel")
    assert page.inner_text("#status") == "Stopped. This is the network's result, without copied detail."
    assert page.is_visible("#save") and page.is_enabled("#go-on")

    page.click("#back")
    page.click("#fill")
    for number, act in ((3, "continue_"), (4, "abort")):
        while len(held) <= number:
            page.wait_for_timeout(20)
        getattr(held[number], act)()
    page.wait_for_selector("#status.error")
    page.errors.clear()  # the browser's own line
    said = page.inner_text("#status")
    assert "does not respond" in said and said.endswith("This is the network's result, without copied detail.")
    assert page.is_visible("#save")

    page.unroute("**/v1/inpaint")
    page.route("**/v1/shift-map", lambda route: held.append(route))
    page.click("#show-map")
    page.click("#back")  # before the sources have come
    assert page.is_visible("#painting") and page.is_enabled("#fill") and page.is_hidden("#cancel")


def test_errors_of_the_server_are_told_as_they_are(page, tmp_path):
    open_photo(page, small(tmp_path / "photo.jpg"))
    stroke(page, (0.4, 0.3), (0.45, 0.5))
    answers = []

    def answer(route):
        status, headers, body = answers.pop(0)
        route.abort() if status == 0 else route.fulfill(status=status, headers=headers, body=body)

    def told(*planned):
        answers.extend(planned)
        page.click("#fill")
        page.wait_for_selector("#cancel", state="hidden")
        page.errors.clear()  # the browser's own line about the status
        assert answers == [] and "error" in page.get_attribute("#status", "class")
        return page.inner_text("#status")

    page.route("**/v1/inpaint", answer)
    assert told((0, {}, "")).startswith("The server does not respond. Is it still running?")
    html = {"content-type": "text/html"}
    assert told((413, html, "<h1>413</h1>")) == "The photo is larger than the server accepts."
    assert told((502, html, "")) == "The server behind the proxy does not respond. Press Fill to try again."
    late = json.dumps({"error": "no answer within 60 seconds"})
    assert told((503, {}, late)) == "No answer within 60 seconds. Press Fill to try again."
    assert told((500, {}, "null")).startswith("The server answered 500.")
    busy = (429, {"retry-after": "0"}, "{}")
    assert told(busy, busy, (422, {}, '{"error": "the mask is wrong."}')) == "The mask is wrong."
    assert told(*[busy] * 6) == "The server is busy. Press Fill to try again."

    assert told((401, {}, "{}")) == "The server requires a token."
    page.wait_for_function("() => document.activeElement.id === 'token'")
    page.unroute("**/v1/inpaint")
    given = []
    page.on("request", lambda request: given.append(request.headers.get("authorization")))
    page.keyboard.type("secret")
    page.keyboard.press("Enter")
    page.wait_for_selector("#save:not([hidden])")
    assert given[0] == "Bearer secret" and page.is_hidden("#token-form")


def test_what_is_wrong_with_a_file_is_told(browser, address, tmp_path):
    limits = {"limits": {"bytes": 50_000, "pixels": 200_000}}
    with visit(browser, address, viewport={"width": 600, "height": 500}) as page:
        page.route("**/healthz", lambda route: route.fulfill(json=limits))
        page.reload()
        for name, content in (("notes.jpg", b"no photo"), ("scan.tif", b"II*\0")):
            page.set_input_files("#file", {"name": name, "mimeType": "image/jpeg", "buffer": content})
            page.wait_for_selector("#status.error")
            assert f"{name} is not an image that this browser can show" in page.inner_text("#status")
        open_photo(page)
        assert page.inner_text("#status") == (
            "gc_kingfisher.jpg is too large: 0.3 million pixels; the server accepts up to 0.2 million."
        )
        noise = Image.effect_noise((400, 400), 80)
        noise.save(tmp_path / "noise.png")
        open_photo(page, tmp_path / "noise.png")
        stroke(page, (0.4, 0.3), (0.45, 0.5))
        page.click("#fill")
        page.wait_for_selector("#status.error")
        assert page.inner_text("#status").startswith("noise.png is too large: 0.")
        open_photo(page, small(tmp_path / "photo.jpg"))
        page.click("#rectangle")
        stroke(page, (-0.01, -0.01), (1.01, 1.01))
        page.click("#fill")
        page.wait_for_selector("#status.error")
        page.errors.clear()  # the browser's own line about the status 422
        assert page.inner_text("#status").startswith("The mask covers the whole photo") and page.is_enabled("#fill")


def test_a_phone(browser, address):
    with visit(browser, address, **PHONE) as page:
        page.tap("#sample")
        page.wait_for_selector("#painting:not([hidden])")
        for selector in ("#fill", "#undo", "#erase", "#brush"):
            box = page.locator(selector).bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 640, selector
        assert page.locator("#photo").bounding_box()["height"] > 200
        box = page.locator("#brush").bounding_box()
        page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert painted(page) > 0
        page.tap("#fill")
        page.wait_for_selector("#save:not([hidden])")
        page.wait_for_selector("#cancel", state="hidden")
        assert page.evaluate("() => document.documentElement.scrollWidth") == 360
        assert page.locator("#go-on").bounding_box()["y"] < 600


@pytest.mark.long
def test_the_picture_of_the_documentation_is_made(tmp_path):
    subprocess.run([sys.executable, ROOT / "docs" / "page_picture.py", tmp_path / "page.jpg"], check=True)
    made, kept = Image.open(tmp_path / "page.jpg"), Image.open(ROOT / "docs" / "page.jpg")
    assert made.size == kept.size
    assert np.abs(np.array(made).astype(int) - np.array(kept)).mean() < 8  # it shows the page as it is
