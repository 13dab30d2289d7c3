"""Errors shown to the user, their exit codes, and checks that raise them."""

import difflib
import typing
from collections.abc import Iterable


class ShiftNetError(Exception):
    """An error whose message the user sees; a command ends with its `exit_code`."""

    exit_code: int = 1


class InputError(ShiftNetError, ValueError):
    """Invalid input: a file, a value, a folder."""

    exit_code = 2


class TooLargeError(InputError):
    """Input above a size limit."""


class UnwritableError(InputError):
    """An image that its format cannot store."""


class MissingPackageError(InputError, ImportError):
    """An optional package is not installed. The message contains the `pip install` line."""


class MissingGpuError(ShiftNetError):
    """A GPU was requested, but none works."""

    exit_code = 3


class ExportError(ShiftNetError):
    """A conversion failed, or its file does not compute the same as the Keras model."""


def check(name: str, value: object, holds: object, must: str) -> None:
    """Refuse an invalid value.

    Args:
        name: the setting's name as the user knows it.
        value: what was received.
        holds: true if the value is accepted.
        must: what the value must be, to complete the message.

    Raises:
        InputError: `holds` is false.
    """
    if not holds:
        raise InputError(f"`{name}` must be {must}. Received: {value!r}")


def check_choices(settings: object, section: str = "") -> None:
    """Refuse values of a dataclass that are not listed in the `Literal` type of their field.

    Args:
        settings: the dataclass.
        section: prefix of its fields for the user, such as `"model."`.

    Raises:
        InputError: a value is not listed.
    """
    for name, kind in typing.get_type_hints(type(settings)).items():
        if typing.get_origin(kind) is typing.Literal:
            value, choices = getattr(settings, name), typing.get_args(kind)
            check(section + name, value, value in choices, f"one of {', '.join(choices)}")


def check_folder(name: str, value: str) -> None:
    """Refuse the name of an output folder that is empty or looks like an option.

    Args:
        name: the argument's name.
        value: the folder's name.

    Raises:
        InputError: it is empty or begins with `-`.
    """
    check(name, value, value and not value.startswith("-"), "the name of a folder")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a suggestion for an unknown word, such as `", did you mean 'serve'?"`; "" if there is none."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text; libraries' errors may have many."""
    return (str(error).strip() or repr(error)).splitlines()[0]
