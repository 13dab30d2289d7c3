"""What the replicas of a training step share, each of which sees its part of the batch; see `training.distribution`.

A loss that divides by a sum over the batch, or draws random numbers for each image, must do it for the whole batch, so
that the mean over the replicas is the loss of one device with the whole batch. Outside of a strategy of `tf.distribute`
there is one replica.
"""

import tensorflow as tf


def count():
    """Number of replicas: int."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean(value):
    """The mean of a value over all replicas; no gradient passes.

    Args:
        value: float tensor, of this replica.

    Returns:
        float tensor of the same shape, the same for each replica.
    """
    if count() == 1:
        return value
    context = tf.distribute.get_replica_context()
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tf.stop_gradient(value))


def rows(draw, number):
    """Rows of what is drawn for the whole batch.

    Args:
        draw: function of the number of images in the whole batch to a tensor [B of all replicas, ...].
        number: int or int tensor, images of this replica, as many as of each other.

    Returns:
        The tensor [B, ...] of this replica's images.
    """
    if count() == 1:
        return draw(number)
    first = number * tf.distribute.get_replica_context().replica_id_in_sync_group
    return draw(number * count())[first : first + number]
