"""What a user of the layers and networks writes; `make lint` checks that its types are known."""

import sys
from typing import assert_type

import keras
import tensorflow as tf

from shiftnet_tf import ShiftNet, layers
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config
from shiftnet_tf.networks import Discriminator, Generator
from shiftnet_tf.run_folder import Run


def predict(preset: str) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    generator = Generator.from_preset(preset)
    size = generator.image_size
    inputs = {"image": tf.zeros([1, size, size, 3]), "mask": tf.ones([1, size, size, 1])}
    predicted_image, features = generator(inputs, return_features=True)
    assert_type(features, dict[str, list[tf.Tensor]])
    encoded, feature_mask = tf.zeros([1, 8, 8, 4]), tf.ones([1, 8, 8, 1])
    joined, shift_map = layers.ShiftConnection()(encoded, encoded, feature_mask, return_shift_map=True)
    assert_type(shift_map, tf.Tensor)
    return predicted_image, joined, features["shift_map"]


def look(generator: Generator, image: tf.Tensor, mask: tf.Tensor, more: bool) -> None:
    assert_type(
        generator({"image": image, "mask": mask}, more), tf.Tensor | tuple[tf.Tensor, dict[str, list[tf.Tensor]]]
    )
    assert_type(Discriminator()(image, return_features=more), tf.Tensor | tuple[tf.Tensor, list[tf.Tensor]])
    for shift in (layers.ShiftConnection(), layers.SoftShiftConnection()):
        joined = shift(image, image, mask, return_shift_map=more)
        assert_type(joined, tf.Tensor | tuple[tf.Tensor, tf.Tensor])


def judge(run: str, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    trained, begun = Run.open(run).load_generator(size), Generator(image_size=size, depth=4, shift="mirrored")
    assert_type(trained, Generator)
    predicted_image = begun({"image": tf.zeros([1, size, size, 3]), "mask": tf.ones([1, size, size, 1])})
    known = trained.encode(predicted_image, tf.zeros([1, size, size, 1]))
    assert_type(known, list[tf.Tensor])
    return Discriminator(filters=4, normalization="batch")(predicted_image), known[0]


def build(size: int) -> ShiftNet:
    model = ShiftNet(Config(model=ModelConfig(image_size=size, depth=4, filters=4)))
    model.compile(keras.optimizers.Adam(2e-4), keras.optimizers.Adam(2e-4), jit_compile="off")
    parts = [
        layers.SubpixelUpsampling(4, smooth=True),
        layers.InstanceNormalization(epsilon=1e-3),
        layers.SwitchableNormalization(momentum=0.99),
        layers.Conv2D(4, 3, padding="same"),
    ]
    shifts: list[keras.layers.Layer] = [
        layers.SoftShiftConnection(score_fusion=True),
        layers.RandomShiftConnection(seed=1),
    ]
    features = keras.Sequential(parts)(tf.zeros([1, 8, 8, 4]))
    joined = [shift(features, features, tf.zeros([1, 16, 16, 1])) for shift in shifts]
    assert all(tensor.shape == (1, 16, 16, 12) for tensor in joined)
    return model


if __name__ == "__main__":
    print(*(tensor.shape for tensor in predict(sys.argv[1])[:2]))
