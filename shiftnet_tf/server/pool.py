"""The worker processes that read, fill and write photos, seen from the server; see `server.worker`."""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.server.limits import Limits
from shiftnet_tf.server.messages import READY, Done, Job, Reply, Setup, TensorJob, Windows
from shiftnet_tf.server.responses import RequestError

_CODE = "import sys; sys.path[:] = {path!r}; from shiftnet_tf.server.worker import main; main()"
_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2"}  # for glibc, whose arenas would count as used memory
_PATIENCE = 5  # seconds in which a process should end by itself
_ENDED = (EOFError, OSError, pickle.UnpicklingError)  # raised when talking to a process that has ended
_Model = Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]]


class Pool:
    """Worker processes that answer one request at a time each; one thread of the server talks to each of them.

    A process is started when a request finds none idle, so that an application can be created before a server forks.

    Args:
        inpainter: its model runs in the server.
        limits: the number of processes, and the resources of each.
    """

    def __init__(self, inpainter: Inpainter, limits: Limits) -> None:
        self._backend, self._limits = inpainter.backend, limits
        backend = inpainter.backend
        setup = Setup(inpainter.model, backend.name, backend.provider, backend.outputs, backend.batch_sizes, limits)
        self._setup = pickle.dumps(setup)
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="shiftnet")
        self._idle: list[_Process] = []
        self._tasks: set[Task] = set()
        self._calls: dict[int, float] = {}  # thread that waits for the model -> start of the call

    @property
    def model_seconds(self) -> float:
        """Seconds since the oldest pending call of the model; 0 if there is none."""
        return time.monotonic() - min(list(self._calls.values()), default=time.monotonic())

    def warm_up(self) -> None:
        """Start one process and wait until it is ready."""
        process = _Process(self._setup)
        try:
            process.wait_until_ready()
        except _ENDED as error:
            raise self._why(process.end()) from error
        self._idle.append(process)

    def submit(self, job: Job | TensorJob) -> "Task":
        """Queue a request; requests wait in order for a free process."""
        task = Task(job)
        self._tasks.add(task)
        task.future = self._threads.submit(self._answer, task)
        task.future.add_done_callback(lambda _: self._tasks.discard(task))
        return task

    def kill(self) -> None:
        """Cancel all requests."""
        for task in list(self._tasks):
            task.give_up()

    def close(self) -> None:
        """End the processes once the submitted requests are answered."""
        self._threads.shutdown()
        while self._idle:
            self._idle.pop().end()

    def _answer(self, task: "Task") -> Reply:
        process = self._take()
        last = True
        try:
            task.start(process)
            done = process.answer(task.take_job(), self._run_model)
            last = done.last
        except _ENDED as error:
            raise self._why(process.end()) from error
        finally:
            task.finish()
            if last:
                process.end()
            else:
                self._idle.append(process)
        if isinstance(done.outcome, Exception):
            raise done.outcome
        return done.outcome

    def _run_model(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        self._calls[threading.get_ident()] = time.monotonic()
        try:
            return self._backend(image, mask)
        finally:
            del self._calls[threading.get_ident()]

    def _take(self) -> "_Process":
        """Return an idle process, or a new one."""
        with contextlib.suppress(IndexError):
            while True:
                process = self._idle.pop()
                try:
                    process.wait_until_ready()
                    return process
                except _ENDED:
                    process.end()
        try:
            return _Process(self._setup)
        except OSError as error:  # the system allows no more processes
            text = f"cannot start a worker process ({error.strerror})"
            raise RequestError(503, text, {"Retry-After": "5"}) from error

    def _why(self, code: int) -> Exception:
        """Return the error for a process that ended with this code."""
        if code >= 0:
            return ShiftNetError(f"a worker process ended with exit code {code}: see the log")
        if code == -getattr(signal, "SIGXCPU", 0):
            seconds = self._limits.reading_seconds
            return RequestError(422, f"reading the photo and its masks takes more than {seconds} seconds of CPU time")
        if code == -getattr(signal, "SIGKILL", 0):  # by the system, or because nobody waits for the answer
            return RequestError(503, "not enough memory", {"Retry-After": "5"})
        name = signal.Signals(-code).name
        memory = f"{self._limits.memory / 1e6:.0f} MB"
        return RequestError(422, f"the photo or a mask is damaged, or needs more than {memory} of memory ({name})")


class Task:
    """A request that waits for a process or is answered by one.

    Attributes:
        future: gets the answer.
    """

    future: Future[Reply]

    def __init__(self, job: Job | TensorJob) -> None:
        self._job: Job | TensorJob | None = job
        self._process: _Process | None = None
        self._given_up = False
        self._lock = threading.Lock()

    def give_up(self) -> None:
        """Cancel the request and end the process that is working on it."""
        self.future.cancel()
        with self._lock:
            self._given_up = True
            if self._process:
                self._process.kill()

    def start(self, process: "_Process") -> None:
        """Set the process that works on the request."""
        with self._lock:
            self._process = process
            if self._given_up:
                process.kill()

    def take_job(self) -> Job | TensorJob:
        """Return the request, and drop the reference to it."""
        job, self._job = self._job, None
        assert job is not None
        return job

    def finish(self) -> None:
        """Release the process, so that `give_up` no longer ends it."""
        with self._lock:
            self._process = None


class _Process:
    """One process, and the pipes to it."""

    def __init__(self, setup: bytes) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _CODE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT | dict(os.environ),
            start_new_session=True,  # Ctrl-C in a terminal is for the server only
        )
        assert self._process.stdin and self._process.stdout
        self._to, self._from = self._process.stdin, self._process.stdout
        with contextlib.suppress(OSError):  # it ended at once, as the next read will show
            self._to.write(setup)
            self._to.flush()

    def wait_until_ready(self) -> None:
        """Ask whether it is alive, and wait for the answer.

        Raises:
            _ENDED: it has ended. The system may take a while to report that for a killed process.
        """
        self._send(READY)
        if self._receive() != READY:
            raise EOFError

    def answer(self, job: Job | TensorJob, model: _Model) -> Done:
        """Have a request answered, and run the model on the windows that the process sends meanwhile.

        Raises:
            _ENDED: it has ended.
        """
        self._send(job)
        del job
        while True:
            message: Done | Windows = self._receive()
            if isinstance(message, Done):
                return message
            outcome: dict[str, np.ndarray] | Exception
            try:
                outcome = model(message.image, message.mask)
            except Exception as error:  # passed on through the process, as without one
                outcome = error
            self._send(outcome)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def end(self) -> int:
        """Wait for it to end, or kill it; return its exit code, or minus the signal that ended it."""
        for pipe in (self._to, self._from):
            with contextlib.suppress(OSError):
                pipe.close()
        try:
            return self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._process.wait()

    def _receive(self) -> Any:
        """Return the next message; log records of the process go to the server's log meanwhile."""
        while isinstance(message := pickle.load(self._from), logging.LogRecord):
            logging.getLogger(message.name).handle(message)
        return message

    def _send(self, message: object) -> None:
        pickle.dump(message, self._to, pickle.HIGHEST_PROTOCOL)
        self._to.flush()
