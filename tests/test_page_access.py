"""The page by the keyboard alone and for screen readers: names, focus, what is announced; WCAG by axe-core."""

import pytest
from pages import NEEDS_CHROMIUM, PHONE, visit

pytestmark = NEEDS_CHROMIUM
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python").Axe()

FOCUSED = """() => { const it = document.activeElement, seen = it.id === "brush" ? it.parentElement : it;
    const { outlineStyle, outlineWidth } = getComputedStyle(seen);
    return { id: it.id || it.textContent, visible: outlineStyle === "solid" && outlineWidth === "3px",
        name: it.getAttribute("aria-label") || it.textContent.trim() || it.labels[0].textContent.trim() }; }"""


def violations(page):
    """What axe-core finds: the rule and the elements."""
    found = axe.run(page).response["violations"]
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]


def walk(page, until, key="Tab"):
    """Go to a control by a key; the ids of those on the way. Each has a name and shows that it has the focus."""
    passed = []
    while not passed or passed[-1] != until:
        page.keyboard.press(key)
        focused = page.evaluate(FOCUSED)
        assert focused["visible"] and focused["name"], focused
        passed.append(focused["id"])
        assert len(passed) < 40, passed
    return passed


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_photo_is_filled_by_the_keyboard_alone_and_axe_finds_nothing(browser, address, tmp_path, scheme):
    size = PHONE if scheme == "dark" else {}
    with visit(browser, address, color_scheme=scheme, **size) as page:
        assert violations(page) == []
        assert walk(page, "sample") == ["help", "open", "open-first", "sample"]  # from the first on
        page.keyboard.press("Enter")
        page.wait_for_selector("#painting:not([hidden])")
        assert page.evaluate("document.activeElement.id") == "brush"
        assert violations(page) == []

        page.keyboard.press("Shift+Tab")
        assert walk(page, "fill" if page.is_enabled("#fill") else "detail")[:5] == [
            "brush",
            "zoom-in",
            "zoom-fit",
            "zoom-out",
            "paint",
        ]
        walk(page, "rectangle", "Shift+Tab")
        page.keyboard.press("Enter")
        assert page.get_attribute("#rectangle", "aria-pressed") == "true"
        walk(page, "brush", "Shift+Tab")
        assert page.is_visible("#outline") and page.inner_text("#status").startswith("Cursor at 265, 192.")
        for key in ("Enter", "Shift+ArrowRight", "ArrowDown", "ArrowDown"):
            page.keyboard.press(key)
        assert "Drawing a rectangle of" in page.inner_text("#status")
        page.keyboard.press("Enter")
        walk(page, "fill")
        page.keyboard.press("Enter")
        page.wait_for_selector("#save:not([hidden])")
        page.wait_for_selector("#cancel", state="hidden")
        assert page.inner_text("#status").startswith("Filled ")
        assert page.evaluate("document.activeElement.id") == "compare"
        page.keyboard.press("End")
        assert page.get_attribute("#compare", "aria-valuetext") == "before: left 100 %, after: right 0 %"
        page.keyboard.press("Home")
        assert violations(page) == []

        assert walk(page, "save", "Shift+Tab")[-1] == "save"
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        assert download.value.suggested_filename == "sample-filled.jpg"
        walk(page, "back")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "brush"


def test_what_is_announced_and_the_dialog_of_keys(browser, address):
    with visit(browser, address, **PHONE) as page:
        page.click("#help")
        assert page.evaluate("document.activeElement.id") == "keys-title" and violations(page) == []
        box = page.locator("dialog").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 360
        page.keyboard.press("Escape")
        assert page.is_hidden("#keys") and page.evaluate("document.activeElement.id") == "help"

        page.route("**/v1/*", lambda route: route.fulfill(status=401, body="{}"))
        page.click("#sample")
        page.wait_for_selector("#painting:not([hidden])")
        page.tap("#brush")
        page.tap("#fill")
        page.wait_for_selector("#token-form:not([hidden])")
        page.errors.clear()  # the browser's own line about the status 401
        assert violations(page) == []
        live = page.locator("#status")
        assert live.get_attribute("role") == "status" and live.get_attribute("aria-live") == "polite"
        assert live.inner_text() == "The server requires a token."


def test_letters_do_nothing_outside_the_editor(page, tmp_path):
    """A key of one sign disturbs those who dictate (WCAG 2.1.4): it works while the focus is on the editor alone."""
    page.click("#sample")
    page.wait_for_selector("#painting:not([hidden])")
    page.focus("#open")
    page.keyboard.press("l")
    page.keyboard.press("]")
    assert page.get_attribute("#lasso", "aria-pressed") == "false" and page.input_value("#size") == "40"
    page.focus("#detail")
    page.keyboard.press("c")  # chooses in the list
    assert page.input_value("#detail") == "shift-map"
    page.focus("#size")
    page.keyboard.press("l")
    page.keyboard.press("]")
    assert page.get_attribute("#lasso", "aria-pressed") == "true" and page.input_value("#size") == "50"
