"""The run folder: everything that a training run produces, and that export and evaluation need.

config.toml               the whole config, with absolute paths of folders
versions.json             versions of the packages it ran with
inputs.json               counts and digests of the photos and masks it started with, and the seed: see run_inputs.py
log.txt, metrics.csv      the log; one row per epoch
events/, pictures/        for TensorBoard; a grid before the first step and after each epoch
checkpoints/              both networks, both optimizers, the epoch and the best score
generator.weights.h5      the best by validation: what export and evaluation load
discriminator.weights.h5  of the same epoch
"""

import dataclasses
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from shiftnet_tf.config import toml_file
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError
from shiftnet_tf.system.atomic import is_leftover, write_atomically
from shiftnet_tf.system.bundled import GENERATOR_WEIGHTS
from shiftnet_tf.system.packages import versions_of

if TYPE_CHECKING:
    from shiftnet_tf.networks import Generator

_PACKAGES = ("tensorflow", "keras", "numpy", "pillow")


@dataclasses.dataclass(frozen=True)
class Run:
    """A run folder and its config: `Run.create` for a new one, `Run.open` for an existing one."""

    path: Path
    config: Config

    @classmethod
    def create(cls, path: str | os.PathLike[str], run_config: Config) -> "Run":
        """Create the folder, with its config and versions.

        Raises:
            InputError: the folder is not empty, or cannot be created.
        """
        path = Path(path)
        # A run that was killed at its start leaves folders without files, or with unfinished ones only.
        if path.is_file() or any(item.is_file() and not is_leftover(item) for item in path.rglob("*")):
            raise InputError(f"{path} is not empty: choose a new run folder, or continue this run with --resume")
        run = cls(path, run_config)
        try:
            for folder in (run.path, run.pictures, run.checkpoints, run.events):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot create the run folder {path}: {error.strerror}") from error
        run.write_config()
        versions = versions_of(_PACKAGES) | {"platform": platform.platform()}
        run._write_text("versions.json", json.dumps(versions, indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> "Run":
        """Open a run folder.

        Raises:
            InputError: it is not a run folder, or its config cannot be read by this version.
        """
        path = Path(path)
        if not (path / "config.toml").is_file():
            raise InputError(f"not a run folder (it has no config.toml): {path}")
        return cls(path, toml_file.read(path / "config.toml"))

    def write_config(self) -> None:
        self._write_text("config.toml", toml_file.write_toml(self.config))

    def _write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, lambda part: part.write_text(text, encoding="utf-8"))

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def events(self) -> Path:
        return self.path / "events"

    @property
    def pictures(self) -> Path:
        return self.path / "pictures"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def generator_weights(self) -> Path:
        return self.path / GENERATOR_WEIGHTS

    @property
    def discriminator_weights(self) -> Path:
        return self.path / "discriminator.weights.h5"

    def load_generator(self, image_size: int | None = None) -> "Generator":
        """Return the trained `Generator`. Imports TensorFlow.

        Args:
            image_size: pixels; None: the training size. The weights fit any size.

        Raises:
            InputError: there are no weights yet, they belong to another network, or the image size does not fit.
        """
        from shiftnet_tf.networks import Generator

        return Generator.from_weights(self.config.model, self.generator_weights, image_size)
