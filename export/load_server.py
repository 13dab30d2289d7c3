"""Loads a server of this machine with many clients and compares its throughput with the same work without HTTP.

    python export/load_server.py --requests 1000 --clients 16

A process of its own is the server (`shiftnet serve`), another one has the clients, which keep their connections. Each
request has a photo and a hole of its own, cut from the sample photos, and each answer is compared, byte for byte, with
what the same photo and mask give without a server. In turns with it, one process does the same work with no
HTTP: it decodes, fills and encodes in as many threads as the server, and in one; the faster of the two counts.
"""

import argparse
import hashlib
import http.client
import io
import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from shiftnet_tf import Inpainter
from shiftnet_tf.errors import ShiftNetError, check
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime import inpaint_photo
from shiftnet_tf.system.command import command

PHOTOS = Path(__file__).resolve().parent.parent / "training" / "sample_photos"
BOUNDARY = "shiftnet-load"


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=16, help="at a time; default: 16")
    parser.add_argument("--rounds", type=int, default=2, help="how often each comes round; default: 2")
    parser.add_argument("--model", help="default: the one that comes with shiftnet_tf")
    parser.add_argument("--json", metavar="FILE", help="write what was measured")
    parser.add_argument("--least", type=float, default=0.0, help="exit code 1 where the ratio is below; default: 0")
    options = parser.parse_args(arguments)
    for name in ("requests", "clients", "rounds"):
        check(f"--{name}", getattr(options, name), 1 <= getattr(options, name) <= 100_000, "from 1 to 100000")
    return options


def make_requests(number):
    """A photo of 240 to 500 pixels with a hole of its own, each different: list of (JPEG, PNG) as bytes."""
    rng = np.random.default_rng(0)
    paths = image_files.find_photos(PHOTOS)
    photos = [Image.fromarray(image_files.read_image(path)) for path in paths]
    found = []
    for i in range(number):
        picture = photos[i % len(photos)]
        width, height = (int(rng.integers(240, min(500, side))) for side in picture.size)
        left, top = (int(rng.integers(0, side - size)) for side, size in zip(picture.size, (width, height)))
        hole = np.zeros((height, width), np.uint8)
        down, right = int(rng.integers(0, height - 80)), int(rng.integers(0, width - 80))
        hole[down : down + int(rng.integers(20, 80)), right : right + int(rng.integers(20, 80))] = 255
        files = io.BytesIO(), io.BytesIO()
        picture.crop((left, top, left + width, top + height)).save(files[0], "JPEG", quality=90)
        Image.fromarray(hole).save(files[1], "PNG")
        found.append(tuple(file.getvalue() for file in files))
    return found


def without_http(inpainter, requests, threads):
    """Seconds for all requests, and the SHA-256 of each answer."""
    run = inpainter.grouped()

    def answer(request):
        return hashlib.sha256(inpaint_photo(run, request[0], [request[1]]).encoded()).hexdigest()

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        answers = list(pool.map(answer, requests))
    seconds = time.perf_counter() - started
    run.close()
    return seconds, answers


def body(request):
    parts = []
    for name, content in zip(("image", "mask"), request):
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()])


def over_http(address, requests, clients):
    """Seconds for all requests, and the SHA-256 of each answer, or its status where that is not 200."""
    waiting, answers = queue.SimpleQueue(), [None] * len(requests)
    for i, request in enumerate(requests):
        waiting.put((i, body(request)))
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

    def client():
        connection = http.client.HTTPConnection(address, timeout=120)
        while True:
            try:
                i, content = waiting.get_nowait()
            except queue.Empty:
                return connection.close()
            connection.request("POST", "/v1/inpaint", content, headers)
            response = connection.getresponse()
            answer = response.read()
            answers[i] = hashlib.sha256(answer).hexdigest() if response.status == 200 else response.status

    threads = [threading.Thread(target=client) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, answers


def start_server(model):
    arguments = [sys.executable, "-m", "shiftnet_tf.cli", "serve", "--port", "0", "--in-flight", "256"]
    arguments += ["--model", model] if model else []
    server = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    server.stdout.readline()
    line = server.stdout.readline()
    if not line:
        raise ShiftNetError(f"the server did not start (exit code {server.wait()})")
    return server, line.split()[0].removeprefix("http://").rstrip("/")


@command
def main(arguments=None):
    options = parse(arguments)
    requests = make_requests(options.requests)
    inpainter = Inpainter(options.model)
    seconds = {"one thread": [], "threads": [], "server": []}
    expected, wrong = None, 0
    for _ in tqdm(range(options.rounds), unit="round", disable=None):
        for name, threads in (("one thread", 1), ("threads", 2 * (os.cpu_count() or 1))):
            spent, expected = without_http(inpainter, requests, threads)
            seconds[name].append(spent)
        server, address = start_server(options.model)
        try:
            over_http(address, requests[:16], 4)  # connections, threads and caches are warm
            spent, answers = over_http(address, requests, options.clients)
        finally:
            server.terminate()
            server.wait(60)
        seconds["server"].append(spent)
        wrong += sum(answer != wanted for answer, wanted in zip(answers, expected))
    rates = {name: len(requests) / statistics.median(spent) for name, spent in seconds.items()}
    ratio = rates["server"] / max(rates["one thread"], rates["threads"])
    answered = options.rounds * len(requests) - wrong
    print(f"{len(requests)} requests by {options.clients} clients, {options.rounds} times: {answered} answered with")
    print(f"their own picture, byte for byte, {wrong} not. Photos a second: server {rates['server']:.1f},")
    print(f"without HTTP {rates['one thread']:.1f} in one thread, {rates['threads']:.1f} in several: ratio {ratio:.2f}")
    if options.json:
        values = {"requests": len(requests), "clients": options.clients, "wrong": wrong, "rates": rates}
        Path(options.json).write_text(json.dumps(values | {"ratio": ratio, "seconds": seconds}, indent=2) + "\n")
    return 1 if wrong or ratio < options.least else 0


if __name__ == "__main__":
    raise SystemExit(main())
