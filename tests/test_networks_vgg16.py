"""VGG16 for the style and content losses: weights from the user's file, what it is fed, what is refused."""

import keras
import numpy as np
import pytest

from shiftnet_tf.errors import InputError
from shiftnet_tf.networks import load_vgg16


@pytest.fixture(scope="module")
def vgg16():
    keras.utils.set_random_seed(0)
    return keras.applications.VGG16(include_top=False, weights=None)


@pytest.fixture(scope="module")
def weights(vgg16, tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg16") / "vgg16.weights.h5"
    vgg16.save_weights(path)
    return path


def test_features_are_those_of_keras_on_its_own_preprocessing(vgg16, weights):
    images = np.random.default_rng(0).uniform(-1, 1, size=(2, 32, 32, 3)).astype(np.float32)
    features = load_vgg16(weights)(images)
    levels = keras.applications.vgg16.preprocess_input(127.5 * (images + 1))
    names = ("block1_pool", "block2_pool", "block3_pool")
    for feature, name, size in zip(features, names, (16, 8, 4)):
        expected = keras.Model(vgg16.input, vgg16.get_layer(name).output)(levels)
        assert feature.shape[:3] == (2, size, size)
        np.testing.assert_allclose(57.0 * feature, expected, rtol=1e-4, atol=1e-3 * np.abs(expected).max())


def test_files_that_do_not_fit(tmp_path, small_run):
    with pytest.raises(InputError, match="`losses.vgg16_weights` does not exist"):
        load_vgg16(tmp_path / "absent.h5")
    for name in ("text.h5", "text.keras"):
        (tmp_path / name).write_text("no weights")
    for path in (tmp_path / "text.h5", tmp_path / "text.keras", small_run / "generator.weights.h5"):
        with pytest.raises(InputError, match="does not hold the weights of VGG16"):
            load_vgg16(path)
