"""training/train_ray.py: train.py on the workers of a Ray cluster."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, load_script, says, with_settings
from test_training_distribution import SHARED, Two, same_checkpoint

CONFIG = str(ROOT / "training" / "configs" / "demo.toml")


@pytest.fixture(scope="module")
def script():
    return load_script("training/train_ray")


def test_bad_input_is_one_sentence(script, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(script, "check_installed", lambda *names: None)
    says(capsys, 2, "`--workers` must be 1 or more", script.main(["--workers", "0", "--run-dir", str(tmp_path)]))
    says(capsys, 2, "`--run-dir` must be given: a folder that all workers see", script.main(["--workers", "2"]))
    (tmp_path / "config.toml").touch()
    says(
        capsys, 2, "is not empty: choose a new run folder", script.main(["--workers", "2", "--run-dir", str(tmp_path)])
    )


def test_what_the_workers_get(script, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").touch()
    monkeypatch.chdir(tmp_path)
    received = []
    monkeypatch.setattr(script, "TRAIN", type("Train", (), {"main": staticmethod(received.append)}))
    arguments = ["mine.toml", "--set", "a=1", "--from", "compact"]
    config = {"folder": str(tmp_path / "run"), "arguments": arguments, "resume": False}
    script.work(config)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").touch()
    script.work(config)  # started again after a failure
    assert received == [
        ["--run-dir", str(tmp_path / "run"), *arguments],
        ["--run-dir", str(tmp_path / "run"), "--resume"],
    ]


@pytest.mark.cluster
def test_a_killed_worker_is_started_again_and_the_run_ends_as_if_nothing_had_been(tmp_path):
    assert [code for code, _ in Two(*with_settings(["--run-dir", tmp_path / "whole"], SHARED)).end()] == [0, 0]
    run = tmp_path / "run"
    command = [sys.executable, str(ROOT / "training" / "train_ray.py"), "--workers", "2", "--run-dir", str(run), CONFIG]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": "disabled", "CUDA_VISIBLE_DEVICES": ""}
    with open(tmp_path / "log", "w+") as log:
        training = subprocess.Popen(with_settings(command, SHARED), stdout=log, stderr=log, env=environment)
        while not (run / "checkpoints" / "ckpt-4.index").exists():
            assert training.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.05)
        found = re.search(r"pid=(\d+)\) world_rank=1", (tmp_path / "log").read_text())
        os.kill(int(found[1]), signal.SIGKILL)
        assert training.wait(600) == 0, (tmp_path / "log").read_text()
    assert "resumed after epoch 1" in (run / "log.txt").read_text()
    assert same_checkpoint(run, tmp_path / "whole", 8)
