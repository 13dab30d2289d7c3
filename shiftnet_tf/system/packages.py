"""Installed packages: optional imports and version numbers."""

import importlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterable
from types import ModuleType

from shiftnet_tf import __version__
from shiftnet_tf.errors import MissingPackageError


def import_optional(module: str, package: str, needed_for: str) -> ModuleType:
    """Import an optional package on use.

    Args:
        module: the module to import, such as `"onnxruntime"`.
        package: the argument for `pip install`.
        needed_for: the purpose, for the message.

    Raises:
        MissingPackageError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the package is installed, but one of its dependencies is not: a different problem
        raise _missing(package, needed_for, package) from error


def check_installed(module: str, extra: str, needed_for: str) -> None:
    """Refuse to start without an optional package, before it is imported.

    Args:
        module: the module that will be imported, such as `"tensorflow"`; the package has the same name.
        extra: the extra of shiftnet-tf that contains it.
        needed_for: the purpose, for the message.

    Raises:
        MissingPackageError: the module is not installed.
    """
    if importlib.util.find_spec(module) is None:
        raise _missing(module, needed_for, f'"shiftnet-tf[{extra}]"')


def _missing(package: str, needed_for: str, install: str) -> MissingPackageError:
    return MissingPackageError(
        f"{needed_for} needs the package {package}, which is not installed: pip install {install}"
    )


def version(package: str) -> str | None:
    """Return the version of a package, named as for `pip install`, or None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions_of(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions that a run or an export was made with.

    Args:
        packages: names of packages, besides shiftnet_tf and Python.

    Returns:
        Version by package; packages that are not installed are left out.
    """
    versions = {"shiftnet_tf": __version__, "python": platform.python_version()}
    found = {package: version(package) for package in packages}
    return versions | {package: number for package, number in found.items() if number is not None}
