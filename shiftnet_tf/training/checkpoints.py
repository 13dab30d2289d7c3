"""Checkpoints after each epoch and on Ctrl-C, and the best weights by validation.

A checkpoint holds both networks, the moving average, both optimizers, the position in the run and the best score. Its
number, in the names of its files, is the number of steps done. All random choices are functions of the seed and that
number, so that a run resumed from a checkpoint ends with the weights of an uninterrupted one.
"""

import math
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import tensorflow as tf

from shiftnet_tf.errors import ShiftNetError, first_line
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import check_room, is_leftover, write_atomically
from shiftnet_tf.training.callbacks import WHAT_TO_TRY, validation_score
from shiftnet_tf.training.distribution import Team
from shiftnet_tf.training.shiftnet import ShiftNet


class Checkpoints(keras.callbacks.Callback):
    """Writes checkpoints, of which the last three are kept, and the best weights.

    Args:
        run: the run.
        model: the model, compiled.
        steps: steps per epoch.

    Attributes:
        epoch: number of finished epochs.
        step: steps done in the next epoch.
    """

    def __init__(self, run: Run, model: ShiftNet, steps: int) -> None:
        super().__init__()
        self.run = run
        self.steps = steps
        self.state = {
            "epoch": tf.Variable(0, dtype=tf.int64),
            "step": tf.Variable(0, dtype=tf.int64),
            "best": tf.Variable(-math.inf, dtype=tf.float32),
        }
        # A Checkpoint finds no variables in Keras 3 models except those that an optimizer trains, so moving averages
        # and the vectors of spectral normalisation must be passed to it.
        holders = (model, model.optimizer, model.discriminator_optimizer)
        self.room = 2 * sum(math.prod(v.shape) * 4 for holder in holders for v in holder.variables)  # the weights too
        networks = (model.generator, model.averaged_generator, model.discriminator)
        self.checkpoint = tf.train.Checkpoint(
            networks=[[variable.value for variable in network.variables] for network in networks],
            generator_optimizer=model.optimizer,
            discriminator_optimizer=model.discriminator_optimizer,
            **self.state,
        )
        self.checkpoint.save_counter.assign(0)  # creates it: checkpoints of tf.train.CheckpointManager contain it

    @property
    def epoch(self) -> int:
        return int(self.state["epoch"])

    @property
    def step(self) -> int:
        return int(self.state["step"])

    def _numbers(self) -> list[int]:
        """Return the numbers of the existing checkpoints; TensorFlow writes the index file last."""
        stems = (path.stem.removeprefix("ckpt-") for path in self.run.checkpoints.glob("ckpt-*.index"))
        return sorted(int(stem) for stem in stems if stem.isdecimal())

    def restore(self, log: Callable[[str], object], tidy: bool = True) -> None:
        """Restore the last checkpoint that can be read completely; start at the first step if there is none.

        Args:
            log: called with each line of progress.
            tidy: whether to remove the leftovers of a killed process; only the chief of several workers does.

        Raises:
            ShiftNetError: no checkpoint can be read, they do not fit the model, or they have been removed.
        """
        if tidy:
            self._remove_leftovers()
        numbers = self._numbers()
        for number in reversed(numbers):
            path = self.run.checkpoints / f"ckpt-{number}"
            try:
                self.checkpoint.restore(str(path)).assert_consumed()
            except (AssertionError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
                log(f"skipped: cannot restore the checkpoint {path} ({first_line(error)})")
            else:
                more = f" and {self.step} steps" if self.step else ""
                log(f"resumed after epoch {self.epoch}{more}, from {path}")
                return
        if numbers:
            raise ShiftNetError(f"no checkpoint in {self.run.checkpoints} can be restored: start a new run")
        metrics = self.run.metrics
        epochs = len(metrics.read_bytes().splitlines()) - 1 if metrics.is_file() else 0
        if epochs > 1:  # the first epoch may have finished without its checkpoint
            raise ShiftNetError(
                f"{self.run.checkpoints} holds no checkpoint after {epochs} epochs: copy its files back, or start a "
                "new run"
            )
        log("the run was stopped before its first checkpoint: starting from the beginning")

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of a process that was killed while writing."""
        for path in self.run.path.glob(".*"):
            if is_leftover(path):
                path.unlink()
        for path in self.run.checkpoints.glob("ckpt-*_temp"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.run.checkpoints.glob("checkpoint.tmp*"):
            path.unlink()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        score = validation_score(logs, self.run.config.training.best)
        if not math.isfinite(score):
            raise ShiftNetError(f"the validation score is {score} after epoch {epoch + 1}: {WHAT_TO_TRY}")
        best = score > float(self.state["best"])
        if best:
            self.state["best"].assign(score)
        self.save(epoch + 1, 0, with_weights=best)

    def save(self, epoch: int, step: int, with_weights: bool = False) -> None:
        """Write a checkpoint, and remove all but the last three.

        Args:
            epoch: number of finished epochs.
            step: steps done in the next epoch.
            with_weights: whether to write the best weights first. Defaults to False.

        Raises:
            ShiftNetError: there is not enough space, or the system refuses.
        """
        try:
            check_room(self.run.path, self.room, "a checkpoint")
        except ShiftNetError as error:
            raise ShiftNetError(f"{error}: free some space, then --resume") from error
        if with_weights:
            write_atomically(self.run.generator_weights, self.model.averaged_generator.save_weights)
            write_atomically(self.run.discriminator_weights, self.model.discriminator.save_weights)
        self.state["epoch"].assign(epoch)
        self.state["step"].assign(step)
        number, folder = epoch * self.steps + step, str(self.run.checkpoints.absolute())
        kept = [*[other for other in self._numbers() if other < number][-2:], number]
        names = [f"ckpt-{other}" for other in kept]
        try:
            self.checkpoint.write(f"{folder}/{names[-1]}")
            # For TensorFlow's own tools; this module relies on the files only.
            tf.compat.v1.train.update_checkpoint_state(folder, names[-1], all_model_checkpoint_paths=names)
        except tf.errors.OpError as error:
            raise ShiftNetError(f"cannot write a checkpoint to {self.run.checkpoints}: {error.message}") from error
        for other in set(self._numbers()) - set(kept):  # older ones, and newer ones that could not be restored
            for path in sorted(self.run.checkpoints.glob(f"ckpt-{other}.*"), reverse=True):  # the index first
                path.unlink()


class StopOnSignal(keras.callbacks.Callback):
    """On SIGINT (Ctrl-C) or SIGTERM, finishes the step, writes a checkpoint and stops.

    A second Ctrl-C stops at once, without a checkpoint. Several workers all stop after the same step, whichever of them
    was signalled.

    Handles the signals while it is entered as a context manager.

    Args:
        checkpoints: writes the checkpoint.
        team: the devices.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, checkpoints: Checkpoints, team: Team) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.team = team
        self.done = checkpoints.step
        self.asked = tf.Variable(0.0, trainable=False)
        self.before: dict[signal.Signals, Any] = {}

    def set_model(self, model: ShiftNet) -> None:
        super().set_model(model)
        model.wants_to_stop = self.asked

    def __enter__(self) -> "StopOnSignal":
        if threading.current_thread() is threading.main_thread():  # signals can be handled only there
            self.before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        while self.before:
            signal.signal(*self.before.popitem())

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked.assign(1.0)
        self.__exit__()
        print(
            "stopping after this step, with a checkpoint (press Ctrl-C again to stop at once)",
            file=sys.stderr,
            flush=True,
        )

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.done += 1
        if self._all_stop() and self.done < self.checkpoints.steps:  # the end of an epoch writes its own checkpoint
            if self.team.workers.is_chief:
                self.checkpoints.save(self.epoch, self.done)
            self._leave()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self.done = 0
        if self._all_stop():
            self._leave()

    def _all_stop(self) -> bool:
        return float(self.asked if self.team.is_alone else self.model.stops) > 0

    def _leave(self) -> None:
        self.team.wait()  # a worker that ends while the chief writes would end the chief too
        raise KeyboardInterrupt


def cut_metrics(path: Path, epochs: int) -> None:
    """Drop the rows of metrics.csv after a checkpoint, for a run that resumes from it.

    Args:
        path: the file; it may be absent.
        epochs: maximum number of rows to keep.
    """
    if not path.is_file():
        return
    rows = path.read_bytes().splitlines(keepends=True)[: epochs + 1 if epochs else 0]
    write_atomically(path, lambda part: part.write_bytes(b"".join(rows)))
