"""Generator.from_preset: trained weights by a name or a path, with the answers of the exported file."""

import importlib.util
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS, ROOT

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError
from shiftnet_tf.export import export_onnx, parity
from shiftnet_tf.export.graph import GeneratorBackend
from shiftnet_tf.networks import Generator
from shiftnet_tf.runtime import backends


def differences(generator, path, count):
    """Grey levels between Keras and a file, of each value of each photo."""
    pairs = parity.sample_pairs(PHOTOS / "test", generator.image_size, count)
    answers = (
        backend(*pairs)["inpainted_image"]
        for backend in (GeneratorBackend(generator), backends.open_file("onnx", path))
    )
    return np.abs(np.subtract(*(answer.astype(int) for answer in answers)))


def test_a_run_folder_by_its_path(small_run, small_model):
    generator = Generator.from_preset(small_run)
    assert differences(generator, small_model / "model.onnx", 6).max() <= 1
    assert Generator.from_preset(str(small_run), image_size=128).image_size == 128


def test_the_bundled_weights_by_their_name():
    """The bundled file has 8 bits: nearly the same pictures."""
    generator = Generator.from_preset("compact")
    assert isinstance(generator, keras.Model) and generator.count_params() > 13e6
    found = differences(generator, model_folder.default_model() / "model-int8.onnx", 1)
    assert found.max() > 0 and found[found > 0].mean() < 6 and found.mean() < 1


@pytest.mark.long
def test_the_bundled_weights_in_float32(tmp_path):
    path = export_onnx("compact", tmp_path, photos=PHOTOS / "test")
    found = differences(Generator.from_preset("compact"), path, 6)
    assert (found.max((1, 2, 3)) <= 1).sum() >= 5  # in one, two patches fit equally well
    assert (found > 1).mean() < 0.001


def test_it_can_be_fine_tuned(small_run):
    generator = Generator.from_preset(small_run)
    inputs = {"image": tf.zeros([1, 64, 64, 3]), "mask": tf.ones([1, 64, 64, 1])}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(generator(inputs, training=True) - 0.5))
    optimizer = keras.optimizers.SGD(0.1)
    optimizer.apply(tape.gradient(loss, generator.trainable_variables), generator.trainable_variables)
    assert tf.reduce_mean(tf.square(generator(inputs, training=True) - 0.5)) < loss


def test_what_is_no_preset(small_model, small_run, tmp_path):
    with pytest.raises(InputError, match="unknown preset 'compakt', did you mean 'compact'"):
        Generator.from_preset("compakt")
    with pytest.raises(InputError, match="no weights to load .no config.toml.: pass a run folder. Received: "):
        Generator.from_preset(small_model)
    with pytest.raises(InputError, match="multiple of 16"):
        Generator.from_preset(small_run, image_size=100)
    with pytest.raises(InputError, match="bundled weights need an output folder: pass --out. Received: 'comp"):
        export_onnx("compact")
    shutil.copy(small_run / "config.toml", tmp_path)
    with pytest.raises(InputError, match="has no generator.weights.h5 yet"):
        Generator.from_preset(tmp_path)


def test_the_script_whose_types_are_checked(small_run):
    spec = importlib.util.spec_from_file_location("keras_script", ROOT / "tests" / "data" / "keras_script.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    predicted_image, joined, shift_maps = script.predict(str(small_run))
    assert predicted_image.shape == (1, 64, 64, 3) and joined.shape == (1, 8, 8, 12) and len(shift_maps) == 1
    logits, known = script.judge(str(small_run), 96)
    assert logits.shape == (1, 10, 10, 1) and known.shape[:2] == (1, 12)
    assert script.build(64).generator.image_size == 64
