"""Resuming where TensorFlow's list of checkpoints is missing, damaged or incomplete."""

import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SMALL, says, with_settings

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training.checkpoints import Checkpoints
from shiftnet_tf.training.shiftnet import ShiftNet

NEWEST = "ckpt-8"  # of `small_run`: 2 epochs of 4 steps; the one before it is ckpt-4


@pytest.fixture
def run(small_run, tmp_path):
    return shutil.copytree(small_run, tmp_path / "run")


@pytest.fixture(scope="module")
def whole_run(train, tmp_path_factory):
    """A run of twice as many epochs that was never stopped."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    assert train(with_settings(["--run-dir", str(path)], [*SMALL, "training.epochs=4"])) == 0
    return path


@pytest.fixture(scope="module")
def model(small_run):
    model = ShiftNet(Run.open(small_run).config)
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


def listed(run):
    state = tf.train.get_checkpoint_state(str(run / "checkpoints"))
    return [path.rpartition("ckpt-")[2] for path in state.all_model_checkpoint_paths]


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


def test_without_the_list_a_run_resumes_from_its_newest_checkpoint(train, run, whole_run, capsys):
    (run / "checkpoints" / "checkpoint").unlink()
    assert train(["--resume", "--run-dir", str(run), "--set", "training.epochs=4"]) == 0
    out = capsys.readouterr().out
    assert "checkpoints/checkpoint was missing: found ckpt-4, ckpt-8 by the file names" in out
    assert "resumed after epoch 2, from" in out and "first checkpoint" not in out
    assert (run / "log.txt").read_text().count("was missing: found") == 1
    assert_same(run, whole_run)
    assert numbers(run) == [8, 12, 16] and listed(run) == ["8", "12", "16"]  # ckpt-4 went: it was not lost track of


def test_without_the_list_a_damaged_newest_checkpoint_is_passed_over(train, run, small_run, capsys):
    (run / "checkpoints" / "checkpoint").unlink()
    damage(run, NEWEST)
    assert train(["--resume", "--run-dir", str(run)]) == 0
    out = capsys.readouterr().out
    assert "was missing" in out and f"{NEWEST} cannot be restored" in out and "resumed after epoch 1, from" in out
    assert_same(run, small_run)
    assert numbers(run) == [4, 8] and listed(run) == ["4", "8"]


def damages(text):
    """Lists that a full disk, a power cut or an editor may leave, from the whole text of one."""
    lines = text.splitlines(keepends=True)
    assert len(lines) >= 6
    return [
        b"",
        b"\0" * 100,
        b"\xff\xfe\x00 no text",
        b"not a list\n",
        text[: len(lines[0]) + 9].encode(),  # in the middle of a word
        *("".join(lines[:count]).encode() for count in range(1, len(lines) - 1)),  # valid, but incomplete
        text.replace("ckpt-8", "ckpt-4").encode(),
    ]


def test_any_damage_to_the_list_is_recovered_from(run, opened):
    file = run / "checkpoints" / "checkpoint"
    text = file.read_text()
    for damaged in damages(text):
        file.write_bytes(damaged)
        saved, lines = opened()
        assert (saved.epoch, saved.step) == (2, 0) and "resumed after epoch 2" in lines[-1], damaged
        if len(lines) == 2:
            assert "checkpoint was damaged or incomplete: found ckpt-4, ckpt-8 by the file names" in lines[0], damaged
        else:
            assert len(lines) == 1 and damaged.count(b"timestamp") > 1, damaged  # all that counts was left
        assert listed(run) == ["4", "8"], damaged
        assert len(opened()[1]) == 1, damaged  # the list is whole again


def test_a_checkpoint_that_the_list_does_not_name_yet_is_resumed_from(run, opened, model):
    """As a kill leaves it between the checkpoint and the list."""
    text = (run / "checkpoints" / "checkpoint").read_text()
    saved, _ = opened()
    saved.save(2, 3)
    (run / "checkpoints" / "checkpoint").write_text(text)
    saved, lines = opened()
    assert "resumed after epoch 2 and 3 steps" in lines[-1] and (saved.epoch, saved.step) == (2, 3)
    for step in (1, 2):
        saved.save(3, step)
    assert numbers(run) == [11, 13, 14] and listed(run) == ["11", "13", "14"]


def test_unreadable_checkpoints_go_before_sound_ones(run, opened):
    saved, _ = opened()
    saved.save(2, 1)
    damage(run, "ckpt-8")
    damage(run, "ckpt-9")
    (run / "checkpoints" / "checkpoint").unlink()
    saved, lines = opened()
    assert [line.split()[0] for line in lines] == ["the", "passed", "passed", "resumed"] and saved.epoch == 1
    assert listed(run) == ["8", "9", "4"]
    saved.save(1, 1)
    assert listed(run) == ["9", "4", "5"] and numbers(run) == [4, 5, 9]
    saved.save(1, 2)
    assert listed(run) == ["4", "5", "6"] and numbers(run) == [4, 5, 6]
    saved.save(1, 3)
    assert listed(run) == ["5", "6", "7"]


def test_a_list_left_by_a_relative_path_moves_with_its_run(run, opened, model, monkeypatch):
    monkeypatch.chdir(run.parent)
    (run / "checkpoints" / "checkpoint").unlink()
    saved = Checkpoints(Run.open("run"), model, steps=4)
    saved.restore(lambda line: None)
    assert saved.epoch == 2 and str(run.parent) not in (run / "checkpoints" / "checkpoint").read_text()
    run.rename(run.parent / "moved")
    lines = []
    Checkpoints(Run.open(run.parent / "moved"), model, steps=4).restore(lines.append)
    assert len(lines) == 1 and "resumed after epoch 2" in lines[0]


@pytest.mark.parametrize("content", [None, b"", b"garbage", "whole"])
def test_no_readable_checkpoint_is_refused(train, run, capsys, content):
    if content is None:
        (run / "checkpoints" / "checkpoint").unlink()
    elif content != "whole":
        (run / "checkpoints" / "checkpoint").write_bytes(content)
    damage(run, "ckpt-4")
    (run / "checkpoints" / f"{NEWEST}.index").write_bytes(b"")
    result = train(["--resume", "--run-dir", str(run)])
    says(capsys, 1, f"no checkpoint in {run / 'checkpoints'} can be restored: start a new run", result)


def test_a_list_without_its_checkpoints_is_refused(run, opened):
    """A list is written after the first checkpoint: a run that has one was not stopped before it."""
    file = run / "checkpoints" / "checkpoint"
    for path in (run / "checkpoints").glob("ckpt-*"):
        path.unlink()
    with pytest.raises(ShiftNetError, match="can be restored: start a new run"):
        opened()
    for content in (b"", b"garbage"):
        file.write_bytes(content)
        with pytest.raises(ShiftNetError, match="is damaged and there is no checkpoint beside it: start a new run"):
            opened()


def test_data_without_an_index_is_no_checkpoint(run, opened):
    folder = run / "checkpoints"
    for path in (folder / "checkpoint", *folder.glob("*.index")):
        path.unlink()
    with pytest.raises(ShiftNetError, match=r"holds ckpt-4, ckpt-8 without their \.index files: copy"):
        opened()
    (folder / "ckpt-8.data-00000-of-00001").unlink()
    assert opened()[1] == ["the run was stopped while it wrote its first checkpoint: it starts from the beginning"]
    (folder / "ckpt-4.data-00000-of-00001").rename(folder / "checkpoint.tmp0123")
    assert opened()[1] == ["the run was stopped before its first checkpoint: it starts from the beginning"]
    assert not list(folder.iterdir())
