"""What a user of the layers and networks writes; `make lint` checks that its types are known."""

import sys
from typing import assert_type

import tensorflow as tf

from shiftnet_tf.layers import ShiftConnection
from shiftnet_tf.networks import Generator


def predict(preset: str) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
    generator = Generator.from_preset(preset)
    size = generator.image_size
    inputs = {"image": tf.zeros([1, size, size, 3]), "mask": tf.ones([1, size, size, 1])}
    predicted_image, features = generator(inputs, return_features=True)
    assert_type(features, dict[str, list[tf.Tensor]])
    encoded, feature_mask = tf.zeros([1, 8, 8, 4]), tf.ones([1, 8, 8, 1])
    joined, shift_map = ShiftConnection()(encoded, encoded, feature_mask, return_shift_map=True)
    assert_type(shift_map, tf.Tensor)
    return predicted_image, joined, features["shift_map"]


if __name__ == "__main__":
    print(*(tensor.shape for tensor in predict(sys.argv[1])[:2]))
