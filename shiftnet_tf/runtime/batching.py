"""Batches for a runtime: their memory, the sizes that it is prepared for, and grouping the calls of several threads."""

import queue
import threading
from collections.abc import Callable, Iterator

import numpy as np

from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.runtime import forking
from shiftnet_tf.runtime.backends import Backend
from shiftnet_tf.runtime.engines import CLOSED
from shiftnet_tf.system.machine import available_memory

# Memory that an image takes while it runs, per pixel of the model's square. ONNX Runtime takes about 540 bytes at base
# width 32; the rest is headroom for width 64 and for the similarities of a shift at 1024x1024.
BYTES_A_PIXEL = 2048
SHARE = 0.5  # of the available memory, if the caller gives no batch size
LARGEST = 8  # larger batches gain nothing on a CPU


def run(backend: Backend, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
    """Run a batch, padded to the next size that the backend is prepared for.

    Args:
        backend: what runs it.
        image: uint8 [B, S, S, 3].
        mask: uint8 [B, S, S, 1].

    Returns:
        The output arrays by name, for B images.

    Raises:
        ShiftNetError: the runtime failed, or an output has the wrong shape, dtype or range.
    """
    number = len(image)
    surplus = next((size for size in backend.batch_sizes if size >= number), number) - number
    if surplus:
        image, mask = (np.concatenate([x, x[-1:].repeat(surplus, axis=0)]) for x in (image, mask))
    outputs = backend(image, mask)
    _check_outputs(outputs, image.shape)
    return {name: values[:number] for name, values in outputs.items()}


def _check_outputs(outputs: dict[str, np.ndarray], expected: tuple[int, ...]) -> None:
    """Refuse outputs that break the contract of model files, see `model_folder`."""
    inpainted = outputs.get("inpainted_image")
    if inpainted is None or inpainted.dtype != np.uint8 or inpainted.shape != expected:
        found = "none" if inpainted is None else f"{inpainted.dtype} {list(inpainted.shape)}"
        raise ShiftNetError(f"the model's inpainted_image must be uint8 {list(expected)}. Received: {found}")
    found_from = outputs.get("shift_map")
    if found_from is None:
        return
    whole = found_from.dtype == np.int32 and found_from.ndim == 3 and len(found_from) == expected[0]
    positions = found_from[0].size if whole else 0
    if not positions or found_from.min() < -1 or found_from.max() >= 2 * positions:
        raise ShiftNetError(
            f"the model's shift_map must be int32 [{expected[0]}, h, w] from -1 to 2 * h * w - 1. Received: "
            f"{found_from.dtype} {list(found_from.shape)}"
        )


def batch_size(wanted: int | None, image_size: int) -> int:
    """Return how many images to run at a time.

    An image counts as BYTES_A_PIXEL bytes per pixel of the model's square, 134 MB at 256x256. The default is what fits
    into half of the available memory, from 1 to 8. The memory is the system's, not a GPU's.

    Args:
        wanted: the caller's choice, or None.
        image_size: S in pixels.

    Raises:
        InputError: `wanted` is not a positive whole number, or it needs more memory than is available.
    """
    each, there = BYTES_A_PIXEL * image_size**2, available_memory()
    if wanted is None:
        return LARGEST if there is None else max(1, min(LARGEST, int(SHARE * there / each)))
    if type(wanted) is not int or wanted < 1:
        raise InputError(f"`batch_size` must be a whole number, at least 1. Received: {wanted!r}")
    if there is not None and wanted > 1 and wanted * each > there:
        raise InputError(
            f"a batch of {wanted} images of {image_size}x{image_size} needs about {wanted * each / 1e9:.1f} GB of "
            f"memory, but only {there / 1e9:.1f} GB are free: use a `batch_size` of {max(1, there // each)} or less"
        )
    return wanted


class _Call:
    """A call that waits for its answer."""

    def __init__(self, image: np.ndarray, mask: np.ndarray) -> None:
        self.image, self.mask = image, mask
        self.done = threading.Event()
        self.answer: dict[str, np.ndarray] = {}
        self.error: Exception | None = None


class GroupedBackend:
    """A `Backend` for many threads: calls that wait while a batch runs are run together next.

    If the runtime is prepared for batches (on a GPU), a group is one batch. On a CPU, a group runs image by image,
    which is as fast there and gives each image, byte for byte, the result that it has alone. It works after a fork if
    its backend does, so that an application can be created before a server forks its workers.

    Args:
        backend: runs the groups; `close` does not close it.
        most: maximum number of images in a group.
        watch: called with the number of images in each group, for statistics. What it raises is raised in the callers
            of the group.
    """

    def __init__(self, backend: Backend, most: int, watch: Callable[[int], object] | None = None) -> None:
        self._backend = backend
        self._most = most
        self._watch = watch or (lambda size: None)
        self._closed = False
        self.name, self.provider = backend.name, backend.provider
        self.outputs, self.batch_sizes = backend.outputs, backend.batch_sizes
        self._start()
        forking.watch(self)

    def _start(self) -> None:
        self._calls: queue.SimpleQueue[_Call | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # guards the start of the thread
        self._thread = threading.Thread(target=self._work, name="shiftnet-batches", daemon=True)

    def after_fork(self) -> None:
        """See `forking.Forked`."""
        self._start()

    def __call__(self, image: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        with self._lock:
            if self._closed:
                raise ShiftNetError(CLOSED)
            if self._thread.ident is None:  # the first call in this process
                self._thread.start()
            call = _Call(image, mask)
            self._calls.put(call)
        call.done.wait()
        if call.error is not None:
            raise call.error
        return call.answer

    def close(self) -> None:
        """End the thread once the waiting calls are answered."""
        with self._lock:
            self._closed = True
            self._calls.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def _groups(self) -> Iterator[list[_Call]]:
        """Yield the calls that wait, as many at a time as fit; end after those before `close`."""
        group: list[_Call] = []
        while True:
            if group and self._calls.empty():  # no other thread takes calls out
                yield group
                group = []
            call = self._calls.get()
            size = sum(len(one.image) for one in group)
            if group and (call is None or size + len(call.image) > self._most):
                yield group
                group = []
            if call is None:
                return
            group.append(call)

    def _work(self) -> None:
        for group in self._groups():
            try:
                self._watch(sum(len(call.image) for call in group))
            except Exception as error:  # raised in the callers
                _finish(group, error)
                continue
            for calls in [group] if self.batch_sizes else [[call] for call in group]:
                try:
                    self._run(calls)
                    _finish(calls)
                except Exception as error:  # likewise
                    _finish(calls, error)

    def _run(self, calls: list[_Call]) -> None:
        sizes = np.cumsum([len(call.image) for call in calls])[:-1]
        image, mask = (np.concatenate(arrays) for arrays in zip(*((call.image, call.mask) for call in calls)))
        outputs = run(self._backend, image, mask)
        parts = {name: np.split(values, sizes) for name, values in outputs.items()}
        for i, call in enumerate(calls):
            call.answer = {name: values[i] for name, values in parts.items()}


def _finish(calls: list[_Call], error: Exception | None = None) -> None:
    """Release the callers, with their answers or with the error."""
    for call in calls:
        call.error = error
        call.done.set()
