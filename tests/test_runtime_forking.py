"""A model that was opened before a fork: opened again in the child, or refused in a sentence; never a hang."""

import gc
import os
import pickle
import select
import signal
import time

import numpy as np
import pytest

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.runtime import engines

OPTIONS = FillOptions(detail="model", strategy="resize")
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")


def in_child(function, seconds=30):
    """What a function returns or raises in a forked process; fails if that hangs."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            answer = function()
        except BaseException as error:
            answer = error
        with open(write, "wb") as file:
            file.write(pickle.dumps(answer))
        os._exit(0)
    os.close(write)
    content, end = b"", time.monotonic() + seconds
    with open(read, "rb", buffering=0) as file:
        while select.select([file], [], [], max(0, end - time.monotonic()))[0] and (part := file.read(2**20)):
            content += part
    hangs = time.monotonic() > end
    if hangs:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not hangs, "the child hangs"
    return pickle.loads(content)


@pytest.fixture(scope="module", params=["onnxruntime", "litert"])
def inpainter(request):
    return Inpainter.load(runtime=request.param, threads=2)


def test_a_child_fills_as_its_parent_does(inpainter, photo):
    expected = inpainter(*photo, OPTIONS)
    np.testing.assert_array_equal(in_child(lambda: inpainter(*photo, OPTIONS)), expected)
    np.testing.assert_array_equal(in_child(lambda: in_child(lambda: inpainter(*photo, OPTIONS))), expected)
    np.testing.assert_array_equal(inpainter(*photo, OPTIONS), expected)


def test_a_child_of_an_application_that_is_loaded_first(inpainter, photo):
    """As Gunicorn with `preload_app` forks its workers: the windows of requests share one queue, which has a thread."""
    expected = inpainter(*photo, OPTIONS)
    grouped = inpainter.grouped()
    np.testing.assert_array_equal(in_child(lambda: grouped(*photo, OPTIONS)), expected)
    np.testing.assert_array_equal(grouped(*photo, OPTIONS), expected)
    assert np.array_equal(in_child(lambda: grouped(*photo, OPTIONS)), expected)  # now that its thread has started
    grouped.close()
    assert isinstance(in_child(lambda: grouped(*photo, OPTIONS)), ShiftNetError)


def test_a_child_may_drop_or_close_the_model_of_its_parent(photo):
    for runtime in ("onnxruntime", "litert"):
        held = [Inpainter.load(runtime=runtime, threads=2)]
        held[0](*photo, OPTIONS)

        def drop(held=held):
            held.clear()
            return gc.collect() >= 0

        assert in_child(drop)
        assert in_child(lambda held=held: held[0].close()) is None


def test_a_gpu_and_tensorflow_are_refused_in_a_sentence(monkeypatch):
    backend = engines.SavedModelBackend.__new__(engines.SavedModelBackend)
    backend._process = os.getpid()
    answer = in_child(lambda: backend(np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8, 1), np.uint8)))
    assert isinstance(answer, ShiftNetError) and str(answer).startswith("TensorFlow does not work after a fork: load")
    inpainter = Inpainter.load(runtime="onnxruntime")
    monkeypatch.setattr(inpainter.backend, "_short_name", "cuda")
    answer = in_child(lambda: inpainter(np.zeros((8, 8, 3), np.uint8), np.eye(8), OPTIONS))
    assert isinstance(answer, ShiftNetError) and "does not work after a fork" in str(answer)
