"""Compare model files with their Keras model on real photos: agreement, and the loss of lower precisions.

A float32 file must agree with Keras except for rounding; a file of another precision may lose a limited part of the
hole's PSNR.
"""

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from shiftnet_tf.errors import ExportError, InputError
from shiftnet_tf.export import graph
from shiftnet_tf.masks import sampling
from shiftnet_tf.networks import Generator
from shiftnet_tf.photos import finding, image_files, pixels
from shiftnet_tf.runtime.backends import Backend

# Limits for the difference of a float32 file from Keras. Rounding decides near ties of the shift's argmax, and a
# position with another source changes the image there, so images are compared only if their shift maps are equal.
LEAST_EQUAL_SHIFTS = 0.99
MOST_MEAN_DIFFERENCE = 0.05  # grey levels
MOST_PIXELS_OFF = 0.001  # share of the hole's pixels that differ by more than 1
KERAS_BATCH = 4  # larger batches take more memory and hardly less time

Folders = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
Pairs = tuple[np.ndarray, np.ndarray]  # images uint8 [N, S, S, 3] and their masks uint8 [N, S, S, 1]
_Answer = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]


def sample_paths(folders: Folders, count: int = 20, but: Iterable[Path] = ()) -> list[Path]:
    """Return the photos that `sample_pairs` uses."""
    left_out = {path.resolve() for path in but}
    folders = [folders] if isinstance(folders, str | os.PathLike) else folders
    found = (path for folder in folders for path in finding.find_photos(folder))
    return list(itertools.islice((path for path in found if path.resolve() not in left_out), count))


def sample_pairs(folders: Folders, image_size: int, count: int = 20, but: Sequence[Path] = ()) -> Pairs:
    """Return photos and masks for comparing a file with Keras, the same each time.

    Args:
        folders: folder or folders with photos; the first `count` photos are used, each as a scaled centre square.
        image_size: S in pixels.
        count: maximum number of pairs, with centre holes, rectangles and free-form strokes in turn. Defaults to 20.
        but: photos to leave out.

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


def measure(generator: Generator, backend: Backend, pairs: Pairs, twin: Backend | None = None) -> dict[str, Any]:
    """Measure the difference of a float32 file from its Keras model, over the hole's pixels.

    Args:
        generator: the network that the file was made of.
        backend: runs the file.
        pairs: see `sample_pairs`.
        twin: a backend with a file of the same conversion that outputs the shift map, for a file that outputs none.

    Returns:
        `pairs`, their number; `equal_shifts`, the share of hole positions with equal shift maps (None if no file
            outputs a shift map); `compared_pairs`, the number of pairs whose shift maps are equal throughout; and over
            those pairs the largest `mean_difference` and `max_difference` in grey levels, and the largest share
            `pixels_off` of pixels that differ by more than 1.

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


def measure_loss(generator: Generator, backend: Backend, pairs: Pairs, twin: Backend | None = None) -> dict[str, Any]:
    """Measure the loss of a file of lower precision against its Keras model, over the hole's pixels.

    Args:
        generator: the network that the file was made of.
        backend: runs the file.
        pairs: see `sample_pairs`.
        twin: as for `measure`.

    Returns:
        `pairs`, their number; `equal_shifts` as for `measure`; `mean_difference` and `max_difference` from Keras
            in grey levels; and in dB, as means over the pairs, the file's `hole_psnr`, `psnr_drop`, by which Keras's is
            higher, and `psnr_to_keras`, the PSNR of the file's output against that of Keras.

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


def _answers(generator: Generator, backend: Backend, pairs: Pairs, twin: Backend | None = None) -> Iterator[_Answer]:
    """Yield for each pair the hole's pixels of the photo, of Keras and of the file, and which shifts are equal.

    The pixels are int [N, 3] each; the last is bool over positions of the shift map, None if no file outputs it.
    """
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


def _keras_answers(generator: Generator, pairs: Pairs, with_shift_map: bool) -> Iterator[dict[str, np.ndarray]]:
    """Yield for each pair the output arrays of Keras by name; a few pairs at a time take half as long."""
    images, masks = pairs
    for start in range(0, len(images), KERAS_BATCH):
        part = slice(start, start + KERAS_BATCH)
        with tf.device("CPU"):  # a GPU multiplies in less than float32 by default
            answers = graph.inpaint(generator, images[part], masks[part], with_shift_map)
        answers = {name: value.numpy() for name, value in answers.items()}
        for i in range(len(images[part])):
            yield {name: values[i] for name, values in answers.items()}


def _share(answers: list[_Answer]) -> float | None:
    positions = np.concatenate([equal for *_, equal in answers if equal is not None] or [np.empty(0, bool)])
    return float(positions.mean()) if positions.size else None


def _psnr(true: np.ndarray, answer: np.ndarray) -> float:
    error = max(float(np.mean((true - answer) ** 2)), 1e-3)  # equal pixels give 78 dB, not infinity
    return 10 * math.log10(255**2 / error)


def within_limits(parity: dict[str, Any]) -> bool:
    """Tell from the result of `measure` whether a float32 file computes what Keras computes."""
    return all(
        (
            parity["equal_shifts"] is None or parity["equal_shifts"] >= LEAST_EQUAL_SHIFTS,
            parity["compared_pairs"] > 0,
            parity["mean_difference"] <= MOST_MEAN_DIFFERENCE,
            parity["pixels_off"] <= MOST_PIXELS_OFF,
        )
    )
