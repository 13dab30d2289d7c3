"""Shift-Net as one trainable Keras model: the generator, the discriminator and the paper's objective.

L = reconstruction + guidance + adversarial (section 3.1), each weighted by `LossConfig`. A batch is a dict of
`image`, float32 [B, S, S, 3] in [-1, 1], and `mask`, float32 [B, S, S, 1], 1 = hole.

Unlike in the authors' code, both networks take their gradients from one forward pass and are then updated together,
which saves a pass of the discriminator, and the guidance target costs an encoder pass instead of a generator pass.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.model import LOSSES, LossConfig
from shiftnet_tf.config.run import Config, Switch
from shiftnet_tf.networks import Discriminator, Generator, load_efficientnet_lite, load_vgg16
from shiftnet_tf.networks.efficientnet_lite import STAGES
from shiftnet_tf.ops import replicas
from shiftnet_tf.ops.masking import composite, hole_window
from shiftnet_tf.training import gan_losses, losses, metrics


@keras.saving.register_keras_serializable(package="shiftnet_tf")
class ShiftNet(keras.Model):
    """Trains a generator against a discriminator with `compile` and `fit`.

    Args:
        config: the config; None: the paper's.

    Calling the model calls its generator, or the moving average of it if `training.average` is set. Logged metrics:
    `loss` (the generator's weighted sum) and each unweighted loss in it, `discriminator_loss`, `r1_penalty`; in
    validation `psnr` and `hole_psnr` of the inpainted image, in dB.

    Attributes:
        wants_to_stop: a variable of this process, above 0 if it should stop; None if nothing stops it.
        stops: with several devices, above 0 if a process wanted to stop before the last step; the same for all.

    Examples:

    >>> from shiftnet_tf.config.run import Config
    >>> from shiftnet_tf.config.model import ModelConfig
    >>> model = ShiftNet(Config(model=ModelConfig(filters=8)))
    >>> model.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), keras.optimizers.Adam(2e-4, beta_1=0.5))
    >>> model.fit(dataset, epochs=30)  # doctest: +SKIP

    Reference: [Yan et al., 2018](https://arxiv.org/abs/1801.09392).
    """

    def __init__(self, config: Config | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.config = config or Config()
        self.generator = Generator(**dataclasses.asdict(self.config.model), name="generator")
        section = self.config.discriminator
        arguments = ("filters", "depth", "spectral_norm", "normalization", "mask_channel")
        self.discriminator = Discriminator(**{name: getattr(section, name) for name in arguments}, name="discriminator")
        self.generator.build()
        self.discriminator.build()
        self.averaged_generator = self.generator
        if self.config.training.average > 0:
            self.averaged_generator = Generator(**dataclasses.asdict(self.config.model), name="averaged_generator")
            self.averaged_generator.build()
            self.averaged_generator.set_weights(self.generator.get_weights())
        self.loss_weights = self._used_losses()
        if self.config.losses.uses_features:
            self.pretrained_features = _load_features(self.config.losses)
        names = ["loss", *self.loss_weights, "psnr", "hole_psnr"]
        names += ["discriminator_loss"] if self._uses("adversarial") else []
        names += ["r1_penalty"] if self.config.losses.r1 > 0 else []
        self.trackers = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True
        self.wants_to_stop: tf.Variable | None = None
        self.stops: float | tf.Tensor = 0.0

    def _used_losses(self) -> dict[str, float]:
        weights = {name: getattr(self.config.losses, name) for name in LOSSES}
        if not self.config.model.shift_layers:
            weights["guidance"] = 0.0
        return {f"{name}_loss": weight for name, weight in weights.items() if weight > 0}

    def _uses(self, *names: str) -> bool:
        return any(f"{name}_loss" in self.loss_weights for name in names)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        return list(self.trackers.values())

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        jit_compile: Switch = "auto",
        **kwargs: Any,
    ) -> None:
        """Set the two optimizers.

        Args:
            generator_optimizer, discriminator_optimizer: one for each network.
            jit_compile: `"auto"` (XLA on a GPU; on a CPU it is slower), `"on"` or `"off"`.
            **kwargs: further arguments of `keras.Model.compile`.
        """
        # auto_scale_loss would wrap only one of the two optimizers under mixed_float16.
        kwargs = {"auto_scale_loss": False, **kwargs}
        super().compile(optimizer=generator_optimizer, jit_compile=resolve_by_device(jit_compile, gpu=True), **kwargs)
        self.discriminator_optimizer = discriminator_optimizer
        self._validate = tf.function(self._validation_values, reduce_retracing=True)
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return self.averaged_generator(inputs)

    def make_train_function(self, force: bool = False) -> None:
        """Avoid Keras's own, which fails with several workers: it averages scalars along axis 0 (tensorflow#72388)."""
        strategy = self.distribute_strategy
        if strategy.num_replicas_in_sync == 1 or (self.train_function is not None and not force):
            super().make_train_function(force)
            return

        def step_and_vote(batch: dict[str, tf.Tensor]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            vote = 0.0 if self.wants_to_stop is None else self.wants_to_stop.read_value()
            return self.train_step(batch), tf.identity(vote)

        @tf.function(reduce_retracing=True)
        def step(iterator: Iterator[dict[str, tf.Tensor]]) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
            logs, stops = strategy.run(step_and_vote, args=(next(iterator),))
            logs, stops = tf.nest.map_structure(lambda value: strategy.reduce("MEAN", value, axis=None), (logs, stops))
            return logs, stops

        def train(iterator: Iterator[dict[str, tf.Tensor]]) -> dict[str, tf.Tensor]:
            logs: dict[str, tf.Tensor]
            logs, self.stops = step(iterator)
            return logs

        self.train_function: Callable[..., dict[str, tf.Tensor]] | None = train

    def _maybe_symbolic_build(self, *arguments: Any, **named: Any) -> None:
        """Do nothing: the model is built, and Keras's own fails with several workers (keras#20585)."""

    def train_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        image, mask = data["image"], data["mask"]
        targets = self.generator.encode(image, mask, training=True) if self._uses("guidance") else []

        with tf.GradientTape(persistent=True) as tape:
            inputs = {"image": image, "mask": mask}
            predicted_image, features = self.generator(inputs, return_features=True, training=True)
            values = self._image_losses(predicted_image, image, mask)
            if targets:
                values["guidance_loss"] = _total_guidance(features, targets)
            if self._uses("adversarial"):
                more, discriminator_loss = self._adversarial_losses(predicted_image, image, mask)
                values |= more
            loss = tf.add_n([weight * values[name] for name, weight in self.loss_weights.items()])

        variables = self.generator.trainable_variables
        gradients = _mean_gradients(tape, loss, variables)
        if self._uses("adversarial"):
            discriminator_variables = self.discriminator.trainable_variables
            discriminator_gradients = _mean_gradients(tape, discriminator_loss, discriminator_variables)
            self.discriminator_optimizer.apply_gradients(zip(discriminator_gradients, discriminator_variables))
            values["discriminator_loss"] = discriminator_loss
        self.optimizer.apply_gradients(zip(gradients, variables))
        self._update_average()

        return self._track({"loss": loss, **values})

    def test_step(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return self._track(self._validation_values(data))

    def validate(self, dataset: tf.data.Dataset) -> dict[str, float]:
        """Measure on this process's first device only; `evaluate` uses all devices.

        Args:
            dataset: batches of `image` and `mask`, as for `fit`.

        Returns:
            `psnr` and `hole_psnr`, means over the images, in dB.
        """
        values = [self._validate(batch) for batch in dataset]
        return {name: float(np.mean(np.concatenate([value[name] for value in values]))) for name in values[0]}

    def _validation_values(self, data: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Return each image's `psnr` and `hole_psnr`: float32 [B]."""
        image, mask = data["image"], data["mask"]
        inpainted_image = composite(self.averaged_generator(data), image, mask)
        return {
            "psnr": metrics.psnr(image, inpainted_image),
            "hole_psnr": metrics.psnr(image, inpainted_image, mask),
        }

    def _update_average(self) -> None:
        """Update the average, also of batch norm's averages. Early steps count more, so that the start fades soon."""
        if self.averaged_generator is self.generator:
            return
        steps = tf.cast(self.optimizer.iterations, tf.float32)
        share = tf.minimum(self.config.training.average, (1.0 + steps) / (10.0 + steps))
        for average, value in zip(self.averaged_generator.variables, self.generator.variables):
            average.assign(share * average + (1.0 - share) * value)

    def _image_losses(self, predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
        """Return the losses that compare the prediction with the photo: `losses.LOSSES`."""
        inpainted_image = composite(predicted_image, image, mask)
        features: Sequence[tf.Tensor] = ()
        targets: Sequence[tf.Tensor] = ()
        if self.config.losses.uses_features:
            shown = predicted_image if self.config.losses.features == "vgg16" else inpainted_image
            features, targets = self.pretrained_features(shown), self.pretrained_features(image)
        compared = losses.Comparison(
            predicted_image,
            inpainted_image,
            image,
            mask,
            self._step_seed(),
            self.config.losses.discount,
            features,
            targets,
        )
        return {f"{name}_loss": loss(compared) for name, loss in losses.LOSSES.items() if self._uses(name)}

    def _adversarial_losses(
        self, predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], tf.Tensor]:
        """Return (dict of the generator's losses and the penalty, the discriminator's loss).

        The discriminator runs twice: the generator's gradient passes only through the second run.
        """
        settings = self.config.losses
        real, generated, mask = self._shown(predicted_image, image, mask)
        judge = functools.partial(self._judge, mask=mask)
        (real_logits, real_features), (generated_logits, generated_features) = judge(real), judge(generated)
        weights = None
        if settings.adversarial_region == "hole":
            weights = gan_losses.hole_patches(mask, self.discriminator.depth)
        logits = (real_logits, generated_logits, settings.gan, weights)
        values = {"adversarial_loss": gan_losses.adversarial_loss(*logits)}
        if self._uses("feature_matching"):
            matched = losses.feature_matching_loss(generated_features, real_features, mask)
            values["feature_matching_loss"] = matched
        discriminator_loss = gan_losses.discriminator_loss(*logits)
        if settings.gan == "wgan_gp":
            slope = gan_losses.gradient_penalty(lambda x: judge(x)[0], real, generated, self._step_seed())
            discriminator_loss += settings.gradient_penalty * slope
        if settings.r1 > 0:
            values["r1_penalty"] = self._lazy_r1(lambda x: judge(x)[0], real)
            discriminator_loss += settings.r1 * values["r1_penalty"]
        return values, discriminator_loss

    def _shown(self, predicted_image: tf.Tensor, image: tf.Tensor, mask: tf.Tensor) -> list[tf.Tensor]:
        """Return what the discriminator sees: the real image, the generated one, and the mask."""
        generated = predicted_image
        if self.config.discriminator.input == "inpainted_image":
            generated = composite(predicted_image, image, mask)
        window = self.config.discriminator.window
        if window == "image":
            return [image, generated, mask]
        return hole_window([image, generated, mask], mask, self._step_seed() if window == "random" else None)

    def _judge(self, images: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Return logits and features in training mode, with the statistics of the batch."""
        if self.config.discriminator.mask_channel:
            images = tf.concat([images, mask], axis=-1)
        return self.discriminator(images, return_features=True, training=True)

    def _lazy_r1(self, judge: Callable[[tf.Tensor], tf.Tensor], real: tf.Tensor) -> tf.Tensor:
        """Return n times R1 at every n-th step, so that its mean over the steps is that of the penalty."""
        every = self.config.losses.r1_every
        due = tf.equal(self.optimizer.iterations % every, 0)
        return tf.cond(due, lambda: float(every) * gan_losses.r1_penalty(judge, real), lambda: 0.0)

    def _step_seed(self) -> tf.Tensor:
        return tf.stack([self.config.training.seed, tf.cast(self.optimizer.iterations, tf.int32)])

    def _track(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for name, value in values.items():
            self.trackers[name].update_state(value)
        return {name: self.trackers[name].result() for name in values}

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "config": dataclasses.asdict(self.config)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ShiftNet":
        return cls(toml_file.from_dict(config.pop("config")), **config)


def _mean_gradients(tape: tf.GradientTape, loss: tf.Tensor, variables: list[keras.Variable]) -> list[tf.Tensor | None]:
    """Return this replica's share of the gradients of the mean loss; Keras's optimizers add up the shares."""
    gradients, number = tape.gradient(loss, variables), replicas.count()
    return gradients if number == 1 else [g if g is None else g / number for g in gradients]


def _load_features(settings: LossConfig) -> Callable[[tf.Tensor], list[tf.Tensor]]:
    """Return the function from images to the features that style, content and perceptual losses compare."""
    if settings.features == "vgg16":
        return load_vgg16(settings.vgg16_weights)
    network, stages = load_efficientnet_lite(0), STAGES[0]

    def features(images: tf.Tensor) -> list[tf.Tensor]:
        blocks = network(images, last=stages[-1])
        return [blocks[stage] for stage in stages]

    return features


def _total_guidance(features: dict[str, list[tf.Tensor]], targets: list[tf.Tensor]) -> tf.Tensor:
    """Return the sum of the guidance losses of all shift connections."""
    parts = zip(features["decoder_features"], targets, features["feature_mask"])
    return tf.add_n([losses.guidance_loss(*part) for part in parts])


def resolve_by_device(setting: Switch, gpu: bool) -> bool:
    """Return whether a setting is on, resolving `"auto"` by the device.

    Args:
        setting: `"auto"`, `"on"` or `"off"`.
        gpu: the value of `"auto"` on a machine with a GPU; without a GPU it is the opposite.
    """
    if setting == "auto":
        return bool(tf.config.list_logical_devices("GPU")) == gpu
    return setting == "on"
