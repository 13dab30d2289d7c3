"""The discriminator against recorded outputs of the authors' code."""

import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.networks import Discriminator
from shiftnet_tf.networks.from_torch import discriminator_from_torch


@pytest.mark.parametrize("name, patches", [("discriminator_256", 30), ("discriminator_120", 13)])
def test_equals_the_authors_network(reference, name, patches):
    values = reference(name)
    weights = {key.removeprefix("weights/"): array for key, array in values.items() if key.startswith("weights/")}
    logits = discriminator_from_torch(weights)(values["image"].transpose(0, 2, 3, 1))
    assert logits.shape == (1, patches, patches, 1)
    np.testing.assert_allclose(logits, values["output"].transpose(0, 2, 3, 1), atol=1e-4)


def test_number_of_weights():
    discriminator = Discriminator()
    discriminator.build()
    assert discriminator.count_params() == 2_766_529  # Table 3 with biases and affine instance norm


def test_round_trip_through_its_config():
    config = Discriminator(filters=4, depth=2).get_config()
    assert Discriminator.from_config(config)(tf.zeros([1, 64, 64, 3])).shape == (1, 14, 14, 1)
