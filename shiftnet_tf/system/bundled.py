"""Files that come with the package: inside it when installed from a wheel, else those of the checkout."""

import importlib.util
import os
import re
from pathlib import Path

from shiftnet_tf.errors import InputError, did_you_mean

_PACKAGE = Path(__file__).resolve().parent.parent
_IN_WHEEL = _PACKAGE / "bundled"  # created by setup.py, with the folders of the repository
ROOT = _IN_WHEEL if _IN_WHEEL.is_dir() else _PACKAGE.parent
GENERATOR_WEIGHTS = "generator.weights.h5"  # in a preset, as in a run folder
BUNDLED_MODEL = "compact"
_WEIGHTS_PACKAGE = "shiftnet_tf_compact"  # separate: as large as everything that runs the model
_NAME = re.compile(r"\w[\w-]*")


def find_bundled(path: str) -> Path | None:
    """Return a file or folder of the repository that comes with the package.

    Args:
        path: in the repository, such as `"saved_models/compact"`.

    Returns:
        Its path on this machine; None if the wheel does not contain it.
    """
    found = ROOT / path
    return found if found.exists() else None


def find_preset(preset: str | os.PathLike[str]) -> Path:
    """Return the folder of a preset, with its `config.toml` and weights.

    Args:
        preset: the name of bundled weights, such as `"compact"`, or the path of a run folder or of packed weights.
            Write a folder whose path is a single word with a dot: `"./compact"`.

    Raises:
        InputError: the name is neither that of bundled weights nor of a folder, or its weights are in a package,
            shiftnet-tf-compact, that is not installed.
    """
    folders = _preset_folders()
    if isinstance(preset, str) and preset in folders:
        return folders[preset]
    if preset == BUNDLED_MODEL and not Path(preset).exists():
        raise InputError(
            f"the weights of the preset {BUNDLED_MODEL!r} are not installed: pip install shiftnet-tf-compact, or pass "
            "the path of a folder"
        )
    _check_name(preset, "preset", sorted(folders), "the path of a folder")
    return Path(preset)


def _preset_folders() -> dict[str, Path]:
    folders = {path.parent.name: path.parent for path in ROOT.glob(f"saved_models/*/{GENERATOR_WEIGHTS}")}
    package = importlib.util.find_spec(_WEIGHTS_PACKAGE)
    if package and package.submodule_search_locations:
        folders.setdefault(BUNDLED_MODEL, Path(package.submodule_search_locations[0]))
    return folders


def find_config(config: str | os.PathLike[str]) -> Path:
    """Return the path of a config file.

    Args:
        config: the name of a config that comes with the package, such as `"compact"`, or the path of a TOML file.

    Raises:
        InputError: the name is neither that of a bundled config nor of a file.
    """
    names = config_names()
    if config in names:
        return ROOT / "training" / "configs" / f"{config}.toml"
    _check_name(config, "config", names, "the path of a TOML file")
    return Path(config)


def config_names() -> list[str]:
    """Return the names of the configs that come with the package."""
    return sorted(path.stem for path in ROOT.glob("training/configs/*.toml"))


def _check_name(given: str | os.PathLike[str], what: str, names: list[str], other: str) -> None:
    if isinstance(given, str) and _NAME.fullmatch(given) and not Path(given).exists():
        known = ", ".join(names) or "none"
        raise InputError(f"unknown {what} {given!r}{did_you_mean(given, names)}; choose one of {known}, or {other}")
