"""What holds of every layer: its config, its shapes, a step of training, saving and loading."""

import keras
import numpy as np
import pytest

from shiftnet_tf import layers

FEATURES, MASK = (8, 8, 4), (8, 8, 1)
CASES = {  # layer -> (its arguments, the shapes of its inputs without the batch)
    "Conv2D": ({"filters": 3, "kernel_size": 4, "strides": 2, "padding": "same"}, [FEATURES]),
    "DetailGate": ({"blend": True}, [FEATURES, (16, 16, 3), (16, 16, 3), (16, 16, 1)]),
    "InstanceNormalization": ({"epsilon": 0.5}, [FEATURES]),
    "RandomShiftConnection": ({"seed": 5}, [FEATURES, FEATURES, MASK]),
    "ShiftConnection": ({}, [FEATURES, FEATURES, MASK]),
    "SoftShiftConnection": ({"score_fusion": True}, [FEATURES, FEATURES, MASK]),
    "SubpixelUpsampling": ({"filters": 3, "smooth": True}, [FEATURES]),
    "SwitchableNormalization": ({}, [FEATURES]),
}


def test_every_layer_is_here():
    assert {name for name in layers.__all__ if isinstance(getattr(layers, name), type)} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_layer_is_one_as_keras_knows_them(name, tmp_path):
    arguments, shapes = CASES[name]
    layer = getattr(layers, name)(**arguments, name="layer")
    config = layer.get_config()
    assert type(layer).from_config(config).get_config() == config
    assert config["name"] == "layer" and all(config[key] == layer.get_config()[key] for key in arguments)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))  # it is registered
    assert type(again) is type(layer)

    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
    if shapes[-1][-1] == 1:
        arrays[-1] = (arrays[-1] > 0.5).astype(np.float32)
    inputs = [keras.Input(shape) for shape in shapes]
    head = keras.layers.Conv2D(2, 1)  # so that all of them have something to train
    model = keras.Model(inputs, head(layer(*inputs)))
    assert (None, *layer(*arrays).shape[1:]) == layer(*inputs).shape

    model.compile("sgd", "mse")
    before = [np.array(weight) for weight in model.trainable_variables]
    answer = model(arrays if len(arrays) > 1 else arrays[0])
    history = model.fit(arrays if len(arrays) > 1 else arrays[0], np.ones(answer.shape), verbose=0).history
    assert np.isfinite(history["loss"][0])
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.trainable_variables)]
    assert any(changed) and np.isfinite(model.predict(arrays if len(arrays) > 1 else arrays[0], verbose=0)).all()

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    given = arrays if len(arrays) > 1 else arrays[0]
    np.testing.assert_array_equal(loaded(given), model(given))
