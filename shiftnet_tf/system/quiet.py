"""Import TensorFlow with its startup log suppressed, which no setting of TensorFlow does completely.

The log says at length that there is no GPU; the scripts say so in one line. TF_CPP_MIN_LOG_LEVEL=0 in the environment
shows the whole log.
"""

import contextlib
import logging
import logging.handlers
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import BinaryIO

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.system.command import command
from shiftnet_tf.system.machine import affinity_cores, usable_cores
from shiftnet_tf.system.packages import import_optional


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back all output to file descriptor 2, also of C++ code; show it if the block raises an unexpected error."""
    unnamed = None if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0" else _unnamed_file()
    if unnamed is None:
        yield
        return
    _flush_stderr()
    with unnamed as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ShiftNetError:
            raise  # its message says what is wrong
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            _flush_stderr()
            os.dup2(stderr, 2)
            os.close(stderr)


def _unnamed_file() -> BinaryIO | None:
    """Open a file for the held-back stderr; None if there is no stderr, or no space for the file.

    It is in memory if the system supports that, because a container may have no folder for temporary files.
    """
    try:
        os.fstat(2)
        if hasattr(os, "memfd_create"):
            return open(os.memfd_create("stderr"), "w+b")
        return tempfile.TemporaryFile()
    except OSError:
        return None


def _flush_stderr() -> None:
    if sys.stderr is not None:
        sys.stderr.flush()


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back the output of a runtime while it starts; afterwards print the warnings of shiftnet_tf itself."""
    held = logging.handlers.MemoryHandler(capacity=1000, flushLevel=logging.CRITICAL + 1)
    logger = logging.getLogger("shiftnet_tf")
    handlers, logger.handlers = logger.handlers, [held]  # the command's handlers would print what is held back
    try:
        with quiet_stderr():
            yield
    finally:
        logger.handlers = handlers
        for record in held.buffer:
            print(f"note: {record.getMessage()}", file=sys.stderr)


def import_tensorflow() -> ModuleType:
    """Import TensorFlow as `load_tensorflow` does, before the `main` of a script begins.

    If TensorFlow is not installed, and on Ctrl-C (an import takes seconds), the process ends with one sentence.
    """

    def imported(arguments: Sequence[str] | None) -> None:
        load_tensorflow()

    exit_code = command(imported)()
    if exit_code:
        raise SystemExit(exit_code)
    return sys.modules["tensorflow"]


def load_tensorflow() -> ModuleType:
    """Import TensorFlow with its startup log suppressed, and find its devices.

    Raises:
        MissingPackageError: it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with quiet_stderr():
        tensorflow = import_optional("tensorflow", "tensorflow", "this")
        if (cores := usable_cores()) < affinity_cores():  # TensorFlow knows the affinity, but not a container's quota
            tensorflow.config.threading.set_intra_op_parallelism_threads(cores)
            tensorflow.config.threading.set_inter_op_parallelism_threads(cores)
        tensorflow.config.list_physical_devices()
    if os.environ["TF_CPP_MIN_LOG_LEVEL"] != "0":
        tensorflow.get_logger().setLevel("ERROR")  # it logs at length about tracing and damaged checkpoints
    return tensorflow
