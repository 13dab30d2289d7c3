"""The page of `shiftnet demo` in a real Chromium, as a person uses it."""

import contextlib
import io
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from conftest import PHOTOS
from PIL import Image

from shiftnet_tf.cli import main

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
PHOTO = PHOTOS / "test" / "gc_kingfisher.jpg"


@pytest.fixture(scope="module")
def address(small_model):
    command = [sys.executable, "-m", "shiftnet_tf", "demo", "--no-browser", "--port", "0"]
    command += ["--model", str(small_model)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert "warm" in server.stdout.readline()
        yield server.stdout.readline().split()[0]
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0 and server.stderr.read() == ""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as p:
        yield p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"] if os.getuid() == 0 else [])


@pytest.fixture
def page(browser, address):
    with contextlib.closing(browser.new_page(viewport={"width": 1000, "height": 760})) as page:
        page.asked, page.errors = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and page.errors.append(message.text))
        page.goto(address)
        yield page
        assert page.errors == []
        assert all(url.startswith((address, "blob:", "data:")) for url in page.asked), page.asked


def open_photo(page, path=PHOTO):
    page.set_input_files("#file", path)
    page.wait_for_selector("#painting:not([hidden])")


def stroke(page, *places):
    """Draws with the mouse through places given as shares of the photo."""
    box = page.locator("#brush").bounding_box()
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=8)
    page.mouse.up()


def painted(page):
    """The share of the brush's canvas that is painted."""
    return page.evaluate(
        """() => { const c = document.getElementById("brush");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 127; return n / (d.length / 4); }"""
    )


def green(page):
    """The green channel of the photo as it is shown, with what is painted over it: float [H, W], screen pixels."""
    return np.array(Image.open(io.BytesIO(page.locator("#photo").screenshot())).convert("RGB"), float)[..., 1]


def seen_area(page, white):
    """The painted area in square CSS pixels, measured against a white photo; edge pixels count by their coverage."""
    paint = white - green(page)  # the brush is red, so green drops most
    return paint.sum() / max(paint.max(), 1) / page.evaluate("() => window.devicePixelRatio") ** 2


def saved(page, link, path):
    with page.expect_download() as download:
        page.click(link)
    download.value.save_as(path)
    return path


def fill(page):
    page.click("#fill")
    page.wait_for_selector("#comparing:not([hidden])", timeout=30_000)


def test_the_saved_picture_is_byte_for_byte_that_of_the_command(page, small_model, tmp_path, capsys):
    open_photo(page)
    stroke(page, (0.35, 0.2), (0.4, 0.4), (0.5, 0.45))
    stroke(page, (0.3, 0.7))  # a dot
    page.click("#erase")
    stroke(page, (0.36, 0.3), (0.5, 0.3))
    fill(page)
    assert "window" in page.inner_text("#status")
    filled = saved(page, "#save", tmp_path / "page.jpg")
    mask = saved(page, "#save-mask", tmp_path / "mask.json")
    assert [stroke["erase"] for stroke in json.loads(mask.read_text())["strokes"]] == [False, False, True]
    command = ["inpaint", str(PHOTO), "--mask", str(mask), "-o", str(tmp_path / "command.jpg")]
    assert main([*command, "--model", str(small_model)]) == 0
    assert filled.read_bytes() == (tmp_path / "command.jpg").read_bytes()
    assert filled.read_bytes() != PHOTO.read_bytes()


def test_brush_size_undo_and_clear(page):
    open_photo(page)
    assert page.is_disabled("#fill") and page.is_disabled("#undo")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    thin = painted(page)
    page.click("#undo")
    assert painted(page) == 0 and page.is_disabled("#fill")
    page.fill("#size", "120")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert painted(page) > 2 * thin > 0
    page.click("#erase")
    stroke(page, (0.2, 0.5), (0.8, 0.5))
    assert painted(page) < thin
    page.keyboard.press("Control+z")
    assert painted(page) > 2 * thin
    page.click("#clear")
    assert painted(page) == 0


@pytest.mark.parametrize("touch", [False, True], ids=["mouse", "touch"])
def test_a_click_or_tap_without_movement_paints_and_erases_a_disc(browser, address, tmp_path, touch):
    Image.new("RGB", (682, 512), "white").save(tmp_path / "white.png")
    context = browser.new_context(
        viewport={"width": 800, "height": 640}, has_touch=touch, device_scale_factor=3 if touch else 1
    )
    page = context.new_page()
    page.goto(address)
    open_photo(page, tmp_path / "white.png")

    def dot(x, y, size):
        page.fill("#size", str(size))
        box = page.locator("#brush").bounding_box()
        press = page.touchscreen.tap if touch else page.mouse.click
        press(box["x"] + x * box["width"], box["y"] + y * box["height"])

    def disc(size):
        return math.pi * (size / 2) ** 2

    white = green(page)
    assert seen_area(page, white) == 0
    dot(0.3, 0.4, 80)
    assert seen_area(page, white) == pytest.approx(disc(80), rel=0.02)
    dot(0.7, 0.5, 30)
    assert seen_area(page, white) == pytest.approx(disc(80) + disc(30), rel=0.02)
    page.click("#erase")
    dot(0.3, 0.4, 50)
    ring = disc(80) - disc(50)
    assert seen_area(page, white) == pytest.approx(ring + disc(30), rel=0.02)
    dot(0.7, 0.5, 60)
    assert seen_area(page, white) == pytest.approx(ring, rel=0.02)
    page.click("#paint")
    stroke(page, (0.2, 0.8), (0.8, 0.8))
    with_a_line = seen_area(page, white)
    page.click("#erase")
    dot(0.5, 0.8, 30)
    assert with_a_line - seen_area(page, white) == pytest.approx(disc(30), rel=0.05)
    context.close()


def test_compare_map_and_go_on(page):
    open_photo(page)
    stroke(page, (0.4, 0.3), (0.45, 0.5))
    fill(page)
    clip = "() => getComputedStyle(document.getElementById('after')).clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 0%)"
    page.fill("#compare", "70")
    assert page.evaluate(clip) == "inset(0px 0px 0px 70%)" and page.is_visible("#divider")
    page.click("#show-map")
    page.wait_for_selector("#map:not([hidden])")
    assert page.evaluate("() => document.getElementById('map').naturalWidth") == 682
    page.click("#show-map")
    assert page.is_hidden("#map")
    page.click("#back")
    assert painted(page) > 0  # the hole is as it was
    fill(page)
    page.click("#go-on")
    page.wait_for_selector("#painting:not([hidden])")
    assert painted(page) == 0 and "gc_kingfisher-filled.jpg" in page.inner_text("#status")


def test_nothing_can_be_changed_while_the_server_is_at_work(page):
    open_photo(page)
    stroke(page, (0.4, 0.3), (0.45, 0.5))
    stroke(page, (0.6, 0.3), (0.65, 0.5))
    page.route("**/v1/*", lambda route: (time.sleep(0.5), route.continue_()))
    page.click("#fill")
    assert page.is_disabled("#undo") and page.is_disabled("#clear") and page.is_disabled("#fill")
    page.keyboard.press("Control+z")
    page.wait_for_selector("#comparing:not([hidden])")
    page.click("#show-map")
    page.click("#back")  # before the map has come
    page.wait_for_selector("#busy", state="hidden")
    page.wait_for_timeout(700)
    assert page.is_visible("#painting") and page.is_hidden("#comparing") and page.is_hidden("#map")
    assert page.is_enabled("#fill")


def test_what_goes_wrong_is_said(page, tmp_path):
    (tmp_path / "notes.jpg").write_text("no photo")
    page.set_input_files("#file", tmp_path / "notes.jpg")
    page.wait_for_selector("#status.error")
    assert "cannot show notes.jpg" in page.inner_text("#status")
    open_photo(page)
    assert page.get_attribute("#status", "class") == ""
    page.fill("#size", "160")
    for y in range(12):
        stroke(page, (0, y / 10 - 0.05), (1, y / 10 - 0.05))
    page.click("#fill")
    page.wait_for_selector("#status.error")
    page.errors.clear()  # the browser's own line about the status 422
    assert "covers the whole photo" in page.inner_text("#status") and page.is_enabled("#fill")


def test_a_phone(browser, address):
    context = browser.new_context(viewport={"width": 360, "height": 640}, has_touch=True, device_scale_factor=3)
    page = context.new_page()
    page.goto(address)
    open_photo(page)
    for selector in ("#fill", "#undo", "#erase", "#brush"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 640, selector
    assert page.evaluate("() => document.documentElement.scrollWidth") == 360
    box = page.locator("#brush").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert painted(page) > 0
    fill(page)
    assert page.locator("#go-on").bounding_box()["y"] < 640
    context.close()
