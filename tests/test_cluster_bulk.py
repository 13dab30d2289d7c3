"""Bulk inpainting by Ray Data, on this machine and from and to an object store."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import ROOT, says

from shiftnet_tf.cli import main
from shiftnet_tf.cluster import bulk

HOLE = '{"boxes": [[80, 90, 170, 160]]}'


@pytest.mark.parametrize(
    "words, message",
    [
        (["--actors", "2"], "--actors needs --cluster"),
        (["--gpus-per-actor", "1"], "--gpus-per-actor needs --cluster"),
        (["--cluster", "auto", "--actors", "0"], "`--actors` must be a whole number from 1 to 10000"),
        (["--cluster", "auto", "--gpus-per-actor", "1.5"], "`--gpus-per-actor` must be 0, a fraction of 1"),
    ],
)
def test_bad_usage_is_one_sentence(tmp_path, capsys, words, message):
    (tmp_path / "photos").mkdir()
    arguments = ["inpaint", str(tmp_path / "photos"), "--mask", str(tmp_path), "-o", str(tmp_path / "out"), *words]
    says(capsys, 2, message, main(arguments))


def test_without_ray(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    (tmp_path / "photos").mkdir()
    arguments = ["inpaint", str(tmp_path / "photos"), "--mask", str(tmp_path), "-o", str(tmp_path / "out")]
    says(capsys, 2, 'pip install "shiftnet-tf[cluster]"', main([*arguments, "--cluster", "auto"]))


def test_a_ledger_counts_tries_and_keeps_an_answer_until_it_has_arrived():
    ledger = bulk.Ledger()
    assert [ledger.begin("a") for _ in range(3)] == [(0, ""), (1, ""), (2, "")]
    ledger.end("a", "done")
    assert ledger.begin("a") == (0, "done")
    ledger.forget("a")
    assert ledger.begin("a") == (0, "")


@pytest.fixture(scope="module")
def photos(hundred_photos, tmp_path_factory):
    """120 photos, one of which is broken, and a mask for all but one of them."""
    folder = tmp_path_factory.mktemp("many")
    shutil.copytree(hundred_photos, folder / "photos")
    paths = image_files_of(folder / "photos")
    assert len(paths) >= 100
    paths[7].write_bytes(b"broken")
    (folder / "masks").mkdir()
    for path in paths[:30] + paths[31:]:
        (folder / "masks" / f"{path.stem}.json").write_text(HOLE)
    return folder


def image_files_of(folder):
    return sorted(folder.iterdir())


def inpaint(photos, masks, out, model, *words, environment=(), while_it_runs=lambda process: None):
    command = [sys.executable, "-m", "shiftnet_tf", "inpaint", str(photos), "--mask", str(masks), "-o", str(out)]
    command += ["--model", str(model), "--runtime", "litert", "--detail", "model", *words]
    ours = {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT), **dict(environment)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | ours, cwd=ROOT, **pipes) as process:
        while_it_runs(process)
        output, errors = process.communicate(timeout=600)
    return process.returncode, output, errors


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rows(log):
    """Status of each photo in a log, by its name."""
    return {Path(row["photo"]).name: row["status"] for row in map(json.loads, log.read_text().splitlines())}


def kill_an_actor(out):
    """As soon as some photos are done."""

    def kill(process):
        while not out.is_dir() or len(list(out.iterdir())) < 10:
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        actors = [
            int(path.parent.name)
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if path.read_bytes().startswith(b"ray::") and b"MapWorker" in path.read_bytes()
        ]
        assert actors
        os.kill(actors[0], signal.SIGKILL)

    return kill


@pytest.fixture(scope="module")
def plain(photos, small_model):
    """What the command writes without a cluster: the folder, its log, its exit code."""
    out, log = photos / "plain", photos / "plain.log"
    started = time.monotonic()
    code, output, _ = inpaint(photos / "photos", photos / "masks", out, small_model, "--log", log, "--workers", "2")
    print(f"plain: {time.monotonic() - started:.1f} s: {output}")
    return out, log, code


@pytest.mark.cluster
def test_the_same_bytes_with_an_actor_killed_and_skipped_the_second_time(photos, plain, small_model):
    out, log = photos / "cluster", photos / "cluster.log"
    words = ("--cluster", "auto", "--actors", "2")
    started = time.monotonic()
    code, output, errors = inpaint(
        photos / "photos", photos / "masks", out, small_model, *words, "--log", log, while_it_runs=kill_an_actor(out)
    )
    print(f"cluster: {time.monotonic() - started:.1f} s: {output}")
    assert code == plain[2] == 1, errors
    assert contents(out) == contents(plain[0]) and len(contents(out)) == len(rows(log)) - 2
    assert rows(log) == rows(plain[1]) and len(log.read_text().splitlines()) == len(rows(log))
    again = photos / "again.log"
    code, output, errors = inpaint(
        photos / "photos", photos / "masks", out, small_model, *words, "--skip-existing", "--log", again
    )
    assert code == 1 and sorted(rows(again).values()).count("skipped") == len(rows(again)) - 2, errors
    assert contents(out) == contents(plain[0])


@pytest.fixture
def store():
    """The address of an S3 server on this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", f"from moto.server import main; main(['-p', '{port}'])"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/moto-api/", timeout=1).close()
                break
            time.sleep(0.1)
        yield address
        server.kill()


@pytest.mark.cluster
def test_from_and_to_an_object_store(photos, plain, small_model, store, capsys, monkeypatch):
    import fsspec

    settings = {"AWS_ENDPOINT_URL": store, "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    settings["AWS_DEFAULT_REGION"] = "us-east-1"
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    files = fsspec.filesystem("s3", endpoint_url=store, key="a", secret="b")
    files.mkdir("photos-of-mine")
    for folder in ("photos", "masks"):
        files.put(f"{photos / folder}/", f"photos-of-mine/{folder}/", recursive=True)
    log, words = photos / "s3.log", ("--cluster", "auto", "--actors", "2")
    urls = [f"s3://photos-of-mine/{folder}" for folder in ("photos", "masks", "out")]
    code, _, errors = inpaint(*urls, small_model, *words, "--log", log, environment=settings)
    assert code == 1 and rows(log) == rows(plain[1]), errors
    assert {Path(path).name: files.cat(path) for path in files.ls("photos-of-mine/out")} == contents(plain[0])
    code, _, errors = inpaint("s3://no-such-bucket/a", urls[1], urls[2], small_model, environment=settings)
    assert code == 2 and errors.count("\n") == 1 and "no-such-bucket" in errors
