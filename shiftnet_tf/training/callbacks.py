"""Keras callbacks for training: progress, pictures, validation, and a stop on bad losses."""

import datetime
import importlib
import math
import sys
import time
from collections.abc import Iterable
from typing import Protocol

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, ShiftNetError, first_line
from shiftnet_tf.networks.deep_distance import deep_distance
from shiftnet_tf.networks.efficientnet_lite import load_efficientnet_lite
from shiftnet_tf.ops.masking import composite, mask_image
from shiftnet_tf.photos import image_files, pixels, sheets
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training import dataset
from shiftnet_tf.training.photo_folder import PhotoFolder


class Log(Protocol):
    """Writes a line to the log and, if `show`, to the terminal."""

    def __call__(self, line: str, show: bool = True) -> None: ...


class Progress(keras.callbacks.Callback):
    """Shows a progress bar with the time left, updated at most once a second, and logs a line per minute.

    Args:
        steps: training steps from now to the end of the run.
        epochs: epochs of the whole run.
        log: writes a line to the log and, if `show`, to the terminal.
    """

    def __init__(self, steps: int, epochs: int, log: Log) -> None:
        super().__init__()
        self.steps = steps
        self.epochs = epochs
        self.log = log
        self.done = 0
        self.watched = sys.stdout is not None and sys.stdout.isatty()
        self.bar = keras.utils.Progbar(steps, interval=1, stateful_metrics=["loss"]) if self.watched else None

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        self.done += 1
        now = time.monotonic()
        if self.bar is not None:
            self.bar.update(self.done, [("loss", logs["loss"])])
        if self.done == 1:  # compiling takes seconds, so the time left counts from the second step
            self.start = self.told = now
        elif now - self.told >= 60:
            self.told = now
            left = datetime.timedelta(seconds=round((now - self.start) / (self.done - 1) * (self.steps - self.done)))
            line = f"step {self.done}/{self.steps}, {left} left, loss {logs['loss']:.4g}"
            self.log(line, show=not self.watched)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        values = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        if self.watched and self.done < self.steps:
            print()
        self.log(f"epoch {epoch + 1}/{self.epochs}: {values}")


class Pictures(keras.callbacks.Callback):
    """Draws a grid of samples before the first step and after each epoch, as PNG and for TensorBoard.

    One row per photo: masked image, predicted image, inpainted image, image and, if the network has a shift connection,
    where each part of the hole was copied from.

    Args:
        run: the run, whose folder the grids are written to.
        dataset: batches of one; its first `rows` samples are drawn.
        first_epoch: epochs already done. Defaults to 0.
        rows: samples in a grid. Defaults to 4.
    """

    def __init__(self, run: Run, dataset: tf.data.Dataset, first_epoch: int = 0, rows: int = 4) -> None:
        super().__init__()
        self.run = run
        self.first_epoch = first_epoch
        self.samples = list(dataset.take(rows))
        self.writer = tf.summary.create_file_writer(str(run.events / "pictures"))

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        if self.first_epoch == 0:
            self._draw(0)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._draw(epoch + 1)

    def _draw(self, epoch: int) -> None:
        sheet = sheets.grid([self._row(sample) for sample in self.samples])
        image_files.write_image(self.run.pictures / f"epoch-{epoch:04}.png", sheet)
        with self.writer.as_default():
            tf.summary.image("masked, predicted, inpainted, true, filled from", sheet[np.newaxis], step=epoch)
        self.writer.flush()

    def _row(self, sample: dict[str, tf.Tensor]) -> list[np.ndarray]:
        image, mask = sample["image"], sample["mask"]
        generator = self.model.averaged_generator
        predicted_image, features = generator(sample, return_features=True)
        inpainted_image = composite(predicted_image, image, mask)
        pictures = (mask_image(image, mask), predicted_image, inpainted_image, image)
        row = [pixels.from_float(picture[0].numpy()) for picture in pictures]
        if generator.shift_layers:
            shift_map = generator.finest_shift_map(features)
            whole = Window(0, 0, *row[-1].shape[:2])
            row.append(sheets.shift_map_sheet(row[-1], mask[0, ..., 0].numpy(), [(whole, shift_map[0].numpy())]))
        return row


class Validation(keras.callbacks.Callback):
    """Adds the metrics of each set of validation photos to the logs of each epoch.

    These are `val_psnr` and `val_hole_psnr` in dB for the set `val`, the same for each other set under its name, and
    with `training.best = "deep_distance"` the `deep_distance` of each. Must run before the callbacks that write logs.

    Args:
        sets: the photos of each set by its name.
        settings: the config.

    Attributes:
        datasets: batches of one, by the name of the set.

    Raises:
        InputError: the deep distance is requested, but its weights are missing.
    """

    def __init__(self, sets: dict[str, PhotoFolder], settings: Config) -> None:
        super().__init__()
        self.datasets = {name: dataset.validation_dataset(photos, settings) for name, photos in sets.items()}
        self.network = load_efficientnet_lite(2) if settings.training.best == "deep_distance" else None

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        for name, samples in self.datasets.items():
            values = self.model.validate(samples)
            if self.network:
                values["deep_distance"] = float(np.mean([self._deep_distance(sample) for sample in samples]))
            logs |= {f"{name}_{measure}": float(value) for measure, value in values.items()}

    def _deep_distance(self, sample: dict[str, tf.Tensor]) -> float:
        image, mask = sample["image"], sample["mask"]
        pair = (image, composite(self.model(sample), image, mask))
        true, filled = (pixels.from_float(x[0].numpy()) for x in pair)
        return deep_distance(true, filled, mask[0, ..., 0].numpy(), self.network)


def validation_score(logs: dict[str, float], measure: str) -> float:
    """Return the score that selects the best weights: the mean of a metric over the validation sets.

    Args:
        logs: those of an epoch after `Validation`.
        measure: `training.best`.

    Returns:
        A score of which higher is better.
    """
    mean = float(np.mean([value for name, value in logs.items() if name.endswith(f"_{measure}")]))
    return -mean if measure == "deep_distance" else mean


WHAT_TO_TRY = "try --resume --set training.learning_rate=... with a smaller value, or a new run with other losses"


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run at the step at which a loss becomes NaN or infinite, without a checkpoint."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        for name, value in logs.items():
            if not math.isfinite(value):
                raise ShiftNetError(f"the {name} is {value} at step {batch + 1} of this epoch: {WHAT_TO_TRY}")


def load_callbacks(names: Iterable[str]) -> list[keras.callbacks.Callback]:
    """Create the callbacks that `training.callbacks` names.

    Args:
        names: `"package.module:Class"` each.

    Returns:
        The callbacks, created without arguments.

    Raises:
        InputError: a module cannot be imported, or the name is not a Keras callback class.
    """
    return [_load_callback(name) for name in names]


def _load_callback(name: str) -> keras.callbacks.Callback:
    module, _, attribute = name.partition(":")
    try:
        kind = getattr(importlib.import_module(module), attribute, None)
    except ImportError as error:
        cure = "install its package, or add its folder to PYTHONPATH"
        raise InputError(f"cannot import {module} for `training.callbacks` ({first_line(error)}): {cure}") from error
    if not (isinstance(kind, type) and issubclass(kind, keras.callbacks.Callback)):
        raise InputError(f"`training.callbacks` must name subclasses of keras.callbacks.Callback. Received: {name!r}")
    return kind()
