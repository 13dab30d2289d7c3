"""Trains Shift-Net: a config and a run folder in, a run folder out.

    python training/train.py                                   # the demo, on the photos of this repository
    python training/train.py training/configs/compact.toml --set data.photos=~/photos
    python training/train.py --resume --run-dir runs/compact-20261122T120000Z

Each run has all it leaves in its folder, see shiftnet_tf/run_folder.py.
"""

import argparse
import dataclasses
import datetime
from pathlib import Path

from shiftnet_tf.system.machine import keep_freed_memory
from shiftnet_tf.system.quiet import import_tensorflow

keep_freed_memory()  # before TensorFlow starts its threads
tf = import_tensorflow()

import keras

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, MissingGpuError, check
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import locked
from shiftnet_tf.system.command import command
from shiftnet_tf.system.machine import total_memory
from shiftnet_tf.training import callbacks, checkpoints, dataset, run_inputs
from shiftnet_tf.training.building import build, is_deterministic

ROOT = Path(__file__).resolve().parent.parent
RESUMABLE = ("training.epochs", "training.learning_rate", "training.discriminator_learning_rate")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", nargs="?", help="TOML file; default: training/configs/demo.toml")
    parser.add_argument("--run-dir", help="folder of the run; default: runs/<config>-<UTC time>")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as training.epochs=5")
    parser.add_argument("--from", dest="start", metavar="DIR", help="begin with the weights of this run or saved model")
    parser.add_argument("--resume", action="store_true", help="go on with --run-dir from its last checkpoint")
    parser.add_argument("--require-gpu", action="store_true", help="end with exit code 3 where there is no GPU")
    options = parser.parse_args(arguments)
    for name, value in (("--run-dir", options.run_dir), ("--from", options.start)):
        check(name, value, value != "", "the name of a folder")
    if options.resume and options.start:
        raise InputError("--resume has the weights of its checkpoint: give no --from")
    if options.resume and (options.config or not options.run_dir):
        raise InputError("--resume takes the config from the run folder: give --run-dir and no config")
    return options


def read_settings(options):
    """The config of this run and where its folder is; nothing is written yet."""
    if options.resume:
        wrong = [item for item in options.set if item.partition("=")[0] not in RESUMABLE]
        if wrong:
            raise InputError(f"--resume lets only {' and '.join(RESUMABLE)} be set anew. Received: {wrong[0]}")
        run = Run.open(options.run_dir)
        return toml_file.read(run.path / "config.toml", options.set), run.path
    source = Path(options.config or ROOT / "training" / "configs" / "demo.toml")
    settings = toml_file.read(source, options.set)
    if not settings.data.photos:
        raise InputError(f"{source} names no photos: give --set data.photos=FOLDER")
    time = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    return settings, Path(options.run_dir or ROOT / "runs" / f"{source.stem}-{time}")


def choose_device(require_gpu):
    """Which device TensorFlow trains on, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if require_gpu and not gpus:
        raise MissingGpuError(
            "--require-gpu: TensorFlow finds no GPU (TF_CPP_MIN_LOG_LEVEL=0 shows why). Check `nvidia-smi`, and "
            'install with: pip install "tensorflow[and-cuda]"'
        )
    return ", ".join(gpu.name for gpu in gpus) if gpus else "CPU (TensorFlow finds no GPU)"


def check_memory(settings):
    """Refuses a soft shift whose weights, of all positions for all, take more memory than there is; others need few."""
    model = settings.model
    if model.shift not in ("soft", "soft_fused"):
        return
    positions = [(model.image_size >> layer) ** 2 for layer in model.shift_layers]
    needed = settings.training.batch_size * sum(4 * count**2 for count in positions)
    there = total_memory()
    if there is not None and needed > there:
        raise InputError(
            f"the shift at layers {list(model.shift_layers)} of {model.image_size}x{model.image_size} pixels needs at "
            f"least {needed / 1e9:.0f} GB of memory, and there are {there / 1e9:.0f}: take a later layer"
        )


def load_start(folder, model):
    """Gives the model the weights of another run, its discriminator's if it is of the same kind; says what it did."""
    start = Run.open(folder)
    start.load_weights(model.generator, start.generator_weights)
    model.averaged_generator.set_weights(model.generator.get_weights())
    words = f"with the weights of {folder}"
    if not start.discriminator_weights.is_file() or start.config.discriminator != model.config.discriminator:
        return f"{words}, the discriminator with random ones"
    start.load_weights(model.discriminator, start.discriminator_weights)
    return words


def inputs_of(settings, photos, validation):
    """What the run trains on, to be compared when it is resumed."""
    files = {
        "photos": photos.paths,
        "validation photos": [path for folder in validation.values() for path in folder.paths],
        "masks": dataset.mask_sampler(settings).files,
        "validation masks": dataset.mask_sampler(settings, validation=True).files,
    }
    return run_inputs.summarize(settings.training.seed, files)


def describe(device, photos, validation, model, log):
    """Says what this run trains, on what and with what."""
    log(f"device: {device}")
    skipped = photos.skipped + [sentence for folder in validation.values() for sentence in folder.skipped]
    for sentence in skipped:
        log(f"skipped: {sentence}")
    sets = ", ".join(f"{len(folder)} to validate with ({name})" for name, folder in validation.items())
    log(f"photos: {len(photos)} to train on, {sets}, {len(skipped)} skipped")
    log(f"weights: generator {model.generator.count_params():,}, discriminator {model.discriminator.count_params():,}")
    words = {True: "on", False: "off"}
    log(
        f"XLA: {words[model.jit_compile]}, precision: {keras.mixed_precision.dtype_policy().name}, "
        f"deterministic operations: {words[is_deterministic(model.config)]}"
    )


def fit(model, run, photos, validation, options, log):
    """Trains to the last epoch of the config."""
    settings = run.config
    steps = settings.training.steps_per_epoch
    saved = checkpoints.Checkpoints(run, model, steps)
    if options.resume:
        saved.restore(log)
        if settings.training.schedule == "constant":
            model.optimizer.learning_rate = settings.training.learning_rate  # else the checkpoint's stays
            model.discriminator_optimizer.learning_rate = settings.discriminator_learning_rate
        checkpoints.cut_metrics(run.metrics, saved.epoch)
    elif options.start:
        saved.save(0, 0)  # else --resume could only begin with random weights
    first, done, epochs = saved.epoch, saved.step, settings.training.epochs
    if first >= epochs:
        log(f"{first} epochs are done; --resume --set training.epochs=N goes on to N")
        return
    run.write_config()
    shown = [
        validation,
        callbacks.StopOnBadLoss(),
        callbacks.Progress((epochs - first) * steps - done, epochs, log),
        callbacks.Pictures(run, next(iter(validation.datasets.values())), first),
        keras.callbacks.TensorBoard(run.events, write_graph=False),
    ]

    def fit_epochs(begin, end, begun=0):
        model.fit(
            dataset.training_dataset(photos, settings, (begin * steps + begun) * settings.training.batch_size),
            initial_epoch=begin,
            epochs=end,
            steps_per_epoch=steps - begun,
            shuffle=False,
            verbose=0,
            # The checkpoint comes after all that shows: what it holds has by then been written everywhere else.
            callbacks=[
                *shown,
                keras.callbacks.CSVLogger(run.metrics, append=options.resume or begin > first),
                saved,
                stop,
            ],
        )

    with checkpoints.StopOnSignal(saved) as stop:
        if done:  # an epoch that was left in the middle is ended first: `fit` has one number of steps for all
            fit_epochs(first, first + 1, done)
            first += 1
        if first < epochs:
            fit_epochs(first, epochs)


@command
def main(arguments=None):
    options = parse(arguments)
    settings, folder = read_settings(options)
    device = choose_device(options.require_gpu)
    photos, validation = dataset.open_photos(settings)
    if not settings.training.steps_per_epoch:  # once through the photos: kept, for they may be others on --resume
        steps = max(1, len(photos) // settings.training.batch_size)
        settings = dataclasses.replace(settings, training=dataclasses.replace(settings.training, steps_per_epoch=steps))
    check_memory(settings)
    measured = callbacks.Validation(validation, settings)
    model = build(settings)
    start = load_start(options.start, model) if options.start else "with random weights"
    run = Run(folder, settings) if options.resume else Run.create(folder, settings)

    def log(line, show=True):
        if show:
            print(line, flush=True)
        with open(run.path / "log.txt", "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} {line}\n")

    try:
        with locked(run.path, wait=False):
            describe(device, photos, validation, model, log)
            inputs = inputs_of(settings, photos, validation)
            if options.resume:
                for sentence in run_inputs.changes(run.path, inputs):
                    log(sentence)
            else:
                run_inputs.write(run.path, inputs)
                log(f"begins {start}")
            fit(model, run, photos, measured, options, log)
    except tf.errors.OpError:
        for folder in (photos, *validation.values()):
            if folder.failure:
                raise folder.failure from None
        raise
    log(f"run folder: {run.path}")


if __name__ == "__main__":
    raise SystemExit(main())
