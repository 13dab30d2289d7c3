"""The server: the same bytes as the command, limits, many clients, a clean end; each request over real HTTP."""

import atexit
import base64
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import MASK, PHOTOS
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter, inpaint_file
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.photos import finding
from shiftnet_tf.runtime import inpaint_photo
from shiftnet_tf.runtime.batching import GroupedBackend
from shiftnet_tf.runtime.model_file import ModelFile

pytest.importorskip("fastapi")
PHOTO = PHOTOS / "test" / "gc_farm_sheep.jpg"


def part(path):
    """The bytes of a file with 130x120 pixels of a picture: the photo's with a part of the hole."""
    file = io.BytesIO()
    with Image.open(path) as picture:
        picture.crop((300, 30, 430, 150)).save(file, picture.format)
    return file.getvalue()


class Server:
    """`shiftnet serve` as a process of its own."""

    def __init__(self, *options, command=(sys.executable, "-m", "shiftnet_tf"), environment=(), pass_fds=()):
        self.process = subprocess.Popen(
            [*command, "serve", "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=dict(os.environ) | dict(environment),
            pass_fds=pass_fds,
        )
        atexit.register(self.process.kill)  # of a test that failed before it stopped it
        assert "warm" in self.process.stdout.readline()
        self.address = self.process.stdout.readline().split()[0].removeprefix("http://").rstrip("/")
        self.log = []
        threading.Thread(target=lambda: self.log.extend(self.process.stderr), daemon=True).start()

    def ask(self, path, body=None, headers=(), method=None):
        connection = http.client.HTTPConnection(self.address, timeout=60)
        connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, content, response.headers

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def form(**fields):
    """A multipart body and its header: bytes are files, lists repeat a field."""
    boundary, body = b"-----a7f0", io.BytesIO()
    for name, values in fields.items():
        for value in values if isinstance(values, list) else [values]:
            file = b'; filename="a"\r\nContent-Type: application/octet-stream' if isinstance(value, bytes) else b""
            value = value if isinstance(value, bytes) else str(value).encode()
            disposition = b'Content-Disposition: form-data; name="%s"%s' % (name.encode(), file)
            body.write(b"--%s\r\n%s\r\n\r\n%s\r\n" % (boundary, disposition, value))
    body.write(b"--%s--\r\n" % boundary)
    return body.getvalue(), {"Content-Type": f"multipart/form-data; boundary={boundary.decode()}"}


@pytest.fixture(scope="module")
def server(small_model):
    server = Server("--max-pixels", "1", "--max-bytes", "2", "--model", str(small_model))
    yield server
    assert server.stop() == 0
    assert not [line for line in server.log if "Traceback" in line]


def error(answer, status):
    assert answer[0] == status, answer[:2]
    return json.loads(answer[1])["error"]


@pytest.fixture(scope="module")
def inpainter(small_model):
    return Inpainter.load(small_model)


def test_the_same_bytes_through_command_python_form_and_json(server, inpainter, small_model, tmp_path):
    photo, mask = tmp_path / "photo.jpg", tmp_path / "mask.png"
    photo.write_bytes(part(PHOTO))
    mask.write_bytes(part(MASK))
    detail = {"strategy": "tile", "dilate": 3, "detail": "model"}
    for name, options in (("a.jpg", {}), ("b.png", detail), ("d.png", {"detail": "shift-map"})):
        out = tmp_path / name
        command = ["inpaint", str(photo), "--mask", str(mask), "-o", str(out), "--model", str(small_model)]
        assert main(command + [word for key, value in options.items() for word in (f"--{key}", str(value))]) == 0
        kind, files = out.suffix[1:], {"image": photo.read_bytes(), "mask": mask.read_bytes()}
        status, content, headers = server.ask("/v1/inpaint", *form(**files, format=kind, **options))
        assert status == 200 and content == out.read_bytes()
        assert headers["Content-Type"] == ("image/jpeg" if kind == "jpg" else "image/png")
        assert "window" in headers["X-Shiftnet-Plan"]
        values = {key: base64.b64encode(file).decode() for key, file in files.items()} | {"format": kind} | options
        status, content, _ = server.ask("/v1/inpaint", json.dumps(values), {"Content-Type": "application/json"})
        assert status == 200 and base64.b64decode(json.loads(content)["image"]) == out.read_bytes()
    inpaint_file(inpainter, photo, mask, tmp_path / "c.jpg")
    assert (tmp_path / "c.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()
    picture, levels = (np.asarray(Image.open(path).convert(mode)) for path, mode in ((photo, "RGB"), (mask, "L")))
    of_array = inpainter(picture, levels, FillOptions(detail="shift-map"))
    assert np.array_equal(of_array, Image.open(tmp_path / "d.png"))


def test_masks_as_shapes_and_several(server, inpainter, tmp_path):
    shapes = {"boxes": [[40, 50, 120, 130]], "strokes": [{"points": [[300, 200], [340, 260]], "width": 20}]}
    (tmp_path / "m.json").write_text(json.dumps(shapes))
    of_model = FillOptions(detail="model")
    inpaint_file(inpainter, PHOTO, [tmp_path / "m.json", MASK], tmp_path / "out.jpg", options=of_model)
    photo, masks = PHOTO.read_bytes(), [json.dumps(shapes).encode(), MASK.read_bytes()]
    status, content, _ = server.ask("/v1/inpaint", *form(image=photo, mask=masks, detail="model"))
    assert status == 200 and content == (tmp_path / "out.jpg").read_bytes()
    masks = [shapes, base64.b64encode(MASK.read_bytes()).decode()]
    values = {"image": base64.b64encode(photo).decode(), "mask": masks, "detail": "model"}
    answer = server.ask("/v1/inpaint", json.dumps(values), {"Content-Type": "application/json"})
    assert base64.b64decode(json.loads(answer[1])["image"]) == (tmp_path / "out.jpg").read_bytes()


def test_parts_of_a_form_with_any_name_of_a_file(server):
    """RFC 7578 forbids `filename*=` and demands no `filename`, but programs send the one and leave out the other."""
    photo, mask = part(PHOTO), part(MASK)
    expected = server.ask("/v1/inpaint", *form(image=photo, mask=mask, detail="model"))
    assert expected[0] == 200
    for name in (b"", b"; filename*=UTF-8''%e5%86%99.jpg", b'; filename=""', b"; filename=\"a\"; filename*=UTF-8''b"):
        for kind in (b"", b"\r\nContent-Type: image/jpeg"):
            parts = [(b"image", name + kind, photo), (b"mask", name + kind, mask), (b"detail", b"", b"model")]
            body = b"".join(
                b'--x\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % part for part in parts
            )
            for header in ("multipart/form-data; boundary=x", 'multipart/form-data; charset=utf-8; boundary="x"'):
                answer = server.ask("/v1/inpaint", body + b"--x--\r\n", {"Content-Type": header})
                assert answer[:2] == expected[:2], (name, kind, header)
    assert "Received: 'ä'" in error(server.ask("/v1/inpaint", *form(image=photo, mask=mask, strategy="ä")), 422)


def test_base64_of_any_kind_and_json_with_a_byte_order_mark(server):
    photo, mask = part(PHOTO), part(MASK)
    plain = base64.b64encode(photo).decode()
    shapes = {"boxes": [[40, 50, 120, 130]]}
    kind = {"Content-Type": "application/json"}

    def ask(body):
        status, content, _ = server.ask("/v1/inpaint", body, kind)
        assert status == 200, content
        return base64.b64decode(json.loads(content)["image"])

    def values(image, mask):
        return json.dumps({"image": image, "mask": mask, "detail": "model", "strategy": None, "threshold": None})

    expected = ask(values(plain, base64.b64encode(mask).decode()))
    for image in (
        base64.encodebytes(photo).decode(),
        base64.encodebytes(photo).decode().replace("\n", "\r\n"),
        base64.urlsafe_b64encode(photo).decode(),
        base64.urlsafe_b64encode(photo).decode().rstrip("="),
        plain.rstrip("="),
        f"data:image/jpeg;base64,{plain}",
        f"DATA:;Base64,{plain.rstrip('=')}",
        "data:image/jpeg;base64," + plain.replace("+", "%2B").replace("/", "%2F"),
    ):
        assert ask(values(image, [base64.b64encode(mask).decode()])) == expected
    for body in (values(plain, base64.b64encode(mask).decode()),):
        for coding in ("utf-8-sig", "utf-16", "utf-16-le"):
            assert ask(body.encode(coding)) == expected
    text = json.dumps(shapes)
    expected = ask(values(plain, shapes))
    for sent in (
        [shapes],
        text,
        f"data:application/json,{text}",
        *(base64.b64encode(text.encode(coding)).decode() for coding in ("utf-8", "utf-8-sig", "utf-16")),
    ):
        assert ask(values(plain, sent)) == expected, sent
    for coding in ("utf-8-sig", "utf-16"):
        status, content, _ = server.ask("/v1/inpaint", *form(image=photo, mask=text.encode(coding), detail="model"))
        assert (status, content) == (200, expected)
    for bad in (plain[:-4] + "A", plain[:40] + "=" + plain[40:], plain[:9] + "!" + plain[9:], "ü" + plain, 3, [plain]):
        assert "`image`: must be a file, encoded in base64" in error(
            server.ask("/v1/inpaint", values(bad, shapes), kind), 422
        )


def test_the_same_sentence_by_every_door(server, inpainter, small_model, tmp_path, capsys):
    """Of the command, of Python, of a form and of JSON."""
    buffer = io.BytesIO()
    Image.new("P", (530, 384)).save(buffer, "PNG")
    head, _, tail = buffer.getvalue().partition(b"PLTE")
    palette = head[:-4] + tail[int.from_bytes(head[-4:], "big") + 4 :]  # without that chunk
    photo = PHOTO.read_bytes()
    for name, mask in (
        ("empty", b""),
        ("list.json", b"[1]"),
        ("broken.json", b"\xef\xbb\xbf{"),
        ("text.json", b"no JSON"),
        ("palette.png", palette),
        ("cut.png", MASK.read_bytes()[:900]),
    ):
        path = tmp_path / name
        path.write_bytes(mask)
        command = ["inpaint", str(PHOTO), "--mask", str(path), "-o", str(tmp_path / "out.png")]
        assert main([*command, "--model", str(small_model)]) == 2
        said = capsys.readouterr().err.removeprefix("error: ").strip().replace(str(path), "(sent)")
        assert said == error(server.ask("/v1/inpaint", *form(image=photo, mask=mask)), 422)
        values = {name: base64.b64encode(content).decode() for name, content in (("image", photo), ("mask", mask))}
        answer = server.ask("/v1/inpaint", json.dumps(values), {"Content-Type": "application/json"})
        assert said == error(answer, 422)
        for given in (mask, [mask]):
            with pytest.raises(InputError) as caught:
                inpaint_photo(inpainter, photo, given)
            assert said == str(caught.value)


def test_the_share_that_was_filled(server, inpainter, small_model, tmp_path, capsys):
    photo, mask = PHOTO.read_bytes(), MASK.read_bytes()
    expected = (np.asarray(Image.open(MASK).convert("L")) > 127).mean()
    _, _, headers = server.ask("/v1/inpaint", *form(image=photo, mask=mask, detail="model"))
    assert abs(float(headers["X-Shiftnet-Share"]) - expected) < 1e-6
    values = {"image": base64.b64encode(photo).decode(), "mask": {"boxes": [[0, 0, 53, 384]]}, "detail": "model"}
    answer = server.ask("/v1/inpaint", json.dumps(values), {"Content-Type": "application/json"})
    assert json.loads(answer[1])["share"] == 0.1
    filled = inpaint_photo(inpainter, PHOTO, MASK, FillOptions(detail="model"))
    assert filled.share == expected
    command = ["inpaint", str(PHOTO), "--mask", str(MASK), "-o", str(tmp_path / "a.jpg"), "--detail", "model"]
    assert main([*command, "--model", str(small_model)]) == 0
    assert f"a.jpg: filled {100 * expected:.1f} % in " in capsys.readouterr().out


def test_a_photo_without_a_hole_comes_back(server):
    empty = io.BytesIO()
    Image.new("L", (530, 384)).save(empty, "PNG")
    status, content, headers = server.ask("/v1/inpaint", *form(image=PHOTO.read_bytes(), mask=empty.getvalue()))
    assert status == 200 and content == PHOTO.read_bytes() and headers["X-Shiftnet-Plan"] == "no hole"
    assert "no hole" in error(server.ask("/v1/shift-map", *form(image=PHOTO.read_bytes(), mask=empty.getvalue())), 422)


def test_the_shift_map(server):
    status, content, headers = server.ask("/v1/shift-map", *form(image=PHOTO.read_bytes(), mask=MASK.read_bytes()))
    assert status == 200 and headers["Content-Type"] == "image/png"
    assert Image.open(io.BytesIO(content)).size == (530, 384)


def test_bad_requests_are_said_in_a_sentence(server):
    photo, mask = PHOTO.read_bytes(), MASK.read_bytes()
    full = io.BytesIO()
    Image.new("L", (530, 384), 255).save(full, "PNG")
    for fields, message in (
        ({"image": photo}, "`mask` is missing"),
        ({"mask": mask}, "`image` is missing"),
        ({"image": [photo, photo], "mask": mask}, "exactly one `image` is required"),
        ({"image": photo[:5000], "mask": mask}, "the photo is damaged"),
        ({"image": b"no photo", "mask": mask}, "not an image file that Pillow can identify"),
        ({"image": photo, "mask": photo[:99]}, "the mask is"),
        ({"image": photo, "mask": full.getvalue()}, "covers the whole photo"),
        ({"image": photo, "mask": b'{"boxes": [[1]]}'}, "boxes[0]"),
        (
            {"image": photo, "mask": mask, "strategy": "best"},
            "`strategy`: should be 'auto', 'resize', 'crop' or 'tile'. Received: 'best'",
        ),
        (
            {"image": photo, "mask": mask, "detail": "best"},
            "`detail`: should be 'auto', 'model' or 'shift-map'. Received: 'best'",
        ),
        ({"image": photo, "mask": mask, "format": "exe"}, "`format` must be an image format such as png"),
        ({"image": photo, "mask": mask, "dilate": "much"}, "`dilate`: should be a valid integer"),
        ({"image": photo, "mask": mask, "dilate": "99999"}, "`dilate`: should be less than or equal to 1000"),
        ({"image": photo, "mask": mask, "dilate": " " * 12 + "x"}, "`dilate`: should be a valid integer"),
        ({"image": photo, "mask": mask, "dilate": "5" * 20}, "`dilate`: should be less than or equal to 1000"),
        ({"image": photo, "mask": mask, "invert": "perhaps"}, "`invert`: should be a valid boolean"),
        ({"image": photo, "mask": mask, "size": "3"}, "unknown field 'size'"),
        ({"image": photo, "mask": mask, "strategy": b"crop"}, "must not be a file"),
    ):
        assert message in error(server.ask("/v1/inpaint", *form(**fields)), 422), fields
    kind = {"Content-Type": "application/json"}
    for body, message in (
        (b"{", "invalid JSON"),
        (b"[]", "must be an object"),
        (b'{"image": 3, "mask": 4}', "`image`: must be a file, encoded in base64"),
        (b'{"image": "%%%", "mask": ""}', "`image`: must be a file, encoded in base64"),
        (b'{"image": "", "mask": ""}', "not an image file that Pillow can identify"),
        (b'{"image": "", "mask": "", "invert": 0}', "`invert`: should be a valid boolean"),
        (b'{"image": "", "mask": "", "dilate": "3"}', "`dilate`: should be a valid integer"),
        (b'{"image": "", "mask": []}', "`mask`: list should have at least 1 item"),
    ):
        assert message in error(server.ask("/v1/inpaint", body, kind), 422), body
    assert "malformed multipart form" in error(
        server.ask("/v1/inpaint", b"x", {"Content-Type": "multipart/form-data"}), 422
    )
    assert "multipart/form-data" in error(server.ask("/v1/inpaint", b"x"), 415)
    assert "accepts OPTIONS, POST" in error(server.ask("/v1/inpaint"), 405)
    assert "no such path" in error(server.ask("/nowhere"), 404)


def test_too_many_bytes_or_pixels(server):
    assert "larger than 2 MB" in error(server.ask("/v1/inpaint", *form(image=bytes(2_100_000), mask=b"")), 413)
    chunks = (bytes(500_000) for _ in range(5))  # without a Content-Length
    assert server.ask("/v1/inpaint", chunks, {"Content-Type": "multipart/form-data; boundary=x"})[0] == 413
    large = io.BytesIO()
    Image.new("RGB", (1001, 1000)).save(large, "PNG")
    message = error(server.ask("/v1/inpaint", *form(image=large.getvalue(), mask=MASK.read_bytes())), 413)
    assert "1001x1000 is 1.001 megapixels, the limit is 1" in message


def test_health_metrics_and_documentation(server):
    status, content, _ = server.ask("/healthz")
    health = json.loads(content)
    assert status == 200 and health["status"] == "ok" and health["provider"] and health["limits"]["pixels"] == 1_000_000
    assert server.ask("/v1/inpaint", *form(image=part(PHOTO), mask=part(MASK), detail="model"))[0] == 200
    text = server.ask("/metrics")[1].decode()
    assert 'shiftnet_requests_total{path="/v1/inpaint",status="200"}' in text
    assert "shiftnet_request_seconds_bucket" in text and "shiftnet_requests_in_flight 0.0" in text
    documentation = json.loads(server.ask("/openapi.json")[1])
    assert set(documentation["paths"]["/v1/inpaint"]["post"]["requestBody"]["content"]) == {
        "multipart/form-data",
        "application/json",
    }
    assert '"null"' not in json.dumps(documentation)  # which is no type of OpenAPI 3.0
    page = server.ask("/docs")[1].decode()
    assert "http" not in page.replace("http-equiv", "")  # nothing from outside
    for asset in ("/docs/static/swagger-ui-bundle.js", "/docs/static/swagger-ui.css", "/static/icon.svg"):
        assert f'"{asset[1:]}"' in page or f"'{asset[1:]}'" in page
        assert server.ask(asset)[0] == 200


def pairs_of_many_photos(number):
    """Photos of different sizes, each with a hole of its own: [(bytes of the photo, bytes of the mask)]."""
    rng = np.random.default_rng(0)
    found = []
    paths = finding.find_photos(PHOTOS)
    for i in range(number):
        with Image.open(paths[i % len(paths)]) as picture:
            part = picture.convert("RGB").crop((i % 7, i % 5, 240 + 8 * (i % 16), 200 + 8 * (i % 11)))
        photo, mask = io.BytesIO(), io.BytesIO()
        part.save(photo, "JPEG", quality=90)
        hole = np.zeros(part.size[::-1], np.uint8)
        top, left = (int(x) for x in rng.integers(10, 100, 2))
        hole[top : top + 60, left : left + 50] = 255
        Image.fromarray(hole).save(mask, "PNG")
        found.append((photo.getvalue(), mask.getvalue()))
    return found


def test_many_clients_at_once_each_get_their_own_picture():
    requests = pairs_of_many_photos(12)
    inpainter = Inpainter.load()
    of_model = FillOptions(detail="model")  # the shift map takes seconds a photo
    expected = [inpaint_photo(inpainter, photo, [mask], of_model).encoded() for photo, mask in requests]
    assert len(set(expected)) == 12
    server = Server()
    with ThreadPoolExecutor(12) as pool:
        bodies = [form(image=photo, mask=mask, detail="model") for photo, mask in requests]
        asked = [pool.submit(server.ask, "/v1/inpaint", *body) for body in bodies]
        answers = [future.result() for future in asked]
    text = server.ask("/metrics")[1].decode()
    assert server.stop() == 0
    assert [status for status, *_ in answers] == [200] * 12
    assert [content for _, content, _ in answers] == expected
    groups = float(text.split("shiftnet_group_windows_count ")[1].split()[0])
    windows = float(text.split("shiftnet_group_windows_sum ")[1].split()[0])
    assert windows >= 12 and groups < windows  # some were run together


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_finishes_what_was_taken(number):
    server = Server()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "/v1/inpaint", *form(**photo_with_a_line(300, 700)))
        while b"in_flight 1.0" not in server.ask("/metrics")[1]:
            time.sleep(0.01)
        server.process.send_signal(number)
        assert asked.result()[0] == 200
    assert server.process.wait(30) == 0
    assert not [line for line in server.log if "Traceback" in line]


def slow_app(pause, **limits):
    """The application on a model that takes so long."""
    from shiftnet_tf.server.app import Limits, create_app

    class Slow:
        name, provider, outputs, batch_sizes = "slow", "CPU", ["inpainted_image"], ()

        def __call__(self, image, mask):
            time.sleep(pause)
            return {"inpainted_image": image}

    return create_app(Inpainter(Slow(), ModelFile(PHOTO, 64)), Limits(**limits))


def test_too_many_at_a_time_and_too_slow():
    testclient = pytest.importorskip("starlette.testclient")
    files = {"image": PHOTO.read_bytes(), "mask": MASK.read_bytes()}
    with testclient.TestClient(slow_app(1.0, in_flight=2)) as client, ThreadPoolExecutor(4) as pool:
        answers = [future.result() for future in [pool.submit(client.post, "/v1/inpaint", files=files) for _ in "1234"]]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses == [200, 200, 429, 429]
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["Retry-After"] == "1" and "server busy: " in refused.json()["error"]
    with testclient.TestClient(slow_app(1.0, seconds=0.3, in_flight=1)) as client:
        started = time.monotonic()
        answer = client.post("/v1/inpaint", files=files)
        assert answer.status_code == 503 and time.monotonic() - started < 0.9
        assert "no answer within 0.3 seconds" in answer.json()["error"]
        assert client.post("/v1/inpaint", files=files).status_code == 429  # the first is still being worked on
        time.sleep(1.5)  # until the one window that was begun is done
        assert "in_flight 0.0" in client.get("/metrics").text


def test_a_runtime_that_fails_is_the_server_s_fault():
    testclient = pytest.importorskip("starlette.testclient")
    from shiftnet_tf.server.app import create_app

    class Broken:
        name, provider, outputs, batch_sizes = "broken", "CPU", ["inpainted_image"], ()

        def __call__(self, image, mask):
            raise ShiftNetError("the runtime failed")

    with testclient.TestClient(create_app(Inpainter(Broken(), ModelFile(PHOTO, 64)))) as client:
        for _ in range(2):  # and it goes on
            answer = client.post("/v1/inpaint", files={"image": PHOTO.read_bytes(), "mask": MASK.read_bytes()})
            assert answer.status_code == 500
            assert answer.json() == {"error": f"internal error; request id {answer.headers['X-Request-ID']}"}


def test_options_that_cannot_be(capsys):
    for options, message in (
        (["--port", "99999"], "`--port` must be from 0 to 65535"),
        (["--timeout", "0"], "`seconds` must be above 0"),
        (["--host", "203.0.113.7", "--port", "0"], "cannot listen on 203.0.113.7"),
        (["--model", "nowhere"], "the model does not exist"),
    ):
        assert main(["serve", *options]) == 2
        assert message in capsys.readouterr().err


def test_groups_go_to_a_gpu_as_one_batch_and_to_a_cpu_one_by_one():
    seen = []

    class Backend:
        name, provider, outputs = "fake", "fake", ["inpainted_image"]

        def __init__(self, batch_sizes):
            self.batch_sizes = batch_sizes

        def __call__(self, image, mask):
            seen.append(len(image))
            time.sleep(0.05)
            if image[0, 0, 0, 0] == 99:
                raise InputError("bad")
            return {"inpainted_image": image + 1}

    def run(batch_sizes, values):
        seen.clear()
        backend = GroupedBackend(Backend(batch_sizes), 4)
        with ThreadPoolExecutor(len(values)) as pool:
            images = [np.full((1, 8, 8, 3), value, np.uint8) for value in values]
            futures = [pool.submit(backend, image, image[..., :1]) for image in images]
            answers = [future.exception() or int(future.result()["inpainted_image"][0, 0, 0, 0]) for future in futures]
        backend.close()
        with pytest.raises(ShiftNetError, match="closed"):
            backend(images[0], images[0][..., :1])
        return answers, list(seen)

    answers, sizes = run((1, 2, 4), range(9))
    assert answers == list(range(1, 10)) and max(sizes) == 4 and 9 <= sum(sizes) <= 12
    assert set(sizes) <= {1, 2, 4}  # each is filled up to a size that the runtime is prepared for
    answers, sizes = run((), range(9))
    assert answers == list(range(1, 10)) and sizes == [1] * 9
    answers, _ = run((), [1, 99, 2])
    assert answers[0] == 2 and isinstance(answers[1], InputError) and answers[2] == 3


def photo_with_a_line(height, width):
    """A black photo and a mask of a line from edge to edge: many windows."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 2] = 255
    files = io.BytesIO(), io.BytesIO()
    Image.new("RGB", (width, height)).save(files[0], "PNG")
    Image.fromarray(mask).save(files[1], "PNG")
    return {"image": files[0].getvalue(), "mask": files[1].getvalue()}


def test_work_that_nobody_waits_for_is_given_up():
    testclient = pytest.importorskip("starlette.testclient")
    files = photo_with_a_line(60, 6000)
    app = slow_app(0.2, seconds=0.5)  # with nearly two hundred windows
    with testclient.TestClient(app) as client:
        started = time.monotonic()
        assert client.post("/v1/inpaint", files=files).status_code == 503
        while "in_flight 0.0" not in client.get("/metrics").text:
            time.sleep(0.05)
    assert time.monotonic() - started < 3


def test_a_client_that_goes_away_leaves_no_trace(server):
    host, port = server.address.split(":")
    for content in (b"--x\r\n", b""):
        with socket.create_connection((host, int(port))) as client:
            head = b"POST /v1/inpaint HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            client.sendall(head + b"Content-Length: 1000\r\n\r\n" + content)
            time.sleep(0.1)
    body, headers = form(image=PHOTO.read_bytes(), mask=MASK.read_bytes())
    with socket.create_connection((host, int(port))) as client:  # this one does not wait for its answer
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST /v1/inpaint HTTP/1.1\r\nHost: a\r\n{lines}Content-Length: {len(body)}\r\n\r\n"
        client.sendall(head.encode() + body)
    for _ in range(100):
        if b"in_flight 0.0" in server.ask("/metrics")[1]:
            break
        time.sleep(0.1)
    assert b"in_flight 0.0" in server.ask("/metrics")[1]
    assert not [line for line in server.log if "Traceback" in line]


def test_a_second_ctrl_c_does_not_wait():
    server = Server()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.ask, "/v1/inpaint", *form(**photo_with_a_line(400, 20_000)))
        while b"in_flight 1.0" not in server.ask("/metrics")[1]:
            time.sleep(0.01)
        time.sleep(0.5)
        started = time.monotonic()
        for _ in range(2):
            server.process.send_signal(signal.SIGINT)
            time.sleep(0.3)
        server.process.wait(30)
        assert time.monotonic() - started < 4
        assert asked.exception() is not None or asked.result()[0] != 200


def test_a_form_needs_no_folder_for_temporary_files(tmp_path, monkeypatch):
    import tempfile

    from shiftnet_tf.server.protocol import read_request

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "absent")])
    photo = bytes(3_000_000)
    body, headers = form(image=photo, mask=photo)
    wanted = read_request(headers["Content-Type"], body)
    assert wanted.photo == photo and wanted.masks == [photo]
