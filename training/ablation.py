"""Train the ablation variants of the paper's section 5 on your own photos, all alike, and measure them.

    python training/ablation.py training/configs/paper_paris.toml --out ablation --images ~/photos/test \\
        --set data.photos=~/photos/train --set data.validation_photos=~/photos/val --set training.epochs=24

The config's network must have one shift connection. Its variants: the shift one layer earlier and one layer later; soft
shift, random shift and no shift; no guidance loss; the context encoder. All use the config's seed and number of steps.
Then each of the three features of the main network's shift connection is zeroed in turn, by its part of the next
kernel. Every variant is a run folder in OUT/runs, and the same command resumes an interrupted ablation. OUT/results has
the results in the format of evaluate.py.
"""

import argparse
import dataclasses
from pathlib import Path

from shiftnet_tf.system.command import command
from shiftnet_tf.system.machine import keep_freed_memory
from shiftnet_tf.system.quiet import import_tensorflow

if __name__ == "__main__":
    keep_freed_memory()  # before TensorFlow starts its threads
import_tensorflow()

import keras

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, check, check_folder
from shiftnet_tf.evaluation import Samples, evaluate
from shiftnet_tf.evaluation.methods import open_methods
from shiftnet_tf.evaluation.report import check_inputs
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.training import photo_folder
from shiftnet_tf.training.fitting import fit

FEATURES = ("decoder", "encoder", "shifted")  # in the order in which the shift connection joins them


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="read the main network from this TOML file")
    parser.add_argument("--out", required=True, metavar="DIR", help="write the runs and the results to DIR")
    parser.add_argument("--images", metavar="DIR", help="measure on these photos (default: the validation photos)")
    parser.add_argument("--masks", default="center", help="use these masks, as in evaluate.py (default: center)")
    parser.add_argument("--baselines", default="", help="compare with these methods, as in evaluate.py (default: none)")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as model.filters=16 (repeatable)",
    )
    options = parser.parse_args(arguments)
    check_folder("--out", options.out)
    return options


def variants(model):
    """Return the settings of `--set` in which each variant differs from the main network, by the variant's name."""
    (layer,) = model.shift_layers if len(model.shift_layers) == 1 else (0,)
    check("model.shift", model.shift, model.shift == "hard", '"hard": the ablation replaces it')
    fits = 2 <= layer <= model.depth - 2
    must = f"a single layer from 2 to {model.depth - 2}: the ablation moves it by one"
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


def find_runs(configs, folder):
    """Return the configs of the variants that were begun; refuse those of another ablation."""
    begun = {name: Run.open(folder / name).config for name in configs if (folder / name / "config.toml").is_file()}
    for name, there in begun.items():
        training = configs[name].training
        if not training.steps_per_epoch:  # `fit` has put in the number of steps for the photos
            training = dataclasses.replace(training, steps_per_epoch=there.training.steps_per_epoch)
        if there != dataclasses.replace(configs[name], training=training):
            raise InputError(f"{folder / name} was started with another config: choose a new --out")
    return begun


def zero_feature(main, index, folder):
    """Write a run folder: the main network without one of the features that its shift connection joins."""
    (layer,) = main.config.model.shift_layers
    generator = main.load_generator()
    width = generator.decoder_ups[layer].filters
    kernel = generator.decoder_ups[layer - 1].kernel  # [2, 2, 3 * width, ...]
    values = kernel.numpy()
    values[:, :, index * width : (index + 1) * width] = 0
    kernel.assign(values)
    run = Run.open(folder) if (folder / "config.toml").is_file() else Run.create(folder, main.config)
    write_atomically(run.generator_weights, generator.save_weights)


@command
def main(arguments=None):
    options = parse(arguments)
    settings = toml_file.read(options.config, options.set)
    changes = variants(settings.model)
    images = options.images or next(iter(settings.data.validation_photos), "")
    check("--images", images, images, "given, unless `data.validation_photos` is")
    check("data.photos", settings.data.photos, settings.data.photos, "given: --set data.photos=FOLDER")
    photo_folder.open_photos(settings)
    out, runs = Path(options.out), Path(options.out) / "runs"
    samples = Samples(images=images, masks=options.masks, size=settings.model.image_size)
    baselines = [name for name in options.baselines.split(",") if name]
    open_methods(baselines=baselines)
    check_inputs(out / "results", samples)
    configs = {name: toml_file.read(options.config, [*options.set, *items]) for name, items in changes.items()}
    begun = find_runs(configs, runs)
    for i, (name, config) in enumerate(configs.items(), start=1):
        print(f"variant {i} of {len(configs)}: {name}", flush=True)
        fit(begun.get(name, config), runs / name, resume=name in begun)
        keras.utils.clear_session()
    for i, feature in enumerate(FEATURES):
        zero_feature(Run.open(runs / "main"), i, runs / f"zero_{feature}")
    folders = [runs / name for name in (*configs, *(f"zero_{feature}" for feature in FEATURES))]
    evaluate(out / "results", samples, folders, baselines=baselines)


if __name__ == "__main__":
    raise SystemExit(main())
