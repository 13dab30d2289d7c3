"""The generator against recorded outputs of the authors' code and against plain Keras layers."""

import numpy as np
import pytest
import tensorflow as tf

from harness.plain_keras import PlainGenerator
from shiftnet_tf import layers
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import Generator
from shiftnet_tf.networks.from_torch import generator_from_torch
from shiftnet_tf.ops.masking import composite, mask_image
from shiftnet_tf.ops.membrane import membrane
from shiftnet_tf.ops.patch_filling import fill_from_patches


def recorded(values, key):
    return values[key].transpose(0, 2, 3, 1)


def weights(values):
    return {key.removeprefix("weights/"): array for key, array in values.items() if key.startswith("weights/")}


def inputs_of(size, batch=1, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.uniform(-1, 1, size=(batch, size, size, 3)).astype(np.float32)
    mask = np.stack([sampling.freeform(size, rng) for _ in range(batch)])[..., np.newaxis].astype(np.float32)
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


def test_equals_the_authors_network_for_faces(reference):
    """The record is of its first pass, in which the shifted features are 0: so is their part of the kernel here."""
    values = reference("generator_face_first_pass")
    generator = generator_from_torch(weights(values))
    assert (generator.shift, generator.shift_layers, generator.third_kernel_size) == ("mirrored", (3,), 6)
    kernel = generator.decoder_ups[2].kernel
    kernel.assign(kernel.numpy() * (np.arange(48) < 32).reshape(1, 1, 48, 1))
    inputs = {"image": recorded(values, "image"), "mask": recorded(values, "mask")}
    np.testing.assert_allclose(generator(inputs), recorded(values, "output"), atol=1e-4)


VARIANTS = {
    "soft": {"shift": "soft"},
    "soft_fused": {"shift": "soft_fused"},
    "mirrored": {"shift": "mirrored"},
    "mirrored, two layers": {"shift": "mirrored", "shift_layers": (2, 4)},
    "random": {"shift": "random"},
    "wide third kernel": {"third_kernel_size": 6},
    "context encoder": {"shift_layers": (), "skips": False},
    "batch norm": {"normalization": "batch"},
    "switchable norm": {"normalization": "switchable"},
}


def variant_of(name):
    """A small network whose weights are far from their small beginnings."""
    generator = Generator(**{"image_size": 64, "filters": 4, "depth": 6, **VARIANTS[name]})
    generator.build()
    rng = np.random.default_rng(0)
    generator.set_weights(
        [w + 0.2 * rng.random(w.shape) * rng.choice([1, 1, -1], w.shape) for w in generator.get_weights()]
    )
    return generator


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(name):
    """Three different masks at once as one at a time, the hole hidden, all in all of the size that is told."""
    generator, inputs = variant_of(name), inputs_of(64, batch=3)
    predicted_image, features = generator(inputs, return_features=True)
    assert predicted_image.shape == (3, 64, 64, 3) and predicted_image.numpy().std() > 0.01
    apart = [generator({key: value[i : i + 1] for key, value in inputs.items()}) for i in range(3)]
    difference = np.abs(predicted_image - np.concatenate(apart))
    # Nothing keeps the features of batch norm small here: where they cancel out, rounding shows.
    assert np.quantile(difference, 0.99 if name == "batch norm" else 1.0) < 1e-4
    other = tf.where(inputs["mask"] > 0.5, np.nan, inputs["image"])
    np.testing.assert_array_equal(predicted_image, generator({**inputs, "image": other}))
    for layer, shift_map in zip(generator.shift_layers, features["shift_map"]):
        size = 64 // 2**layer
        assert shift_map.shape == (3, size, size)
        assert shift_map.numpy().max() < size * size * (2 if generator.shift == "mirrored" else 1)
    copy = Generator.from_config(generator.get_config())
    copy.build()
    copy.set_weights(generator.get_weights())
    np.testing.assert_array_equal(copy(inputs), predicted_image)


@pytest.mark.parametrize(
    "shift, kind",
    [
        ("hard", layers.ShiftConnection),
        ("mirrored", layers.ShiftConnection),
        ("random", layers.RandomShiftConnection),
        ("soft", layers.SoftShiftConnection),
        ("soft_fused", layers.SoftShiftConnection),
    ],
)
def test_each_name_of_a_shift_is_its_layer(shift, kind):
    (layer,) = Generator(image_size=64, filters=4, depth=6, shift=shift).shifts
    assert type(layer) is kind
    assert getattr(layer, "score_fusion", None) == {"soft": False, "soft_fused": True}.get(shift)


def test_the_mirrored_source_is_used():
    shift_map = variant_of("mirrored")(inputs_of(64, batch=3), return_features=True)[1]["shift_map"][0]
    filled = shift_map.numpy()[shift_map.numpy() >= 0]
    assert 0.1 < (filled >= 64).mean() < 0.9


def test_the_mirrored_source_is_the_mirrored_image():
    """An image whose left half is the hole and the mirror image of its right half: each position finds its partner."""
    generator = variant_of("mirrored")
    image, mask = inputs_of(64)["image"].numpy(), np.zeros((1, 64, 64, 1), np.float32)
    image[:, :, :32] = image[:, :, :31:-1]
    mask[:, :, :32] = 1
    mirrored = generator._mirrored_features(mask_image(image, mask), tf.constant(mask), False)[3]
    flipped = generator.encode(mask_image(image, mask)[:, :, ::-1], tf.constant(mask)[:, :, ::-1])[0]
    np.testing.assert_array_equal(mirrored[:, :, ::-1], flipped)
    # What the encoder saw of a whole image in the hole is what the mirrored source has in its known half.
    _, shift_map = generator.shifts[0](flipped, 0 * flipped, mask[:, ::8, ::8], mirrored, return_shift_map=True)
    row, column = np.mgrid[0:8, 0:4]
    np.testing.assert_array_equal(shift_map[0, :, :4], 64 + 8 * row + 7 - column)


def test_only_training_moves_the_averages_of_batch_norm():
    generator, inputs = Generator(image_size=64, filters=4, depth=6, normalization="batch"), inputs_of(64, batch=2)
    generator.build()

    def averages():
        return np.concatenate([v.numpy().ravel() for v in generator.non_trainable_variables if "moving" in v.name])

    before = averages()
    generator(inputs)
    for training in (True, False):
        target = generator.encode(inputs["image"], inputs["mask"], training)
        np.testing.assert_array_equal(averages(), before)
        assert (np.mean(target) > 0.05) == training  # with averages that nothing has moved yet, next to nothing
    generator(inputs, training=True)
    assert (averages() != before).mean() > 0.9


@pytest.mark.parametrize("normalization", ["batch", "switchable"])
def test_the_guidance_target_of_a_whole_image_is_what_the_encoder_sees(normalization):
    generator = Generator(image_size=64, filters=4, depth=6, normalization=normalization)
    image = inputs_of(64, batch=2)["image"]
    seen = []
    generator.shifts[0].call = lambda decoder, encoder, *_, **__: (
        seen.append(encoder) or (tf.concat([decoder, encoder, encoder], axis=-1), None)
    )
    generator({"image": image, "mask": tf.zeros([2, 64, 64, 1])}, training=True)
    target = generator.encode(image, tf.zeros([2, 64, 64, 1]), training=True)[0]
    np.testing.assert_allclose(target, seen[0], atol=1e-5)


def test_the_mirrored_pass_moves_no_average():
    moved = []
    for shift in ("hard", "mirrored"):
        generator = Generator(image_size=64, filters=4, depth=6, shift=shift, normalization="batch")
        generator.build()
        generator.set_weights([np.cos(np.arange(w.size)).reshape(w.shape) ** 2 for w in generator.get_weights()])
        generator(inputs_of(64, batch=2), training=True)
        moved.append([norm.moving_mean.numpy() for norm in generator.encoder_norms])
    for hard, mirrored in zip(*moved):
        np.testing.assert_allclose(hard, mirrored, rtol=1e-5)


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
        ({"shift_layers": (8,)}, "`model.shift_layers` must be distinct whole numbers from 1 to 7"),
        ({"shift": "weak"}, "`model.shift` must be one of hard, soft, soft_fused, mirrored, random"),
        ({"skips": False}, "`model.shift_layers` must be empty if `skips` is false"),
        ({"normalization": "layer"}, "`model.normalization` must be one of instance, batch, switchable"),
        ({"third_kernel_size": 5}, "`model.third_kernel_size` must be 4 or 6. Received: 5"),
        ({"feature_mask": "mean"}, "`model.feature_mask` must be"),
    ],
)
def test_refuses_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        Generator(**arguments)


def test_round_trip_through_its_config():
    generator = Generator(image_size=64, filters=4, depth=6, shift_layers=(2, 3), mask_channel=False)
    assert Generator.from_config(generator.get_config()).get_config() == generator.get_config()


def still(**arguments):
    """A generator whose every weight is 0: it predicts grey, and its gate lets the detail through as it is."""
    generator = Generator(image_size=64, filters=4, depth=6, **arguments)
    generator.build()
    generator.set_weights([0 * weight for weight in generator.get_weights()])
    return generator


def a_pattern_with_a_hole():
    rng = np.random.default_rng(0)
    image = np.tile(rng.uniform(-1, 1, size=(2, 8, 8, 3)), (1, 8, 8, 1)).astype(np.float32)
    mask = np.zeros((2, 64, 64, 1), np.float32)
    mask[:, 24:40, 24:40] = 1
    return {"image": image, "mask": mask}


def test_a_seamless_prediction_of_nothing_is_the_membrane():
    rng = np.random.default_rng(0)
    image = rng.uniform(-1, 1, size=(2, 64, 64, 3)).astype(np.float32)
    mask = (rng.uniform(size=(2, 64, 64, 1)) < 0.3).astype(np.float32)
    plain, seamless = still(), still(seamless=True)
    inputs = {"image": image, "mask": mask}
    assert not np.any(plain(inputs))
    expected = composite(membrane(image, mask), tf.zeros_like(image), mask)
    np.testing.assert_allclose(seamless(inputs), expected, atol=1e-6)


def test_the_detail_of_patches_is_added_as_far_as_the_gate_is_open():
    generator, inputs = still(patches=True), a_pattern_with_a_hole()
    opened = generator(inputs, training=True).numpy()
    assert (
        not np.any(opened[np.broadcast_to(inputs["mask"] < 0.5, opened.shape)]) and opened[:, 24:40, 24:40].std() > 0.3
    )
    generator.detail_gate.bias.assign([-1.0])
    share = 2 / (1 + np.exp(1.0))
    np.testing.assert_allclose(generator(inputs, training=True), share * opened, atol=1e-5)
    generator.detail_gate.share_weight.assign([1.0])  # 16x16 of the window's 56x56 are hole around the middle
    share = 2 / (1 + np.exp(1.0 - 16 * 16 / (56 * 56)))
    np.testing.assert_allclose(
        generator(inputs, training=True)[:, 31:33, 31:33], share * opened[:, 31:33, 31:33], atol=1e-5
    )
    generator.detail_gate.bias.assign([-50.0])
    assert np.abs(generator(inputs)).max() < 1e-6


def test_what_is_predicted_beyond_white_is_white_but_in_training():
    generator, inputs = still(patches=True), a_pattern_with_a_hole()
    generator.decoder_ups[0].bias.assign([1.0, 1.0, 1.0])  # tanh(1) = 0.76, and the detail on top
    assert float(tf.reduce_max(generator(inputs, training=True))) > 1.2
    assert float(tf.reduce_max(generator(inputs))) == 1.0


def test_patches_are_blended_with_the_prediction_as_far_as_the_gate_is_open():
    generator, inputs = still(patches=True, blend_patches=True), a_pattern_with_a_hole()
    hole = np.broadcast_to(inputs["mask"] > 0.5, inputs["image"].shape)
    filled = fill_from_patches(mask_image(inputs["image"], inputs["mask"]), inputs["mask"]).numpy()
    generator.decoder_ups[0].bias.assign([0.5, 0.5, 0.5])
    for bias in (-50.0, -1.0, 50.0):
        generator.detail_gate.bias.assign([bias])
        share = 1 / (1 + np.exp(-bias))
        expected = share * filled + (1 - share) * np.tanh(0.5)
        predicted_image = generator(inputs, training=True).numpy()
        np.testing.assert_allclose(predicted_image[hole], expected[hole], atol=1e-5)
        np.testing.assert_allclose(predicted_image[~hole], np.tanh(0.5), atol=1e-5)
