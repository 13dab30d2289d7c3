"""What a person did that cannot work, said in one sentence; nothing else is caught."""

import functools
import importlib
import sys


class InputError(ValueError):
    """Bad input from outside: a file, a value, a folder. Its text is for the person who gave it."""

    exit_code = 2


class MissingPackageError(InputError, ImportError):
    """An optional package is not installed. The text holds the `pip install` line."""


class MissingGpuError(InputError):
    """A GPU was asked for and there is none that works."""

    exit_code = 3


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
        if error.name and not module.startswith(error.name):
            raise  # the package is there, something that it needs is not: that is another problem
        raise MissingPackageError(
            f"{needed_for} needs the package {package}, which is not installed: pip install {package}"
        ) from error


def command(main):
    """Makes a script's `main` end with one sentence on stderr and the error's exit code on an `InputError`.

    Args:
        main: function of the argument list that returns None or an exit code.

    Returns:
        A function of the same signature that returns the exit code.
    """

    @functools.wraps(main)
    def run(arguments=None):
        try:
            return main(arguments) or 0
        except InputError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code

    return run
