"""The end of a command: an exit code, and one sentence on stderr for each error that the user can correct."""

import contextlib
import functools
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from shiftnet_tf.errors import InputError, ShiftNetError

BUG = 70  # the exit code of an internal error, EX_SOFTWARE in sysexits.h


class Command(Protocol):
    """The `main` of a script: takes the argument list (None: that of the process) and returns the exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


def command(main: Callable[[Sequence[str] | None], int | None]) -> Command:
    """Make a script's `main` end with one sentence on stderr and the error's exit code, 130 on Ctrl-C.

    Errors of the system (OSError: a name too long, a full disk, no permission) are reported in the same way. Any other
    error is a bug: it ends with a traceback and exit code 70. Warnings that shiftnet_tf logs are printed as notes.

    Args:
        main: takes the argument list and returns an exit code; None counts as 0.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # a file name may hold what the terminal cannot show
        try:
            with _notes():
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
        except Exception:
            traceback.print_exc()
            return BUG

    return run


class _NoteHandler(logging.Handler):
    """Prints each warning on stderr, in one line."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"note: {record.getMessage()}", file=sys.stderr)


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Print the warnings of shiftnet_tf; those of a command within a command once."""
    logger = logging.getLogger("shiftnet_tf")
    if any(isinstance(handler, _NoteHandler) for handler in logger.handlers):
        yield
        return
    handler = _NoteHandler(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
