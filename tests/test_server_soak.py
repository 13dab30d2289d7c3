"""Good, bad and hostile clients together for ten minutes: every good answer is right, and nothing grows.

SHIFTNET_SOAK_SECONDS sets another time. The table is shown with `pytest -s`.
"""

import base64
import contextlib
import io
import json
import os
import random
import socket
import statistics
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image
from test_server import Server, form, pairs_of_many_photos
from test_server_attacks import ATTACKS, children, resident

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.runtime import inpaint_photo
from shiftnet_tf.runtime.files import fill_pair, read_pair

SECONDS = float(os.environ.get("SHIFTNET_SOAK_SECONDS", "600"))
CLIENTS = 16
MODEL, MAP = FillOptions(detail="model"), FillOptions(detail="shift-map")


def good_requests():
    """Requests by their path, body and header, each with the bytes of its answer, from Inpainter in this process."""
    inpainter = Inpainter.load()
    found = []
    for i, (photo, mask) in enumerate(pairs_of_many_photos(8)):
        options = MAP if i == 0 else MODEL
        files = {"image": photo, "mask": mask}
        content = inpaint_photo(inpainter, photo, [mask], options).encoded()
        found.append(("/v1/inpaint", *form(**files, detail=options.detail), content))
        values = {name: base64.b64encode(file).decode() for name, file in files.items()} | {"detail": options.detail}
        found.append(("/v1/inpaint", json.dumps(values).encode(), {"Content-Type": "application/json"}, content))
        buffer = io.BytesIO()
        filled = fill_pair(inpainter, *read_pair(photo, [mask], MODEL), MODEL, shift_map=True)
        Image.fromarray(filled.shift_map).save(buffer, "PNG")
        found.append(("/v1/shift-map", *form(**files, detail="model"), buffer.getvalue()))
    return found


def bad_requests(photo, mask):
    """Requests by their method, path, body and header, each with the status of its answer."""
    body, header = form(image=photo, mask=mask)
    return [
        ("POST", "/v1/inpaint", *form(image=photo), 422),
        ("POST", "/v1/inpaint", *form(image=photo, mask=mask[:50]), 422),
        ("POST", "/v1/inpaint", *form(image=photo[:3000], mask=mask), 422),
        ("POST", "/v1/inpaint", *form(image=photo, mask=mask, strategy="best"), 422),
        ("POST", "/v1/inpaint", b"{", {"Content-Type": "application/json"}, 422),
        ("POST", "/v1/inpaint", body, {}, 415),
        ("POST", "/v1/inpaint", body, header | {"Origin": "https://evil.example"}, 403),
        ("POST", "/v1/inpaint", body, header | {"Host": "evil.example"}, 403),
        ("DELETE", "/v1/inpaint", None, {}, 405),
        ("GET", "/nowhere", None, {}, 404),
    ]


class Soak:
    """The clients of a server, and what they have seen."""

    def __init__(self, server):
        self.server, self.end = server, time.monotonic() + SECONDS
        self.counts, self.wrong = Counter(), []
        self.good = good_requests()
        self.bad = bad_requests(*pairs_of_many_photos(1)[0])
        self.hostile = [(make(), status) for make, status, _ in ATTACKS.values()]

    def client(self, seed):
        """One client, until the time is over."""
        chance = random.Random(seed)
        acts = [(self.ask_good, 12), (self.ask_bad, 4), (self.attack, 2), (self.go_away, 2), (self.idle, 1)]
        while time.monotonic() < self.end and not self.wrong:
            act = chance.choices([act for act, _ in acts], [weight for _, weight in acts])[0]
            try:
                act(chance)
            except Exception as error:
                self.wrong.append(f"{act.__name__}: {error!r}")
            self.counts[act.__name__] += 1

    def ask_good(self, chance):
        path, body, header, expected = chance.choice(self.good)
        status, content, headers = self.server.ask(path, body, header)
        if status == 200 and headers["Content-Type"] == "application/json":
            content = base64.b64decode(json.loads(content)["image"])
        if (status, content) != (200, expected):
            self.wrong.append(f"{path}: {status} {content[:80]!r}")

    def ask_bad(self, chance):
        method, path, body, header, expected = chance.choice(self.bad)
        status, content, _ = self.server.ask(path, body, header, method)
        if status != expected or "error" not in json.loads(content):
            self.wrong.append(f"{method} {path}: {status} {content[:80]!r}")

    def attack(self, chance):
        body, expected = chance.choice(self.hostile)
        status, content, _ = self.server.ask("/v1/inpaint", *body)
        if status not in (expected, 503):  # on a busy machine its time may be over before its processor time is
            self.wrong.append(f"attack: {status} {content[:80]!r}")

    def connect(self, sent):
        host, port = self.server.address.split(":")
        client = socket.create_connection((host, int(port)), 90)
        client.sendall(sent)
        return client

    def go_away(self, chance):
        """Send a part of a request, or a whole one, and do not wait for the answer."""
        path, body, header, _ = chance.choice(self.good)
        lines = "".join(f"{name}: {value}\r\n" for name, value in header.items())
        whole = f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        with contextlib.closing(self.connect(whole[: chance.choice([20, 200, len(whole) // 2, len(whole)])])):
            time.sleep(chance.random() / 2)

    def idle(self, chance):
        """Send half a header, a body that never ends, or no HTTP, and wait until the server has had enough."""
        body = b"POST /v1/inpaint HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n"
        with contextlib.closing(self.connect(chance.choice([b"GET / HTTP/1.1\r\n", body, b"\0" * 100]))) as client:
            if chance.random() < 0.5:
                client.settimeout(2)
            with contextlib.suppress(TimeoutError, ConnectionError):
                while client.recv(65536):
                    pass


def measured(process, folder):
    """What the server takes now: MB of it and its processes, file descriptors, threads, files in its /tmp."""
    threads = Path(f"/proc/{process}/status").read_text().split("Threads:")[1].split()[0]
    descriptors, files = len(os.listdir(f"/proc/{process}/fd")), sum(1 for path in folder.rglob("*") if path.is_file())
    return resident(process), descriptors, int(threads), len(children(process)), files


def table(samples):
    rows = ["seconds      MB  descriptors  threads  processes  files"]
    for seconds, (memory, *others) in samples:
        rows.append(f"{seconds:7.0f} {memory:7.0f}  {others[0]:11}  {others[1]:7}  {others[2]:9}  {others[3]:5}")
    return "\n".join(rows)


def is_flat(samples):
    """The last quarter against the second one: the first has the start."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]

    def typical(part, column):
        return statistics.median(values[column] for _, values in part)

    grown = [typical(late, column) - typical(early, column) for column in range(5)]
    return grown[0] < max(100, 0.1 * typical(early, 0)) and grown[1] < 16 and grown[2] <= 2 and grown[4] == 0


@pytest.mark.long
def test_ten_minutes_of_good_bad_and_hostile_clients(tmp_path, capsys):
    server = Server(environment={"TMPDIR": str(tmp_path)})
    soak, process = Soak(server), server.process.pid
    clients = [threading.Thread(target=soak.client, args=[seed], daemon=True) for seed in range(CLIENTS)]
    started, samples = time.monotonic(), []
    soak.end = started + SECONDS
    for client in clients:
        client.start()
    while time.monotonic() < soak.end and not soak.wrong:
        time.sleep(min(10, SECONDS / 24))
        with contextlib.suppress(OSError, IndexError):  # of a process that has just ended
            samples.append((time.monotonic() - started, measured(process, tmp_path)))
    for client in clients:
        client.join(120)
    with capsys.disabled():
        print(f"\n{table(samples)}\n{dict(soak.counts)}")
    assert not soak.wrong, soak.wrong
    assert not [client for client in clients if client.is_alive()] and soak.counts["ask_good"] > SECONDS / 10
    assert is_flat(samples)
    assert b"in_flight 0.0" in server.ask("/metrics")[1]
    time.sleep(1)
    after = measured(process, tmp_path)
    assert after[1] < 30 + 2 * after[3] and after[4] == 0, after  # nothing is left over from clients that are gone
    assert server.stop() == 0
    assert not [line for line in server.log if "Traceback" in line or " 500 " in line]
