"""What pages of strangers can do to a server on the visitor's machine, in a real Chromium."""

import contextlib
import http.server
import re

import pytest
from pages import NEEDS_CHROMIUM, local_site
from test_server import Server

pytestmark = NEEDS_CHROMIUM

# A page's script: a fetch of each kind, and what it gets to see.
ASK = """async (address) => {
  const headers = { "Content-Type": "application/json" };
  const form = new FormData();
  form.append("image", new Blob(["x"]), "a.png");
  form.append("mask", new Blob(["x"]), "b.png");
  const tries = {
    get: () => fetch(address + "healthz"),
    simple: () => fetch(address + "v1/inpaint", { method: "POST", body: form }),
    blind: () => fetch(address + "v1/inpaint", { method: "POST", body: form, mode: "no-cors" }),
    json: () => fetch(address + "v1/inpaint", { method: "POST", body: "{}", headers }),
  };
  const seen = {};
  for (const [name, ask] of Object.entries(tries)) {
    try {
      const response = await ask();
      seen[name] = `${response.type} ${response.status} ${await response.text()}`;
    } catch (error) {
      seen[name] = error.name;
    }
  }
  return seen;
}"""


class Stranger(http.server.BaseHTTPRequestHandler):
    """Another web site on this machine."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>stranger</title>")


@pytest.fixture(scope="module")
def stranger():
    with local_site(Stranger) as port:
        yield port


@pytest.fixture(scope="module")
def server(stranger):
    server = Server("--allow-origin", f"http://friend.example:{stranger}")
    yield server
    assert server.stop() == 0


def seen_from(browser, page_address, address):
    with contextlib.closing(browser.new_page()) as page:
        page.goto(page_address)
        return page.evaluate(ASK, address)


def test_a_page_of_a_stranger_cannot_use_the_server(browser, server, stranger):
    seen = seen_from(browser, f"http://evil.example:{stranger}/", f"http://{server.address}/")
    assert seen["get"] == seen["simple"] == seen["json"] == "TypeError"  # CORS
    assert seen["blind"] in ("TypeError", "opaque 0 ")
    counted = re.findall(r'requests_total{path="/v1/.*",status="(\d+)"}', server.ask("/metrics")[1].decode())
    assert set(counted) == {"403"}  # by the server too: nothing was read or filled


def test_a_page_that_is_allowed_can(browser, server, stranger):
    seen = seen_from(browser, f"http://friend.example:{stranger}/", f"http://{server.address}/")
    assert seen["get"].startswith("cors 200 ") and '"status":"ok"' in seen["get"]
    assert seen["simple"].startswith("cors 422 ") and "Pillow" in seen["simple"]
    assert seen["json"].startswith("cors 422 ") and "`image` is missing" in seen["json"]


def test_a_rebound_name_cannot_read_the_server(browser, server):
    """The name of a stranger that has become this machine's address: for the browser the server is its own origin."""
    address = f"http://evil.example:{server.address.partition(':')[2]}/"
    with contextlib.closing(browser.new_page()) as page:
        assert page.goto(address).status == 403
        seen = page.evaluate(ASK, address)
    assert all(answer.startswith("basic 403 ") and "unknown host" in answer for answer in seen.values()), seen


def test_the_server_s_own_pages_can(browser, server):
    address = f"http://{server.address}/"
    seen = seen_from(browser, f"{address}docs", address)
    assert seen["get"].startswith("basic 200 ") and seen["simple"].startswith("basic 422 ")
