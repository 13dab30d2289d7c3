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

from shiftnet_tf.system.command import command
from shiftnet_tf.system.machine import keep_freed_memory
from shiftnet_tf.system.quiet import import_tensorflow

if __name__ == "__main__":
    keep_freed_memory()  # before TensorFlow starts its threads
import_tensorflow()

from shiftnet_tf.errors import check_folder
from shiftnet_tf.evaluation.ablation import ablate


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


@command
def main(arguments=None):
    options = parse(arguments)
    ablate(
        options.config,
        options.set,
        options.out,
        images=options.images,
        masks=options.masks,
        baselines=[name for name in options.baselines.split(",") if name],
    )


if __name__ == "__main__":
    raise SystemExit(main())
