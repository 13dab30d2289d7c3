"""The server on Ray Serve: a replica is killed under load, and clients that ask once more lose nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_deploy import free_port
from test_server import Server, form, pairs_of_many_photos

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.runtime import inpaint_photo

pytest.importorskip("ray.serve")
pytestmark = pytest.mark.cluster
TOKEN = {"Authorization": "Bearer sesame"}
NAME = f"shiftnet-{os.getpid()}"  # of the application, which stands in the titles of its processes


class Cluster:
    """`serve run` with a local Ray of its own."""

    ask = Server.ask

    def __init__(self, folder, **options):
        self.address = f"127.0.0.1:{free_port()}"
        application = {"name": NAME, "route_prefix": "/", "import_path": "shiftnet_tf.cluster.serve:app"}
        http = {"host": "127.0.0.1", "port": int(self.address.split(":")[1]), "request_timeout_s": 120}
        (folder / "serve.yaml").write_text(  # JSON is YAML
            json.dumps({"http_options": http, "applications": [application | {"args": options}]})
        )
        environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
        environment |= {"SHIFTNET_TOKEN": "sesame"}
        command = [Path(sys.executable).parent / "serve", "run", folder / "serve.yaml"]
        self.log = folder / "log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        self.wait_until_ready()

    def wait_until_ready(self):
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.ask("/healthz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.5)
        raise AssertionError(self.log.read_text())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(120)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder, min_replicas=2, max_replicas=2, cpus=0.5, in_flight=2)
    yield cluster
    cluster.stop()


def replicas():
    """The process ids of the replicas, which have this title."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            title = path.read_bytes()
        except OSError:  # it has ended
            continue
        if title.startswith(b"ray::ServeReplica:%s:" % NAME.encode()):
            found.append(int(path.parent.name))
    return found


def until_there_are(number):
    deadline = time.monotonic() + 120
    while len(found := replicas()) != number:
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


def test_a_killed_replica_costs_one_retry(cluster):
    pairs = pairs_of_many_photos(12)
    options = FillOptions(detail="model")
    inpainter = Inpainter.load(threads=1)
    expected = [inpaint_photo(inpainter, photo, [mask], options).encoded() for photo, mask in pairs]
    bodies = [form(image=photo, mask=mask, detail="model") for photo, mask in pairs]
    before = until_there_are(2)
    answered, killed = [], threading.Event()

    def attempt(i):
        body, headers = bodies[i % 12]
        try:
            return cluster.ask("/v1/inpaint", body, headers | TOKEN)[:2]
        except OSError as error:
            return 0, str(error).encode()

    def ask(i):
        tries = 1
        status, content = attempt(i)
        if status != 200:
            time.sleep(1)
            tries, (status, content) = 2, attempt(i)
        answered.append(i)
        if len(answered) >= 40 and not killed.is_set():
            killed.set()
            os.kill(before[0], signal.SIGKILL)
        return status, content == expected[i % 12], tries, content[:300]

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(ask, range(120)))
    assert killed.is_set()
    assert [answer for answer in answers if answer[:2] != (200, True)] == []
    after = until_there_are(2)  # Ray Serve has started another one
    assert before[0] not in after and before[1] in after
    print(sum(tries - 1 for *_, tries, _ in answers), "of 120 asked twice")


def test_each_replica_is_the_server_with_its_limits_and_token(cluster):
    photo, mask = pairs_of_many_photos(1)[0]
    body, headers = form(image=photo, mask=mask, detail="model")
    assert cluster.ask("/v1/inpaint", body, headers)[0] == 401
    assert json.loads(cluster.ask("/v2/models/shiftnet/ready")[1]) == {"name": "shiftnet", "ready": True}
    assert "accepts OPTIONS, POST" in json.loads(cluster.ask("/v1/inpaint", headers=TOKEN)[1])["error"]
    assert json.loads(cluster.ask("/healthz")[1])["limits"]["in_flight"] == 4


def test_options_that_cannot_be():
    from shiftnet_tf.cluster.serve import Options, app
    from shiftnet_tf.errors import InputError

    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        Options(modle="mine")
    with pytest.raises(InputError, match="`seconds` must be above 0"):
        app(Options(timeout=0))
