"""What a run can go on from: checkpoints after each epoch and on Ctrl-C, and the best weights by validation.

A checkpoint holds both networks, the moving average, both optimizers, the place in the run and the best score. Its
number is that of the steps done. All random choices are functions of the seed and that number, so that a run which goes
on from a checkpoint ends with the weights of one that was never stopped.

TensorFlow keeps a list of the checkpoints in a file beside them. Where that list is missing, damaged or incomplete, it
is written again from the names of the checkpoint files.
"""

import math
import re
import shutil
import signal
import sys
import threading
from pathlib import Path

import keras
import tensorflow as tf

from shiftnet_tf.errors import ShiftNetError, first_line
from shiftnet_tf.system.atomic import check_room, is_leftover, write_atomically
from shiftnet_tf.training.callbacks import WHAT_TO_TRY, validation_score


class Checkpoints(keras.callbacks.Callback):
    """Checkpoints, the last three kept, and the best weights beside them.

    Args:
        run: Run.
        model: ShiftNet, compiled.
        steps: int, of an epoch.

    Attributes:
        epoch: int, whole epochs done.
        step: int, steps done of the next one.
    """

    def __init__(self, run, model, steps):
        super().__init__()
        self.run = run
        self.steps = steps
        self.state = {
            "epoch": tf.Variable(0, dtype=tf.int64),
            "step": tf.Variable(0, dtype=tf.int64),
            "best": tf.Variable(-math.inf, dtype=tf.float32),
        }
        # A Checkpoint finds no variables in Keras 3's models, only those that an optimizer trains: moving averages and
        # the vectors of spectral norm must be handed to it.
        holders = (model, model.optimizer, model.discriminator_optimizer)
        self.room = 2 * sum(math.prod(v.shape) * 4 for holder in holders for v in holder.variables)  # weights once more
        networks = (model.generator, model.averaged_generator, model.discriminator)
        self.checkpoint = tf.train.Checkpoint(
            networks=[[variable.value for variable in network.variables] for network in networks],
            generator_optimizer=model.optimizer,
            discriminator_optimizer=model.discriminator_optimizer,
            **self.state,
        )
        self.list_file = run.checkpoints / "checkpoint"  # the name that TensorFlow gives it
        self.manager, self.list_problem = self._open_manager()

    @property
    def epoch(self):
        return int(self.state["epoch"])

    @property
    def step(self):
        return int(self.state["step"])

    def _open_manager(self):
        """Opens the CheckpointManager, on a new list if the one there does not name every checkpoint.

        Returns:
            (CheckpointManager, what was wrong with its list or None).

        Raises:
            ShiftNetError: the list is damaged and there is no checkpoint, or the new list cannot be written.
        """
        try:
            manager = self._manager()
            listed = [Path(path).name for path in manager.checkpoints]
        except ValueError:  # no text or an empty file; TensorFlow reads any other damage as a list of none
            manager, listed = None, []
        names = self._names()
        if not names and not listed and self.list_file.exists():
            raise ShiftNetError(f"{self.list_file} is damaged and there is no checkpoint beside it: start a new run")
        if set(names) <= set(listed) or not names:
            return manager, None
        problem = "damaged or incomplete" if self.list_file.exists() else "missing"
        self._write_list(names)
        return self._manager(), problem

    def _manager(self):
        return tf.train.CheckpointManager(self.checkpoint, str(self.run.checkpoints), max_to_keep=3)

    def _names(self, ending="index"):
        """Names of the checkpoints that have a file with that ending (a regular expression), by their numbers."""
        matches = (re.fullmatch(rf"ckpt-(\d+)\.{ending}", path.name) for path in self.run.checkpoints.glob("ckpt-*"))
        return [f"ckpt-{number}" for number in sorted({int(match[1]) for match in matches if match})]

    def _write_list(self, names):
        """Writes TensorFlow's list of checkpoints; the last name is the one to go on from, the first one goes first."""
        folder = str(self.run.checkpoints.absolute())  # TensorFlow leaves the names as they are only below such a path
        try:
            tf.compat.v1.train.update_checkpoint_state(
                folder,
                names[-1],
                all_model_checkpoint_paths=names,
                # A manager forgets what is not newer than `last_preserved_timestamp`. Only their order counts here.
                all_model_checkpoint_timestamps=[float(i + 1) for i in range(len(names))],
                last_preserved_timestamp=0.0,
            )
        except tf.errors.OpError as error:
            raise ShiftNetError(f"cannot write the list of checkpoints {self.list_file}: {error.message}") from error

    def restore(self, log):
        """Goes back to the last checkpoint that can be read, all of it; without any to the first step.

        Checkpoints that cannot be read are the first ones that later checkpoints replace.

        Args:
            log: function of str.

        Raises:
            ShiftNetError: none of the checkpoints can be read, or they do not fit the model.
        """
        self._remove_leftovers()
        paths = self.manager.checkpoints
        if self.list_problem:
            names = ", ".join(Path(path).name for path in paths)
            log(f"the list of checkpoints {self.list_file} was {self.list_problem}: found {names} by the file names")
        unreadable = []
        for path in reversed(paths):
            try:
                self.checkpoint.restore(path).assert_consumed()
            except (AssertionError, ValueError, IndexError, RuntimeError, tf.errors.OpError) as error:
                log(f"passed over: the checkpoint {path} cannot be restored ({first_line(error)})")
                unreadable.insert(0, path)
            else:
                more = f" and {self.step} steps" if self.step else ""
                log(f"resumed after epoch {self.epoch}{more}, from {path}")
                if unreadable:
                    self._write_list([Path(each).name for each in unreadable + paths[: -len(unreadable)]])
                    self.manager = self._manager()
                return
        if paths:
            raise ShiftNetError(f"no checkpoint in {self.run.checkpoints} can be restored: start a new run")
        log(f"the run was stopped {self._how_early()} its first checkpoint: it starts from the beginning")

    def _how_early(self):
        """When a run without any whole checkpoint was stopped: "before" its first one, or "while it wrote" it.

        Raises:
            ShiftNetError: files of more than one checkpoint are there, so that the first one had been whole.
        """
        unfinished = self._names(r"data-\d+-of-\d+")  # TensorFlow writes the index file last
        if len(unfinished) > 1:
            raise ShiftNetError(
                f"{self.run.checkpoints} holds {', '.join(unfinished)} without their .index files: "
                "copy these files back, or start a new run"
            )
        return "while it wrote" if unfinished else "before"

    def _remove_leftovers(self):
        """What a process that was killed while it wrote has left under temporary names."""
        for path in self.run.path.glob(".*"):
            if is_leftover(path):
                path.unlink()
        for path in self.run.checkpoints.glob("ckpt-*_temp"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self.run.checkpoints.glob("checkpoint.tmp*"):
            path.unlink()

    def on_epoch_end(self, epoch, logs=None):
        score = validation_score(logs, self.run.config.training.best)
        if not math.isfinite(score):
            raise ShiftNetError(f"the validation score is {score} after epoch {epoch + 1}: {WHAT_TO_TRY}")
        best = score > float(self.state["best"])
        if best:
            self.state["best"].assign(score)
        self.save(epoch + 1, 0, with_weights=best)

    def save(self, epoch, step, with_weights=False):
        """Writes a checkpoint: to a temporary name, then renamed; the oldest of four goes.

        Args:
            epoch: int, whole epochs done.
            step: int, steps done of the next one.
            with_weights: bool, whether to write the files of the best weights first. Defaults to False.

        Raises:
            ShiftNetError: no room, or the system refuses.
        """
        try:
            check_room(self.run.path, self.room, "a checkpoint")
        except ShiftNetError as error:
            raise ShiftNetError(f"{error}: make room, then --resume") from error
        if with_weights:
            write_atomically(self.run.generator_weights, self.model.averaged_generator.save_weights)
            write_atomically(self.run.discriminator_weights, self.model.discriminator.save_weights)
        self.state["epoch"].assign(epoch)
        self.state["step"].assign(step)
        try:
            self.manager.save(checkpoint_number=epoch * self.steps + step)
        except tf.errors.OpError as error:
            raise ShiftNetError(f"cannot write a checkpoint to {self.run.checkpoints}: {error.message}") from error


class StopOnSignal(keras.callbacks.Callback):
    """On Ctrl-C, or when the system asks the process to end: finishes the step, writes a checkpoint and leaves.

    A second Ctrl-C leaves at once, without one.

    Takes the signals while it is entered as a context.

    Args:
        checkpoints: Checkpoints.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, checkpoints):
        super().__init__()
        self.checkpoints = checkpoints
        self.done = checkpoints.step
        self.asked = False
        self.before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():  # only there can a signal be taken
            self.before = {number: signal.signal(number, self._ask) for number in self.SIGNALS}
        return self

    def __exit__(self, *_):
        while self.before:
            signal.signal(*self.before.popitem())

    def _ask(self, number, frame):
        self.asked = True
        self.__exit__()
        print("stopping after this step, with a checkpoint (Ctrl-C again: at once)", file=sys.stderr, flush=True)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self.done += 1
        if self.asked and self.done < self.checkpoints.steps:  # at the end of an epoch its own checkpoint is due
            self.checkpoints.save(self.epoch, self.done)
            raise KeyboardInterrupt

    def on_epoch_end(self, epoch, logs=None):
        self.done = 0
        if self.asked:
            raise KeyboardInterrupt


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
