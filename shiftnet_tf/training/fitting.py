"""Train from a config to a run folder: `fit`, which `training/train.py` calls."""

import contextlib
import dataclasses
import datetime
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, MissingGpuError
from shiftnet_tf.networks.weights import load_weights
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import locked
from shiftnet_tf.system.bundled import find_preset
from shiftnet_tf.system.machine import total_memory
from shiftnet_tf.training import callbacks, checkpoints, dataset, photo_folder, run_inputs
from shiftnet_tf.training.building import build, is_deterministic
from shiftnet_tf.training.distribution import Team, gather, lost_workers_named
from shiftnet_tf.training.photo_folder import PhotoFolder
from shiftnet_tf.training.shiftnet import ShiftNet

RESUMABLE = ("training.epochs", "training.learning_rate", "training.discriminator_learning_rate")


def fit(
    settings: Config,
    run_dir: str | os.PathLike[str],
    *,
    start: str | os.PathLike[str] | None = None,
    resume: bool = False,
    require_gpu: bool = False,
    devices: int | str | None = None,
    log: Callable[[str], object] = print,
) -> Run:
    """Train to the last epoch of a config.

    SIGINT and SIGTERM finish the step, write a checkpoint and raise KeyboardInterrupt. If TF_CONFIG lists several
    workers, each must call this with the same arguments, and they train together, see `training.distribution`.

    Args:
        settings: the config; for a resumed run, the result of `read_resumable`.
        run_dir: the run folder, which must not exist unless the run is resumed.
        start: a preset, a run folder or packed weights to start from; None: random weights.
        resume: whether to resume from the last checkpoint in the run folder.
        require_gpu: whether to refuse to train on a CPU.
        devices: how many devices of this machine share each batch, or `"auto"` for all of its GPUs; None for one. Takes
            effect only before TensorFlow has computed anything.
        log: called with each line for the terminal; everything also goes to log.txt in the run folder.

    Returns:
        The run.

    Raises:
        InputError: the photos, the folder, the initial weights or the config cannot be used.
        MissingGpuError: a GPU is required, but there is none.
        ShiftNetError: a loss is not finite, the disk is full, or the checkpoints cannot be read.
    """
    device = _choose_device(require_gpu)
    photos, validation = photo_folder.open_photos(settings)
    if not settings.training.steps_per_epoch:  # once through the photos; stored, because they may be others on --resume
        steps = max(1, len(photos) // settings.training.batch_size)
        settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, steps_per_epoch=steps))
    _check_memory(settings)
    team = gather(devices)
    team.check(settings)
    try:
        with lost_workers_named(team):
            return _train(
                settings,
                Path(run_dir),
                team,
                photos=photos,
                validation=validation,
                device=device,
                start=start,
                resume=resume,
                log=log,
            )
    except tf.errors.OpError:
        for folder in (photos, *validation.values()):
            if folder.failure:
                raise folder.failure from None
        raise


def _train(
    settings: Config,
    folder: Path,
    team: Team,
    *,
    photos: PhotoFolder,
    validation: dict[str, PhotoFolder],
    device: str,
    start: str | os.PathLike[str] | None,
    resume: bool,
    log: Callable[[str], object],
) -> Run:
    """Train with a team of devices; only the chief writes to the run folder and logs."""
    chief = team.workers.is_chief
    measured = callbacks.Validation(validation, settings)
    own = callbacks.load_callbacks(settings.training.callbacks)  # before the run folder is created
    with team.strategy.scope():
        model = build(settings)
    begun = _load_start(start, model) if start else "random weights"
    run = Run(folder, settings) if resume or not chief else Run.create(folder, settings)
    team.wait()
    team.check_folder((folder / "config.toml").is_file(), folder)

    def tell(line: str, show: bool = True) -> None:
        if not chief:
            return
        if show:
            log(line)
        with open(run.path / "log.txt", "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} {line}\n")

    with locked(run.path, wait=False) if chief else contextlib.nullcontext():
        _describe(device, team, photos, validation, model, tell)
        inputs = _inputs_of(settings, photos, validation)
        if resume:
            for sentence in run_inputs.changes(run.path, inputs):
                tell(sentence)
        elif chief:
            run_inputs.write(run.path, inputs)
        if not resume:
            tell(f"starting from {begun}")
        _fit(
            model, run, team, photos=photos, validation=measured, own=own, resume=resume, started=bool(start), log=tell
        )
    tell(f"run folder: {run.path}")
    return run


def read_resumable(run_dir: str | os.PathLike[str], overrides: Sequence[str] = ()) -> Config:
    """Read the config of a run to resume.

    Args:
        run_dir: the run folder.
        overrides: `KEY=VALUE` each, with keys in RESUMABLE.

    Raises:
        InputError: it is not a run folder, or another key is given.
    """
    wrong = [item for item in overrides if item.partition("=")[0] not in RESUMABLE]
    if wrong:
        raise InputError(f"with --resume, --set can change only {', '.join(RESUMABLE)}. Received: {wrong[0]}")
    return toml_file.read(Run.open(run_dir).path / "config.toml", overrides)


def _choose_device(require_gpu: bool) -> str:
    """Return the device that TensorFlow trains on, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if require_gpu and not gpus:
        raise MissingGpuError(
            "a GPU is required, but TensorFlow finds none (TF_CPP_MIN_LOG_LEVEL=0 shows why): check `nvidia-smi`, and "
            'pip install "tensorflow[and-cuda]"'
        )
    return ", ".join(gpu.name for gpu in gpus) if gpus else "CPU (TensorFlow finds no GPU)"


def _check_memory(settings: Config) -> None:
    """Refuse a soft shift whose weights, for all pairs of positions, exceed the memory; other shifts need little."""
    model = settings.model
    if model.shift not in ("soft", "soft_fused"):
        return
    positions = [(model.image_size >> layer) ** 2 for layer in model.shift_layers]
    needed = settings.training.batch_size * sum(4 * count**2 for count in positions)
    there = total_memory()
    if there is not None and needed > there:
        raise InputError(
            f"the shift at layers {list(model.shift_layers)} of {model.image_size}x{model.image_size} pixels needs at "
            f"least {needed / 1e9:.0f} GB of memory, but there are only {there / 1e9:.0f} GB: use a later layer"
        )


def _load_start(folder: str | os.PathLike[str], model: ShiftNet) -> str:
    """Load the weights of another run, including a discriminator of the same kind; return a description."""
    start = Run.open(find_preset(folder))
    load_weights(model.generator, start.generator_weights)
    model.averaged_generator.set_weights(model.generator.get_weights())
    words = f"the weights of {folder}"
    if not start.discriminator_weights.is_file() or start.config.discriminator != model.config.discriminator:
        return f"{words}, with a random discriminator"
    load_weights(model.discriminator, start.discriminator_weights)
    return words


def _inputs_of(settings: Config, photos: PhotoFolder, validation: dict[str, PhotoFolder]) -> dict[str, Any]:
    """Return a summary of the run's inputs, for comparison when it is resumed."""
    files = {
        "photos": photos.paths,
        "validation photos": [path for folder in validation.values() for path in folder.paths],
        "masks": photo_folder.mask_sampler(settings).files,
        "validation masks": photo_folder.mask_sampler(settings, validation=True).files,
    }
    return run_inputs.summarize(settings.training.seed, files)


def _describe(
    device: str,
    team: Team,
    photos: PhotoFolder,
    validation: dict[str, PhotoFolder],
    model: ShiftNet,
    log: callbacks.Log,
) -> None:
    """Log what this run trains, on which device and with which photos."""
    log(f"device: {device}")
    if not team.is_alone:
        workers = f" of {len(team.workers.addresses)} workers" if team.workers.addresses else ""
        log(f"each batch is shared by {team.strategy.num_replicas_in_sync} devices{workers}")
    skipped = photos.skipped + [sentence for folder in validation.values() for sentence in folder.skipped]
    for sentence in skipped:
        log(f"skipped: {sentence}")
    sets = ", ".join(f"{len(folder)} for validation ({name})" for name, folder in validation.items())
    log(f"photos: {len(photos)} for training, {sets}, {len(skipped)} skipped")
    log(f"weights: generator {model.generator.count_params():,}, discriminator {model.discriminator.count_params():,}")
    words = {True: "on", False: "off"}
    log(
        f"XLA: {words[model.jit_compile and team.is_alone]}, precision: {keras.mixed_precision.dtype_policy().name}, "
        f"deterministic operations: {words[is_deterministic(model.config)]}"
    )


def _restore(saved: checkpoints.Checkpoints, model: ShiftNet, run: Run, team: Team, log: callbacks.Log) -> None:
    """Continue from the last checkpoint, with the learning rates and the metrics that belong to it."""
    settings, chief = run.config, team.workers.is_chief
    saved.restore(log, tidy=chief)
    team.wait()  # before the chief writes
    if settings.training.schedule == "constant":
        model.optimizer.learning_rate = settings.training.learning_rate  # otherwise the checkpoint's rate stays
        model.discriminator_optimizer.learning_rate = settings.discriminator_learning_rate
    if chief:
        checkpoints.cut_metrics(run.metrics, saved.epoch)


def _fit(
    model: ShiftNet,
    run: Run,
    team: Team,
    *,
    photos: PhotoFolder,
    validation: callbacks.Validation,
    own: list[keras.callbacks.Callback],
    resume: bool,
    started: bool,
    log: callbacks.Log,
) -> None:
    """Train to the last epoch of the config."""
    settings, chief, steps = run.config, team.workers.is_chief, run.config.training.steps_per_epoch
    saved = checkpoints.Checkpoints(run, model, steps)
    if resume:
        _restore(saved, model, run, team, log)
    elif started and chief:
        saved.save(0, 0)  # otherwise --resume could only start from random weights
    first, done, epochs = saved.epoch, saved.step, settings.training.epochs
    if first >= epochs:
        log(f"{first} epochs are done: pass --resume --set training.epochs=N to train up to epoch N")
        return
    stop = checkpoints.StopOnSignal(saved, team)
    shown: list[keras.callbacks.Callback] = [callbacks.StopOnBadLoss()]
    last: list[keras.callbacks.Callback] = [stop]
    if chief:
        run.write_config()
        progress = callbacks.Progress((epochs - first) * steps - done, epochs, log)
        pictures = callbacks.Pictures(run, next(iter(validation.datasets.values())), first)
        events = keras.callbacks.TensorBoard(run.events, write_graph=False)
        shown, last = [validation, *shown, progress, pictures, events, *own], [saved, stop]

    def fit_epochs(begin: int, end: int, begun: int = 0) -> None:
        log_file = [keras.callbacks.CSVLogger(run.metrics, append=resume or begin > first)] if chief else []
        sample = (begin * steps + begun) * settings.training.batch_size
        model.fit(
            team.distribute(functools.partial(dataset.training_dataset, photos, settings, sample)),
            initial_epoch=begin,
            epochs=end,
            steps_per_epoch=steps - begun,
            shuffle=False,
            verbose=0,
            # The checkpoint comes last: by then everything in it has been written elsewhere too.
            callbacks=[*shown, *log_file, *last],
        )

    with stop:
        if done:  # finish a partial epoch first: `fit` takes one number of steps for all epochs
            fit_epochs(first, first + 1, done)
            first += 1
        if first < epochs:
            fit_epochs(first, epochs)
    team.wait()  # until the chief has written everything
