"""The worker process that reads, fills and writes photos, one request at a time.

All outside data are parsed, decoded and encoded here: a process that takes too long or too much memory is killed, and
the server starts another. The model runs in the server, which receives windows and returns the filled ones. Messages
are pickled, on stdin and stdout.
"""

import base64
import contextlib
import io
import json
import logging
import logging.handlers
import math
import os
import pickle
import signal
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from shiftnet_tf.errors import InputError, TooLargeError, UnwritableError
from shiftnet_tf.photos import file_formats
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.runtime.files import Filled, fill_pair, read_pair
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.messages import READY, Done, Job, Reply, Setup, TensorJob, Windows
from shiftnet_tf.server.protocol import Wanted, read_request
from shiftnet_tf.server.responses import RequestError
from shiftnet_tf.server.tensors import infer
from shiftnet_tf.system.machine import affinity_cores, release_freed_memory, usable_cores

try:
    import resource
except ImportError:  # on Windows, where the limits do not apply
    resource = None  # type: ignore[assignment]

_STACK = 16 * 2**20  # bytes for the stack of each decoder thread, of which there is one per core
_SPARE = 10  # seconds
_GROWTH = 32 * 2**20  # bytes of resident memory by which a process may grow before it is replaced


class _Server:
    """The server's end of the pipes, which serves as the backend of this process."""

    def __init__(self, messages: BinaryIO, answers: BinaryIO) -> None:
        self._messages, self._answers = messages, answers
        setup: Setup = self.receive()
        self.setup = setup
        self.name, self.provider = setup.name, setup.provider
        self.outputs, self.batch_sizes = setup.outputs, setup.batch_sizes

    def receive(self) -> Any:
        return pickle.load(self._messages)

    def send(self, message: object) -> None:
        self._answers.write(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))
        self._answers.flush()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        self.send(Windows(image, mask))
        answer: dict[str, np.ndarray] | Exception = self.receive()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Do nothing: the model belongs to the server."""


class _Log(logging.handlers.QueueHandler):
    """Sends log records to the server, which logs them in its own format."""

    def __init__(self, server: _Server) -> None:
        super().__init__(server)  # type: ignore[arg-type]
        self._server = server

    def enqueue(self, record: logging.LogRecord) -> None:
        self._server.send(record)


def main() -> None:
    """Answer requests until the server ends or closes the pipes."""
    messages, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # output of libraries goes to stderr, beside the log
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # sent to all processes by a terminal or a service manager
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError):
        server = _Server(messages, answers)
        limits = server.setup.limits
        logging.getLogger().addHandler(_Log(server))
        inpainter = Inpainter(server, server.setup.model)
        file_formats.readable_suffixes()  # makes Pillow load its formats
        _limit_memory(limits.memory)
        start = _memory().resident
        while True:
            job = server.receive()
            if job == READY:
                server.send(READY)
                continue
            outcome = _outcome(inpainter, limits, job)
            del job
            release_freed_memory()
            done = Done(outcome, last=_memory().resident > start + _GROWTH)
            server.send(done)
            if done.last:
                return
            del outcome, done


def _outcome(inpainter: Inpainter, limits: Limits, job: Job | TensorJob) -> Reply | Exception:
    """Answer a request, or return its error."""
    try:
        _limit_time(limits.reading_seconds)
        if isinstance(job, TensorJob):
            return infer(inpainter, limits, job)
        return _fill(inpainter, limits, job)
    except RequestError as error:
        return RequestError(error.status, str(error), error.headers)  # without its cause, which refers to the body
    except MemoryError:
        return RequestError(413, f"the request needs more than {limits.memory / 1e6:.0f} MB of memory")
    except TooLargeError as error:
        return RequestError(413, str(error))
    except UnwritableError as error:  # an encoder may report a lack of memory as something else
        return RequestError(422, f"{error} (memory limit: {limits.memory / 1e6:.0f} MB)")
    except InputError as error:
        return RequestError(422, str(error))
    except Exception as error:
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # it cannot be pickled
            return RuntimeError(traceback.format_exc())
        return error


def _fill(inpainter: Inpainter, limits: Limits, job: Job) -> Reply:
    """Answer a request with a photo and its masks."""
    wanted = read_request(job.content_type, bytes(job.body))
    file_format = None if job.shift_map else wanted.file_format
    pair = read_pair(wanted.photo, wanted.masks, wanted.options, max_pixels=limits.pixels, file_format=file_format)
    _limit_time(limits.seconds * usable_cores() + _SPARE)  # the server ends it earlier
    filled = fill_pair(inpainter, *pair, wanted.options, shift_map=job.shift_map)
    return _reply(filled, wanted, job.shift_map)


def _reply(filled: Filled, wanted: Wanted, shift_map: bool) -> Reply:
    """Encode the answer for the client."""
    said = {"plan": str(filled.plan), "share": round(filled.share, 6)}
    if not shift_map:
        content, file_format = filled.encoded(wanted.file_format), wanted.file_format or filled.photo.own_format
    elif filled.shift_map is None:
        raise InputError("the mask has no hole")
    else:
        buffer = io.BytesIO()
        Image.fromarray(filled.shift_map).save(buffer, "PNG")
        content, file_format = buffer.getvalue(), "PNG"
    kind = Image.MIME.get(file_format, "application/octet-stream")
    if wanted.as_json:
        values = {"image": base64.b64encode(content).decode(), "media_type": kind, **said}
        return Reply(json.dumps(values, separators=(",", ":")).encode(), "application/json", {})
    return Reply(content, kind, {f"X-Shiftnet-{name.title()}": str(value) for name, value in said.items()})


class _Memory(NamedTuple):
    """Memory of this process, in bytes."""

    virtual: int
    resident: int


def _memory() -> _Memory:
    """Return the memory of this process; zeros if the system does not report it as Linux does."""
    try:
        pages = [int(number) for number in Path("/proc/self/statm").read_text().split()]
    except OSError:
        return _Memory(0, 0)
    size = os.sysconf("SC_PAGE_SIZE")
    return _Memory(pages[0] * size, pages[1] * size)


def _limit_memory(number: int) -> None:
    """Make allocations fail beyond this many more bytes than now."""
    now = _memory().virtual
    if now:
        wanted = now + number + _STACK * affinity_cores()
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (wanted if most < 0 else min(wanted, most), most))


def _limit_time(seconds: float) -> None:
    """Have the system end this process after this many more seconds of CPU time."""
    if resource is not None:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        _, most = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), most))
