"""The generator against recorded outputs of the authors' code and against plain Keras layers."""

import numpy as np
import pytest
import tensorflow as tf
from plain_generator import PlainGenerator

from shiftnet_tf import masks
from shiftnet_tf.conversion import generator_from_torch
from shiftnet_tf.networks import Generator


def recorded(values, key):
    return values[key].transpose(0, 2, 3, 1)


def weights(values):
    return {key.removeprefix("weights/"): array for key, array in values.items() if key.startswith("weights/")}


def inputs_of(size, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, size=(batch, size, size, 3)).astype(np.float32)
    mask = np.stack([masks.freeform(size, rng) for _ in range(batch)])[..., np.newaxis].astype(np.float32)
    return {"image": tf.constant(image), "mask": tf.constant(mask)}


@pytest.mark.parametrize(
    "name, shift_layers",
    [("generator_center", (3,)), ("generator_freeform", (3,)), ("generator_unet_no_shift", ())],
)
def test_equals_the_authors_network(reference, name, shift_layers):
    values = reference(name)
    generator = generator_from_torch(weights(values))
    assert generator.shift_layers == shift_layers
    inputs = {"image": recorded(values, "image"), "mask": recorded(values, "mask")}
    predicted_image, features = generator(inputs, return_features=True)
    np.testing.assert_allclose(predicted_image, recorded(values, "output"), atol=1e-4)
    if shift_layers:
        decoder_features = recorded(values, "mid/shift_in")[..., :16]
        np.testing.assert_allclose(features["decoder_features"][0], decoder_features, atol=1e-4)
        encoder_features = generator.encode(inputs["image"] * (1 - inputs["mask"]), inputs["mask"])
        np.testing.assert_allclose(encoder_features[0], recorded(values, "mid/shift_in")[..., 16:], atol=1e-4)


@pytest.mark.parametrize("filters, count", [(64, 54_944_771), (32, 13_742_595)])
def test_number_of_weights(filters, count):
    # Of 256x256 at width 64: eight encoder convolutions 22.6 M, eight decoder ones 32.3 M, norms and biases 0.02 M.
    generator = Generator(filters=filters)
    generator.build()
    assert generator.count_params() == count


@pytest.mark.parametrize("shift_layers", [(3,), ()])
def test_equals_plain_keras_layers(shift_layers):
    generator = Generator(filters=8, shift_layers=shift_layers)
    generator.build()
    inputs = inputs_of(256)
    np.testing.assert_allclose(generator(inputs), PlainGenerator(generator)(inputs), atol=1e-5)


def test_what_lies_under_the_mask_does_not_matter():
    generator, inputs = Generator(image_size=64, filters=4, depth=6), inputs_of(64, batch=2)
    other = tf.where(inputs["mask"] > 0.5, np.nan, inputs["image"])
    np.testing.assert_array_equal(generator(inputs), generator({**inputs, "image": other}))


def test_images_of_a_batch_do_not_touch_each_other():
    generator, inputs = Generator(image_size=64, filters=4, depth=6), inputs_of(64, batch=3)
    apart = [generator({key: value[i : i + 1] for key, value in inputs.items()}) for i in range(3)]
    np.testing.assert_allclose(generator(inputs), np.concatenate(apart), atol=1e-5)


@pytest.mark.parametrize("shift_layers", [(2,), (2, 3), (4, 1), ()])
@pytest.mark.parametrize("mask_channel", [True, False])
def test_features_of_each_shift_connection(shift_layers, mask_channel):
    generator = Generator(image_size=64, filters=4, depth=6, shift_layers=shift_layers, mask_channel=mask_channel)
    predicted_image, features = generator(inputs_of(64, batch=2), return_features=True)
    assert predicted_image.shape == (2, 64, 64, 3) and np.abs(predicted_image).max() <= 1
    sizes = [64 // 2**layer for layer in shift_layers]
    assert [x.shape[1] for x in features["decoder_features"]] == sizes
    assert [x.shape for x in features["feature_mask"]] == [(2, size, size, 1) for size in sizes]
    assert [x.shape for x in features["shift_map"]] == [(2, size, size) for size in sizes]
    targets = generator.encode(tf.zeros([2, 64, 64, 3]), tf.zeros([2, 64, 64, 1]))
    assert [x.shape for x in targets] == [x.shape for x in features["decoder_features"]]


def test_same_weights_at_another_size():
    small, large = (Generator(image_size=size, filters=4, depth=6) for size in (64, 128))
    small.build()
    large.build()
    large.set_weights(small.get_weights())
    assert large(inputs_of(128)).shape == (1, 128, 128, 3)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"image_size": 250}, "`model.image_size` must be a multiple of 256.*Received: 250"),
        ({"shift_layers": (8,)}, "`model.shift_layers` must be different whole numbers from 1 to 7"),
        ({"feature_mask": "mean"}, "`model.feature_mask` must be"),
    ],
)
def test_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Generator(**arguments)


def test_round_trip_through_its_config():
    generator = Generator(image_size=64, filters=4, depth=6, shift_layers=(2, 3), mask_channel=False)
    assert Generator.from_config(generator.get_config()).get_config() == generator.get_config()
