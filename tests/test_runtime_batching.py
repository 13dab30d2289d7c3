"""How many pictures at a time: the rule, containers, and what is refused."""

import numpy as np
import pytest

from shiftnet_tf import Inpainter
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.runtime import batching
from shiftnet_tf.system.machine import available_memory, total_memory

PICTURE = 2048 * 256**2  # bytes


@pytest.mark.parametrize(
    "free, size", [(0, 1), (PICTURE, 1), (4 * PICTURE, 2), (7 * PICTURE, 3), (16 * PICTURE, 8), (10**13, 8), (None, 8)]
)
def test_half_of_the_free_memory_at_most_eight(monkeypatch, free, size):
    monkeypatch.setattr(batching, "available_memory", lambda: free)
    assert batching.batch_size(None, 256) == size


def test_more_than_there_is(monkeypatch):
    monkeypatch.setattr(batching, "available_memory", lambda: 10 * PICTURE)
    assert batching.batch_size(10, 256) == 10
    with pytest.raises(
        InputError, match="a batch of 11 images of 256x256 needs about 1.5 GB of memory, but only 1.3 GB are"
    ):
        batching.batch_size(11, 256)
    monkeypatch.setattr(batching, "available_memory", lambda: 1)
    assert batching.batch_size(1, 256) == 1  # the rule is rough: a single picture is always tried
    monkeypatch.setattr(batching, "available_memory", lambda: None)
    assert batching.batch_size(10**6, 256) == 10**6


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", True])
def test_what_is_no_batch_size(size):
    with pytest.raises(InputError, match="`batch_size` must be a whole number, at least 1. Received: "):
        batching.batch_size(size, 256)


def test_a_container_has_what_is_left_of_its_limit(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       8000 kB\nMemAvailable:       4000 kB\n")
    assert available_memory(str(meminfo), str(tmp_path)) == 4000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("500000\n")
    assert available_memory(str(meminfo), str(tmp_path)) == 4000 * 1024
    (tmp_path / "memory.max").write_text("2000000\n")
    assert available_memory(str(meminfo), str(tmp_path)) == 1500000
    assert available_memory(str(tmp_path / "absent"), str(tmp_path / "absent")) is None


def test_this_machine():
    assert 0 < available_memory() <= total_memory()


def test_a_watch_that_raises_ends_its_group_and_not_the_backend():
    class Double:
        name, provider, outputs, batch_sizes = "fake", "fake", ["inpainted_image"], ()

        def __call__(self, image, mask):
            return {"inpainted_image": 2 * image}

    sizes = []

    def watch(size):
        sizes.append(size)
        if len(sizes) == 1:
            raise ZeroDivisionError("no mean of no groups")

    backend = batching.GroupedBackend(Double(), 4, watch)
    image = np.ones((1, 2, 2, 3), np.uint8)
    with pytest.raises(ZeroDivisionError, match="no mean"):
        backend(image, image)
    assert (backend(image, image)["inpainted_image"] == 2).all() and sizes == [1, 1]
    backend.close()


@pytest.mark.parametrize("runtime", ["onnxruntime", "litert", "tensorflow"])
def test_a_closed_model_says_so(small_model, photo, runtime):
    inpainter = Inpainter.load(small_model, runtime=runtime)
    inpainter.close()
    with pytest.raises(ShiftNetError, match="the model is closed: load it again"):
        inpainter(*photo)
