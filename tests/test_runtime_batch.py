"""`Inpainter.batch` on the model that comes with shiftnet_tf: the same as one at a time, in order, as a stream."""

import dataclasses
import itertools

import numpy as np
import pytest
from conftest import PHOTOS

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime import batching

OPTIONS = FillOptions(strategy="resize", detail="model")


@pytest.fixture(scope="module", params=["onnxruntime", "litert"])
def inpainter(request):
    return Inpainter.load(runtime=request.param)


@pytest.fixture(scope="module")
def small_inpainter(inpainter, small_model):
    """A network of 64x64 in the same runtime, where the pictures do not matter."""
    return Inpainter.load(small_model, runtime=inpainter.runtime)


def sizes_run(inpainter, monkeypatch):
    """List to which the size of each batch that the runtime is given is added."""
    sizes, backend = [], inpainter.backend

    class Recorder:
        outputs, batch_sizes = backend.outputs, backend.batch_sizes

        def __call__(self, image, mask):
            sizes.append(len(image))
            return backend(image, mask)

    monkeypatch.setattr(inpainter, "backend", Recorder())
    return sizes


@pytest.fixture(scope="module")
def pairs():
    """Seven photos of different sizes with a hole each, the third without."""
    photos = [image_files.read_image(path) for path in sorted((PHOTOS / "test").glob("*.jpg"))[:7]]
    masks = [np.zeros(photo.shape[:2], np.uint8) for photo in photos]
    for i, mask in enumerate(masks):
        if i != 2:
            mask[mask.shape[0] // 3 : mask.shape[0] // 2, mask.shape[1] // 4 : mask.shape[1] // 2] = 1
    assert len({photo.shape for photo in photos}) > 1
    return photos, masks


def test_the_same_as_one_at_a_time(inpainter, pairs, monkeypatch):
    photos, masks = pairs
    expected = [inpainter(*pair, OPTIONS) for pair in zip(*pairs)]
    sizes = sizes_run(inpainter, monkeypatch)
    answers = list(inpainter.batch(iter(photos), iter(masks), batch_size=4, options=OPTIONS))
    assert sizes == ([1] * 6 if inpainter.runtime == "litert" else [4, 2])  # the third has no hole
    assert len(answers) == 7
    for answer, alone, photo, mask in zip(answers, expected, photos, masks):
        np.testing.assert_array_equal(answer[mask == 0], photo[mask == 0])
        # ONNX Runtime rounds a batch otherwise than a single picture, and an 8-bit level or two may tip over.
        off = np.abs(answer.astype(int) - alone)[mask == 1]
        assert not off.size or (off.mean() < 1 and off.max() <= (0 if inpainter.runtime == "litert" else 12))
    np.testing.assert_array_equal(answers[2], photos[2])
    assert answers[2] is not photos[2]


def test_the_neighbours_in_a_batch_change_no_byte(inpainter, pairs):
    photos, masks = pairs
    answers = [
        next(
            inpainter.batch(
                [photos[0], photos[i]], [masks[0], masks[i]], batch_size=2, options=FillOptions(detail="model")
            )
        )
        for i in (1, 3, 4)
    ]
    for answer in answers[1:]:
        np.testing.assert_array_equal(answer, answers[0])


def test_a_stream_without_end_is_read_as_it_is_filled(inpainter, pairs):
    taken = []

    def photos():
        for i in itertools.count():
            taken.append(i)
            yield pairs[0][0]

    stream = inpainter.batch(photos(), itertools.repeat(pairs[1][0]), batch_size=2, options=OPTIONS)
    assert not taken
    next(stream)
    assert len(taken) == (1 if inpainter.runtime == "litert" else 2)


def test_the_size_is_chosen_by_memory(small_inpainter, pairs, monkeypatch):
    monkeypatch.setattr(batching, "available_memory", lambda: 4 * batching.BYTES_A_PIXEL * 64**2)
    three, sizes = [each[3:6] for each in pairs], sizes_run(small_inpainter, monkeypatch)
    assert len(list(small_inpainter.batch(*three, options=OPTIONS))) == 3
    assert sizes == [1, 1, 1]  # on a CPU
    sizes.clear()
    monkeypatch.setattr(small_inpainter.backend, "batch_sizes", (1, 2, 4, 8), raising=False)
    assert len(list(small_inpainter.batch(*three, options=OPTIONS))) == 3
    assert sizes == ([1, 1, 1] if small_inpainter.runtime == "litert" else [2, 1])


def test_a_batch_of_the_default_size_is_byte_for_byte_what_one_at_a_time_gives(inpainter, pairs):
    pairs = [[array[110:200, 120 : 240 + 8 * i] for i, array in enumerate(each[:4])] for each in pairs]
    for answer, photo, mask in zip(inpainter.batch(*pairs), *pairs):
        np.testing.assert_array_equal(answer, inpainter(photo, mask))


def test_a_batch_that_is_too_large_is_refused_before_anything_is_read(inpainter):
    with pytest.raises(InputError, match="a batch of 1000000 images of 256x256 needs about 134217.7 GB"):
        inpainter.batch(iter(lambda: pytest.fail("read"), None), [], batch_size=10**6)
    with pytest.raises(InputError, match="`batch_size` must be a whole number, at least 1. Received: 0"):
        inpainter.batch([], [], batch_size=0)


def test_a_gpu_is_given_fixed_sizes(small_inpainter, pairs, monkeypatch):
    photos, masks = (each[:2] + each[3:] for each in pairs)
    sizes = sizes_run(small_inpainter, monkeypatch)
    monkeypatch.setattr(small_inpainter, "model", dataclasses.replace(small_inpainter.model, batch=None))
    monkeypatch.setattr(small_inpainter.backend, "batch_sizes", (1, 2, 4, 8), raising=False)
    answers = list(small_inpainter.batch(photos, masks, OPTIONS, batch_size=3))
    assert sizes == [4, 4] and len(answers) == 6
    for answer, photo, mask in zip(answers, photos, masks):
        off = np.abs(answer.astype(int) - small_inpainter(photo, mask, OPTIONS))
        assert off.mean() < 1 and off.max() <= 8


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda photos, masks: (photos[:4], masks), "pair 4: fewer photos than masks"),
        (lambda photos, masks: (photos, masks[:4]), "pair 4: fewer masks than photos"),
        (lambda photos, masks: (photos, [*masks[:4], masks[4].T]), "pair 4: the mask must have the photo's size"),
        (lambda photos, masks: ([*photos[:4], "x"], masks), "pair 4: `image` must be uint8 .H, W, 3."),
        (lambda photos, masks: (photos, [*masks[:4], masks[4] | 1]), "pair 4: the mask covers the whole photo"),
        (lambda photos, masks: (photos, [*masks[:4], None]), "pair 4: `mask` must be a numeric array .H, W."),
    ],
)
def test_a_bad_pair_is_named_after_those_before_it(small_inpainter, pairs, change, message):
    stream = small_inpainter.batch(*change(*pairs), batch_size=3, options=FillOptions(detail="model"))
    for expected in pairs[0][:4]:
        assert next(stream).shape == expected.shape
    with pytest.raises(InputError, match=message):
        next(stream)


def test_nothing_to_fill(inpainter):
    assert list(inpainter.batch([], [])) == []
