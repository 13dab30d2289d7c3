"""The server against clients that idle, strangers and failures: limits of connections, names, tokens, log, errors."""

import contextlib
import errno
import http.client
import json
import socket
import threading
import time

import pytest
from conftest import MASK, PHOTOS
from test_server import Server, error, form

from shiftnet_tf import Inpainter, cli
from shiftnet_tf.runtime.model_file import ModelFile

pytest.importorskip("fastapi")
from shiftnet_tf.server import connections
from shiftnet_tf.server.access import Access
from shiftnet_tf.server.app import create_app
from shiftnet_tf.server.http_server import HTTPServer
from shiftnet_tf.server.limits import Limits

PHOTO = PHOTOS / "test" / "gc_farm_sheep.jpg"
GOOD = form(image=PHOTO.read_bytes(), mask=MASK.read_bytes(), detail="model")
LONG = 20  # seconds that a busy machine may need; what is tested takes a fraction of one


class Backend:
    """A model that answers with the photo, or does what it is told before."""

    name, provider, outputs, batch_sizes = "fake", "CPU", ["inpainted_image"], ()

    def __init__(self, act=lambda: None):
        self.act = act

    def __call__(self, image, mask):
        self.act()
        return {"inpainted_image": image}


class Local:
    """The application behind real connections, in a thread of this process."""

    def __init__(self, app, limits, most=100):
        listening = socket.create_server(("127.0.0.1", 0))
        self.place = listening.getsockname()
        self.address = f"127.0.0.1:{self.place[1]}"
        self.server = HTTPServer(app, limits, most, None)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listening]}, daemon=True)
        self.thread.start()

    ask = Server.ask

    def connect(self, sent=b""):
        client = socket.create_connection(self.place, LONG)
        client.sendall(sent)
        return client

    def stop(self):
        self.server.should_exit = True
        self.thread.join(LONG)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def local(act=lambda: None, most=100, access=None, **limits):
    limits = Limits(**limits)
    server = Local(create_app(Inpainter(Backend(act), ModelFile(PHOTO, 64)), limits, access=access), limits, most)
    yield server
    server.stop()


def head(length=1000, path="/v1/inpaint"):
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def received(client):
    """All that the server sends until it closes the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            parts.append(part)
    return b"".join(parts)


def status_of(client):
    """The status of the next answer, which is read whole."""
    response = http.client.HTTPResponse(client)
    response.begin()
    response.read()
    return response.status


def wait_for(condition):
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def short(monkeypatch):
    """Limits of connections in fractions of a second."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(connections, "HEADER_SECONDS", 0.3)
    monkeypatch.setattr(connections, "READ_SECONDS", 0.3)


@pytest.fixture(scope="module")
def server():
    """A server with small limits, which knows only some."""
    access = Access(hosts=("photos.example.org", "*.example.net"), origins=("https://good.example",), token="sesame")
    with local(access=access, most=8, seconds=2, bytes=1000, pixels=1000) as server:
        yield server


# ---- connections


def test_clients_that_idle_before_or_in_a_header_are_disconnected(server, short):
    whole = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    second = server.connect(whole)
    assert status_of(second) == 200
    time.sleep(0.6)
    second.sendall(whole)  # between requests there is more time
    assert status_of(second) == 200
    second.sendall(whole[:20])
    for client in (server.connect(), server.connect(whole[:20]), second):
        assert received(client) == b""
    slow = server.connect()
    with pytest.raises(ConnectionError):
        for i in range(1000):  # its header comes steadily, and never ends
            slow.sendall(whole[i : i + 1] or b"x")
            time.sleep(0.02)


def read_nothing(server, requests=8):
    """A client that asks for more than the system's buffers hold, and reads nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(server.place)
    asked = b"GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
    client.sendall(asked % b"" * (requests - 1) + asked % b"Connection: close\r\n")
    return client


def unread(server):
    return [one for one in server.server.server_state.connections if one.transport.get_write_buffer_size()]


def test_a_client_that_does_not_read_its_answer_is_disconnected(server, short):
    client = read_nothing(server)
    wait_for(lambda: unread(server))
    wait_for(lambda: not server.server.server_state.connections)
    client.close()


def test_answers_that_nobody_reads_do_not_fill_the_memory(server, monkeypatch):
    """The limit is 10,000 bytes here; the oldest answer goes first, and the others stay."""
    monkeypatch.setattr(connections, "LOOK_SECONDS", 0.05)
    old = read_nothing(server)
    wait_for(lambda: unread(server))
    [first] = unread(server)
    new = read_nothing(server)
    wait_for(lambda: first not in server.server.server_state.connections and unread(server))
    assert received(new).count(b"HTTP/1.1 200") == 8
    old.close()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHo", head() + b"x"], ids=["idle", "header", "body"])
def test_a_full_table_of_clients_that_do_nothing_makes_room(server, sent):
    clients = [server.connect(sent) for _ in range(8)]
    wait_for(lambda: len(server.server.server_state.connections) == 8)
    assert server.ask("/healthz")[0] == 200
    assert received(clients[0]) == b""  # it has waited longest
    for client in clients[1:]:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(1)
        client.close()


def test_a_full_table_of_clients_that_are_served_stays():
    busy, go_on = threading.Event(), threading.Event()
    with local(lambda: (busy.set(), go_on.wait(LONG)), most=1) as server:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.ask("/v1/inpaint", *GOOD)))
        thread.start()
        assert busy.wait(LONG)
        assert received(server.connect()).endswith(b'\r\n\r\n{"error": "too many connections"}')
        go_on.set()
        thread.join(LONG)
        assert answers[0][0] == 200


def test_slow_bodies_are_given_up_and_block_no_good_request():
    with local(seconds=1, in_flight=2) as server:
        slow = [server.connect(head() + b"{") for _ in range(10)]
        assert server.ask("/v1/inpaint", *GOOD)[0] == 200
        for client in slow:
            answer = received(client)
            assert answer.startswith(b"HTTP/1.1 408") and b"the body did not arrive within 1 seconds" in answer


def test_the_memory_of_bodies_is_taken_from_the_one_that_began_first():
    import asyncio

    from shiftnet_tf.server.bodies import Bodies

    bodies, ended = Bodies(100), []

    async def send(name, sizes, keep=False):
        try:
            async with asyncio.timeout(LONG) as patience:
                with bodies.one(patience) as took:
                    for size in sizes:
                        took(size)
                        await asyncio.sleep(0.05)
                    if keep:
                        bodies.keep(patience)
                    await asyncio.sleep(0.5)
            ended.append(name)
        except TimeoutError:
            ended.append(f"{name} given up")

    async def all_of_them():
        kept = send("kept", [50], keep=True)
        await asyncio.gather(kept, send("slow", [1] * 5), send("second", [1]), send("large", [10, 20, 19]))

    asyncio.run(all_of_them())
    assert ended[0] == "slow given up" and sorted(ended[1:]) == ["kept", "large", "second"]


def test_a_stop_does_not_wait_for_clients_that_do_nothing():
    with local(seconds=1, access=Access()) as server:
        clients = [server.connect(sent) for sent in (b"", b"GET / HT", head(), head() + b"x")]
        unknown = server.connect(head().replace(b"localhost", b"evil.example"))
        reader = read_nothing(server)
        wait_for(lambda: len(server.server.server_state.connections) == 6 and unread(server))
        server.server.config.timeout_graceful_shutdown = 1.5  # by default 5 seconds more than `seconds`
        started = time.monotonic()
        server.stop()
        assert time.monotonic() - started < 1 + 10
        answers = [received(client) for client in clients]
        assert answers[:2] == [b"", b""] and all(answer.startswith(b"HTTP/1.1 408") for answer in answers[2:])
        assert b"the server stopped before it could answer" in received(unknown)
        reader.close()


def test_a_model_that_hangs_is_seen_in_health_and_does_not_hold_up_the_end(monkeypatch):
    from shiftnet_tf.server import http_server

    go_on, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(http_server, "_end_process", ended.set)
    with local(go_on.wait, seconds=0.5) as server:
        assert "no answer within 0.5 seconds" in error(server.ask("/v1/inpaint", *GOOD), 503)
        wait_for(lambda: server.ask("/healthz")[0] == 503)
        assert "the model has not answered for" in error(server.ask("/healthz"), 503)
        go_on.set()
        wait_for(lambda: server.ask("/healthz")[0] == 200)
        go_on.clear()
        assert server.ask("/v1/inpaint", *GOOD)[0] == 503
        server.server._seconds_to_stop = 0.1
        server.server.should_exit = True
        assert ended.wait(LONG)
        go_on.set()


# ---- names, pages, the token

BEARER = {"Authorization": "Bearer sesame"}


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("10.1.2.3", True),
        ("localhost:1234", True),
        (socket.gethostname(), True),
        ("photos.example.org", True),
        ("PHOTOS.example.ORG.:443", True),
        ("a.b.example.net", True),
        ("example.net", False),
        ("evil-example.net", False),
        ("evil.example", False),
        ("photos.example.org.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("photos.example.org@evil.example", False),
        ("evil.example/127.0.0.1", False),
        ("127.0.0.1:x", False),
        ("[::1", False),
    ],
)
def test_only_known_names_are_answered(server, host, known):
    answer = server.ask("/healthz", headers={"Host": host})
    assert known == (answer[0] == 200)
    if not known:
        assert "--allow-host" in error(answer, 403)


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        ("https://good.example", True),
        ("http://localhost:8000", True),  # the page of the server itself
        ("https://localhost:8000", True),  # behind a proxy with TLS
        ("http://localhost:8001", False),
        ("http://good.example", False),
        ("https://good.example.evil.example", False),
        ("https://evil.example", False),
        ("null", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_only_known_pages_are_answered(server, origin, known):
    for path, body in (("/healthz", None), ("/v1/inpaint", GOOD[0])):
        answer = server.ask(path, body, {"Host": "localhost:8000", "Origin": origin, **BEARER, **GOOD[1]})
        assert known == (answer[0] != 403)
        if not known:
            assert "--allow-origin" in error(answer, 403) and "Access-Control-Allow-Origin" not in answer[2]
    if origin == "https://good.example":
        assert answer[2]["Access-Control-Allow-Origin"] == origin
        assert "X-Shiftnet-Plan" in answer[2]["Access-Control-Expose-Headers"]


def test_a_page_asks_before_it_sends_the_token(server):
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    status, _, headers = server.ask("/v1/inpaint", None, {"Origin": "https://good.example", **asking}, "OPTIONS")
    assert status == 200 and headers["Access-Control-Allow-Origin"] == "https://good.example"
    assert headers["Access-Control-Allow-Headers"] == "authorization"
    answer = server.ask("/v1/inpaint", None, {"Origin": "https://evil.example", **asking}, "OPTIONS")
    assert answer[0] == 403 and "Access-Control-Allow-Origin" not in answer[2]


def test_the_token(server):
    for path, body in (("/v1/inpaint", b"{}"), ("/v1/shift-map", b"{}"), ("/metrics", None)):
        for given in ({}, {"Authorization": "Bearer sesam"}, {"Authorization": "Basic sesame"}):
            answer = server.ask(path, body, given)
            assert "send `Authorization: Bearer TOKEN`" in error(answer, 401)
            assert answer[2]["WWW-Authenticate"] == "Bearer"
        assert server.ask(path, body, BEARER)[0] == (415 if body else 200)
    for path in ("/healthz", "/docs", "/openapi.json", "/"):
        assert server.ask(path)[0] == 200
    operations = json.loads(server.ask("/openapi.json")[1])["paths"]
    assert operations["/v1/inpaint"]["post"]["security"] and "security" not in operations["/healthz"]["get"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--token", ""], "`--token` must be printable ASCII"),
        (["--token", " x"], "Received: '(hidden)'"),
        (["--allow-host", "https://photos.example.org"], "`--allow-host` must be a host name such as"),
        (["--allow-host", "photos.example.org:443"], "`--allow-host` must be a host name such as"),
        (["--allow-origin", "photos.example.org"], "`--allow-origin` must be an origin such as"),
        (["--allow-origin", "https://photos.example.org/"], "`--allow-origin` must be an origin such as"),
        (["--allow-origin", "https://Photos.example.org"], "`--allow-origin` must be an origin such as"),
        (["--root-path", "inpainting"], "`--root-path` must be a path such as /inpainting"),
        (["--root-path", "/v1"], "`--root-path` must be a path such as /inpainting"),
        (["--root-path", "//evil.example"], "`--root-path` must be a path such as /inpainting"),
        (["--fd", "99"], "--fd 99 is not an open socket"),
        (["--fd", "-1"], "--fd -1 is not an open socket"),
        (["--fd", "0"], "--fd 0 is not an open socket"),
        (["--host", "a..b"], "cannot listen on a..b"),
    ],
)
def test_options_that_cannot_be(options, message, capsys, monkeypatch):
    monkeypatch.setattr("shiftnet_tf.cli.serve.start", lambda options: Inpainter(Backend(), ModelFile(PHOTO, 64)))
    assert cli.main(["serve", *options]) == 2
    assert message in capsys.readouterr().err


# ---- headers, errors


def test_every_answer_has_an_id_and_the_headers_for_browsers(server):
    answers = [server.ask(path) for path in ("/healthz", "/", "/nowhere", "/v1/inpaint", "/static/page.js")]
    answers.append(server.ask("/healthz", headers={"Host": "evil.example"}))
    for _, _, headers in answers:
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Referrer-Policy"] == "no-referrer"
        assert "Server" not in headers
    assert len({headers["X-Request-ID"] for _, _, headers in answers}) == len(answers)
    for given in ("abc-1", "x" * 128):
        assert server.ask("/healthz", headers={"X-Request-ID": given})[2]["X-Request-ID"] == given
    for given in ("", "a b", "x" * 129, "<script>", "a\tb", "ä"):
        answer = server.ask("/healthz", headers={"X-Request-ID": given.encode("latin-1")})[2]["X-Request-ID"]
        assert answer != given and len(answer) == 16


def test_head_and_options(server):
    for path in ("/healthz", "/docs", "/static/page.js"):
        status, content, headers = server.ask(path, method="HEAD")
        assert status == 200 and content == b"" and int(headers["Content-Length"]) == len(server.ask(path)[1])
    for path, allowed in (("/healthz", "GET, HEAD, OPTIONS"), ("/v1/inpaint", "OPTIONS, POST")):
        status, content, headers = server.ask(path, method="OPTIONS")
        assert (status, content, headers["Allow"]) == (204, b"", allowed)
        assert f"it accepts {allowed}" in error(server.ask(path, b"", method="DELETE"), 405)


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (KeyError("/secret/path"), 500, "internal error"),
        (OSError(errno.ENOSPC, "full"), 507, "the server's disk is full"),
    ],
)
def test_an_unforeseen_error_is_answered_with_the_id_alone(failure, status, text, caplog):
    def fail():
        raise failure

    with local(fail) as server:
        answer = server.ask("/v1/inpaint", *GOOD)
        metrics = server.ask("/metrics")[1].decode()
    request_id = answer[2]["X-Request-ID"]
    assert answer[2]["Content-Type"] == "application/json"
    assert error(answer, status) == f"{text}; request id {request_id}"
    assert f'shiftnet_requests_total{{path="/v1/inpaint",status="{status}"}} 1.0' in metrics
    assert "process_open_fds" in metrics
    [record] = [record for record in caplog.records if getattr(record, "request", {}).get("request_id") == request_id]
    assert record.levelname == "ERROR" and "Traceback" in caplog.text and type(failure).__name__ in caplog.text


# ---- the command


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """`shiftnet serve` on a socket that is handed to it, below a prefix, with a log for programs."""
    folder = tmp_path_factory.mktemp("tmp")
    # A CI's variables turn the telemetry of ONNX Runtime off, and so must the server by itself.
    environment = {"SHIFTNET_TOKEN": "sesame", "TMPDIR": str(folder)} | dict.fromkeys(("CI", "GITHUB_ACTIONS"), "")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        options = ["--fd", str(listening.fileno()), "--root-path", "/inpainting", "--log-format", "json"]
        server = Server(*options, environment=environment, pass_fds=[listening.fileno()])
    server.address, _, rest = server.address.partition("/")
    assert rest == "inpainting"
    yield server
    assert server.stop() == 0
    assert all(json.loads(line)["time"].endswith("Z") for line in server.log)  # of the end too
    assert list(folder.iterdir()) == []  # telemetry of ONNX Runtime leaves .ses there, for example


def test_paths_with_the_prefix_of_a_proxy_and_without_it(command):
    listing = json.loads(command.ask("/inpainting/")[1])
    assert listing == json.loads(command.ask("/")[1]) and listing["inpaint"] == "/inpainting/v1/inpaint"
    for path in listing.values():
        assert command.ask(path, headers=BEARER)[0] == (405 if "v1" in path else 200)
    for path in ("/healthz", "/docs", "/openapi.json", "/static/page.js", "/docs/static/swagger-ui.css"):
        answer = command.ask(f"/inpainting{path}")
        assert answer[0] == 200 and answer[1] == command.ask(path)[1]
    assert b'"/' not in command.ask("/inpainting/docs")[1] and b"'/" not in command.ask("/inpainting/docs")[1]
    assert json.loads(command.ask("/inpainting/openapi.json")[1])["servers"] == [{"url": "/inpainting"}]
    status, _, headers = command.ask("/inpainting")
    assert status == 307 and headers["Location"] == "/inpainting/"
    for path in ("/inpaintingx/healthz", "/inpainting/inpainting/healthz", "/v1/inpaint/"):
        assert "no such path" in error(command.ask(path), 404)
    command.ask("/inpainting/v1/inpaint", *GOOD)
    metrics = command.ask("/metrics", headers=BEARER)[1]
    assert b'{path="/v1/inpaint",status="401"}' in metrics and b"/inpainting/" not in metrics


def test_the_log_for_programs(command):
    import io

    import numpy as np
    from PIL import Image

    mask = io.BytesIO()
    Image.fromarray(np.linspace(0, 255, 530 * 384).reshape(384, 530).astype(np.uint8)).save(mask, "PNG")  # doubtful
    body, headers = form(image=PHOTO.read_bytes(), mask=mask.getvalue(), detail="model", strategy="resize")
    headers |= BEARER | {"X-Request-ID": "a-1"}
    assert command.ask("/inpainting/v1/inpaint", body, headers)[0] == 200
    command.ask("/nowhere%C3%A4%E2%80%A8%0A", headers={"X-Request-ID": "a-2", "X-Forwarded-For": "203.0.113.9"})
    wait_for(lambda: any('"a-2"' in line for line in command.log))
    lines = [json.loads(line) for line in command.log]
    by_id = {line["request_id"]: line for line in lines if "request_id" in line}
    assert (
        by_id["a-1"].items()
        >= {
            "level": "INFO",
            "client": "127.0.0.1",
            "method": "POST",
            "path": "/v1/inpaint",
            "status": 200,
            "reason": "",
        }.items()
    )
    assert by_id["a-1"]["milliseconds"] > 0 and by_id["a-1"]["bytes"] > 1000
    assert by_id["a-2"]["client"] == "203.0.113.9"  # a proxy on this machine is believed
    assert by_id["a-2"]["status"] == 404 and by_id["a-2"]["reason"] == "no such path: see /docs"
    notes = [line for line in lines if "mask" in line.get("message", "")]
    assert notes and notes[0]["level"] == "WARNING"  # of the process that read the mask


def test_the_log_for_people_has_a_line_a_message():
    import logging

    from shiftnet_tf.server import log

    formatter = log._TextFormatter()
    request = {"request_id": "1", "client": "-", "method": "GET", "path": "/\n\x1b[2J", "status": 404}
    request |= {"milliseconds": 1.5, "bytes": 7, "reason": "no such path"}
    record = logging.makeLogRecord({"msg": "request", "levelname": "INFO", "request": request})
    assert formatter.format(record).endswith(" INFO 1 - GET /\\n\\x1b[2J 404 1.5 ms 7 bytes: no such path")
