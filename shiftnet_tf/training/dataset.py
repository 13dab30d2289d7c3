"""Folders of photos as endless, repeatable streams of training samples.

A sample is a dict of `image`, float32 [S, S, 3] in [-1, 1], and `mask`, float32 [S, S, 1], 1 = hole. Sample k, with its
photo, crop, flip and mask, is a pure function of (seed, k): a run resumed at sample k sees exactly what an
uninterrupted run would have seen. The photos are reshuffled on each pass.
"""

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError
from shiftnet_tf.masks.sampling import MaskSampler
from shiftnet_tf.photos import pixels
from shiftnet_tf.training.photo_folder import PhotoFolder, mask_sampler

# Purpose of each random number of a sample, which makes the seeds of stateless operations distinct.
_CROP, _SIDE, _FLIP, _COLOUR, _MASK = range(5)


def training_dataset(
    photos: PhotoFolder,
    config: Config,
    first_sample: int = 0,
    context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Return an endless stream of batches.

    Args:
        photos, config: the training photos, and the settings.
        first_sample: the number k of the first sample.
        context: the worker that reads, if several share each batch; its replicas take its batches in turn.

    Returns:
        Dicts of `image` float32 [B, S, S, 3] in [-1, 1] and `mask` float32 [B, S, S, 1]; B is the batch size, or with a
        context that of a replica.
    """
    seed, size, count = config.training.seed, config.model.image_size, len(photos)
    draw_mask = _keeping_failure(photos, mask_sampler(config))

    def sample(k: tf.Tensor) -> dict[str, tf.Tensor]:
        turn = tf.cast(k // count, tf.int32)
        index = tf.random.experimental.index_shuffle(k % count, [seed, turn], count - 1)
        photo = tf.numpy_function(photos.load, [index], tf.uint8, stateful=False)
        photo.set_shape([None, None, 3])
        image = _crop(photo, size, config.data.largest_crop, seed, k)
        if config.data.flip:
            flip = tf.random.stateless_uniform([], [seed, _number(k, _FLIP)]) < 0.5
            image = tf.cond(flip, lambda: tf.reverse(image, axis=[1]), lambda: image)
        image = _recolour(image, config.data.colour, [seed, _number(k, _COLOUR)])
        limits = {"minval": 0, "maxval": 2**31 - 1, "dtype": tf.int32}
        mask_seed = tf.random.stateless_uniform([4], [seed, _number(k, _MASK)], **limits)
        mask = tf.numpy_function(draw_mask, [mask_seed], tf.uint8, stateful=False)
        return _as_sample(image, mask, size)

    numbers, batch = tf.data.Dataset.range(first_sample, np.iinfo(np.int64).max), config.training.batch_size
    if context is not None:
        share = batch // context.num_input_pipelines
        first = context.input_pipeline_id * share
        numbers = numbers.batch(batch).map(lambda k: k[first : first + share]).unbatch()
        batch = context.get_per_replica_batch_size(batch)
    samples = numbers.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return samples.batch(batch, drop_remainder=True).prefetch(2)


def _crop(photo: tf.Tensor, size: int, largest: float, seed: int, k: tf.Tensor) -> tf.Tensor:
    """Return a random square of the photo, `size` to `largest` times `size` wide, scaled down: float32 [S, S, 3]."""
    side, smallest = size, tf.reduce_min(tf.shape(photo)[:2])
    if largest > 1:
        most = tf.minimum(math.log(largest), tf.math.log(tf.cast(smallest, tf.float32) / size))
        factor = tf.exp(most * tf.random.stateless_uniform([], [seed, _number(k, _SIDE)]))
        side = tf.minimum(tf.cast(tf.round(size * factor), tf.int32), smallest)
    place = tf.random.stateless_uniform([2], [seed, _number(k, _CROP)])
    room = tf.shape(photo)[:2] - side + 1
    top, left = tf.unstack(tf.minimum(tf.cast(place * tf.cast(room, tf.float32), tf.int32), room - 1))
    crop = tf.cast(photo[top : top + side, left : left + side], tf.float32)
    return tf.image.resize(crop, [size, size], antialias=True) if largest > 1 else crop


def _recolour(image: tf.Tensor, strength: float, seed: list[int | tf.Tensor]) -> tf.Tensor:
    """Change contrast, saturation and brightness at random by up to `strength`; float32 grey levels in and out."""
    if strength == 0:
        return image
    amount = tf.random.stateless_uniform([3], seed, 1.0 - strength, 1.0 + strength)
    image = tf.image.adjust_contrast(image, amount[0])
    grey = tf.image.rgb_to_grayscale(image)
    image = grey + (image - grey) * amount[1]
    return tf.clip_by_value(image * amount[2], 0.0, 255.0)


def validation_dataset(photos: PhotoFolder, config: Config) -> tf.data.Dataset:
    """Return each photo once: its centre crop with a mask of the kind `masks.validation`, the same on each pass.

    The batches are like those of `training_dataset`, with one photo each.
    """
    size = config.model.image_size
    draw_mask = _keeping_failure(photos, mask_sampler(config, validation=True))

    def samples() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for index in range(len(photos)):
            photo = photos.load(index)
            top, left = (photo.shape[0] - size) // 2, (photo.shape[1] - size) // 2
            yield photo[top : top + size, left : left + size], draw_mask([0, index])

    kinds = (tf.TensorSpec([size, size, 3], tf.uint8), tf.TensorSpec([size, size], tf.uint8))
    dataset = tf.data.Dataset.from_generator(samples, output_signature=kinds)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(photos)))
    return dataset.map(lambda image, mask: _as_sample(image, mask, size)).batch(1).prefetch(2)


def _keeping_failure(photos: PhotoFolder, sampler: MaskSampler) -> Callable[[Sequence[int]], np.ndarray]:
    """Return a function seed -> mask that keeps errors in `photos.failure`: tf.data passes on only their text."""

    def draw_mask(seed: Sequence[int]) -> np.ndarray:
        try:
            return sampler(np.random.default_rng(seed))
        except InputError as error:
            photos.failure = error
            raise

    return draw_mask


def _number(k: tf.Tensor, purpose: int) -> tf.Tensor:
    return k * (_MASK + 1) + purpose


def _as_sample(image: tf.Tensor, mask: tf.Tensor, size: int) -> dict[str, tf.Tensor]:
    image = tf.ensure_shape(image, [size, size, 3])
    mask = tf.ensure_shape(mask, [size, size])
    return {
        "image": pixels.to_unit(tf.cast(image, tf.float32)),
        "mask": tf.cast(mask, tf.float32)[..., tf.newaxis],
    }
