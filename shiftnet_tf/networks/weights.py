"""Load weight files into networks."""

from pathlib import Path

import keras

from shiftnet_tf.errors import InputError, first_line


def load_weights(network: keras.Model, path: Path) -> None:
    """Load a file of weights into a built network.

    Raises:
        InputError: the file does not exist, or contains the weights of another network.
    """
    if not path.is_file():
        raise InputError(f"the run has no {path.name} yet: {path.parent}")
    try:
        network.load_weights(path)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} does not fit the network: {first_line(error)}") from error
