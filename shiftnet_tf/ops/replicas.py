"""Values shared by the replicas of a training step, each of which sees part of the batch.

A loss that divides by a sum over the batch, or draws random numbers for each image, must do so for the whole batch, so
that the mean over the replicas is the loss of one device with the whole batch. Outside a `tf.distribute` strategy there
is one replica. See `training.distribution`.
"""

from collections.abc import Callable

import tensorflow as tf


def count() -> int:
    """Return the number of replicas."""
    number: int = tf.distribute.get_strategy().num_replicas_in_sync
    return number


def mean(value: tf.Tensor) -> tf.Tensor:
    """Return the mean of a value over all replicas; no gradient passes through it.

    Args:
        value: float of any shape, that of this replica.

    Returns:
        float of the same shape, equal on all replicas.
    """
    if count() == 1:
        return value
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(value))


def rows(draw: Callable[[int | tf.Tensor], tf.Tensor], number: int | tf.Tensor) -> tf.Tensor:
    """Return this replica's rows of values drawn for the whole batch.

    Args:
        draw: called with the number of images in the whole batch; returns [B of all replicas, ...].
        number: images of this replica, as many on each of them; a tensor is int32 [].

    Returns:
        The tensor [B, ...] of this replica's images.
    """
    if count() == 1:
        return draw(number)
    first = number * tf.distribute.get_replica_context().replica_id_in_sync_group
    return draw(number * count())[first : first + number]
