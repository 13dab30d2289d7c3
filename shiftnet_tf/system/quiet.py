"""Imports TensorFlow without the dozen lines that it prints at each start, which no setting of its own turns off.

They say at length that there is no GPU; the scripts say it in one line. With TF_CPP_MIN_LOG_LEVEL=0 in the
environment, all of it is shown.
"""

import contextlib
import logging
import logging.handlers
import os
import sys
import tempfile

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional


@contextlib.contextmanager
def quiet_stderr():
    """Holds back what is written to file descriptor 2, by C++ code too; shows it if the block fails unforeseen."""
    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ShiftNetError:
            raise  # its sentence says what is wrong
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)


@contextlib.contextmanager
def quiet_start():
    """Holds back what a runtime writes while it starts, and says after it what shiftnet_tf itself warns of."""
    held = logging.handlers.MemoryHandler(capacity=1000, flushLevel=logging.CRITICAL + 1)
    logger = logging.getLogger("shiftnet_tf")
    logger.addHandler(held)
    try:
        with quiet_stderr():
            yield
    finally:
        logger.removeHandler(held)
        for record in held.buffer:
            print(f"note: {record.getMessage()}", file=sys.stderr)


def import_tensorflow():
    """TensorFlow for a script, imported and its devices found, without a word.

    Ends the process with one sentence where TensorFlow is not installed, and on Ctrl-C (an import takes seconds).

    Returns:
        The module tensorflow.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

    def imported(arguments):
        with quiet_stderr():
            tensorflow = import_optional("tensorflow", "tensorflow", "this")
            tensorflow.config.list_physical_devices()
        if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
            tensorflow.get_logger().setLevel("ERROR")  # it goes on at length about tracing and damaged checkpoints
        return 0

    exit_code = command(imported)()
    if exit_code:
        raise SystemExit(exit_code)
    return sys.modules["tensorflow"]
