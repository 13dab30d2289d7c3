"""Folders of photos as endless, repeatable streams of training samples.

A sample is a dict of `image`, float32 [S, S, 3] in [-1, 1], and `mask`, float32 [S, S, 1], 1 = hole.
Sample k, with its photo, crop, flip and mask, is a pure function of (seed, k): a run that starts again at sample k
sees just what an undisturbed run would have seen. The photos are shuffled anew on each pass.
"""

import copy
import sys
import threading

import numpy as np
import tensorflow as tf
from PIL import Image

from shiftnet_tf import image_files, images, masks
from shiftnet_tf.errors import InputError

_BROKEN_SHARE = 0.05  # more photos than this that cannot be read stop a run

# Which random number of a sample: the seeds (seed, k) of stateless operations are told apart by it.
_CROP, _FLIP, _MASK = range(3)


class PhotoFolder:
    """The usable photos below a folder, read and scaled on demand.

    Args:
        folder: str or Path; JPEG, PNG and WebP files, nested folders too.
        image_size: int, pixels; a photo whose short side is smaller is skipped, never enlarged.
        short_side: int, pixels; larger photos are scaled down to it.
        cache_megabytes: int, how much of the scaled photos to keep in memory. Defaults to 0.

    Attributes:
        paths: list of Path, the usable photos.
        skipped: list of str, one sentence for each photo that was left out.
        failure: InputError that stopped the stream, or None; tf.data passes on only its text.

    Raises:
        InputError: no such folder, no usable photo in it.
    """

    def __init__(self, folder, image_size, short_side, cache_megabytes=0):
        self.image_size = image_size
        self.short_side = short_side
        self.skipped = []
        self.failure = None
        self.paths = self._usable(folder)
        self._total = len(self.paths)
        self._cache = {}
        self._cache_room = cache_megabytes * 2**20
        self._broken = set()
        self._lock = threading.Lock()

    def _usable(self, folder):
        found = image_files.find_photos(folder) if folder else []
        if not found:
            raise InputError(f"no photo (JPEG, PNG, WebP) below the folder {str(folder)!r}")
        usable = []
        for path in found:
            size = image_files.image_size(path)
            smallest = min(size) if size else 0
            if not size:
                self.skipped.append(f"{path} is damaged, too large or no picture")
            elif smallest < self.image_size:
                self.skipped.append(f"{path} is too small: short side {smallest}, at least {self.image_size} needed")
            else:
                usable.append(path)
        if not usable:
            first = self.skipped[0]
            raise InputError(f"none of the {len(found)} photos below {folder} can be used; the first: {first}")
        return usable

    def __len__(self):
        return len(self.paths)

    def hold_out(self):
        """Takes every tenth photo out for validation.

        Returns:
            PhotoFolder of the photos that were taken out.

        Raises:
            InputError: there is only one photo.
        """
        if len(self) < 2:
            raise InputError(f"training needs at least 2 photos, one of them for validation. Received: {self.paths[0]}")
        held = copy.copy(self)  # counts damaged photos together with this one, but caches none
        held.paths, held.skipped, held._cache, held._cache_room = self.paths[::10], [], {}, 0
        self.exclude(held)
        return held

    def exclude(self, others):
        """Takes out the photos that another folder holds too.

        Args:
            others: PhotoFolder.

        Raises:
            InputError: nothing is left.
        """
        taken = {path.resolve() for path in others.paths}
        self.paths = [path for path in self.paths if path.resolve() not in taken]
        if not self.paths:
            raise InputError("all photos to train on are also photos to validate with: name different folders")

    def load(self, index):
        """One photo, its short side scaled down to `short_side`; for one that cannot be read the next in the list.

        Args:
            index: int in [0, len).

        Returns:
            uint8 [H, W, 3].

        Raises:
            InputError: more than 5 % of the photos cannot be read.
        """
        while index not in self._cache:
            try:
                return self._keep(index, self._scale(image_files.read_image(self.paths[index])))
            except InputError as error:
                self._count_broken(self.paths[index], error)
                index = (index + 1) % len(self.paths)
        return self._cache[index]

    def _keep(self, index, photo):
        with self._lock:
            if photo.nbytes <= self._cache_room and index not in self._cache:
                self._cache_room -= photo.nbytes
                self._cache[index] = photo
        return photo

    def _scale(self, photo):
        height, width = photo.shape[:2]
        factor = self.short_side / min(height, width)
        if factor >= 1:
            return photo
        return images.resize_image(photo, round(height * factor), round(width * factor), Image.Resampling.LANCZOS)

    def _count_broken(self, path, error):
        with self._lock:
            if path not in self._broken:
                self._broken.add(path)
                print(f"skipped: {error}", file=sys.stderr)
            if len(self._broken) > _BROKEN_SHARE * self._total:
                count = len(self._broken)
                self.failure = InputError(f"{count} of {self._total} photos cannot be used; the last: {error}")
                raise self.failure


def training_dataset(photos, config, first_sample=0):
    """An endless stream of batches.

    Args:
        photos: PhotoFolder.
        config: Config.
        first_sample: int, the number k of the first sample.

    Returns:
        tf.data.Dataset of dicts: `image` float32 [B, S, S, 3] in [-1, 1], `mask` float32 [B, S, S, 1].
    """
    seed, size, count = config.training.seed, config.model.image_size, len(photos)
    draw_mask = _keeping_failure(photos, mask_sampler(config))

    def sample(k):
        turn = tf.cast(k // count, tf.int32)
        index = tf.random.experimental.index_shuffle(k % count, [seed, turn], count - 1)
        photo = tf.numpy_function(photos.load, [index], tf.uint8, stateful=False)
        photo.set_shape([None, None, 3])
        crop = tf.random.stateless_uniform([2], [seed, _number(k, _CROP)])
        room = tf.shape(photo)[:2] - size + 1
        top, left = tf.unstack(tf.minimum(tf.cast(crop * tf.cast(room, tf.float32), tf.int32), room - 1))
        image = photo[top : top + size, left : left + size]
        if config.data.flip:
            flip = tf.random.stateless_uniform([], [seed, _number(k, _FLIP)]) < 0.5
            image = tf.cond(flip, lambda: tf.reverse(image, axis=[1]), lambda: image)
        limits = {"minval": 0, "maxval": 2**31 - 1, "dtype": tf.int32}
        mask_seed = tf.random.stateless_uniform([4], [seed, _number(k, _MASK)], **limits)
        mask = tf.numpy_function(draw_mask, [mask_seed], tf.uint8, stateful=False)
        return _as_sample(image, mask, size)

    samples = tf.data.Dataset.range(first_sample, np.iinfo(np.int64).max)
    samples = samples.map(sample, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    return samples.batch(config.training.batch_size, drop_remainder=True).prefetch(2)


def validation_dataset(photos, config):
    """Each photo once: its centre crop, with the mask kind `masks.validation`, the same on each pass.

    Args:
        photos: PhotoFolder.
        config: Config.

    Returns:
        tf.data.Dataset of batches of one, as those of `training_dataset`.
    """
    size = config.model.image_size
    draw_mask = _keeping_failure(photos, mask_sampler(config, validation=True))

    def samples():
        for index in range(len(photos)):
            photo = photos.load(index)
            top, left = (photo.shape[0] - size) // 2, (photo.shape[1] - size) // 2
            yield photo[top : top + size, left : left + size], draw_mask([0, index])

    kinds = (tf.TensorSpec([size, size, 3], tf.uint8), tf.TensorSpec([size, size], tf.uint8))
    dataset = tf.data.Dataset.from_generator(samples, output_signature=kinds)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(photos)))
    return dataset.map(lambda image, mask: _as_sample(image, mask, size)).batch(1).prefetch(2)


def mask_sampler(config, validation=False):
    """What draws the masks of training or of validation.

    Args:
        config: Config.
        validation: bool.

    Returns:
        MaskSampler.

    Raises:
        InputError: the folder of mask files is absent or empty.
    """
    kind = config.masks.validation
    weights = {kind: 1.0} if validation and kind != "mix" else config.masks.weights
    return masks.MaskSampler(config.model.image_size, weights, config.masks.overlap, config.masks.folder_path)


def _keeping_failure(photos, sampler):
    """seed -> mask; an error is kept in `photos.failure`, since tf.data passes on only its text."""

    def draw_mask(seed):
        try:
            return sampler(np.random.default_rng(seed))
        except InputError as error:
            photos.failure = error
            raise

    return draw_mask


def _number(k, purpose):
    return k * (_MASK + 1) + purpose


def _as_sample(image, mask, size):
    image = tf.ensure_shape(image, [size, size, 3])
    mask = tf.ensure_shape(mask, [size, size])
    return {
        "image": images.to_unit(tf.cast(image, tf.float32)),
        "mask": tf.cast(mask, tf.float32)[..., tf.newaxis],
    }
