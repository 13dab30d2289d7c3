"""What ends a command with one sentence instead of a traceback; nothing else is caught."""

import functools
import importlib
import os
import sys


class ShiftNetError(Exception):
    """Its text is for the person at the command line, who also gets `exit_code`."""

    exit_code = 1


class InputError(ShiftNetError, ValueError):
    """Bad input from outside: a file, a value, a folder."""

    exit_code = 2


class TooLargeError(InputError):
    """More pixels than are accepted."""


class UnwritableError(InputError):
    """A picture that its format cannot hold."""


class MissingPackageError(InputError, ImportError):
    """An optional package is not installed. The text holds the `pip install` line."""


class MissingGpuError(ShiftNetError):
    """A GPU was asked for and there is none that works."""

    exit_code = 3


class ExportError(ShiftNetError):
    """A conversion failed, or its file does not compute what the Keras model computes."""


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


def check(name, value, holds, must):
    """Refuses a value.

    Args:
        name: str, as the person who gave it knows it.
        value: what came.
        holds: whether it is accepted.
        must: str, what it must be.

    Raises:
        InputError: it is not.
    """
    if not holds:
        raise InputError(f"`{name}` must be {must}. Received: {value!r}")


def check_folder(name, value):
    """Refuses what is no name of a folder to write to: nothing, or what was meant as an option.

    Args:
        name: str, of the argument.
        value: str.

    Raises:
        InputError: it is not.
    """
    check(name, value, value and not value.startswith("-"), "the name of a folder")


def first_line(error):
    """The first line of an error's text: libraries go on for many.

    Args:
        error: Exception.

    Returns:
        str.
    """
    return (str(error).strip() or repr(error)).splitlines()[0]


def command(main):
    """Makes a script's `main` end with one sentence on stderr and the error's exit code, 130 on Ctrl-C.

    What the system refuses (OSError: a name too long, a full disk, no permission) is such a sentence too.

    Args:
        main: function of the argument list that returns None or an exit code.

    Returns:
        A function of the same signature that returns the exit code.
    """

    @functools.wraps(main)
    def run(arguments=None):
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal cannot show
        try:
            return main(arguments) or 0
        except ShiftNetError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # whoever read us has gone: `| head`
            return 0
        except OSError as error:
            print(f"error: {error}", file=sys.stderr)
            return InputError.exit_code
        except MemoryError:
            print("error: there is not enough memory", file=sys.stderr)
            return ShiftNetError.exit_code
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)
            return 130

    return run
