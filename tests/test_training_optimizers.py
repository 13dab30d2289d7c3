"""The fused Adam beside Keras's own."""

import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from shiftnet_tf.training.optimizers import FusedAdam


def way(optimizer, in_graph, steps=20):
    """The weights after some steps on random gradients, and the moments."""
    rng = np.random.default_rng(0)
    weights = [tf.Variable(rng.normal(size=shape).astype(np.float32)) for shape in ((5, 7), (3,))]
    optimizer.build(weights)

    def step(*gradients):
        optimizer.apply_gradients(zip(gradients, weights))

    step = tf.function(step) if in_graph else step
    for _ in range(steps):
        step(*(tf.constant(rng.normal(size=w.shape).astype(np.float32)) for w in weights))
    return [variable.numpy() for variable in (*weights, *optimizer.variables)]


@pytest.mark.parametrize("in_graph", [False, True])
@pytest.mark.parametrize("rate", [0.01, keras.optimizers.schedules.CosineDecay(0.01, 10)])
def test_the_same_as_keras(in_graph, rate):
    ours, theirs = (way(kind(rate, beta_1=0.5), in_graph) for kind in (FusedAdam, keras.optimizers.Adam))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


REPLICAS = """
import numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
from shiftnet_tf.training.optimizers import FusedAdam
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    weights, optimizer = tf.Variable([1.0, 2.0, 3.0]), FusedAdam(0.1)
    optimizer.build([weights])

@tf.function
def step(gradient):
    def replica():
        share = tf.cast(tf.distribute.get_replica_context().replica_id_in_sync_group + 1, tf.float32) / 3.0
        optimizer.apply_gradients([(share * gradient, weights)])

    strategy.run(replica)

alone, other = tf.Variable([1.0, 2.0, 3.0]), FusedAdam(0.1)
for _ in range(3):
    step(tf.constant([1.0, -2.0, 0.0]))
    other.apply_gradients([(tf.constant([1.0, -2.0, 0.0]), alone)])  # the replicas' gradients are summed
values = [value.numpy() for value in strategy.experimental_local_results(weights)]
assert len(values) == 2 and all(np.allclose(value, alone.numpy(), atol=1e-6) for value in values), (values, alone)
"""


@pytest.mark.slow
def test_under_two_replicas_as_on_one():
    done = subprocess.run([sys.executable, "-c", REPLICAS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_has_no_amsgrad():
    with pytest.raises(ValueError, match="amsgrad"):
        FusedAdam(amsgrad=True)


def test_round_trip_through_its_config():
    again = keras.optimizers.deserialize(keras.optimizers.serialize(FusedAdam(3e-4, beta_1=0.5)))
    assert type(again) is FusedAdam and again.beta_1 == 0.5
