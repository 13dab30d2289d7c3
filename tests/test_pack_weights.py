"""pack_weights.py: a small folder that train.py --from, the exporters and evaluate.py take."""

import shutil

import numpy as np
import pytest
from conftest import load_script, says

from shiftnet_tf.model_folder import ModelSpec
from shiftnet_tf.networks.weights import load_weights
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training import fitting
from shiftnet_tf.training.shiftnet import ShiftNet


@pytest.fixture
def pack():
    return load_script("training/pack_weights").main


def test_half_the_size_the_same_network_and_no_folder_of_this_machine(pack, small_run, tmp_path):
    out = tmp_path / "packed"
    assert pack([str(small_run), str(out)]) == 0
    assert {path.name for path in out.iterdir()} == {
        "config.toml",
        "generator.weights.h5",
        "discriminator.weights.h5",
    }
    whole, packed = Run.open(small_run), Run.open(out)
    assert packed.generator_weights.stat().st_size < 0.75 * whole.generator_weights.stat().st_size
    for a, b in zip(whole.load_generator().get_weights(), packed.load_generator().get_weights()):
        np.testing.assert_array_equal(a.astype(np.float16).astype(np.float32), b)
    text = (out / "config.toml").read_text()
    assert str(tmp_path.anchor + "home") not in text and "sample_photos" not in text and str(small_run) not in text


def test_others_begin_with_it_and_export_it(pack, small_run, tmp_path):
    out = tmp_path / "packed"
    assert pack([str(small_run), str(out)]) == 0
    config = Run.open(small_run).config
    trained, begun = ShiftNet(config), ShiftNet(config)
    load_weights(trained.generator, small_run / "generator.weights.h5")
    load_weights(trained.discriminator, small_run / "discriminator.weights.h5")
    assert fitting._load_start(out, begun) == f"the weights of {out}"
    for name in ("generator", "discriminator"):
        for a, b in zip(getattr(trained, name).get_weights(), getattr(begun, name).get_weights()):
            np.testing.assert_array_equal(a.astype(np.float16).astype(np.float32), b)
    assert load_script("export/export_onnx").main([str(out), "--out", str(out)]) == 0
    assert set(ModelSpec.read(out).files) == {"model.onnx"}


def test_without_a_discriminator(pack, small_run, tmp_path):
    run = Run.create(tmp_path / "imported", Run.open(small_run).config)
    shutil.copy(small_run / "generator.weights.h5", run.path)
    assert pack([str(run.path), str(tmp_path / "packed")]) == 0
    assert {path.name for path in (tmp_path / "packed").iterdir()} == {"config.toml", "generator.weights.h5"}


def test_bad_input_is_one_sentence_and_spoils_nothing(pack, small_run, tmp_path, capsys):
    out, before = tmp_path / "out", (small_run / "generator.weights.h5").read_bytes()
    says(capsys, 2, "not a run folder", pack([str(tmp_path), str(out)]))
    says(capsys, 2, "is a run: the packed weights must go", pack([str(small_run), str(small_run)]))
    (tmp_path / "file").write_text("")
    says(capsys, 2, "cannot create the folder", pack([str(small_run), str(tmp_path / "file")]))
    empty = Run.create(tmp_path / "empty", Run.open(small_run).config)
    says(capsys, 2, "the run has no generator.weights.h5 yet", pack([str(empty.path), str(out)]))
    says(capsys, 2, "must be the name of a folder", pack([str(small_run), ""]))
    assert not out.exists() and (small_run / "generator.weights.h5").read_bytes() == before
    (out / "x").mkdir(parents=True)
    (out / "spec.json").write_text("{}")
    says(capsys, 2, "holds an export of other weights", pack([str(small_run), str(out)]))
