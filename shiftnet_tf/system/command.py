"""The end of a command: an exit code, and one sentence on stderr for each error that the user can correct."""

import functools
import os
import sys

from shiftnet_tf.errors import InputError, ShiftNetError


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
