"""Batches for a runtime: how many pictures fit, sizes that it is prepared for, and the calls of many threads."""

import queue
import threading

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.system.machine import available_memory

# What a picture takes while it runs, a pixel of the model's square. Measured with ONNX Runtime: about 540 bytes at base
# width 32; the rest is room for width 64 and for the similarities of a shift at 1024x1024.
BYTES_A_PIXEL = 2048
SHARE = 0.5  # of the available memory, for a batch that nobody has named the size of
LARGEST = 8  # more at a time gains nothing on a CPU

_NOTHING = object()


def run(backend, image, mask):
    """Runs a batch, filled up to the next size that the backend is prepared for.

    Args:
        backend: see `runtime.backends`.
        image: uint8 [B, S, S, 3].
        mask: uint8 [B, S, S, 1].

    Returns:
        dict of output name to array, of B pictures.
    """
    number = len(image)
    surplus = next((size for size in backend.batch_sizes if size >= number), number) - number
    if surplus:
        image, mask = (np.concatenate([x, x[-1:].repeat(surplus, axis=0)]) for x in (image, mask))
    return {name: values[:number] for name, values in backend(image, mask).items()}


def batch_size(wanted, image_size):
    """How many pictures to run at a time.

    A picture is taken for BYTES_A_PIXEL bytes a pixel of the model's square, 134 MB at 256x256. Without a wish it is as
    many as fit into half of the available memory, at least 1 and at most 8. The memory is the system's, not a GPU's.

    Args:
        wanted: int, the caller's choice, or None.
        image_size: int, S in pixels.

    Returns:
        int.

    Raises:
        InputError: no positive whole number, or one that needs more memory than there is.
    """
    each, there = BYTES_A_PIXEL * image_size**2, available_memory()
    if wanted is None:
        return LARGEST if there is None else max(1, min(LARGEST, int(SHARE * there / each)))
    if type(wanted) is not int or wanted < 1:
        raise InputError(f"`batch_size` must be a whole number from 1. Received: {wanted!r}")
    if there is not None and wanted > 1 and wanted * each > there:
        raise InputError(
            f"a batch of {wanted} pictures of {image_size}x{image_size} needs about {wanted * each / 1e9:.1f} GB of "
            f"memory, and {there / 1e9:.1f} are free: take a `batch_size` of {max(1, there // each)} or less"
        )
    return wanted


class GroupedBackend:
    """A backend (`runtime.backends`) for many threads at a time: what waits while another batch runs is run together.

    Where the runtime is prepared for batches (on a GPU) a group is one batch. On a CPU a group is run picture by
    picture: that is as fast there, and the answer is byte for byte that of a picture alone.

    Args:
        backend: what runs them.
        most: int, pictures in a group.
        watch: function of the number of pictures of each group, for statistics; None for none.
    """

    def __init__(self, backend, most, watch=None):
        self._backend = backend
        self._most = most
        self._watch = watch or (lambda size: None)
        self._calls = queue.SimpleQueue()
        self.name, self.provider = backend.name, backend.provider
        self.outputs, self.batch_sizes = backend.outputs, backend.batch_sizes
        self._thread = threading.Thread(target=self._work, name="shiftnet-batches", daemon=True)
        self._thread.start()

    def __call__(self, image, mask):
        call = _Call(image, mask)
        self._calls.put(call)
        call.done.wait()
        if call.error is not None:
            raise call.error
        return call.answer

    def close(self):
        """Ends the thread after what is waiting."""
        self._calls.put(None)
        self._thread.join()

    def _work(self):
        ahead = self._calls.get()
        while ahead is not None:
            group, size = [ahead], len(ahead.image)
            ahead = self._next(wait=False)
            while ahead not in (None, _NOTHING) and size + len(ahead.image) <= self._most:
                group.append(ahead)
                size += len(ahead.image)
                ahead = self._next(wait=False)
            self._watch(size)
            self._run(group)
            if ahead is _NOTHING:
                ahead = self._next(wait=True)

    def _next(self, wait):
        try:
            return self._calls.get(block=wait)
        except queue.Empty:
            return _NOTHING

    def _run(self, group):
        together = [group] if self.batch_sizes else [[call] for call in group]
        for calls in together:
            try:
                sizes = np.cumsum([len(call.image) for call in calls])[:-1]
                image, mask = (np.concatenate(arrays) for arrays in zip(*((call.image, call.mask) for call in calls)))
                outputs = run(self._backend, image, mask)
                parts = {name: np.split(values, sizes) for name, values in outputs.items()}
                for i, call in enumerate(calls):
                    call.answer = {name: values[i] for name, values in parts.items()}
            except Exception as error:  # it belongs to those who called
                for call in calls:
                    call.error = error
            for call in calls:
                call.done.set()


class _Call:
    def __init__(self, image, mask):
        self.image, self.mask = image, mask
        self.done = threading.Event()
        self.answer = self.error = None
