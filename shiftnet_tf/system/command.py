"""Ending a command: an exit code, and one sentence on stderr for each error that the user can correct."""

import contextlib
import functools
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Protocol

from shiftnet_tf.errors import InputError, ShiftNetError

BUG = 70  # the exit code of an internal error, EX_SOFTWARE in sysexits.h


class Command(Protocol):
    """The `main` of a script: takes the argument list (None: that of the process) and returns the exit code."""

    def __call__(self, arguments: Sequence[str] | None = None) -> int: ...


class Terminated(KeyboardInterrupt):
    """A signal asks the process to end; code that cleans up after Ctrl-C cleans up after it too."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number  # as a shell reports a process ended by the signal


def command(main: Callable[[Sequence[str] | None], int | None]) -> Command:
    """Make a script's `main` report errors in one sentence on stderr and return their exit codes.

    System errors (OSError: a name too long, a full disk, no permission) are reported in the same way. Any other error
    is a bug and ends with a traceback and exit code 70. Warnings that shiftnet_tf logs are printed as notes.

    Ctrl-C, SIGTERM and SIGHUP end it after temporary files are removed, with exit codes 130, 143 and 129. A standard
    stream that is closed or missing is replaced by the null device.

    Args:
        main: takes the argument list and returns an exit code; None counts as 0.
    """

    @functools.wraps(main)
    def run(arguments: Sequence[str] | None = None) -> int:
        _open_streams()
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")  # for file names that the terminal cannot show
        try:
            with _ending_signals(), _notes():
                return main(arguments) or 0
        except ShiftNetError as error:
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader has gone: `| head`
            return 0
        except OSError as error:
            print(f"error: {error}", file=sys.stderr)
            return InputError.exit_code
        except MemoryError:
            print("error: not enough memory", file=sys.stderr)
            return ShiftNetError.exit_code
        except KeyboardInterrupt as error:
            print("stopped", file=sys.stderr)
            return error.exit_code if isinstance(error, Terminated) else 130
        except Exception:
            traceback.print_exc()
            return BUG

    return run


def _open_streams() -> None:
    """Open the null device in place of standard streams that are closed (`2>&-`) or None (pythonw, services).

    Otherwise print and tqdm fail, and the next opened file gets descriptor 1 or 2, so that terminal output of a library
    would go into a photo.
    """
    with contextlib.suppress(OSError):
        for number in (0, 1, 2):
            try:
                os.fstat(number)
            except OSError:
                os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free descriptor: this one
        for name in ("stdout", "stderr"):
            if getattr(sys, name) is None:
                setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115


@contextlib.contextmanager
def _ending_signals() -> Iterator[None]:
    """Raise Terminated on SIGTERM and SIGHUP, unless they are handled or ignored already (as SIGHUP by nohup)."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Terminated(number)

    taken = []
    if threading.current_thread() is threading.main_thread():  # signals can be handled only there
        known = [signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            if signal.getsignal(number) is end:
                signal.signal(number, signal.SIG_DFL)


class _NoteHandler(logging.Handler):
    """Prints each warning on stderr as one line."""

    def emit(self, record: logging.LogRecord) -> None:
        print(f"note: {record.getMessage()}", file=sys.stderr)


@contextlib.contextmanager
def _notes() -> Iterator[None]:
    """Print the warnings of shiftnet_tf, once even for a command within a command."""
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


@contextlib.contextmanager
def without_notes() -> Iterator[None]:
    """Drop the warnings of shiftnet_tf."""
    logger = logging.getLogger("shiftnet_tf")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
