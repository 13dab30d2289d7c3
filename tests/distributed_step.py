"""One training step of one device and of two that share its batch, in one process: prints how far they are apart.

    python tests/distributed_step.py config.toml [KEY=VALUE ...]

The answer is JSON: `losses`, the largest relative difference; `moments`, the largest difference of Adam's first moments
over the largest of the same variable; `zeros`, the largest absolute difference of those of biases for which that is
above 1e-5: before a norm their true gradient is 0.
"""

import json
import sys

from shiftnet_tf.system.quiet import import_tensorflow

tf = import_tensorflow()

import numpy as np

from shiftnet_tf.config import toml_file
from shiftnet_tf.training import dataset, photo_folder
from shiftnet_tf.training.building import build
from shiftnet_tf.training.distribution import Team, Workers, gather


def one_step(team, settings, photos):
    """Losses, and Adam's first moments by the path of their variable."""
    with team.strategy.scope():
        model = build(settings)
    samples = team.distribute(lambda context=None: dataset.training_dataset(photos, settings, 0, context))
    history = model.fit(samples, epochs=1, steps_per_epoch=1, shuffle=False, verbose=0).history
    moments = {}
    for optimizer in (model.optimizer, model.discriminator_optimizer):
        for variable in optimizer.variables:
            if "momentum" in variable.path:
                moments[f"{optimizer is model.optimizer} {variable.path}"] = variable.numpy()
    return {name: values[0] for name, values in history.items()}, moments


def main():
    settings = toml_file.read(sys.argv[1], sys.argv[2:])
    photos, _ = photo_folder.open_photos(settings)
    two = gather(2)
    two.check(settings)
    answers = [one_step(team, settings, photos) for team in (two, Team(tf.distribute.get_strategy(), Workers()))]
    (losses, moments), (expected, expected_moments) = answers
    assert losses.keys() == expected.keys() and len(moments) == len(expected_moments) > 10
    found = {"losses": max(abs(losses[name] / value - 1) for name, value in expected.items()), "moments": 0, "zeros": 0}
    for moment, other in zip(moments.values(), expected_moments.values()):
        difference, largest = float(np.abs(moment - other).max()), float(np.abs(other).max())
        kind = "zeros" if moment.ndim == 1 and difference > 1e-5 * largest else "moments"
        found[kind] = max(found[kind], difference if kind == "zeros" else difference / max(largest, 1e-30))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
