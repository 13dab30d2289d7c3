"""The paper's section 5 on photos of one's own: trains its variants alike, measures them, prints table and picture.

    python training/ablation.py training/configs/paper_paris.toml --minutes 6 --out ablation \\
        --set data.photos=~/photos/train --set data.validation_photos=~/photos/val --images ~/photos/test

From the config's network, which has one shift connection: the shift one layer earlier and later, soft, random and none,
no guidance loss, the context encoder. All have the same seed and the same number of steps, which is not the config's
but what the main network does in the minutes given. Then, of the main network, each of the three features of the shift
connection is set to zero (its part of the next kernel is). Every variant is a run folder in OUT/runs; what is done
there already is not done again, so that an ablation that was stopped goes on with the same command. The results are
those of evaluate.py, in OUT/results.
"""

import argparse
import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

# The scripts that this one runs take the GPU, one after the other; itself it only copies weights.
import_tensorflow().config.set_visible_devices([], "GPU")

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, ShiftNetError, check, check_folder
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import locked, write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.training import dataset

SCRIPTS = Path(__file__).resolve().parent
STEPS = 200  # of an epoch
TIMED = 2  # epochs, of which the second is timed
FEATURES = ("decoder", "encoder", "shifted")  # in the order in which the shift connection joins them
BUDGET = ("training.epochs", "training.steps_per_epoch")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="TOML file of the main network")
    parser.add_argument("--minutes", type=float, required=True, help="of training, for each variant")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the runs and the results")
    parser.add_argument("--images", metavar="DIR", help="photos to measure on; default: those of validation")
    parser.add_argument("--masks", default="center", help="as for evaluate.py; default: center")
    parser.add_argument("--baselines", default="", help="as for evaluate.py")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.filters=16")
    options = parser.parse_args(arguments)
    check_folder("--out", options.out)
    check("--minutes", options.minutes, 0 < options.minutes < 1e6, "above 0 and below a million")
    for item in options.set:
        free = item.partition("=")[0].strip() not in BUDGET
        check("--set", item, free, f"of another key: {' and '.join(BUDGET)} follow from --minutes")
    return options


def variants_of(settings):
    """dict of name to the settings of `--set` in which a variant differs from the main network."""
    model = settings.model
    (layer,) = model.shift_layers if len(model.shift_layers) == 1 else (0,)
    check("model.shift", model.shift, model.shift == "hard", '"hard": the ablation puts others in its place')
    fits = 2 <= layer <= model.depth - 2
    must = f"one layer from 2 to {model.depth - 2}, for the ablation moves it"
    check("model.shift_layers", list(model.shift_layers), fits, must)
    return {
        "main": [],
        "no_guidance": ["losses.guidance=0"],
        f"shift_at_{model.image_size >> (layer - 1)}": [f"model.shift_layers=[{layer - 1}]"],
        f"shift_at_{model.image_size >> (layer + 1)}": [f"model.shift_layers=[{layer + 1}]"],
        "soft_shift": ["model.shift=soft"],
        "random_shift": ["model.shift=random"],
        "no_shift": ["model.shift_layers=[]"],
        "context_encoder": ["model.shift_layers=[]", "model.skips=false"],
    }


def run_script(name, arguments):
    """Runs a script of this folder, in a process of its own; its output goes where ours does."""
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), *map(str, arguments)]
    held = []  # signals that come while there is no process yet to send them to
    handlers = {number: signal.signal(number, lambda *_: held.append(1)) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command, start_new_session=True)  # signals reach it through us, each once
    for number, handler in handlers.items():
        signal.signal(number, handler)
    code, stopped = None, bool(held)
    if stopped:
        process.send_signal(signal.SIGINT)
    while code is None:
        try:
            code = process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)  # it writes a checkpoint; the second time it leaves at once
            stopped = True
    if stopped:
        raise KeyboardInterrupt
    if code:
        kind = InputError if code == InputError.exit_code else ShiftNetError
        raise kind(f"{name}.py ended with exit code {code}: see above; the same command goes on from here")


def train(config, folder, epochs, changes=()):
    """Trains a variant to so many epochs, from where it was left."""
    budget = f"training.epochs={epochs}"
    if (folder / "config.toml").is_file():
        run_script("train", ["--resume", "--run-dir", folder, "--set", budget])
        return
    settings = [*changes, f"training.steps_per_epoch={STEPS}", budget]
    run_script("train", [config, "--run-dir", folder, *(word for item in settings for word in ("--set", item))])


def epochs_in(minutes, out, config, folder):
    """How many epochs the main network does in this time: two are trained, the second is timed."""
    path = out / "budget.json"
    if path.is_file():
        try:
            budget = json.loads(path.read_text(encoding="utf-8"))
            begun, epochs = float(budget["minutes"]), int(budget["epochs"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is damaged: name a new --out, or delete it to time the steps anew") from error
        if begun != minutes:
            raise InputError(f"{out} was begun with --minutes {begun:g}: name a new --out")
        return epochs
    if (folder / "config.toml").is_file() and Run.open(folder).config.training.epochs > TIMED:
        raise InputError(f"{folder} is trained, and {path} is not there to tell how long: name a new --out")
    if folder.exists():  # stopped while it was timed
        with locked(folder, wait=False):
            shutil.rmtree(folder)
    train(config, folder, TIMED)
    first, second = (folder / "pictures" / f"epoch-000{i}.png" for i in (1, 2))
    seconds = second.stat().st_mtime - first.stat().st_mtime
    budget = {"minutes": minutes, "epochs": max(2, round(60 * minutes / seconds))}
    write_atomically(path, lambda part: part.write_text(json.dumps(budget) + "\n", encoding="utf-8"))
    return budget["epochs"]


def zero_features(main, runs):
    """Run folders of the main network without one of the features that its shift connection joins."""
    (layer,) = main.config.model.shift_layers
    folders = []
    for i, feature in enumerate(FEATURES):
        generator = main.load_generator()
        width = generator.decoder_ups[layer].filters
        kernel = generator.decoder_ups[layer - 1].kernel  # [2, 2, 3 * width, ...]
        values = kernel.numpy()
        values[:, :, i * width : (i + 1) * width] = 0
        kernel.assign(values)
        folders.append(runs / f"zero_{feature}")
        if not (folders[-1] / "config.toml").is_file():
            Run.create(folders[-1], main.config)
        write_atomically(Run.open(folders[-1]).generator_weights, generator.save_weights)
    return folders


def write_config(out, settings):
    """The main network's config with absolute paths; refuses to go on with another one."""
    path = out / "config.toml"
    if not path.is_file() and out.is_dir() and any(out.iterdir()):
        raise InputError(f"{out} already holds something else: name a new --out")
    if path.is_file() and toml_file.read(path) != settings:
        raise InputError(f"{out} holds the ablation of another config: name a new --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from error
    write_atomically(path, lambda part: part.write_text(toml_file.write_toml(settings), encoding="utf-8"))
    return path


def _stop(number, frame):
    raise KeyboardInterrupt


@command
def main(arguments=None):
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _stop)  # as Ctrl-C: what is being trained writes a checkpoint
    options = parse(arguments)
    settings = toml_file.read(options.config, options.set)
    variants = variants_of(settings)
    images = options.images or next(iter(settings.data.validation_photos), "")
    check("--images", images, images, "given, or `data.validation_photos`")
    check("data.photos", settings.data.photos, settings.data.photos, "given: --set data.photos=FOLDER")
    dataset.open_photos(settings)
    out = Path(options.out)
    baselines = ["--baselines", options.baselines] if options.baselines else []
    wanted = ["--images", images, "--masks", options.masks, "--size", settings.model.image_size, *baselines]
    run_script("evaluate", [*wanted, "--out", out / "results", "--check"])  # said now, not after the training
    config, runs = write_config(out, settings), out / "runs"
    epochs = epochs_in(options.minutes, out, config, runs / "main")
    for i, (name, changes) in enumerate(variants.items(), start=1):
        print(f"variant {i} of {len(variants)}: {name}, {epochs * STEPS} steps", flush=True)
        train(config, runs / name, epochs, changes)
    folders = [runs / name for name in variants] + zero_features(Run.open(runs / "main"), runs)
    run_script("evaluate", [*folders, *wanted, "--out", out / "results"])


if __name__ == "__main__":
    raise SystemExit(main())
