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
from pathlib import Path

from shiftnet_tf.errors import InputError, check_folder
from shiftnet_tf.system.command import command
from shiftnet_tf.training.pytorch import arguments as shared
from shiftnet_tf.training.pytorch.ablation import FEW_PHOTOS, VARIANTS, ablate, read_variants


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared.add_arguments(parser, look_every=3_000)
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
        choices=[*VARIANTS, FEW_PHOTOS],
        help="train only this variant, for example to share them between processes; repeat for several (default: all)",
    )
    options = shared.parse(parser, arguments)
    check_folder("--out", options.out)
    if FEW_PHOTOS in (options.only or []) and not options.few_photos:
        raise InputError(f"--only {FEW_PHOTOS} needs --few-photos: give its folder")
    return options


@command
def main(arguments=None):
    options = parse(arguments)
    variants = read_variants(options.config, options.set, options.few_photos)
    ablate(
        variants["full"],
        {name: variants[name] for name in variants if name in (options.only or variants)},
        options.start,
        Path(options.out),
        steps=options.steps,
        falling_steps=options.falling_steps,
        look_every=options.look_every,
        device=options.device,
    )


if __name__ == "__main__":
    raise SystemExit(main())
