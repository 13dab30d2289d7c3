"""Makes docs/page.jpg: the page of `shiftnet demo` with a brushed mask, and with the answer beside the photo.

pip install -e ".[dev]"; apt-get install chromium
python docs/page_picture.py docs/page.jpg
"""

import io
import os
import shutil
import subprocess
import sys

from PIL import Image
from playwright.sync_api import Page, sync_playwright

BRUSH = 64  # CSS pixels
STROKES = (  # shares of the photo: body, legs, head
    (
        (0.3, 0.28),
        (0.27, 0.4),
        (0.28, 0.58),
        (0.6, 0.62),
        (0.67, 0.55),
        (0.67, 0.4),
        (0.63, 0.24),
        (0.4, 0.25),
        (0.3, 0.27),
    ),
    ((0.34, 0.35), (0.6, 0.35), (0.6, 0.45), (0.34, 0.45), (0.36, 0.54), (0.58, 0.54)),
    ((0.28, 0.6), (0.27, 0.87)),
    ((0.375, 0.6), (0.37, 0.85)),
    ((0.52, 0.6), (0.51, 0.85)),
    ((0.59, 0.6), (0.585, 0.83)),
    ((0.46, 0.16), (0.54, 0.17), (0.62, 0.15)),
)


def brush(page: Page) -> None:
    """Draw STROKES with the mouse."""
    page.locator("#size").fill(str(BRUSH))
    box = page.locator("#photo").bounding_box()
    assert box
    for stroke in STROKES:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for x, y in points[1:]:
            page.mouse.move(x, y, steps=6)
        page.mouse.up()


def take(page: Page, address: str) -> list[Image.Image]:
    """Return what a person sees before and after *Fill*."""
    page.goto(address)
    page.click("#sample")
    page.wait_for_selector("#fill", state="visible")
    brush(page)
    shots = [page.screenshot()]
    page.click("#fill")
    page.wait_for_selector("#save:not([hidden])", timeout=120_000)
    page.wait_for_selector("#cancel", state="hidden")
    page.fill("#compare", "38")
    shots.append(page.screenshot())
    return [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]


def main(out: str) -> None:
    """Start the page, use it, and write the two screenshots side by side."""
    command = [sys.executable, "-m", "shiftnet_tf", "demo", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server, sync_playwright() as p:
        assert server.stdout
        server.stdout.readline()
        address = server.stdout.readline().split()[0]
        options = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=options)
        shots = take(browser.new_page(viewport={"width": 760, "height": 640}, color_scheme="light"), address)
        browser.close()
        server.terminate()
    sheet = Image.new("RGB", (2 * 760 + 12, 640), "white")
    for i, shot in enumerate(shots):
        sheet.paste(shot, (i * (760 + 12), 0))
    sheet.save(out, quality=88, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
