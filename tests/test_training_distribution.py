"""Training on several devices and in several processes: the result is that of one device with the whole batch."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import PHOTOS, ROOT, TINY, with_settings

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.training import distribution
from shiftnet_tf.training.distribution import Team, Workers, wait_for_partners

SHARED = [*TINY, "training.batch_size=2"]
ZEROS = 3e-6  # of sums of float32 in another order; the largest moments are 1e6 times as large
STEP = {  # what each config lacks
    "demo.toml": [],
    "compact.toml": [f"data.photos={PHOTOS / 'train'}", f"data.validation_photos={PHOTOS / 'test'}"],
    "paper_paris.toml": [f"data.photos={PHOTOS / 'train'}", f"data.validation_photos={PHOTOS / 'test'}"],
}


def free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


class Two:
    """Two processes that run train.py together."""

    def __init__(self, *arguments):
        addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
        self.processes = []
        for index in (0, 1):
            task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            environment = os.environ | {"TF_CONFIG": json.dumps(task), "TF_CPP_MIN_LOG_LEVEL": "2"}
            command = [sys.executable, str(ROOT / "training" / "train.py"), *map(str, arguments)]
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT}
            self.processes.append(subprocess.Popen(command, env=environment, **pipes))

    def end(self, patience=300):
        """Exit code and stderr of each."""
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: [process.kill() for process in self.processes])
            found = [None, None]

            def wait(i):
                _, errors = self.processes[i].communicate(timeout=patience)
                found[i] = (self.processes[i].returncode, errors)

            threads = [threading.Thread(target=wait, args=(i,)) for i in (0, 1)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return found


def same_checkpoint(run, other, number):
    name = Path("checkpoints") / f"ckpt-{number}.data-00000-of-00001"
    return (run / name).read_bytes() == (other / name).read_bytes()


def one_step(name, *settings):
    command = [sys.executable, str(ROOT / "tests" / "distributed_step.py"), str(ROOT / "training" / "configs" / name)]
    done = subprocess.run([*command, *settings], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_one_step_of_two_devices():
    found = one_step("demo.toml", *SHARED)
    assert found["losses"] < 1e-6 and found["moments"] < 1e-5 and found["zeros"] < ZEROS


@pytest.mark.long
@pytest.mark.parametrize("name", STEP)
def test_one_step_of_each_recipe(name):
    size = ["model.image_size=64", "model.depth=4", "model.filters=4", "discriminator.filters=4", "data.short_side=96"]
    found = one_step(name, *STEP[name], *size, "training.batch_size=2")
    print(name, found)
    assert found["losses"] < 1e-6 and found["moments"] < 1e-5 and found["zeros"] < ZEROS


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A run of two processes: 2 epochs of 4 steps."""
    run = tmp_path_factory.mktemp("two") / "run"
    assert [code for code, _ in Two(*with_settings(["--run-dir", run], SHARED)).end()] == [0, 0]
    return run


@pytest.mark.long
def test_two_processes_are_two_devices_bit_for_bit(undisturbed, tmp_path):
    command = [
        sys.executable,
        str(ROOT / "training" / "train.py"),
        "--run-dir",
        str(tmp_path / "run"),
        "--devices",
        "2",
    ]
    done = subprocess.run(with_settings(command, SHARED), capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and "each batch is shared by 2 devices" in done.stdout
    assert same_checkpoint(undisturbed, tmp_path / "run", 8)
    assert (undisturbed / "metrics.csv").read_bytes() == (tmp_path / "run" / "metrics.csv").read_bytes()


@pytest.mark.long
@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("moment", ["checkpoints", "checkpoints/ckpt-4.index", "pictures/epoch-0002.png"])
def test_a_killed_worker_ends_the_other_and_both_go_on(undisturbed, tmp_path, index, moment):
    run = tmp_path / "run"
    two = Two(*with_settings(["--run-dir", run], SHARED))
    while not (run / moment).exists():
        assert all(process.poll() is None for process in two.processes)
        time.sleep(0.01)
    two.processes[index].kill()
    started = time.monotonic()
    code, errors = two.end()[1 - index]
    if code != 0:  # else it had ended before
        assert time.monotonic() - started < 60
        assert code == 1 and "restart all of them with --resume" in errors, errors[-2000:]
    assert [code for code, _ in Two("--resume", "--run-dir", run).end()] == [0, 0]
    assert same_checkpoint(run, undisturbed, 8)


@pytest.mark.long
def test_sigterm_to_one_stops_both_after_one_step_and_both_go_on(tmp_path):
    settings = [*SHARED, "training.steps_per_epoch=400"]
    assert [code for code, _ in Two(*with_settings(["--run-dir", tmp_path / "whole"], settings)).end()] == [0, 0]
    for index in (0, 1):
        run = tmp_path / str(index)
        two = Two(*with_settings(["--run-dir", run], settings))
        while not (run / "checkpoints" / "ckpt-400.index").exists():
            assert all(process.poll() is None for process in two.processes)
            time.sleep(0.05)
        two.processes[index].send_signal(signal.SIGTERM)
        assert [code for code, _ in two.end()] == [130, 130]
        stopped = max(int(path.stem[5:]) for path in (run / "checkpoints").glob("ckpt-*.index"))
        assert 400 < stopped < 800
        assert [code for code, _ in Two("--resume", "--run-dir", run).end()] == [0, 0]
        assert same_checkpoint(run, tmp_path / "whole", 800)


def test_partners_that_do_not_come():
    ports = free_ports(2)
    workers = Workers(tuple(f"127.0.0.1:{port}" for port in ports), 0)
    with pytest.raises(ShiftNetError, match=rf"worker 1 \(127.0.0.1:{ports[1]}\) did not start within 0.5 seconds"):
        wait_for_partners(workers, patience=0.5)
    with socket.create_server(("127.0.0.1", ports[1])):
        wait_for_partners(workers, patience=5)
    with socket.create_server(("", ports[0])), pytest.raises(InputError, match="cannot listen on port"):
        wait_for_partners(workers, patience=0.5)


@pytest.mark.parametrize(
    "text, words",
    [
        ("{", "must be JSON"),
        ("[1]", "must be JSON"),
        ('{"cluster": {"worker": ["a:1", "b:1"], "ps": ["c:1"]}, "task": {}}', "Received: ps"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "one that its cluster lists",
        ),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "chief", "index": 0}}',
            "one that its cluster lists",
        ),
    ],
)
def test_a_tf_config_that_cannot_be(monkeypatch, text, words):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(InputError, match=words):
        Workers.from_environment()


def test_who_is_chief(monkeypatch):
    two, three = {"worker": ["a:1", "b:1"]}, {"chief": ["c:1"], "worker": ["a:1", "b:1"]}
    for cluster, kind, index, addresses, chief in (
        (two, "worker", 0, ("a:1", "b:1"), True),
        (two, "worker", 1, ("a:1", "b:1"), False),
        (three, "worker", 0, ("c:1", "a:1", "b:1"), False),
        (three, "chief", 0, ("c:1", "a:1", "b:1"), True),
        ({"worker": ["a:1"]}, "worker", 0, (), True),
    ):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}}))
        workers = Workers.from_environment()
        assert workers.addresses == addresses and workers.is_chief == chief
    monkeypatch.delenv("TF_CONFIG")
    assert Workers.from_environment() == Workers()


def test_what_replicas_cannot_share():
    class Strategy:
        num_replicas_in_sync = 2

    team = Team(Strategy(), Workers())
    team.check(toml_file.from_dict({"training": {"batch_size": 4}}))
    for config, words in (
        ({"training": {"batch_size": 3}}, "a multiple of the 2 devices"),
        ({"training": {"batch_size": 2}, "model": {"normalization": "batch"}}, "model.normalization"),
        ({"training": {"batch_size": 2}, "discriminator": {"normalization": "switchable"}}, "discriminator.normaliz"),
        ({"training": {"batch_size": 2}, "losses": {"gan": "relativistic_average"}}, "losses.gan"),
    ):
        with pytest.raises(InputError, match=words):
            team.check(toml_file.from_dict(config))


@pytest.mark.parametrize(
    "devices, words", [("two", "a whole number, at least 1, or auto"), (0, "a whole number, at least 1, or auto")]
)
def test_devices_that_cannot_be(devices, words):
    with pytest.raises(InputError, match=words):
        distribution.gather(devices)
