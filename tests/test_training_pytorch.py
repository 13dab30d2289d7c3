"""The recipe in PyTorch against the Keras model: weights, prediction, losses, gradients, and its scripts."""

import json
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS, ROOT, load_script, says
from test_networks_efficientnet_lite import random_weights

from shiftnet_tf.config import toml_file
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import EfficientNetLite
from shiftnet_tf.ops.masking import random_hole_pixels
from shiftnet_tf.photos import image_files
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training import losses
from shiftnet_tf.training import shiftnet as shiftnet_module

torch = pytest.importorskip("torch")
ablation, fitting, networks, pretrained, pytorch_losses, weight_files = (
    pytest.importorskip(f"shiftnet_tf.training.pytorch.{name}")
    for name in ("ablation", "fitting", "networks", "pretrained", "losses", "weights")
)


@pytest.fixture(scope="module")
def config():
    settings = ["model.filters=8", "discriminator.filters=4", "data.short_side=256", "data.colour=0.1"]
    return toml_file.read(ROOT / "training" / "configs" / "compact.toml", settings)


@pytest.fixture(scope="module")
def model(config, reference):
    keras.utils.set_random_seed(3)
    network = EfficientNetLite(random_weights(reference("efficientnet_lite"), 0), 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shiftnet_module, "load_efficientnet_lite", lambda number: network)
        model = shiftnet_module.ShiftNet(config)
    model.compile(keras.optimizers.Adam(2e-4), keras.optimizers.Adam(4e-4), jit_compile="off")
    rng = np.random.default_rng(0)
    for variable in model.generator.trainable_variables:  # so that no bias is 0 and the gate is no constant
        variable.assign(variable + rng.normal(scale=0.05, size=variable.shape))
    for _ in range(30):  # until the power iteration stands: Keras iterates between its two passes, `losses` before
        model.discriminator(np.zeros((1, 128, 128, 3), np.float32), training=True)
    return model


@pytest.fixture(scope="module")
def run(model, config, tmp_path_factory):
    run = Run.create(tmp_path_factory.mktemp("pytorch") / "run", config)
    model.generator.save_weights(run.generator_weights)
    model.discriminator.save_weights(run.discriminator_weights)
    return run


@pytest.fixture(scope="module")
def batch():
    """Three photos, with a hole of another kind in each."""
    photos = [image_files.read_image(path)[:256, :256] for path in sorted((PHOTOS / "train").glob("*.jpg"))[:3]]
    rng = np.random.default_rng(1)
    masks = [sampling.center(256), sampling.freeform(256, rng), sampling.objects(256, rng)]
    return np.stack(photos).astype(np.float32) / 127.5 - 1.0, np.stack(masks).astype(np.float32)[..., np.newaxis]


def to_torch(images):
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy())


def test_weights_survive_the_way_there_and_back(run, model, tmp_path):
    for path, network in ((run.generator_weights, model.generator), (run.discriminator_weights, model.discriminator)):
        copy = tmp_path / path.name
        weight_files.write_weights(path, copy, weight_files.read_weights(path))
        before = network.get_weights()
        network.set_weights([np.zeros_like(x) for x in before])
        network.load_weights(copy)
        assert all(np.array_equal(a, b) for a, b in zip(network.get_weights(), before, strict=True))
    with pytest.raises(ValueError, match="must have the shape"):
        weight_files.write_weights(run.generator_weights, tmp_path / "x.h5", _with_a_longer_bias(run.generator_weights))


def _with_a_longer_bias(path):
    weights = weight_files.read_weights(path)
    return weights | {"detail_gate/vars/1": torch.zeros(2)}


def test_predicts_what_keras_predicts(run, model, batch):
    image, mask = batch
    expected = model.generator({"image": image, "mask": mask}).numpy()
    weights = weight_files.read_weights(run.generator_weights)
    predicted = networks.generate(weights, to_torch(image), to_torch(mask))[0].permute(0, 2, 3, 1).numpy()
    assert np.abs(expected * mask).max() > 0.5  # a picture, not zeros
    np.testing.assert_allclose(predicted, expected, atol=1e-3)


def test_losses_and_gradients_are_those_of_the_train_step(run, model, batch, config, reference, tmp_path):
    image, mask = map(tf.constant, batch)
    generator = {name: x.requires_grad_() for name, x in weight_files.read_weights(run.generator_weights).items()}
    discriminator = weight_files.read_weights(run.discriminator_weights)
    for x in networks.trainable(discriminator).values():
        x.requires_grad_()
    features = pretrained.EfficientNetLite(random_weights(reference("efficientnet_lite"), 0), 0, "cpu", 10)
    middles = random_hole_pixels(mask, 1, model._step_seed())[:, 0]
    networks.normalize_spectrum(discriminator)  # Keras does so before each of its two passes
    networks.normalize_spectrum(discriminator)
    middles = torch.from_numpy(middles.numpy().astype(np.int64))
    values = pytorch_losses.losses(generator, discriminator, features, to_torch(batch[0]), to_torch(batch[1]), middles)
    total = sum(getattr(config.losses, name) * values[name] for name in pytorch_losses.LOSSES)
    (total + values["discriminator"]).backward()

    targets = model.generator.encode(image, mask, training=True)
    before = model.discriminator.get_weights()
    with tf.GradientTape(persistent=True) as tape:
        predicted, found = model.generator({"image": image, "mask": mask}, return_features=True, training=True)
        expected = model._image_losses(predicted, image, mask)
        parts = zip(found["decoder_features"], targets, found["feature_mask"])
        expected["guidance_loss"] = tf.add_n([losses.guidance_loss(*part) for part in parts])
        more, expected["discriminator_loss"] = model._adversarial_losses(predicted, image, mask)
        expected |= more
        loss = tf.add_n([weight * expected[name] for name, weight in model.loss_weights.items()])
    assert set(expected) == {f"{name}_loss" for name in values}
    for name, value in values.items():
        np.testing.assert_allclose(float(value.detach()), float(expected[f"{name}_loss"]), rtol=1e-3, err_msg=name)

    both = (
        (model.generator, loss, generator, run.generator_weights),
        (model.discriminator, expected["discriminator_loss"], discriminator, run.discriminator_weights),
    )
    model.discriminator.set_weights(before)
    for network, loss, weights, path in both:
        gradients = tape.gradient(loss, network.trainable_variables)
        received = {name: torch.zeros_like(x) if x.grad is None else x.grad for name, x in weights.items()}
        weight_files.write_weights(path, tmp_path / path.name, received)
        kept = network.get_weights()
        network.load_weights(tmp_path / path.name)
        largest = max(float(tf.norm(gradient)) for gradient in gradients)
        for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
            error = np.linalg.norm(variable.numpy() - gradient.numpy())
            # A bias before an instance normalisation has no gradient but rounding.
            assert error <= 5e-3 * np.linalg.norm(gradient) + 1e-5 * largest, variable.path
        network.set_weights(kept)


def test_the_script_trains_and_saves(run, tmp_path, monkeypatch, capsys, reference):
    script = load_script("training/train_torch")
    record = reference("efficientnet_lite")

    def features(number, device):
        return pretrained.EfficientNetLite(random_weights(record, number), number, device, 10 if number == 0 else 14)

    monkeypatch.setattr(pretrained, "load_features", features)
    monkeypatch.setattr(fitting, "_MASKS", 8)
    settings = [f"data.photos={PHOTOS / 'train'}", f"data.validation_photos={PHOTOS / 'test'}", "training.batch_size=1"]
    arguments = [str(run.path / "config.toml"), "--from", str(run.path), "--run-dir", str(tmp_path / "new")]
    arguments += [word for setting in settings for word in ("--set", setting)]
    arguments += ["--steps", "2", "--falling-steps", "1", "--look-every", "2", "--device", "cpu"]
    assert script.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" {")[0] for line in lines[1:3]] == ["step 2", "step 3"] and '"val": [' in lines[1]
    trained = Run.open(tmp_path / "new")
    trained.load_generator()  # a file for Keras
    before, after = (weight_files.read_weights(x.generator_weights) for x in (run, trained))
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(moved) > 40 and all(torch.isfinite(x).all() for x in after.values())

    says(capsys, 2, "is not empty: choose a new run folder", script.main(arguments))
    refused = [*arguments[:4], str(tmp_path / "other"), "--set", "losses.gan=vanilla", "--device", "cpu"]
    says(capsys, 2, "losses.gan", script.main(refused))


@pytest.mark.long
def test_the_ablation_trains_each_variant_alike(run, tmp_path, monkeypatch, capsys, reference):
    script = load_script("training/ablation_torch")
    record = reference("efficientnet_lite")

    def features(number, device):
        return pretrained.EfficientNetLite(random_weights(record, number), number, device, 10 if number == 0 else 14)

    trainers = []

    def recorded(kind):
        return lambda *arguments: trainers.append(kind(*arguments)) or trainers[-1]

    monkeypatch.setattr(pretrained, "load_features", features)
    monkeypatch.setattr(ablation, "_MASKS", 8)
    for name in ("Trainer", "WithoutShift"):
        monkeypatch.setattr(ablation, name, recorded(getattr(ablation, name)))
    settings = [f"data.photos={PHOTOS / 'train'}", f"data.validation_photos={PHOTOS / 'test'}", "training.batch_size=1"]
    arguments = [str(run.path / "config.toml"), "--from", str(run.path), "--out", str(tmp_path / "out")]
    arguments += [word for setting in settings for word in ("--set", setting)]
    (tmp_path / "few").mkdir()
    shutil.copy(min((PHOTOS / "train").glob("*.jpg")), tmp_path / "few")
    arguments += ["--few-photos", str(tmp_path / "few")]
    assert script.main([*arguments, "--steps", "2", "--falling-steps", "1", "--device", "cpu"]) == 0
    results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert list(results) == [*ablation.VARIANTS, "few-photos"]
    full, *others = (trainer.generator for trainer in trainers)
    for name, other in zip([*ablation.VARIANTS, "few-photos"][1:], others, strict=True):
        assert any(not torch.equal(full[x], other[x]) for x in full), name
    for trainer in trainers:
        kernel = trainer.generator[ablation._KERNEL_AFTER_SHIFT]
        shifted = kernel[2 * kernel.shape[0] // 3 :]
        assert bool(shifted.any()) == (trainer is not trainers[4])  # no-shift
    capsys.readouterr()
