"""Train from a config to a run folder: `fit`, which `training/train_torch.py` calls."""

import json
import os

from shiftnet_tf.config.run import Config
from shiftnet_tf.run_folder import Run
from shiftnet_tf.training.photo_folder import open_photos
from shiftnet_tf.training.pytorch import pretrained
from shiftnet_tf.training.pytorch.batches import Batches, draw_masks, read_all
from shiftnet_tf.training.pytorch.recipe import check_config
from shiftnet_tf.training.pytorch.trainer import Trainer
from shiftnet_tf.training.pytorch.validation import validate

_MASKS = 40_000  # drawn before the first step; each is used mirrored half the time


def fit(
    config: Config,
    start: str | os.PathLike[str],
    run_dir: str | os.PathLike[str],
    *,
    steps: int,
    falling_steps: int,
    look_every: int,
    device: str,
) -> Run:
    """Train at the config's learning rates, then at falling ones; print losses and validation at each look.

    Args:
        config: the recipe.
        start: a run folder or saved model to start from.
        run_dir: the run folder, which must not exist; each look saves the weights there.
        steps: steps at a constant rate.
        falling_steps: more steps, in which the rates fall to 0.
        look_every: steps from one look to the next; the last step has one too.
        device: of PyTorch.

    Returns:
        The run.

    Raises:
        InputError: the config, the photos, the initial weights or the folder cannot be used, or a loss is not finite.
        MissingPackageError: a package of pretrained features is not installed.
    """
    check_config(config)
    begin = Run.open(start)
    photos, held = open_photos(config)
    masks = draw_masks(config, _MASKS)
    features, measure = (pretrained.load_features(number, device) for number in (0, 2))
    validation = {name: read_all(folder) for name, folder in held.items()}
    run = Run.create(run_dir, config)
    batches = Batches(read_all(photos), masks, config, device)
    trainer = Trainer(config, begin, features, batches, device)
    print(f"{len(photos)} photos, {len(masks)} masks", flush=True)
    if device != "cpu":
        trainer.capture()
    last = steps + falling_steps
    for step in range(1, last + 1):
        trainer.set_rates(step - 1, steps, falling_steps)
        batches.draw()
        trainer.step()
        if step % look_every == 0 or step == last:
            looks = {k: validate(trainer.average, v, measure, config, device) for k, v in validation.items()}
            print(f"step {step}", json.dumps(trainer.read_losses()), json.dumps(looks), flush=True)
            trainer.save(run)
    return run
