"""Train a recipe, and the recipe without each of its parts, at once: `ablate`, for `training/ablation_torch.py`."""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.run import Config
from shiftnet_tf.photos import sheets
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.training.photo_folder import open_photos
from shiftnet_tf.training.pytorch import pretrained
from shiftnet_tf.training.pytorch.batches import Batches, draw_masks, read_all
from shiftnet_tf.training.pytorch.pretrained import EfficientNetLite
from shiftnet_tf.training.pytorch.recipe import check_config
from shiftnet_tf.training.pytorch.trainer import Trainer
from shiftnet_tf.training.pytorch.validation import fill_center, validate

_MASKS = 20_000
_KERNEL_AFTER_SHIFT = "decoder_ups/subpixel_upsampling_2/vars/0"  # its last third reads the shifted features
FEW_PHOTOS = "few-photos"
VARIANTS: dict[str, list[str]] = {
    "full": [],
    "no-perceptual": ["losses.perceptual=0"],
    "no-gan": ["losses.adversarial=0", "losses.feature_matching=0"],
    "no-guidance": ["losses.guidance=0"],
    "no-shift": ["losses.guidance=0"],
}
_Groups = list[tuple[Batches, dict[str, Trainer]]]  # batches, and the trainers by variant that learn from them


def read_variants(path: str, overrides: Sequence[str], few_photos: str | None = None) -> dict[str, Config]:
    """Return the config of each variant by its name.

    Args:
        path: TOML file of the whole recipe.
        overrides: `KEY=VALUE` each, for all variants.
        few_photos: folder with the photos of the variant FEW_PHOTOS; None: no such variant.

    Raises:
        InputError: the file or a setting cannot be used.
    """
    changes = dict(VARIANTS)
    if few_photos:
        changes[FEW_PHOTOS] = [f"data.photos={few_photos}", "data.held_out=", "data.validation_sets=[]"]
    return {name: toml_file.read(path, [*overrides, *items]) for name, items in changes.items()}


class WithoutShift(Trainer):
    """A trainer whose network never reads the shifted features."""

    def __init__(self, config: Config, start: Run, features: EfficientNetLite, batches: Batches, device: str) -> None:
        super().__init__(config, start, features, batches, device)
        self._cut()

    def _step(self) -> None:
        super()._step()
        self._cut()

    @torch.no_grad()
    def _cut(self) -> None:
        for weights in (self.generator, self.average):
            kernel = weights[_KERNEL_AFTER_SHIFT]
            kernel[2 * kernel.shape[0] // 3 :].zero_()


def ablate(
    config: Config,
    variants: dict[str, Config],
    start: str | os.PathLike[str],
    out: Path,
    *,
    steps: int,
    falling_steps: int,
    look_every: int,
    device: str,
) -> None:
    """Train variants of a recipe; print and write their losses and validation at each look, and their last fills.

    Args:
        config: the whole recipe, whose masks and validation photos all variants share.
        variants: configs by name, as from `read_variants`.
        start: the run folder or saved model that all start from.
        out: folder for results.json and a picture NAME.jpg of each variant.
        steps: steps of each variant.
        falling_steps: the last of them, in which the learning rates fall to 0.
        look_every: steps from one look to the next; the last step has one too.
        device: of PyTorch.

    Raises:
        InputError: the config, the photos or the initial weights cannot be used, or a loss is not finite.
        MissingPackageError: a package of pretrained features is not installed.
    """
    check_config(config)
    begin = Run.open(start)
    masks = draw_masks(config, _MASKS)
    measure = pretrained.load_features(2, device)
    held = {name: read_all(folder) for name, folder in open_photos(config)[1].items()}
    groups = _load_groups(variants, begin, masks, device)
    trainers = {name: trainer for _, members in groups for name, trainer in members.items()}
    results: dict[str, dict[int, object]] = {name: {} for name in variants}
    out.mkdir(parents=True, exist_ok=True)
    for step in _train(groups, steps, falling_steps, look_every):
        for name in variants:
            looks = {k: validate(trainers[name].average, v, measure, config, device) for k, v in held.items()}
            results[name][step] = {"losses": trainers[name].read_losses(), **looks}
            print(f"step {step} {name}", json.dumps(results[name][step]), flush=True)
        text = json.dumps(results, indent=1) + "\n"
        write_atomically(out / "results.json", functools.partial(Path.write_text, data=text, encoding="utf-8"))
    photos = [photo for images in held.values() for photo in images[:24]]
    for name, trainer in trainers.items():
        _draw_sheet([fill_center(trainer.average, photo, config, device)[1] for photo in photos], out / f"{name}.jpg")


def _load_groups(variants: dict[str, Config], start: Run, masks: np.ndarray, device: str) -> _Groups:
    """Load a trainer of each variant; those with the same photos share their batches."""
    features = pretrained.load_features(0, device)
    groups: dict[tuple[str, ...], tuple[Batches, dict[str, Trainer]]] = {}
    for name, config in variants.items():
        photos = tuple(config.data.photos)
        if photos not in groups:
            groups[photos] = Batches(read_all(open_photos(config)[0]), masks, config, device), {}
        batches, members = groups[photos]
        kind = WithoutShift if name == "no-shift" else Trainer
        members[name] = kind(config, start, features, batches, device)
    return list(groups.values())


def _train(groups: _Groups, steps: int, falling_steps: int, look_every: int) -> Iterator[int]:
    """Train all variants step by step, each in a stream of its own; yield the number of steps at each look."""
    trainers = [trainer for _, members in groups for trainer in members.values()]
    streams = {}
    for trainer in trainers:
        if trainer.device != "cpu":
            trainer.capture()
            streams[trainer] = torch.cuda.Stream()
    for step in range(1, steps + 1):
        for trainer in trainers:
            trainer.set_rates(step - 1, steps - falling_steps, falling_steps)
        for batches, members in groups:
            batches.draw()
            for trainer in members.values():
                if trainer.device == "cpu":
                    trainer.step()
                    continue
                streams[trainer].wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(streams[trainer]):
                    trainer.step()
        for stream in streams.values():
            torch.cuda.current_stream().wait_stream(stream)
        if step % look_every == 0 or step == steps:
            yield step


def _draw_sheet(filled: Iterable[torch.Tensor], path: Path) -> None:
    """Write the filled crops, float32 [1, 3, S, S] each in grey levels, as one picture with eight in a row."""
    pictures = [x[0].clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy() for x in filled]
    rows = [pictures[i : i + 8] for i in range(0, len(pictures), 8)]
    Image.fromarray(sheets.grid(rows)).save(path, quality=95)
