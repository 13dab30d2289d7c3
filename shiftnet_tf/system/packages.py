"""Installed packages: optional imports and version numbers."""

import importlib
import importlib.metadata
import platform

from shiftnet_tf import __version__
from shiftnet_tf.errors import MissingPackageError


def import_optional(module, package, needed_for):
    """Imports an optional package on use.

    Args:
        module: str, what to import, for example ``"onnxruntime"``.
        package: str, what to give to `pip install`.
        needed_for: str, the purpose, for the message.

    Returns:
        The imported module.

    Raises:
        MissingPackageError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the package is there, something that it needs is not: that is another problem
        raise MissingPackageError(
            f"{needed_for} needs the package {package}, which is not installed: pip install {package}"
        ) from error


def version(package):
    """The version of an installed package.

    Args:
        package: str, as `pip install` takes it.

    Returns:
        str, or None.
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def versions_of(packages):
    """What a run or an export was made with.

    Args:
        packages: iterable of package names.

    Returns:
        dict of package to version; a package that is not installed under its own name is left out.
    """
    versions = {"shiftnet_tf": __version__, "python": platform.python_version()}
    found = {package: version(package) for package in packages}
    return versions | {package: number for package, number in found.items() if number is not None}
