"""The ablation of the paper's section 5: `ablate`, which `training/ablation.py` calls."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import keras

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.evaluation.methods import open_methods
from shiftnet_tf.evaluation.report import check_inputs, evaluate
from shiftnet_tf.evaluation.samples import Samples
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.training import photo_folder
from shiftnet_tf.training.fitting import fit

FEATURES = ("decoder", "encoder", "shifted")  # in the order in which the shift connection joins them


def ablate(
    config: str | os.PathLike[str],
    overrides: Sequence[str],
    out: str | os.PathLike[str],
    *,
    images: str | None = None,
    masks: str = "center",
    baselines: Sequence[str] = (),
) -> None:
    """Train the variants of a network, zero each feature of its shift connection, and measure them all.

    Args:
        config: TOML file of the main network.
        overrides: `KEY=VALUE` each, for all variants.
        out: folder for the runs, in runs/, and the table, in results/; an interrupted ablation there is resumed.
        images: photos to measure on; None: the first validation photos of the config.
        masks: see `Samples`.
        baselines: other methods to measure, see `methods.open_methods`.

    Raises:
        InputError: the config is of no such network, the photos cannot be used, or `out` has another ablation.
        ShiftNetError: a training failed, see `fit`.
    """
    settings = toml_file.read(config, overrides)
    changes = variants(settings.model)
    images = images or next(iter(settings.data.validation_photos), "")
    check("--images", images, images, "given, unless `data.validation_photos` is")
    check("data.photos", settings.data.photos, settings.data.photos, "given: --set data.photos=FOLDER")
    photo_folder.open_photos(settings)
    runs, results = Path(out) / "runs", Path(out) / "results"
    samples = Samples(images=images, masks=masks, size=settings.model.image_size)
    open_methods(baselines=baselines)
    check_inputs(results, samples)
    configs = {name: toml_file.read(config, [*overrides, *items]) for name, items in changes.items()}
    begun = _find_runs(configs, runs)
    for i, (name, variant) in enumerate(configs.items(), start=1):
        print(f"variant {i} of {len(configs)}: {name}", flush=True)
        fit(begun.get(name, variant), runs / name, resume=name in begun)
        keras.utils.clear_session()
    for i, feature in enumerate(FEATURES):
        _zero_feature(Run.open(runs / "main"), i, runs / f"zero_{feature}")
    folders = [runs / name for name in (*configs, *(f"zero_{feature}" for feature in FEATURES))]
    evaluate(results, samples, folders, baselines=baselines)


def variants(model: ModelConfig) -> dict[str, list[str]]:
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


def _find_runs(configs: dict[str, Config], folder: Path) -> dict[str, Config]:
    """Return the configs of the variants that were begun; refuse those of another ablation."""
    begun = {name: Run.open(folder / name).config for name in configs if (folder / name / "config.toml").is_file()}
    for name, there in begun.items():
        training = configs[name].training
        if not training.steps_per_epoch:  # `fit` has put in the number of steps for the photos
            training = dataclasses.replace(training, steps_per_epoch=there.training.steps_per_epoch)
        if there != dataclasses.replace(configs[name], training=training):
            raise InputError(f"{folder / name} was started with another config: choose a new --out")
    return begun


def _zero_feature(main: Run, index: int, folder: Path) -> None:
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
