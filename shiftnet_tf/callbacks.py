"""What `train.py` shows beside the steps: progress, pictures, bad losses. Keras callbacks, each for one thing."""

import datetime
import math
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf import image_files, images, pictures, serving
from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.layers.masking import composite, mask_image
from shiftnet_tf.windows import Window


class Progress(keras.callbacks.Callback):
    """A bar for the whole run with the time left, at most once a second, and in the log a line a minute.

    Args:
        steps: int, training steps from now to the end.
        epochs: int, of the whole run.
        log: function of (str, show), which writes a line to the log and, if `show`, where the person looks.
    """

    def __init__(self, steps, epochs, log):
        super().__init__()
        self.steps = steps
        self.epochs = epochs
        self.log = log
        self.done = 0
        self.watched = sys.stdout.isatty()
        self.bar = keras.utils.Progbar(steps, interval=1, stateful_metrics=["loss"]) if self.watched else None

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        now = time.monotonic()
        if self.watched:
            self.bar.update(self.done, [("loss", logs["loss"])])
        if self.done == 1:  # it takes seconds to compile, so the time left is told from the second on
            self.start = self.told = now
        elif now - self.told >= 60:
            self.told = now
            left = datetime.timedelta(seconds=round((now - self.start) / (self.done - 1) * (self.steps - self.done)))
            line = f"step {self.done}/{self.steps}, {left} left, loss {logs['loss']:.4g}"
            self.log(line, show=not self.watched)

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        if self.watched and self.done < self.steps:
            print()
        self.log(f"epoch {epoch + 1}/{self.epochs}: {values}")


class Pictures(keras.callbacks.Callback):
    """A grid before the first step and after each epoch, as PNG and for TensorBoard.

    One row a photo: masked image, predicted image, inpainted image, image and, where the network has a shift
    connection, where each part of the hole was filled from.

    Args:
        run: Run.
        dataset: tf.data.Dataset of batches of one; its first `rows` are drawn.
        first_epoch: int, epochs already done.
        rows: int. Defaults to 4.
    """

    def __init__(self, run, dataset, first_epoch=0, rows=4):
        super().__init__()
        self.run = run
        self.first_epoch = first_epoch
        self.samples = list(dataset.take(rows))
        self.writer = tf.summary.create_file_writer(str(run.events / "pictures"))

    def on_train_begin(self, logs=None):
        if self.first_epoch == 0:
            self._draw(0)

    def on_epoch_end(self, epoch, logs=None):
        self._draw(epoch + 1)

    def _draw(self, epoch):
        sheet = pictures.grid([self._row(sample) for sample in self.samples])
        image_files.write_image(self.run.pictures / f"epoch-{epoch:04}.png", sheet)
        with self.writer.as_default():
            tf.summary.image("masked, predicted, inpainted, true, filled from", sheet[np.newaxis], step=epoch)
        self.writer.flush()

    def _row(self, sample):
        image, mask = sample["image"], sample["mask"]
        generator = self.model.averaged_generator
        predicted_image, features = generator(sample, return_features=True)
        inpainted_image = composite(predicted_image, image, mask)
        row = (mask_image(image, mask), predicted_image, inpainted_image, image)
        row = [images.from_float(picture[0].numpy()) for picture in row]
        if generator.shift_layers:
            shift_map = serving.finest_shift_map(generator, features)
            whole = Window(0, 0, *row[-1].shape[:2])
            row.append(pictures.shift_map_sheet(row[-1], mask[0, ..., 0].numpy(), [(whole, shift_map[0].numpy())]))
        return row


WHAT_TO_TRY = "try --resume --set training.learning_rate=... with a smaller one, or a new run with other losses"


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run at the step at which a loss is NaN or infinite; no checkpoint is written then."""

    def on_train_batch_end(self, batch, logs=None):
        for name, value in logs.items():
            if not math.isfinite(value):
                raise ShiftNetError(f"the {name} is {value} at step {batch + 1} of this epoch: {WHAT_TO_TRY}")
