"""Build the compiled model from a config: seeded weights, the two optimizers, determinism."""

import keras
import tensorflow as tf

from shiftnet_tf.config.run import Config
from shiftnet_tf.training.optimizers import FusedAdam
from shiftnet_tf.training.shiftnet import ShiftNet, resolve_by_device


def is_deterministic(settings: Config) -> bool:
    """Tell whether to use only operations that give the same bits each time, which Keras does not compile."""
    wanted = resolve_by_device(settings.training.deterministic, gpu=False)
    return wanted and settings.training.jit_compile != "on"


def precision(settings: Config) -> str:
    """Return Keras's dtype policy: `"mixed_bfloat16"`, which needs no scaling of the loss, or `"float32"`."""
    wanted = settings.training.mixed_precision
    if wanted == "auto":
        gpus = [tf.config.experimental.get_device_details(gpu) for gpu in tf.config.list_physical_devices("GPU")]
        wanted = "on" if gpus and all(gpu.get("compute_capability", (0, 0)) >= (8, 0) for gpu in gpus) else "off"
    return "mixed_bfloat16" if wanted == "on" else "float32"


def learning_rate(settings: Config, highest: float) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return Adam's learning rate: a number, or a schedule over the steps of the run that `settings` gives."""
    steps = settings.training.epochs * settings.training.steps_per_epoch
    if settings.training.schedule == "constant":
        return highest
    rise = steps // 100
    return keras.optimizers.schedules.CosineDecay(0.0, steps - rise, warmup_target=highest, warmup_steps=rise)


def build(settings: Config) -> ShiftNet:
    """Return the compiled model, with weights drawn from the seed."""
    keras.utils.set_random_seed(settings.training.seed)
    keras.mixed_precision.set_dtype_policy(precision(settings))
    if is_deterministic(settings):
        tf.config.experimental.enable_op_determinism()
    # The remapper of TensorFlow 2.21 fails on the discriminator's gradients, with a harmless but loud error.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    model = ShiftNet(settings)
    rates = (settings.training.learning_rate, settings.discriminator_learning_rate)
    generator_optimizer, discriminator_optimizer = (
        FusedAdam(learning_rate(settings, rate), beta_1=settings.training.beta_1) for rate in rates
    )
    model.compile(generator_optimizer, discriminator_optimizer, jit_compile=settings.training.jit_compile)
    return model
