"""What is said of a state dict that is not the authors' network."""

import numpy as np
import pytest

from shiftnet_tf.errors import InputError
from shiftnet_tf.networks.from_torch import discriminator_from_torch, generator_from_torch


@pytest.fixture
def state_dict(reference):
    values = reference("generator_center")
    return {key.removeprefix("weights/"): array for key, array in values.items() if key.startswith("weights/")}


def test_a_missing_tensor_is_named(state_dict):
    del state_dict["model.model.1.model.2.bias"]
    with pytest.raises(InputError, match=r"no tensor 'model.model.1.model.2.bias'"):
        generator_from_torch(state_dict)


def test_a_surplus_tensor_is_named(state_dict):
    state_dict["model.model.1.model.9.weight"] = np.zeros(3)
    with pytest.raises(InputError, match=r"that this network does not have: 'model.model.1.model.9.weight'"):
        generator_from_torch(state_dict)


def test_a_misshapen_tensor_is_named(state_dict):
    state_dict["model.model.1.model.2.bias"] = np.zeros(7, np.float32)
    with pytest.raises(InputError, match=r"'model.model.1.model.2.bias' must fit \(8,\). Received: \(7,\)"):
        generator_from_torch(state_dict)


@pytest.mark.parametrize("name", ["model.model.0.weight", "e1_c.weight"])
@pytest.mark.parametrize("shape", [(), (3,), (4, 4, 0, 4)])
def test_a_first_tensor_that_is_no_kernel_is_named(name, shape):
    with pytest.raises(InputError, match=f"the tensor '{name}' must be the kernel of a convolution"):
        generator_from_torch({name: np.zeros(shape)})


def test_another_network_is_refused(reference):
    with pytest.raises(InputError, match="no tensor 'model.model.0.weight'"):
        generator_from_torch({"conv1.weight": np.zeros((4, 4, 4, 4))})
    with pytest.raises(InputError, match="no discriminator"):
        discriminator_from_torch({"conv1.weight": np.zeros((4, 4, 4, 4))})
