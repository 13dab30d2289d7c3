"""What `train.py` does beside the steps: progress, pictures, checkpoints. Keras callbacks, each for one thing."""

import datetime
import math
import shutil
import sys
import time

import keras
import numpy as np
import tensorflow as tf

from shiftnet_tf import image_files, images, pictures
from shiftnet_tf.atomic import write_atomically
from shiftnet_tf.errors import ShiftNetError, first_line
from shiftnet_tf.layers.masking import composite, mask_image


class Progress(keras.callbacks.Callback):
    """A bar for the whole run with the time left, at most once a second; where no one watches, a line a minute.

    Args:
        steps: int, training steps from now to the end.
        log: function of str, for the line of each epoch.
    """

    def __init__(self, steps, log):
        super().__init__()
        self.steps = steps
        self.log = log
        self.done = 0
        self.watched = sys.stdout.isatty()
        self.bar = keras.utils.Progbar(steps, interval=1, stateful_metrics=["loss"]) if self.watched else None

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        now = time.monotonic()
        if self.watched:
            self.bar.update(self.done, [("loss", logs["loss"])])
        elif self.done == 1:  # it takes seconds to compile, so the time left is told from the second on
            self.start = self.told = now
        elif now - self.told >= 60:
            self.told = now
            left = datetime.timedelta(seconds=round((now - self.start) / (self.done - 1) * (self.steps - self.done)))
            print(f"step {self.done}/{self.steps}, {left} left, loss {logs['loss']:.4g}", flush=True)

    def on_epoch_end(self, epoch, logs=None):
        values = ", ".join(f"{name} {value:.4g}" for name, value in logs.items())
        if self.watched and self.done < self.steps:
            print()
        self.log(f"epoch {epoch + 1}/{self.params['epochs']}: {values}")


class Pictures(keras.callbacks.Callback):
    """A grid before the first step and after each epoch, as PNG and for TensorBoard.

    One row a photo: masked image, predicted image, inpainted image, image.

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
            tf.summary.image("masked, predicted, inpainted, true", sheet[np.newaxis], step=epoch)
        self.writer.flush()

    def _row(self, sample):
        image, mask = sample["image"], sample["mask"]
        predicted_image = self.model.averaged_generator(sample)
        inpainted_image = composite(predicted_image, image, mask)
        row = (mask_image(image, mask), predicted_image, inpainted_image, image)
        return [images.from_float(picture[0].numpy()) for picture in row]


class Checkpoints(keras.callbacks.Callback):
    """A checkpoint after each epoch, the last three kept; the best weights by validation beside them.

    Args:
        run: Run.
        model: ShiftNet, compiled.

    Attributes:
        epoch: int, epochs done.
    """

    def __init__(self, run, model):
        super().__init__()
        self.run = run
        self.state = {"epoch": tf.Variable(0, dtype=tf.int64), "best": tf.Variable(-math.inf, dtype=tf.float32)}
        self.checkpoint = tf.train.Checkpoint(
            generator=model.generator,
            averaged_generator=model.averaged_generator,
            discriminator=model.discriminator,
            generator_optimizer=model.optimizer,
            discriminator_optimizer=model.discriminator_optimizer,
            **self.state,
        )
        try:
            self.manager = tf.train.CheckpointManager(self.checkpoint, str(run.checkpoints), max_to_keep=3)
        except ValueError as error:
            raise ShiftNetError(f"the list of checkpoints in {run.checkpoints} is damaged: {error}") from error

    @property
    def epoch(self):
        return int(self.state["epoch"])

    def restore(self, log):
        """Goes back to the last checkpoint that can be read, all of it; without any to the first step.

        Args:
            log: function of str.

        Raises:
            ShiftNetError: none of the checkpoints can be read, or they do not fit the model.
        """
        for path in reversed(self.manager.checkpoints):
            try:
                self.checkpoint.restore(path).assert_consumed()
            except (AssertionError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
                log(f"passed over: the checkpoint {path} cannot be restored ({first_line(error)})")
            else:
                log(f"resumed after epoch {self.epoch}, from {path}")
                return
        if self.manager.checkpoints:
            raise ShiftNetError(f"no checkpoint in {self.run.checkpoints} can be restored: start a new run")
        log("the run was stopped before its first checkpoint: it starts from the beginning")

    def on_epoch_end(self, epoch, logs=None):
        self.state["epoch"].assign(epoch + 1)
        score = logs["val_hole_psnr"]
        if not math.isfinite(score):
            raise ShiftNetError(f"the validation score is {score} after epoch {epoch + 1}: {_WHAT_TO_TRY}")
        self._check_room()
        if score > float(self.state["best"]):
            self.state["best"].assign(score)
            for network, path in (
                (self.model.averaged_generator, self.run.generator_weights),
                (self.model.discriminator, self.run.discriminator_weights),
            ):
                write_atomically(path, network.save_weights)
        try:
            self.manager.save(checkpoint_number=epoch + 1)
        except tf.errors.OpError as error:
            raise ShiftNetError(f"cannot write a checkpoint to {self.run.checkpoints}: {error.message}") from error

    def _check_room(self):
        """h5py, which writes the weights, brings the process down on a full disk."""
        holders = [self.model, self.model.optimizer, self.model.discriminator_optimizer]
        values = [v for holder in holders for v in holder.variables]
        needed = 2 * sum(math.prod(v.shape) * 4 for v in values)  # a checkpoint, and the weights once more
        free = shutil.disk_usage(self.run.path).free
        if free < needed:
            raise ShiftNetError(
                f"{self.run.path} has room for {free / 1e6:.0f} MB, a checkpoint needs up to {needed / 1e6:.0f}: "
                "make room, then --resume"
            )


_WHAT_TO_TRY = "try --resume --set training.learning_rate=... with a smaller one, or a new run with other losses"


class StopOnBadLoss(keras.callbacks.Callback):
    """Ends the run at the step whose loss is NaN or infinite; no checkpoint is written then."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite(logs["loss"]):
            raise ShiftNetError(f"the loss is {logs['loss']} at step {batch + 1} of this epoch: {_WHAT_TO_TRY}")


def cut_metrics(path, epochs):
    """Drops the rows of metrics.csv that are past a checkpoint, for a run that goes on from it.

    Args:
        path: Path of the file; it may be absent.
        epochs: int, rows to keep at the most.
    """
    if not path.is_file():
        return
    rows = path.read_bytes().splitlines(keepends=True)[: epochs + 1 if epochs else 0]
    write_atomically(path, lambda part: part.write_bytes(b"".join(rows)))
