"""What a training run survives in a process of its own: SIGKILL at any moment, a disk that is full."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, TINY, with_settings

SETTINGS = [
    *TINY,
    "training.epochs=12",
    "training.steps_per_epoch=20",
    "training.average=0.9",
    "training.schedule=cosine",
]
KILLS = 5


def start(arguments):
    command = [sys.executable, str(ROOT / "training" / "train.py"), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def trains(process):
    """Waits until the first step is near: TensorFlow is imported and the weights are there."""
    for line in process.stdout:
        if line.startswith(("starting from", "resumed", "the run was stopped")):
            return
    pytest.fail("the run ended before its first step")


def final_state(run):
    """All that the last checkpoint holds, by name."""
    state = tf.train.load_checkpoint(str(run / "checkpoints"))
    names = [name for name in state.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: state.get_tensor(name) for name in names if "save_counter" not in name}


def assert_same(run, other):
    state, expected = final_state(run), final_state(other)
    assert state.keys() == expected.keys() and len(state) > 50
    for name, value in expected.items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)
    assert (run / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


@pytest.mark.long
def test_sigkill_at_five_random_moments_changes_no_weight(tmp_path):
    """A kill at any moment costs no more than the steps since the last checkpoint."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    process = start(with_settings(["--run-dir", str(whole)], SETTINGS))
    trains(process)
    begin = time.monotonic()
    process.communicate()
    assert process.returncode == 0
    span = time.monotonic() - begin

    moments = random.Random(time.time_ns())
    arguments = with_settings(["--run-dir", str(killed)], SETTINGS)
    told = []
    for _ in range(KILLS):
        process = start(arguments)
        trains(process)
        wait = moments.uniform(0, span / (KILLS + 1))
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        told.append(f"{wait:.1f} s: {process.communicate()[0].splitlines()[-1:]}")
        assert process.returncode == -signal.SIGKILL, f"it had ended before it was killed: {told}"
        arguments = ["--resume", "--run-dir", str(killed)]
    process = start(arguments)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    assert_same(killed, whole)
    assert not list(killed.glob(".*")) and not list((killed / "checkpoints").glob("*temp*")), "leftovers"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="Unix alone")
def test_a_full_disk_ends_the_run_and_leaves_its_last_checkpoint(train, tiny_run, tmp_path, small_disk, capsys):
    disk, resize = small_disk
    run = disk / "run"
    resize("352k")  # 300k when the second checkpoint is due, which asks for 110k
    process = start(with_settings(["--run-dir", str(run)], TINY))  # on a full disk h5py would crash its process
    out, _ = process.communicate()
    assert process.returncode in (1, 2) and "Traceback" not in out, out
    assert "epoch 1/2" in out and out.splitlines()[-1].startswith("error: "), out
    resize("64m")
    assert train(["--resume", "--run-dir", str(run)]) == 0
    out = capsys.readouterr().out
    assert "resumed after epoch 1, from" in out and "skipped: cannot restore" not in out, out
    assert_same(run, tiny_run)
