"""An Inpainter as a Python object: pickled, copied, sent to processes, closed by `with`; arrays that it refuses."""

import copy
import functools
import multiprocessing
import pickle
import shutil

import numpy as np
import pytest

from shiftnet_tf import FillOptions, Inpainter
from shiftnet_tf.errors import InputError, ShiftNetError
from shiftnet_tf.runtime.model_file import ModelFile

MODEL = FillOptions(detail="model")


def fill(inpainter, seed):
    """A noise photo, filled."""
    photo = np.random.default_rng(seed).integers(0, 256, (70, 90, 3), np.uint8)
    return inpainter(photo, np.pad(np.ones((20, 30), bool), ((20, 30), (30, 30))), MODEL)


@pytest.mark.parametrize("copied", [lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy, copy.copy])
@pytest.mark.parametrize("options", [{"threads": 1}, {"runtime": "litert"}])
def test_a_copy_fills_as_the_original_and_outlives_it(small_model, monkeypatch, tmp_path, copied, options):
    monkeypatch.chdir(small_model.parent)
    with Inpainter.load(small_model.name, **options) as inpainter:
        expected = fill(inpainter, 0)
        monkeypatch.chdir(tmp_path)
        again = copied(inpainter)
    assert type(again) is Inpainter and again.runtime == inpainter.runtime
    assert again.backend._threads == options.get("threads")
    np.testing.assert_array_equal(fill(again, 0), expected)
    with pytest.raises(ShiftNetError, match="the model is closed"):
        fill(inpainter, 0)
    np.testing.assert_array_equal(fill(copied(inpainter), 0), expected)


def test_a_pool_of_spawned_processes(small_model):
    inpainter = Inpainter.load(small_model, threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        answers = pool.map(functools.partial(fill, inpainter), range(2))
    for seed, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, fill(inpainter, seed))


def test_a_pickle_whose_model_has_gone_says_so(small_model, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("spec.json", "model.onnx"):
        shutil.copy(small_model / name, folder)
    pickled = pickle.dumps(Inpainter.load(folder))
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=f"the model of this pickled Inpainter does not exist: {folder}/model.onnx; "):
        pickle.loads(pickled)


def test_one_without_a_file_cannot_be_pickled(small_model):
    grouped = Inpainter.load(small_model).grouped(1)
    other = Inpainter(grouped.backend, ModelFile(small_model, 64))
    for inpainter in (grouped, other):
        with pytest.raises(InputError, match="cannot be pickled or copied: only what Inpainter.load returns can"):
            pickle.dumps(inpainter)
    grouped.close()


def test_its_text(small_model):
    text = f"<Inpainter {small_model / 'model.tflite'} (float32, 64x64) on litert (CPU (XNNPACK))>"
    assert repr(Inpainter.load(small_model, runtime="litert")) == text


@pytest.mark.parametrize(
    "image, message",
    [
        (
            np.full((4, 6, 3), 0.5, np.float32),
            r"float32 \[4, 6, 3\] from 0.5 to 0.5: multiply by 255 and convert to uint8",
        ),
        (np.linspace(-1, 1, 72).reshape(4, 6, 3), "from -1 to 1: scale it to 0 to 255 and convert to uint8"),
        (np.full((4, 6, 3), 255.0), "from 255 to 255: scale it to 0 to 255 and convert"),
        (np.zeros((4, 6), np.uint8), r"uint8 \[4, 6\]: pass grey as three channels, np.stack"),
        (np.zeros((4, 6, 4), np.uint8), r"drop alpha with image\[..., :3\]"),
        (np.zeros((2, 4, 6, 3), np.uint8), "pass one photo at a time, or use Inpainter.batch"),
        (np.zeros((4, 6, 3), np.int64), "convert to uint8, 0 to 255"),
    ],
)
def test_other_images_get_the_cure(small_model, image, message):
    with pytest.raises(InputError, match=r"`image` must be uint8 \[H, W, 3\]. Received: .*" + message):
        Inpainter.load(small_model)(image, np.eye(4, 6))


@pytest.mark.parametrize("level", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [MODEL, FillOptions(threshold=3)])
def test_a_mask_with_a_level_that_is_no_number_is_refused(small_model, level, options):
    mask = np.eye(70, 90)
    mask[3, 5] = level
    with pytest.raises(InputError, match="the levels of the mask must be finite numbers"):
        Inpainter.load(small_model)(np.zeros((70, 90, 3), np.uint8), mask, options)
