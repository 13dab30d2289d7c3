"""Driving the page of `shiftnet demo` in Chromium: what the tests of the page share."""

import contextlib
import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from conftest import PHOTOS, ROOT
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NEEDS_CHROMIUM = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
]
PHOTO = PHOTOS / "test" / "gc_kingfisher.jpg"
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "device_scale_factor": 3}
PREFIX = "/photos"  # as behind a proxy: no address of the page may begin with a slash


@contextlib.contextmanager
def demo():
    """The address of the page, with the bundled model."""
    command = [sys.executable, "-m", "shiftnet_tf", "demo", "--no-browser", "--port", "0", "--root-path", PREFIX]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert "warm" in server.stdout.readline()
        yield server.stdout.readline().split()[0]
        server.send_signal(signal.SIGTERM)
        assert server.wait(60) == 0 and "error" not in server.stderr.read().lower()


@contextlib.contextmanager
def local_site(handler):
    """The port of a web site on this machine that answers as a handler of `http.server` does, without its log."""
    quiet = type("Quiet", (handler,), {"log_message": lambda *words: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@contextlib.contextmanager
def chromium():
    """A browser for which each name below .example is this machine: other sites, and pages that were rebound."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        arguments = ["--host-resolver-rules=MAP *.example 127.0.0.1"] + ["--no-sandbox"] * (os.getuid() == 0)
        yield p.chromium.launch(executable_path=CHROMIUM, args=arguments)


@contextlib.contextmanager
def visit(browser, address, **context):
    """The page in a window of its own; at its end it has logged no error and loaded nothing from elsewhere."""
    with contextlib.closing(browser.new_context(**{"viewport": {"width": 1000, "height": 760}, **context})) as window:
        page = window.new_page()
        page.set_default_timeout(60_000)
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
    page.wait_for_function("name => document.getElementById('status').textContent.startsWith(name)", arg=path.name)


def at(page, x, y):
    """The place in the window of a point that is given in shares of the photo."""
    box = page.locator("#photo").bounding_box()
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def stroke(page, *places):
    """Draw with the mouse through places given as shares of the photo."""
    points = [at(page, *place) for place in places]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


class Fingers:
    """Fingers on a touch screen; each is at a place of the window."""

    def __init__(self, page):
        self._page, self._session, self._down = page, page.context.new_cdp_session(page), {}

    def _send(self, kind):
        points = [{"id": name, "x": x, "y": y} for name, (x, y) in self._down.items()]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    def put(self, **fingers):
        """Put one finger after the other on the screen."""
        for name, place in fingers.items():
            self._down[ord(name)] = place
            self._send("touchStart")

    def move(self, **fingers):
        """Move fingers at a time, in steps."""
        starts = {ord(name): self._down[ord(name)] for name in fingers}
        for share in (0.25, 0.5, 0.75, 1):
            for name, (x, y) in fingers.items():
                from_x, from_y = starts[ord(name)]
                self._down[ord(name)] = (from_x + share * (x - from_x), from_y + share * (y - from_y))
            self._send("touchMove")
        self._page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def lift(self, *names):
        for name in names:
            del self._down[ord(name)]
            self._send("touchEnd")


def painted(page):
    """The painted area as a share of the photo."""
    return page.evaluate(
        """() => { const c = document.getElementById("brush");
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
        let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 127;
        const box = document.getElementById("photo").getBoundingClientRect(), ratio = window.devicePixelRatio;
        return n / (box.width * box.height * ratio * ratio); }"""
    )


def green(page):
    """The green channel of the photo as it is shown, with what is painted over it: float [H, W], screen pixels."""
    shot = page.screenshot(clip=page.locator("#photo").bounding_box())
    return np.array(Image.open(io.BytesIO(shot)).convert("RGB"), float)[..., 1]


def saved(page, link, path):
    with page.expect_download() as download:
        page.click(link)
    download.value.save_as(path)
    return path


def mask_of(page, path):
    """Save the mask that is being drawn; what is in its JSON."""
    return json.loads(saved(page, "#painting .save-mask", path).read_text())


def fill(page, press="#fill"):
    """Fill, and wait for the last answer."""
    page.click(press)
    page.wait_for_selector("#save:not([hidden])")
    page.wait_for_selector("#cancel", state="hidden")


def small(path, size=(160, 120)):
    """Write a small photo, which is filled soon."""
    Image.open(PHOTO).resize(size).save(path, quality=95)
    return path
