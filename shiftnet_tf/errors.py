"""Errors shown to the user, their exit codes, and checks that raise them."""


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
