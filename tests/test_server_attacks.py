"""A server under attack: good requests are answered, its event loop is free, it ends in time and gives memory back."""

import base64
import contextlib
import json
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attacks
import pytest
from conftest import MASK
from PIL import features
from test_light import run
from test_server import PHOTO, Server, error, form, photo_with_a_line, slow_app

pytest.importorskip("fastapi")
if not Path("/proc/self/statm").exists():
    pytest.skip("the limits of a process hold on Linux", allow_module_level=True)
BOX = b'{"boxes": [[1, 1, 40, 40]]}'
GOOD = form(image=PHOTO.read_bytes(), mask=MASK.read_bytes(), detail="model")


def in_json(mask, image=b""):
    values = {"image": base64.b64encode(image or PHOTO.read_bytes()).decode(), "mask": mask}
    return json.dumps(values), {"Content-Type": "application/json"}


def as_photo(content, **fields):
    return form(image=content, mask=BOX, detail="model", **fields)


def line_breaks(size):
    return attacks.form_of_line_breaks(size), {"Content-Type": "multipart/form-data; boundary=x"}


# What is refused: the request, its status and words of its sentence. Smaller and larger ones, for the long test.
ATTACKS = {
    "scans": (lambda: as_photo(attacks.jpeg_of_scans()), 422, "scans"),
    "segments": (lambda: as_photo(attacks.jpeg_of_segments()), 422, "segments"),
    "directories": (lambda: as_photo(attacks.tiff_of_directories()), 422, "several pages"),
    "jpeg_2000": (lambda: as_photo(attacks.flat_jpeg_2000(5100, 5000)), 413, "the limit for a JPEG 2000 is 25"),
    "points": (lambda: form(image=PHOTO.read_bytes(), mask=attacks.mask_of_points(600_000)), 413, "larger than 4 MB"),
    "points in JSON": (
        lambda: in_json(json.loads(attacks.mask_of_points(600_000))),
        413,
        "more than 1,000,000 commas and brackets",
    ),
    "points in text": (
        lambda: in_json(attacks.mask_of_points(600_000).decode()),
        413,
        "more than 1,000,000 commas and brackets",
    ),
    "a long number": (
        lambda: ('{"image": 1.' + "1" * 10_000_000 + "}", {"Content-Type": "application/json"}),
        422,
        "must be a file, encoded in base64",
    ),
}
LARGE_ATTACKS = {
    "chunks": (lambda: as_photo(attacks.png_of_chunks()), 422, "chunks"),
    "points": (lambda: form(image=PHOTO.read_bytes(), mask=attacks.mask_of_points()), 413, "larger than 4 MB"),
    "points in base64": (
        lambda: in_json(base64.b64encode(attacks.mask_of_points()).decode()),
        413,
        "larger than 4 MB",
    ),
    "zeros in base64": (lambda: in_json("", bytes(45_000_000)), 422, "not an image file that Pillow can identify"),
    "line breaks": (lambda: line_breaks(60_000_000), 422, "`mask` is missing"),
    "many scans": (lambda: as_photo(attacks.jpeg_of_scans(7000, 90)), (200, 422), ""),
    "values": (lambda: as_photo(attacks.tiff_of_values()), (200, 422), ""),
    "large values": (lambda: as_photo(attacks.tiff_of_values(20_000, 20_000_000)), (200, 422), ""),
    "large JPEG 2000": (lambda: as_photo(attacks.flat_jpeg_2000(5000, 5000)), 200, ""),
}
if features.check("avif"):
    ATTACKS["avif"] = (lambda: as_photo(attacks.avif_that_lies(7200)), 413, "51.84 megapixels, the limit is 50")
    LARGE_ATTACKS["large avif"] = (lambda: as_photo(attacks.avif_that_lies()), 413, "196 megapixels")


def attacked(server, body, copies, patience=3):
    """Send a request several times at once, and a good one and questions for its health meanwhile; return answers.

    On an idle machine health is answered within 0.1 s; the patience is for one that runs other tests.
    """
    with ThreadPoolExecutor(copies + 1) as pool:
        bad = [pool.submit(server.ask, "/v1/inpaint", *body) for _ in range(copies)]
        good = pool.submit(server.ask, "/v1/inpaint", *GOOD)
        while not all(future.done() for future in (*bad, good)):
            started = time.monotonic()
            assert server.ask("/healthz")[0] == 200
            assert time.monotonic() - started < patience
            time.sleep(0.02)
    assert good.result()[0] == 200
    return [future.result() for future in bad]


def check(server, attack, copies, patience=3):
    make, status, words = attack
    for answer in attacked(server, make(), copies, patience):
        if isinstance(status, int):
            assert answer[0] == status and words in answer[1].decode(errors="replace"), answer[:2]
        assert isinstance(status, int) or answer[0] in status


def children(process):
    """The processes that a process started and that have not ended, by their numbers."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rsplit(")", 1)[1].split()[:2]
            has_ended = state == "Z" and len(list((path.parent / "task").iterdir())) == 1  # its last thread too
            if int(parent) == process and not has_ended:
                found.append(int(path.parent.name))
    return found


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log if "Traceback" in line]


@pytest.mark.parametrize("name", ATTACKS)
def test_a_good_request_is_answered_during_an_attack(server, name):
    check(server, ATTACKS[name], 4)


@pytest.mark.slow
def test_reading_is_ended_after_a_quarter_of_the_time_and_a_stop_during_it():
    server = Server("--timeout", "8", "--max-pixels", "179")  # in megapixels
    body = as_photo(attacks.jpeg_of_scans(13_000, 90))  # whose reading takes more than the two seconds that it may
    (answer,) = attacked(server, body, 1)
    if answer[0] != 503:  # on a busy machine all of the time is over before 2 seconds of processor time are
        assert "reading the photo and its masks takes more than 2 seconds" in error(answer, 422)
    assert server.ask("/v1/inpaint", *GOOD)[0] == 200
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(server.ask, "/v1/inpaint", *body) for _ in range(2)]
        wait_for(lambda: b"in_flight 2.0" in server.ask("/metrics")[1], 5)
        processes, started = children(server.process.pid), time.monotonic()
        assert server.stop() == 0 and time.monotonic() - started < 18
        assert {future.result()[0] for future in asked} <= {422, 503}
    assert processes and not [number for number in processes if Path(f"/proc/{number}").exists()]
    assert not [line for line in server.log if "Traceback" in line]


@pytest.mark.slow
def test_a_process_that_ends_is_replaced():
    testclient = pytest.importorskip("starlette.testclient")
    asking = {"files": {"image": PHOTO.read_bytes(), "mask": MASK.read_bytes()}, "data": {"detail": "model"}}
    before = set(children(os.getpid()))
    with testclient.TestClient(slow_app(0.5, in_flight=1)) as client, ThreadPoolExecutor(1) as pool:
        for number, status, words in (
            (signal.SIGSEGV, 422, "SIGSEGV"),
            (signal.SIGXCPU, 422, "takes more than 15 seconds of CPU time"),
            (signal.SIGKILL, 503, "not enough memory"),
        ):
            asked = pool.submit(client.post, "/v1/inpaint", **asking)
            wait_for(lambda: "in_flight 1.0" in client.get("/metrics").text, 5)
            wait_for(lambda: set(children(os.getpid())) - before, 5)
            (process,) = set(children(os.getpid())) - before
            os.kill(process, number)
            answer = asked.result()
            assert answer.status_code == status and words in answer.json()["error"]
        assert client.post("/v1/inpaint", **asking).status_code == 200
        (process,) = set(children(os.getpid())) - before
        os.kill(process, signal.SIGKILL)  # while it waits
        wait_for(lambda: not set(children(os.getpid())) - before, 5)
        assert client.post("/v1/inpaint", **asking).status_code == 200
    assert not set(children(os.getpid())) - before


def test_a_system_without_room_for_a_process(monkeypatch):
    testclient = pytest.importorskip("starlette.testclient")
    from shiftnet_tf.server import pool

    def absent(setup):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    files = {"image": PHOTO.read_bytes(), "mask": MASK.read_bytes()}
    before = set(children(os.getpid()))
    with testclient.TestClient(slow_app(0)) as client:
        (process,) = set(children(os.getpid())) - before
        os.kill(process, signal.SIGKILL)
        wait_for(lambda: not set(children(os.getpid())) - before, 5)
        monkeypatch.setattr(pool, "_Process", absent)
        answer = client.post("/v1/inpaint", files=files)
        assert answer.status_code == 503 and "cannot start a worker process" in answer.json()["error"]


def test_no_process_outlives_a_server_that_is_killed():
    server = Server()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "/v1/inpaint", *form(**photo_with_a_line(400, 20_000), detail="model"))
        wait_for(lambda: b"in_flight 1.0" in server.ask("/metrics")[1], 5)
        processes = children(server.process.pid)
        server.process.kill()
        server.process.wait()
        assert asked.exception()
    wait_for(lambda: not any(Path(f"/proc/{number}").exists() for number in processes), 20)


def test_a_process_cannot_take_more_memory_or_time_than_its_limit():
    code = "from shiftnet_tf.server.worker import _limit_time\n_limit_time(0.1)\nwhile True: pass"
    assert run(code).returncode == -signal.SIGXCPU
    code = "from shiftnet_tf.server.worker import _limit_memory\n_limit_memory(2**28)\nbytes(2**27)\n"
    assert run(code).returncode == 0
    assert "MemoryError" in run(code + "bytearray(2**33)").stderr


def resident(process):
    """Megabytes that a process and those that it started take, shared ones counted once."""
    found = 0
    for number in (process, *children(process)):
        text = Path(f"/proc/{number}/smaps_rollup").read_text()
        found += int(text.split("Pss:")[1].split()[0])
    return found / 1000


@pytest.mark.long
def test_each_attack_at_its_full_size():
    server = Server()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.ask("/v1/inpaint", *GOOD), range(8)))
    before = resident(server.process.pid)
    for attack in (ATTACKS | LARGE_ATTACKS).values():
        check(server, attack, 4, patience=1)
    time.sleep(60)
    assert resident(server.process.pid) - before < 200
    with ThreadPoolExecutor(4) as pool:
        body = as_photo(attacks.jpeg_of_scans(7000, 90))
        for _ in range(4):
            pool.submit(server.ask, "/v1/inpaint", *body)
        wait_for(lambda: b"in_flight 4.0" in server.ask("/metrics")[1], 5)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(80) == 0 and time.monotonic() - started < 70
    assert not [line for line in server.log if "Traceback" in line]
