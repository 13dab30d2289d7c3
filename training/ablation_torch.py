"""Train a recipe, and the recipe without each of its parts, at once on one GPU: what is each part worth?

    python training/ablation_torch.py training/configs/compact.toml --from saved_models/compact --out ablation \\
        --set 'data.photos=["photos/train", "photos/more"]' --few-photos photos/train --set training.batch_size=4

Variants: the whole recipe; without the perceptual loss; without the GAN (adversarial loss and feature matching);
without guidance; without the shift connection (the kernel's part for shifted features stays 0: a plain U-Net); with
only the photos of `--few-photos`. All start from the same weights, and all but the last see the same crops and masks in
the same order. The learning rates decay to 0 over the last steps, as in train_torch.py. OUT/results.json has hole PSNR
and deep distance of the validation photos (centre hole) at each validation; OUT/NAME.jpg shows their final fills.
"""

import argparse
import contextlib
import json
from pathlib import Path

import torch
from PIL import Image

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.photos import sheets
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.training import torch_trainer, torch_twin
from shiftnet_tf.training.photo_folder import open_photos
from shiftnet_tf.training.torch_trainer import Batches, Trainer, draw_masks, fill_center, read_all, validate

_MASKS = 20_000
_KERNEL_AFTER_SHIFT = "decoder_ups/subpixel_upsampling_2/vars/0"  # its last third reads the shifted features
_FEW_PHOTOS = "few-photos"
VARIANTS = {
    "full": [],
    "no-perceptual": ["losses.perceptual=0"],
    "no-gan": ["losses.adversarial=0", "losses.feature_matching=0"],
    "no-guidance": ["losses.guidance=0"],
    "no-shift": ["losses.guidance=0"],
}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    torch_trainer.add_arguments(parser, look_every=3_000)
    parser.add_argument("--out", required=True, metavar="DIR", help="write the results to this folder")
    parser.add_argument("--few-photos", metavar="DIR", help="also train on these photos alone (default: no)")
    parser.add_argument(
        "--steps", type=int, default=6_000, metavar="N", help="train each variant for N steps (default: %(default)s)"
    )
    parser.add_argument(
        "--falling-steps",
        type=int,
        default=1_500,
        metavar="N",
        help="lower the rates over the last N (default: %(default)s)",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=[*VARIANTS, _FEW_PHOTOS],
        help="train only this variant, for example to share them between processes; repeat for several (default: all)",
    )
    options = torch_trainer.parse(parser, arguments)
    check_folder("--out", options.out)
    if _FEW_PHOTOS in (options.only or []) and not options.few_photos:
        raise InputError(f"--only {_FEW_PHOTOS} needs --few-photos: give its folder")
    return options


class WithoutShift(Trainer):
    """A trainer whose network never reads the shifted features."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._cut()

    def _step(self):
        super()._step()
        self._cut()

    @torch.no_grad()
    def _cut(self):
        for weights in (self.generator, self.average):
            kernel = weights[_KERNEL_AFTER_SHIFT]
            kernel[2 * kernel.shape[0] // 3 :].zero_()


def train(groups, options):
    """Train all variants step by step, each in a stream of its own; yield the number of steps at each look.

    Args:
        groups: list of (Batches, list of Trainer that learn from them).
        options: `parse`'s.
    """
    gpu = options.device != "cpu"
    trainers = [trainer for _, members in groups for trainer in members]
    if gpu:
        for trainer in trainers:
            trainer.capture()
    streams = {trainer: torch.cuda.Stream() if gpu else None for trainer in trainers}
    for step in range(options.steps):
        for trainer in trainers:
            trainer.set_rates(step, options.steps - options.falling_steps, options.falling_steps)
        for batches, members in groups:
            batches.draw()
            for trainer in members:
                if gpu:
                    streams[trainer].wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(streams[trainer]) if gpu else contextlib.nullcontext():
                    trainer.step()
        if gpu:
            for stream in streams.values():
                torch.cuda.current_stream().wait_stream(stream)
        if (step + 1) % options.look_every == 0 or step + 1 == options.steps:
            yield step + 1


@command
def main(arguments=None):
    options = parse(arguments)
    variants = {name: toml_file.read(options.config, [*options.set, *items]) for name, items in VARIANTS.items()}
    if options.few_photos:
        items = [f"data.photos={options.few_photos}", "data.held_out=", "data.validation_sets=[]"]
        variants[_FEW_PHOTOS] = toml_file.read(options.config, [*options.set, *items])
    config = variants["full"]
    torch_twin.check_config(config)
    variants = {name: x for name, x in variants.items() if name in (options.only or variants)}
    start, out = Run.open(options.start), Path(options.out)
    masks = draw_masks(config, _MASKS)
    features, measure = (torch_twin.load_features(number, options.device) for number in (0, 2))
    held = {name: read_all(folder) for name, folder in open_photos(config)[1].items()}
    batches, trainers = {}, {}
    for name, settings in variants.items():
        photos = tuple(settings.data.photos)
        if photos not in batches:
            batches[photos] = Batches(read_all(open_photos(settings)[0]), masks, settings, options.device), []
        networks = (torch_twin.read_weights(x) for x in (start.generator_weights, start.discriminator_weights))
        kind = WithoutShift if name == "no-shift" else Trainer
        trainers[name] = kind(settings, *networks, features, batches[photos][0], options.device)
        batches[photos][1].append(trainers[name])
    results = {name: {} for name in variants}
    out.mkdir(parents=True, exist_ok=True)
    for step in train(list(batches.values()), options):
        for name, trainer in trainers.items():
            looks = {k: validate(trainer.average, v, measure, config, options.device) for k, v in held.items()}
            results[name][step] = {"losses": trainer.read_losses(), **looks}
            print(f"step {step} {name}", json.dumps(results[name][step]), flush=True)
        text = json.dumps(results, indent=1) + "\n"
        write_atomically(out / "results.json", lambda path, text=text: path.write_text(text, "utf-8"))
    for name, trainer in trainers.items():
        photos = [photo for images in held.values() for photo in images[:24]]
        filled = [fill_center(trainer.average, photo, config, options.device)[1] for photo in photos]
        pictures = [x[0].clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy() for x in filled]
        rows = [pictures[i : i + 8] for i in range(0, len(pictures), 8)]
        Image.fromarray(sheets.grid(rows)).save(out / f"{name}.jpg", quality=95)


if __name__ == "__main__":
    raise SystemExit(main())
