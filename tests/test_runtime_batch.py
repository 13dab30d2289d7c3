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


@pytest.fixture(scope="module", params=["onnxruntime", "litert"])
def inpainter(request):
    return Inpainter.load(runtime=request.param)


@pytest.fixture
def sizes_run(inpainter, monkeypatch):
    """The sizes of the batches that the runtime is given."""
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


def test_the_same_as_one_at_a_time(inpainter, pairs, sizes_run):
    photos, masks = pairs
    expected = [inpainter(*pair, FillOptions(strategy="resize", detail="model")) for pair in zip(*pairs)]
    sizes_run.clear()
    answers = list(
        inpainter.batch(iter(photos), iter(masks), batch_size=4, options=FillOptions(strategy="resize", detail="model"))
    )
    assert sizes_run == ([1] * 6 if inpainter.runtime == "litert" else [4, 2])  # the third has no hole
    assert len(answers) == 7
    for answer, alone, photo, mask in zip(answers, expected, photos, masks):
        np.testing.assert_array_equal(answer[mask == 0], photo[mask == 0])
        # ONNX Runtime rounds a batch otherwise than a single picture, and an 8-bit level or two may tip over.
        off = np.abs(answer.astype(int) - alone)[mask == 1]
        assert not off.size or (off.mean() < 1 and off.max() <= (0 if inpainter.runtime == "litert" else 8))
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

    stream = inpainter.batch(
        photos(), itertools.repeat(pairs[1][0]), batch_size=2, options=FillOptions(strategy="resize", detail="model")
    )
    assert not taken
    next(stream)
    assert len(taken) == (1 if inpainter.runtime == "litert" else 2)


def test_the_size_is_chosen_by_memory(inpainter, pairs, sizes_run, monkeypatch):
    monkeypatch.setattr(batching, "available_memory", lambda: 4 * batching.BYTES_A_PIXEL * 256**2)
    photos, masks = pairs
    assert (
        len(list(inpainter.batch(photos[3:6], masks[3:6], options=FillOptions(strategy="resize", detail="model")))) == 3
    )
    assert sizes_run == [1, 1, 1]  # on a CPU
    sizes_run.clear()
    monkeypatch.setattr(inpainter.backend, "batch_sizes", (1, 2, 4, 8), raising=False)
    assert (
        len(list(inpainter.batch(photos[3:6], masks[3:6], options=FillOptions(strategy="resize", detail="model")))) == 3
    )
    assert sizes_run == ([1, 1, 1] if inpainter.runtime == "litert" else [2, 1])


def test_a_batch_of_the_default_size_is_byte_for_byte_what_one_at_a_time_gives(inpainter, pairs):
    pairs = [each[:4] for each in pairs]  # a shift map takes seconds
    for answer, photo, mask in zip(inpainter.batch(*pairs), *pairs):
        np.testing.assert_array_equal(answer, inpainter(photo, mask))


def test_a_batch_that_is_too_large_is_refused_before_anything_is_read(inpainter):
    with pytest.raises(InputError, match="a batch of 1000000 pictures of 256x256 needs about 134217.7 GB"):
        inpainter.batch(iter(lambda: pytest.fail("read"), None), [], batch_size=10**6)
    with pytest.raises(InputError, match="`batch_size` must be a whole number from 1. Received: 0"):
        inpainter.batch([], [], batch_size=0)


def test_a_gpu_is_given_fixed_sizes(inpainter, pairs, sizes_run, monkeypatch):
    photos, masks = pairs
    monkeypatch.setattr(inpainter, "model", dataclasses.replace(inpainter.model, batch=None))
    monkeypatch.setattr(inpainter.backend, "batch_sizes", (1, 2, 4, 8), raising=False)
    answers = list(
        inpainter.batch(
            photos[:2] + photos[3:7],
            masks[:2] + masks[3:7],
            FillOptions(strategy="resize", detail="model"),
            batch_size=3,
        )
    )
    assert sizes_run == [4, 4] and len(answers) == 6
    for answer, photo, mask in zip(answers, photos[:2] + photos[3:7], masks[:2] + masks[3:7]):
        off = np.abs(answer.astype(int) - inpainter(photo, mask, FillOptions(strategy="resize", detail="model")))
        assert off.mean() < 1 and off.max() <= 8


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda photos, masks: (photos[:4], masks), "pair 4: fewer photos than masks"),
        (lambda photos, masks: (photos, masks[:4]), "pair 4: fewer masks than photos"),
        (lambda photos, masks: (photos, [*masks[:4], masks[4].T]), "pair 4: the mask must have the photo's size"),
        (lambda photos, masks: ([*photos[:4], "x"], masks), "pair 4: `image` must be uint8 .H, W, 3."),
        (lambda photos, masks: (photos, [*masks[:4], masks[4] | 1]), "pair 4: the mask covers the whole photo"),
        (lambda photos, masks: (photos, [*masks[:4], None]), "pair 4: `mask` must be numbers .H, W."),
    ],
)
def test_a_bad_pair_is_named_after_those_before_it(inpainter, pairs, change, message):
    answers = []
    with pytest.raises(InputError, match=message):
        answers.extend(inpainter.batch(*change(*pairs), batch_size=3, options=FillOptions(detail="model"))) or None
    stream = inpainter.batch(*change(*pairs), batch_size=3, options=FillOptions(detail="model"))
    for expected in pairs[0][:4]:
        assert next(stream).shape == expected.shape
    with pytest.raises(InputError, match=message):
        next(stream)


def test_nothing_to_fill(inpainter):
    assert list(inpainter.batch([], [])) == []
