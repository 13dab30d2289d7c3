"""The training step: what is logged, what learns, what each loss reaches."""

import typing

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS
from tensorflow.python.framework import config as tensorflow_config

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.model import Normalization
from shiftnet_tf.ops.masking import composite, hole_window
from shiftnet_tf.training import dataset, gan_losses, losses, metrics
from shiftnet_tf.training.photo_folder import PhotoFolder
from shiftnet_tf.training.shiftnet import ShiftNet, resolve_by_device


def settings_with(**sections):
    base = {
        "model": {"image_size": 64, "depth": 4, "filters": 8},
        "discriminator": {"filters": 8, "depth": 2},
        "data": {"short_side": 96},
    }
    return toml_file.from_dict({name: base.get(name, {}) | sections.get(name, {}) for name in {**base, **sections}})


SHALLOW = {"depth": 2, "shift_layers": [1]}  # where a step is compiled: tracing it takes a second a layer


def compiled(settings, jit_compile="off"):
    keras.utils.set_random_seed(0)
    model = ShiftNet(settings)
    model.compile(keras.optimizers.Adam(1e-3), keras.optimizers.Adam(1e-3), jit_compile=jit_compile)
    return model


@pytest.fixture(scope="module")
def batch():
    photos = PhotoFolder(PHOTOS / "test", 64, 96)
    return next(iter(dataset.training_dataset(photos, settings_with(training={"batch_size": 2}))))


def changed(before, network):
    return [not np.array_equal(a, b) for a, b in zip(before, network.get_weights())]


def test_every_loss_is_a_logged_metric_and_the_loss_their_weighted_sum(batch):
    model = compiled(settings_with(losses={"hole": 50.0}))
    logs = {name: float(value) for name, value in model.train_step(batch).items()}
    names = {"reconstruction_loss", "hole_loss", "guidance_loss", "adversarial_loss"}
    assert set(logs) == names | {"loss", "discriminator_loss"} == set(model.train_step(batch))
    weights = {"reconstruction_loss": 100, "hole_loss": 50, "guidance_loss": 1, "adversarial_loss": 0.2}
    assert logs["loss"] == pytest.approx(sum(weights[name] * logs[name] for name in names), rel=1e-5)
    assert set(model.test_step(batch)) == {"psnr", "hole_psnr"}


@pytest.mark.parametrize("jit_compile", ["off", "on"])
def test_both_networks_learn_and_the_moving_average_follows(batch, jit_compile):
    tensorflow_config.disable_op_determinism()  # another test's train.py may have left it on, and Keras then drops XLA
    model = compiled(settings_with(model=SHALLOW, training={"average": 0.5}), jit_compile)
    assert model.jit_compile is (jit_compile == "on") and model.averaged_generator is not model.generator
    repeated, losses_of_epochs = tf.data.Dataset.from_tensors(batch).repeat(), []
    before = model.generator.get_weights(), model.discriminator.get_weights()

    def fit(steps):
        history = model.fit(repeated, steps_per_epoch=steps, verbose=0).history
        losses_of_epochs.append(history["reconstruction_loss"][0])

    expected = before[0]
    for step in range(1, 6):
        fit(1)
        share = min(0.5, (1 + step) / (10 + step))
        expected = [share * a + (1 - share) * w for a, w in zip(expected, model.generator.get_weights())]
    for average, value in zip(model.averaged_generator.get_weights(), expected):
        np.testing.assert_allclose(average, value, atol=1e-6)
    fit(15)
    assert all(changed(before[0], model.generator)) and all(changed(before[1], model.discriminator))
    assert losses_of_epochs[-1] < 0.8 * losses_of_epochs[0] and np.isfinite(losses_of_epochs).all()
    assert any(changed(model.generator.get_weights(), model.averaged_generator))
    np.testing.assert_array_equal(model(batch), model.averaged_generator(batch))
    inpainted_image = composite(model.averaged_generator(batch), batch["image"], batch["mask"])
    expected = float(tf.reduce_mean(metrics.psnr(batch["image"], inpainted_image)))
    assert float(model.test_step(batch)["psnr"]) == pytest.approx(expected, abs=1e-3)


def test_the_logged_losses_are_those_of_their_definitions(batch):
    """Each tensor in its place: the guidance target from the complete image, real from the photo."""
    model = compiled(settings_with(losses={"hole": 50.0, "guidance": 2.0}))
    image, mask = batch["image"], batch["mask"]
    predicted_image, features = model.generator(batch, return_features=True)
    targets = model.generator.encode(image, mask)
    real_logits, generated_logits = model.discriminator(image), model.discriminator(predicted_image)
    expected = {
        "reconstruction_loss": losses.reconstruction_loss(predicted_image, image),
        "hole_loss": losses.hole_loss(predicted_image, image, mask),
        "guidance_loss": losses.guidance_loss(features["decoder_features"][0], targets[0], features["feature_mask"][0]),
        "adversarial_loss": gan_losses.adversarial_loss(real_logits, generated_logits),
        "discriminator_loss": gan_losses.discriminator_loss(real_logits, generated_logits),
    }
    assert abs(float(real_logits[0, 0, 0, 0] - generated_logits[0, 0, 0, 0])) > 1e-4
    logs = model.train_step(batch)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(float(value), rel=1e-4), name


def test_several_shift_connections_each_have_their_guidance(batch):
    model = compiled(settings_with(model={"shift_layers": [2, 3]}))
    _, features = model.generator(batch, return_features=True)
    targets = model.generator.encode(batch["image"], batch["mask"])
    parts = zip(features["decoder_features"], targets, features["feature_mask"])
    expected = sum(float(losses.guidance_loss(*part)) for part in parts)
    assert float(model.train_step(batch)["guidance_loss"]) == pytest.approx(expected, rel=1e-4)


def test_validation_scores_the_inpainted_image(batch):
    model = compiled(settings_with())
    image, mask = batch["image"], batch["mask"]
    inpainted_image = composite(model.generator(batch), image, mask)
    logs = model.test_step(batch)
    assert float(logs["psnr"]) == pytest.approx(float(tf.reduce_mean(metrics.psnr(image, inpainted_image))), abs=1e-3)
    hole = metrics.psnr(image, inpainted_image, mask)
    assert float(logs["hole_psnr"]) == pytest.approx(float(tf.reduce_mean(hole)), abs=1e-3)


@pytest.mark.parametrize("more", [{}, {"seamless": True, "patches": True}])
@pytest.mark.parametrize("normalization", typing.get_args(Normalization))
def test_mixed_precision_scales_neither_optimizer(batch, normalization, more):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        sections = {name: {"normalization": normalization} for name in ("model", "discriminator")}
        sections["discriminator"]["filters"] = 8
        sections["model"] |= more
        model = compiled(settings_with(**sections))
        assert type(model.optimizer) is type(model.discriminator_optimizer) is keras.optimizers.Adam
        assert np.isfinite(float(model.train_step(batch)["loss"]))
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


def test_without_an_average_there_is_no_second_generator(batch):
    model = compiled(settings_with())
    assert model.averaged_generator is model.generator


def test_without_a_gan_the_discriminator_rests(batch):
    model = compiled(settings_with(losses={"adversarial": 0}))
    before = model.discriminator.get_weights()
    assert set(model.train_step(batch)) == {"loss", "reconstruction_loss", "guidance_loss"}
    assert not any(changed(before, model.discriminator))


def test_without_a_shift_there_is_no_guidance(batch):
    assert "guidance_loss" not in compiled(settings_with(model={"shift_layers": []})).train_step(batch)


def test_guidance_alone_reaches_what_lies_before_the_shift(batch):
    """Only the encoder and the decoder below 16x16 (layer 2 of 64x64) make the decoder feature there."""
    settings = settings_with(
        model={"shift_layers": [2]}, losses={"reconstruction": 1e-30, "guidance": 1.0, "adversarial": 0}
    )
    model = compiled(settings)
    before = [layer.kernel.numpy() for layer in model.generator.decoder_ups]
    model.train_step(batch)
    moved = [not np.allclose(a, layer.kernel, atol=1e-8) for a, layer in zip(before, model.generator.decoder_ups)]
    assert moved == [False, False, True, True]


def test_the_discriminator_may_see_the_inpainted_image(batch):
    settings = settings_with(discriminator={"input": "inpainted_image"})
    model = compiled(settings)
    assert np.isfinite(float(model.train_step(batch)["adversarial_loss"]))
    image, mask = batch["image"], batch["mask"]
    real, same, _ = model._shown(image + 10 * mask, image, mask)
    _, other, _ = model._shown(image + 10 * mask + (1 - mask), image, mask)  # known pixels are those of the photo
    np.testing.assert_array_equal(same, other)
    np.testing.assert_array_equal(real, image)


@pytest.mark.slow
@pytest.mark.parametrize("gan", gan_losses.GAN_LOSSES)
def test_every_gan_loss_trains_with_a_window(batch, gan):
    """Spectral norm, whose graph is large, with one loss without and one with a penalty on gradients."""
    spectral_norm = gan in ("hinge", "wgan_gp")
    section = {"window": "hole", "spectral_norm": spectral_norm, "depth": 1}
    model = compiled(settings_with(model=SHALLOW, losses={"gan": gan}, discriminator=section))
    history = model.fit(tf.data.Dataset.from_tensors(batch).repeat(15), epochs=2, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert history["reconstruction_loss"][1] < history["reconstruction_loss"][0]
    assert history["discriminator_loss"][1] != history["discriminator_loss"][0]
    for layer in model.discriminator.convolutions if spectral_norm else ():
        kernel = layer.layer.kernel.numpy()
        largest = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)[0]
        assert largest == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize("normalization", ["batch", "switchable"])
def test_training_moves_the_averages_of_the_generator_and_validation_does_not(batch, normalization):
    model = compiled(settings_with(model={"normalization": normalization}))
    moving = [v for v in model.generator.non_trainable_variables if "moving_mean" in v.path]
    before = [v.numpy() for v in moving]
    model.test_step(batch)
    assert all(np.array_equal(a, b) for a, b in zip(before, moving))
    model.train_step(batch)
    assert len(moving) == 5 and not any(np.array_equal(a, b) for a, b in zip(before, moving))


@pytest.mark.parametrize("normalization", typing.get_args(Normalization))
def test_the_gradient_penalty_is_of_the_discriminator_that_is_trained(batch, normalization):
    losses_section = {"gan": "wgan_gp", "gradient_penalty": 7.0}
    model = compiled(settings_with(losses=losses_section, discriminator={"normalization": normalization}))
    image = batch["image"]
    predicted_image = model.generator(batch, training=True)

    def discriminator(images):
        return model.discriminator(images, training=True)

    wasserstein = gan_losses.discriminator_loss(discriminator(image), discriminator(predicted_image), "wgan_gp")
    penalty = gan_losses.gradient_penalty(discriminator, image, predicted_image, tf.constant([0, 0]))
    logs = model.train_step(batch)
    assert float(logs["discriminator_loss"]) == pytest.approx(float(wasserstein + 7.0 * penalty), rel=1e-4)
    assert float(penalty) > 0.01


@pytest.mark.parametrize("normalization", typing.get_args(Normalization))
def test_real_and_generated_images_do_not_share_a_batch_norm(batch, normalization):
    """Batch statistics over both would tell the discriminator nothing of either: two passes, as the authors do."""
    model = compiled(settings_with(discriminator={"normalization": normalization}))
    image, mask = batch["image"], batch["mask"]
    predicted_image = model.generator(batch)
    apart = [model.discriminator(x, training=True) for x in model._shown(predicted_image, image, mask)[:2]]
    logs = model.train_step(batch)
    assert float(logs["discriminator_loss"]) == pytest.approx(float(gan_losses.discriminator_loss(*apart)), rel=1e-4)


def test_further_losses_are_those_of_their_definitions(batch, monkeypatch):
    def features(images):
        return [images[:, ::2, ::2], tf.square(images)]

    monkeypatch.setattr("shiftnet_tf.training.shiftnet.load_vgg16", lambda path: features)
    weights = {"hole": 400.0, "discount": 0.9, "total_variation": 2.0, "style": 10.0, "content": 3.0}
    model = compiled(settings_with(losses={**weights, "vgg16_weights": "vgg16.h5"}))
    image, mask = batch["image"], batch["mask"]
    predicted_image = model.generator(batch)
    expected = {
        "hole_loss": losses.hole_loss(predicted_image, image, mask, discount=0.9),
        "total_variation_loss": losses.total_variation_loss(predicted_image),
        "style_loss": losses.style_loss(features(predicted_image), features(image)),
        "content_loss": losses.content_loss(features(predicted_image), features(image)),
    }
    logs = {name: float(value) for name, value in model.train_step(batch).items()}
    for name, value in expected.items():
        assert logs[name] == pytest.approx(float(value), rel=1e-4) and logs[name] > 0, name
    assert logs["loss"] == pytest.approx(sum(w * logs[name] for name, w in model.loss_weights.items()), rel=1e-5)


def test_settings_are_resolved_by_device():
    gpu = bool(tf.config.list_logical_devices("GPU"))
    assert resolve_by_device("auto", gpu=True) is gpu and resolve_by_device("auto", gpu=False) is not gpu
    assert resolve_by_device("on", gpu=False) is True and resolve_by_device("off", gpu=True) is False


def test_round_trip_through_its_config():
    model = ShiftNet(settings_with(model={"shift_layers": [2, 3]}))
    assert ShiftNet.from_config(model.get_config()).config == model.config


RECIPE = {
    "losses": {
        "perceptual": 4.0,
        "style": 2.0,
        "features": "efficientnet_lite0",
        "adversarial": 0.5,
        "adversarial_region": "hole",
        "gan": "hinge",
        "feature_matching": 5.0,
        "r1": 0.01,
        "r1_every": 3,
    },
    "discriminator": {
        "filters": 8,
        "depth": 2,
        "input": "inpainted_image",
        "window": "random",
        "spectral_norm": True,
        "mask_channel": True,
    },
}


@pytest.fixture
def random_features(monkeypatch):
    """A small random network of two stages in the place of the pretrained one."""
    kernels = [
        np.random.default_rng(i).normal(0, 0.3, (3, 3, *c)).astype(np.float32) for i, c in enumerate([(3, 6), (6, 8)])
    ]

    def network(images, last):
        blocks = [tf.nn.relu6(tf.nn.conv2d(images, kernels[0], 2, "SAME"))]
        blocks.append(tf.nn.relu6(tf.nn.conv2d(blocks[0], kernels[1], 2, "SAME")))
        return blocks[: last + 1]

    monkeypatch.setattr("shiftnet_tf.training.shiftnet.load_efficientnet_lite", lambda number: network)
    monkeypatch.setattr("shiftnet_tf.training.shiftnet.STAGES", {0: (0, 1)})
    return network


def test_the_recipes_losses_are_those_of_their_definitions(batch, random_features):
    model = compiled(settings_with(**RECIPE))
    image, mask = batch["image"], batch["mask"]
    predicted_image = model.generator(batch)
    inpainted_image = composite(predicted_image, image, mask)
    features, targets = (random_features(x, 1) for x in (inpainted_image, image))
    shown = hole_window([image, inpainted_image, mask], mask, tf.constant([0, 0]))
    pair = [tf.concat([x, shown[2]], axis=-1) for x in shown[:2]]
    for x in pair:  # spectral norm divides its kernels at each pass
        model.discriminator(x, training=True)
    (real_logits, real), (logits, generated) = (model.discriminator(x, return_features=True) for x in pair)
    weights = gan_losses.hole_patches(shown[2], 2)
    expected = {
        "perceptual_loss": losses.perceptual_loss(features, targets, mask),
        "style_loss": losses.style_loss(features, targets),
        "adversarial_loss": gan_losses.adversarial_loss(real_logits, logits, "hinge", weights),
        "feature_matching_loss": losses.feature_matching_loss(generated, real, shown[2]),
    }
    logs = {name: float(value) for name, value in model.train_step(batch).items()}
    for name, value in expected.items():
        assert logs[name] == pytest.approx(float(value), rel=0.03, abs=1e-4) and logs[name] != 0, name
    assert logs["loss"] == pytest.approx(sum(w * logs[name] for name, w in model.loss_weights.items()), rel=1e-5)
    hinge = float(gan_losses.discriminator_loss(real_logits, logits, "hinge", weights))
    assert logs["discriminator_loss"] == pytest.approx(hinge + 0.01 * logs["r1_penalty"], rel=0.03)
    assert logs["r1_penalty"] > 0
    for step in (1, 2):  # not a multiple of 3: the mean over the steps so far falls
        assert float(model.train_step(batch)["r1_penalty"]) == pytest.approx(logs["r1_penalty"] / (step + 1), rel=1e-5)


@pytest.mark.slow
def test_each_new_loss_moves_in_thirty_steps(batch, random_features):
    names = ["perceptual", "style", "feature_matching"]
    section = {**RECIPE["losses"], **dict.fromkeys(names, 50.0), "reconstruction": 1.0}
    discriminator = RECIPE["discriminator"] | {"depth": 1, "spectral_norm": False}  # whose graph is large
    model = compiled(settings_with(model=SHALLOW, losses=section, discriminator=discriminator))
    before = {name: float(value) for name, value in model.train_step(batch).items()}
    repeated = tf.data.Dataset.from_tensors(batch).repeat(30)
    history = model.fit(repeated, epochs=2, verbose=0).history
    after = {name: history[f"{name}_loss"][1] / before[f"{name}_loss"] for name in names}
    assert after["perceptual"] < 0.9 and after["style"] < 0.9 and after["feature_matching"] < 1.0
