"""Resuming where checkpoints are damaged, incomplete or gone."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import says

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training.checkpoints import Checkpoints
from shiftnet_tf.training.shiftnet import ShiftNet

NEWEST = "ckpt-8"  # of `tiny_run`: 2 epochs of 4 steps; the one before it is ckpt-4


@pytest.fixture
def run(tiny_run, tmp_path):
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture(scope="module")
def model(tiny_run):
    model = ShiftNet(Run.open(tiny_run).config)
    model.compile(keras.optimizers.Adam(), keras.optimizers.Adam())
    for optimizer, network in (
        (model.optimizer, model.generator),
        (model.discriminator_optimizer, model.discriminator),
    ):
        optimizer.build(network.trainable_variables)
    return model


@pytest.fixture
def opened(model, run):
    """Opens the checkpoints of `run` and restores: (Checkpoints, lines of the log)."""

    def open_checkpoints():
        lines = []
        saved = Checkpoints(Run.open(run), model, steps=4)
        saved.set_model(model)
        saved.restore(lines.append)
        return saved, lines

    return open_checkpoints


def numbers(run):
    """Numbers of the checkpoints that are there, each with its index and its data."""
    indices = {int(path.stem.removeprefix("ckpt-")) for path in (run / "checkpoints").glob("ckpt-*.index")}
    data = {int(path.name.split(".")[0].removeprefix("ckpt-")) for path in (run / "checkpoints").glob("ckpt-*.data-*")}
    assert indices == data
    return sorted(indices)


def state(run):
    """All that the last checkpoint holds, by name; how often it was saved aside."""
    reader = tf.train.load_checkpoint(str(run / "checkpoints"))
    names = [name for name in reader.get_variable_to_shape_map() if name != "_CHECKPOINTABLE_OBJECT_GRAPH"]
    return {name: reader.get_tensor(name) for name in names if "save_counter" not in name}


def assert_same(run, other):
    actual, expected = state(run), state(other)
    assert actual.keys() == expected.keys() and len(actual) > 50
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)
    assert (run / "metrics.csv").read_text() == (other / "metrics.csv").read_text()


def damage(run, name):
    (run / "checkpoints" / f"{name}.data-00000-of-00001").write_bytes(b"short")


def test_a_resumed_run_ends_as_one_that_was_never_stopped(train, run, tiny_run, capsys):
    """With its newest checkpoint damaged: metrics.csv then has a row more, as a kill leaves it too."""
    damage(run, NEWEST)
    (run / "checkpoints" / "checkpoint").write_bytes(b"damaged")  # TensorFlow's list, which is not read
    assert train(["--resume", "--run-dir", str(run)]) == 0
    out = capsys.readouterr().out
    assert f"{NEWEST} (" in out and "skipped: cannot restore" in out and "resumed after epoch 1, from" in out
    assert "first checkpoint" not in out
    assert_same(run, tiny_run)
    assert numbers(run) == [4, 8]
    assert tf.train.latest_checkpoint(str(run / "checkpoints")) == str(run / "checkpoints" / NEWEST)


def test_the_newest_checkpoint_is_that_of_the_highest_number(run, opened):
    saved, _ = opened()
    saved.save(2, 3)
    saved, lines = opened()
    assert "resumed after epoch 2 and 3 steps" in lines[-1] and (saved.epoch, saved.step) == (2, 3)
    for step in (1, 2):
        saved.save(3, step)
    assert numbers(run) == [11, 13, 14]


def test_unreadable_checkpoints_go_and_sound_ones_stay(run, opened):
    saved, _ = opened()
    saved.save(2, 1)
    damage(run, "ckpt-8")
    damage(run, "ckpt-9")
    saved, lines = opened()
    assert [line.split()[0] for line in lines] == ["skipped:", "skipped:", "resumed"] and saved.epoch == 1
    saved.save(1, 1)
    assert numbers(run) == [4, 5]
    saved.save(1, 2)
    saved.save(1, 3)
    assert numbers(run) == [5, 6, 7]


def test_a_run_that_is_moved_is_resumed(run, model, monkeypatch):
    monkeypatch.chdir(run.parent)
    saved = Checkpoints(Run.open("run"), model, steps=4)
    saved.set_model(model)
    saved.restore(lambda line: None)
    saved.save(2, 1)
    run.rename(run.parent / "moved")
    lines = []
    Checkpoints(Run.open(run.parent / "moved"), model, steps=4).restore(lines.append)
    assert len(lines) == 1 and "resumed after epoch 2 and 1 steps" in lines[0]


def test_no_readable_checkpoint_is_refused(train, run, capsys):
    damage(run, "ckpt-4")
    (run / "checkpoints" / f"{NEWEST}.index").write_bytes(b"")
    result = train(["--resume", "--run-dir", str(run)])
    says(capsys, 1, f"no checkpoint in {run / 'checkpoints'} can be restored: start a new run", result)


def test_checkpoints_that_are_gone_are_missed_and_the_first_one_is_not(run, opened):
    folder = run / "checkpoints"
    for path in folder.glob("*.index"):
        path.unlink()
    with pytest.raises(ShiftNetError, match=r"holds no checkpoint after 2 epochs: copy its files back"):
        opened()
    rows = (run / "metrics.csv").read_text().splitlines(keepends=True)
    (run / "metrics.csv").write_text("".join(rows[:2]))  # a kill after the first epoch, before its checkpoint
    message = "the run was stopped before its first checkpoint: starting from the beginning"
    assert opened()[1] == [message]
    (run / "metrics.csv").unlink()
    assert opened()[1] == [message]
