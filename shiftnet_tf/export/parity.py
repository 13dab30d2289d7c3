"""Whether a model file computes what its Keras model computes, on real photos, and what a less precise one loses.

A float32 file must agree with Keras but for rounding; a file of another precision may lose so much of the hole's PSNR.
"""

import itertools
from pathlib import Path

import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import ExportError, InputError
from shiftnet_tf.export import graph
from shiftnet_tf.masks import sampling
from shiftnet_tf.photos import finding, image_files, pixels

# What a float32 file may differ from Keras. Rounding decides near ties of the shift's argmax, and a position that is
# filled from elsewhere changes the picture there: so pictures are compared where the shift maps are equal.
LEAST_EQUAL_SHIFTS = 0.99
MOST_MEAN_DIFFERENCE = 0.05  # grey levels
MOST_PIXELS_OFF = 0.001  # share of the hole's pixels that differ by more than 1
KERAS_BATCH = 4  # more take more memory and little less time


def sample_paths(folders, count=20, but=()):
    """The photos that `sample_pairs` takes: list of Path."""
    but = {path.resolve() for path in but}
    folders = [folders] if isinstance(folders, str | Path) else folders
    found = (path for folder in folders for path in finding.find_photos(folder))
    return list(itertools.islice((path for path in found if path.resolve() not in but), count))


def sample_pairs(folders, image_size, count=20, but=()):
    """Photos and masks on which a file is compared with Keras: the same each time.

    Args:
        folders: str or Path with photos, or a sequence of them; the first `count` are taken, a centre square of each,
            scaled.
        image_size: int, S in pixels.
        count: int, at most so many pairs; centre holes, rectangles and free-form strokes in turn.
        but: list of Path, photos not to take.

    Returns:
        (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]).

    Raises:
        InputError: no photo in the folders.
    """
    paths = sample_paths(folders, count, but)
    if not paths:
        raise InputError(f"no usable photos (JPEG, PNG, WebP) in {folders}")
    photos, holes = [], []
    for i, path in enumerate(paths):
        photo = image_files.read_image(path)
        side = min(photo.shape[:2])
        top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
        photos.append(pixels.resize_image(photo[top : top + side, left : left + side], image_size, image_size))
        kind = ("center", "rectangle", "freeform")[i % 3]
        holes.append(
            sampling.MaskSampler(image_size, {kind: 1.0})(np.random.default_rng(i + 1000 * bool(but)))[..., np.newaxis]
        )
    return np.stack(photos), np.stack(holes)


def measure(generator, backend, pairs, twin=None):
    """How far a float32 file is from its Keras model, over the hole's pixels.

    Args:
        generator: Generator.
        backend: of `runtime.backends`, running the file.
        pairs: (images, masks), see `sample_pairs`.
        twin: a backend of the same conversion whose file gives the shift map too, for a file that gives none.

    Returns:
        dict: `pairs`, their number; `equal_shifts`, the share of hole positions whose shift map is equal (None where
        no file gives a shift map); `compared_pairs`, those whose shift map is equal throughout; and of them the
        largest `mean_difference` and `max_difference` in grey levels and the largest share `pixels_off` of pixels
        that differ by more than 1.

    Raises:
        ExportError: the file changes a known pixel.
    """
    answers = list(_answers(generator, backend, pairs, twin))
    differences = []
    for _, expected, given, equal in answers:
        if equal is None or equal.all():
            difference = np.abs(expected - given)
            differences.append((float(difference.mean()), int(difference.max()), float((difference > 1).mean())))
    means, largest, off = zip(*differences) if differences else ((0.0,), (0,), (0.0,))
    return {
        "pairs": len(pairs[0]),
        "equal_shifts": _share(answers),
        "compared_pairs": len(differences),
        "mean_difference": max(means),
        "max_difference": max(largest),
        "pixels_off": max(off),
    }


def measure_loss(generator, backend, pairs, twin=None):
    """What a file of less precision loses beside its Keras model, over the hole's pixels.

    Args:
        generator: Generator.
        backend: of `runtime.backends`, running the file.
        pairs: (images, masks), see `sample_pairs`.
        twin: as of `measure`.

    Returns:
        dict: `pairs`, their number; `equal_shifts` as of `measure`; `mean_difference` and `max_difference` from Keras
        in grey levels; and in dB, means over the pairs, `hole_psnr` of the file, `psnr_drop`, by which Keras's is
        higher, and `psnr_to_keras`, of the file's answer beside that of Keras.

    Raises:
        ExportError: the file changes a known pixel.
    """
    answers = list(_answers(generator, backend, pairs, twin))
    differences = [np.abs(expected - given) for _, expected, given, _ in answers]
    keras_psnr = float(np.mean([_psnr(true, expected) for true, expected, _, _ in answers]))
    file_psnr = float(np.mean([_psnr(true, given) for true, _, given, _ in answers]))
    return {
        "pairs": len(pairs[0]),
        "equal_shifts": _share(answers),
        "mean_difference": float(np.mean([difference.mean() for difference in differences])),
        "max_difference": max(int(difference.max()) for difference in differences),
        "hole_psnr": file_psnr,
        "psnr_drop": keras_psnr - file_psnr,
        "psnr_to_keras": float(np.mean([_psnr(expected, given) for _, expected, given, _ in answers])),
    }


def _answers(generator, backend, pairs, twin=None):
    """For each pair the hole's pixels in the photo, as Keras fills them, as the file does (int [N, 3]), and which
    positions of the shift map are equal (None where no file gives it)."""
    mapping = next((b for b in (backend, twin) if b is not None and "shift_map" in b.outputs), None)
    for image, mask, expected in zip(*pairs, _keras_answers(generator, pairs, mapping is not None)):
        inputs = image[np.newaxis], mask[np.newaxis]
        given = backend(*inputs)["inpainted_image"][0]
        hole = mask[..., 0] != 0
        if not np.array_equal(given[~hole], image[~hole]):
            raise ExportError("the file changes known pixels")
        equal = None
        if mapping is not None:
            shift_map, given_map = expected["shift_map"], mapping(*inputs)["shift_map"][0]
            equal = (shift_map == given_map)[(shift_map >= 0) | (given_map >= 0)]
        pictures = (image, expected["inpainted_image"], given)
        yield *(picture[hole].astype(int) for picture in pictures), equal


def _keras_answers(generator, pairs, with_shift_map):
    """For each pair the arrays that Keras computes, by their names; a few pairs at a time take half as long."""
    images, masks = pairs
    for start in range(0, len(images), KERAS_BATCH):
        part = slice(start, start + KERAS_BATCH)
        with tf.device("CPU"):  # a GPU multiplies in less than float32 unless told otherwise
            answers = graph.inpaint(generator, images[part], masks[part], with_shift_map)
        answers = {name: value.numpy() for name, value in answers.items()}
        for i in range(len(images[part])):
            yield {name: values[i] for name, values in answers.items()}


def _share(answers):
    positions = np.concatenate([equal for *_, equal in answers if equal is not None] or [[]])
    return float(positions.mean()) if positions.size else None


def _psnr(true, answer):
    return 10 * np.log10(255**2 / max(np.mean((true - answer) ** 2), 1e-3))  # of equal pixels: 78 dB, not infinite


def within_limits(parity: dict) -> bool:
    """Tell whether a float32 file computes what Keras computes, by the result of `measure`."""
    return (
        (parity["equal_shifts"] is None or parity["equal_shifts"] >= LEAST_EQUAL_SHIFTS)
        and parity["compared_pairs"] > 0
        and parity["mean_difference"] <= MOST_MEAN_DIFFERENCE
        and parity["pixels_off"] <= MOST_PIXELS_OFF
    )
