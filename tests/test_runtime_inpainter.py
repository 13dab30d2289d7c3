"""Inpainter on each runtime, any photo size, and what it refuses."""

import dataclasses
import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shiftnet_tf import FillOptions, Inpainter, model_folder
from shiftnet_tf.errors import InputError, MissingPackageError
from shiftnet_tf.photos import image_files, pixels
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime import backends, inpaint_file

RUNTIMES = list(backends.RUNTIMES)


@pytest.fixture(scope="module")
def inpainter(small_model):
    return Inpainter.load(small_model)


@pytest.fixture
def model_copy(small_model, tmp_path):
    return shutil.copytree(small_model, tmp_path / "model")


def random_photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mask = np.zeros((height, width), np.uint8)
    mask[height // 4 : height // 2 + 1, width // 4 : width // 2 + 1] = 1
    return pixels.resize_image(coarse, height, width), mask


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("size", [(64, 64), (667, 1000), (64, 40), (3, 3), (1, 300)])
def test_known_pixels_are_bit_for_bit_those_of_the_photo(small_model, runtime, size):
    image, mask = random_photo(*size)
    inpainted = Inpainter.load(small_model, runtime=runtime)(image, mask)
    assert inpainted.shape == image.shape and inpainted.dtype == np.uint8
    np.testing.assert_array_equal(inpainted[mask == 0], image[mask == 0])
    if min(size) > 3:
        assert (inpainted[mask == 1] != image[mask == 1]).any()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_what_lies_under_the_mask_changes_no_byte(small_model, runtime):
    image, mask = random_photo(333, 500)
    noise = np.random.default_rng(1).integers(0, 256, image.shape, dtype=np.uint8)
    run = Inpainter.load(small_model, runtime=runtime)
    np.testing.assert_array_equal(run(image, mask), run(pixels.composite(noise, image, mask), mask))


def test_the_runtimes_give_the_same_picture(small_model, photo):
    answers = [Inpainter.load(small_model, runtime=runtime)(*photo).astype(int) for runtime in RUNTIMES]
    for answer in answers[1:]:
        assert (np.abs(answer - answers[0]) > 1).mean() < 0.001


def test_bool_and_255_masks_are_the_same(inpainter):
    image, mask = random_photo(80, 90)
    expected = inpainter(image, mask)
    for other in (mask.astype(bool), mask * 255, mask * 0.6, mask * 128, mask.astype(np.uint16) * 40_000):
        np.testing.assert_array_equal(inpainter(image, other), expected)


def test_an_empty_mask_gives_a_copy(inpainter):
    image, mask = random_photo(50, 60)
    answer = inpainter(image, mask * 0)
    np.testing.assert_array_equal(answer, image)
    assert answer is not image


def test_shift_map(inpainter, photo):
    options = {name: FillOptions(strategy=name, detail="model") for name in ("resize", "tile", "crop")}
    [(window, shift_map)] = inpainter.inpaint(*photo, options["resize"], shift_maps=True).shift_maps
    assert window == Window(0, 0, 384, 530)
    assert shift_map.shape == (8, 8) and shift_map.dtype == np.int32 and (shift_map >= 0).any()
    shift_maps = inpainter.inpaint(*photo, options["tile"], shift_maps=True).shift_maps
    assert len(shift_maps) > 1 and all((shift_map >= 0).any() for _, shift_map in shift_maps)
    shift_maps = inpainter.inpaint(*photo, options["crop"], shift_maps=True).shift_maps  # not of the wider look
    assert len(shift_maps) == 1


def test_the_shift_map_of_copied_pixels_says_where_they_came_from(inpainter, photo):
    image, mask = photo
    answer = inpainter.inpaint(image, mask, shift_maps=True)
    [(window, shift_map)] = answer.shift_maps
    assert shift_map.shape == (window.height, window.width) and shift_map.dtype == np.int32
    filled = np.zeros(mask.shape, bool)
    filled[window.slices] = shift_map >= 0
    assert np.array_equal(filled, mask != 0)
    rows, columns = np.divmod(shift_map[shift_map >= 0], window.width)
    rows, columns = rows + window.top, columns + window.left
    assert not mask[rows, columns].any()
    pixels, source = np.zeros((2, *image.shape), int)
    pixels[filled], source[filled] = answer.image[filled], image[rows, columns]
    together = (shift_map[:, 1:] == shift_map[:, :-1] + 1) & (shift_map[:, :-1] >= 0)  # copied side by side
    steps = (np.diff(picture[window.slices], axis=1)[together] for picture in (pixels, source))
    assert together.mean() > 0.05 and np.median(np.abs(np.subtract(*steps))) <= 2  # the blend moves colours alone


@pytest.mark.parametrize(
    "image, mask, message",
    [
        (np.zeros((8, 8, 3), np.uint8), np.ones((8, 8)), "covers the whole photo"),
        (np.zeros((8, 8, 3), np.uint8), np.ones((8, 9)), "photo's size, 8x8. Received: 9x8"),
        (np.zeros((8, 8, 3), np.float32), np.ones((8, 8)), "uint8 .H, W, 3.. Received: float32"),
        (np.zeros((8, 8), np.uint8), np.ones((8, 8)), "uint8 .H, W, 3.. Received: uint8 .8, 8."),
        (np.zeros((0, 8, 3), np.uint8), np.ones((0, 8)), "Received: uint8 .0, 8, 3."),
        (np.zeros((8, 8, 3), np.uint8), np.ones((8, 8, 1)), "numeric array .H, W.. Received: float64 .8, 8, 1."),
        (np.zeros((8, 8, 3), np.uint8), np.full((8, 8), "x"), "numeric array .H, W."),
    ],
)
def test_arrays_that_are_refused(inpainter, image, mask, message):
    with pytest.raises(InputError, match=message):
        inpainter(image, mask)


def test_the_first_installed_runtime_is_taken(small_model, monkeypatch):
    assert Inpainter.load(small_model).runtime == "onnxruntime"
    monkeypatch.setattr(backends, "list_installed", lambda: ["litert", "tensorflow"])
    assert Inpainter.load(small_model).runtime == "litert"
    monkeypatch.setattr(backends, "list_installed", lambda: [])
    message = "no installed runtime .*pip install onnxruntime or pip install ai-edge-litert$"
    with pytest.raises(MissingPackageError, match=message):
        Inpainter.load(small_model)


def test_one_file_of_a_folder(small_model):
    assert Inpainter.load(small_model / "model.tflite").runtime == "litert"
    assert Inpainter.load(small_model / "saved_model", runtime="tensorflow").runtime == "tensorflow"
    with pytest.raises(InputError, match="lists no file for model.tflite, onnxruntime, only"):
        Inpainter.load(small_model / "model.tflite", runtime="onnxruntime")


def test_a_saved_model_runs_only_by_name(model_copy, monkeypatch):
    message = "saved_model is a SavedModel, a program that can read and write any file: .* pass --runtime tensorflow"
    with pytest.raises(InputError, match=message):
        Inpainter.load(model_copy / "saved_model")
    monkeypatch.setattr(backends, "list_installed", lambda: ["tensorflow"])
    with pytest.raises(MissingPackageError, match="no installed runtime"):
        Inpainter.load(model_copy)
    spec = model_folder.ModelSpec.read(model_copy)
    dataclasses.replace(spec, files={"saved_model": spec.files["saved_model"]}).write(model_copy)
    for precision in (None, "float32"):
        with pytest.raises(InputError, match=message):
            Inpainter.load(model_copy, precision=precision)
    assert Inpainter.load(model_copy, runtime="tensorflow").runtime == "tensorflow"


def test_the_bundled_model_has_a_name(small_model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert model_folder.locate("compact") == model_folder.locate() == (model_folder.default_model(), None)
    shutil.copytree(small_model, tmp_path / "compact")
    assert model_folder.locate("compact") == (Path("compact"), None)  # a folder of one's own comes first


def test_choices_that_cannot_be(small_model, tmp_path):
    with pytest.raises(InputError, match="`runtime` must be one of onnxruntime, litert, tensorflow. Received: 'tpu'"):
        Inpainter.load(small_model, runtime="tpu")
    with pytest.raises(InputError, match="lists no file for int4, only"):
        Inpainter.load(small_model, precision="int4")
    with pytest.raises(InputError, match="the model does not exist"):
        Inpainter.load(tmp_path / "absent")
    with pytest.raises(InputError, match="not a model folder .it has no spec.json."):
        Inpainter.load(tmp_path)


def test_a_file_that_is_not_the_one_exported(model_copy):
    with open(model_copy / "model.onnx", "ab") as file:
        file.write(b"x")
    with pytest.raises(InputError, match="is not the exported file"):
        Inpainter.load(model_copy)
    (model_copy / "model.onnx").unlink()
    with pytest.raises(InputError, match="lists model.onnx, which does not exist"):
        Inpainter.load(model_copy)
    (model_copy / "saved_model" / "more").touch()
    with pytest.raises(InputError, match="is not the exported file"):
        Inpainter.load(model_copy, runtime="tensorflow")


def test_a_file_that_is_not_listed(model_copy):
    shutil.copy(model_copy / "model.onnx", model_copy / "other.onnx")
    with pytest.raises(InputError, match="lists no file for other.onnx, only"):
        Inpainter.load(model_copy / "other.onnx")


@pytest.mark.parametrize("runtime, name", [("onnxruntime", "model.onnx"), ("litert", "model.tflite")])
def test_a_damaged_file_with_a_matching_spec(model_copy, runtime, name):
    (model_copy / name).write_bytes(b"no model at all")
    spec = model_folder.ModelSpec.read(model_copy)
    entry = dataclasses.replace(spec.files[name], sha256=model_folder.sha256(model_copy / name))
    dataclasses.replace(spec, files={name: entry}).write(model_copy)
    with pytest.raises(InputError, match="cannot load"):
        Inpainter.load(model_copy)


def test_a_newer_or_damaged_spec(model_copy):
    path = model_copy / "spec.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"format_version": 2}))
    with pytest.raises(InputError, match="format version 2, newer than 1"):
        Inpainter.load(model_copy)
    for text in ("{", "[]", "{}", json.dumps(values | {"files": 3}), json.dumps(values | {"surplus": 3})):
        path.write_text(text)
        with pytest.raises(InputError, match="is damaged"):
            Inpainter.load(model_copy)


def test_a_spec_with_values_of_another_kind(model_copy):
    path = model_copy / "spec.json"
    values = json.loads(path.read_text())
    entry = values["files"]["model.onnx"]
    wrong = [
        {"precision": "x"},
        {"parity": {}},
        {"parity": None},
        {"image_size": "x"},
        {"sha256": None},
        {"outputs": 3},
    ]
    for change in wrong:
        path.write_text(json.dumps(values | {"files": {"model.onnx": entry | change}}))
        with pytest.raises(InputError, match="is damaged"):
            Inpainter.load(model_copy)
    for change in ({"masks": []}, {"image_size": None}, {"versions": 3}, {"weights_sha256": None}):
        path.write_text(json.dumps(values | change))
        with pytest.raises(InputError, match="is damaged"):
            Inpainter.load(model_copy)
    path.write_text(json.dumps(values | {"files": {}}))
    with pytest.raises(InputError, match="lists no model file"):
        Inpainter.load(model_copy)


def test_the_trainings_size_and_the_most_precise_file_come_first(model_copy):
    spec = model_folder.ModelSpec.read(model_copy)
    entry = spec.files["model.onnx"]
    for name, change in (("a.onnx", {"image_size": 128}), ("b.onnx", {"precision": "int8"})):
        shutil.copy(model_copy / "model.onnx", model_copy / name)
        spec.files[name] = dataclasses.replace(entry, **change)
    files = dict(sorted(spec.files.items()))  # a.onnx and b.onnx before model.onnx
    dataclasses.replace(spec, files=files).write(model_copy)
    assert Inpainter.load(model_copy).model.path.name == "model.onnx"
    assert Inpainter.load(model_copy, precision="int8").model.path.name == "b.onnx"


def test_a_file_for_one_kind_of_device_is_taken_only_by_its_name(model_copy):
    spec = model_folder.ModelSpec.read(model_copy)
    shutil.copy(model_copy / "model.tflite", model_copy / "a.tflite")
    entry = dataclasses.replace(spec.files["model.tflite"], profile="mobile-gpu")
    dataclasses.replace(spec, files={"a.tflite": entry, **spec.files}).write(model_copy)
    assert Inpainter.load(model_copy, runtime="litert").model.path.name == "model.tflite"
    assert Inpainter.load(model_copy / "a.tflite").model.path.name == "a.tflite"


def test_a_precision_that_the_runtime_has_no_file_of(model_copy):
    spec = model_folder.ModelSpec.read(model_copy)
    shutil.copy(model_copy / "model.tflite", model_copy / "dynamic.tflite")
    files = spec.files | {"dynamic.tflite": dataclasses.replace(spec.files["model.tflite"], precision="dynamic")}
    dataclasses.replace(spec, files=files).write(model_copy)
    assert Inpainter.load(model_copy, runtime="litert", precision="dynamic").model.path.name == "dynamic.tflite"
    message = r"lists no file for dynamic, onnxruntime, only .*dynamic.tflite \(dynamic, litert\)"
    with pytest.raises(InputError, match=message):
        Inpainter.load(model_copy, runtime="onnxruntime", precision="dynamic")
    with pytest.raises(InputError, match=r"lists no file for int8, only .*dynamic.tflite \(dynamic, litert\)"):
        Inpainter.load(model_copy, precision="int8")


def test_a_mask_that_touches_every_pixel_of_the_model_is_refused(inpainter):
    image, mask = np.zeros((640, 640, 3), np.uint8), np.zeros((640, 640), np.uint8)
    mask[::8, ::8] = 1
    with pytest.raises(InputError, match="scaled to the model's 64x64, the mask touches every pixel"):
        inpainter(image, mask, FillOptions(strategy="resize"))
    assert (inpainter(image, mask)[mask == 0] == 0).all()  # in smaller windows there is something known


@pytest.mark.parametrize("threads", [0, -1, 10**9])
def test_threads_out_of_range(small_model, threads):
    with pytest.raises(InputError, match="`threads` must be from 1 to 256"):
        Inpainter.load(small_model, threads=threads)


def test_many_threads_make_and_use_inpainters(small_model, photo):
    shared, network = Inpainter.load(small_model, runtime="litert"), FillOptions(detail="model")
    expected = shared(*photo, network)

    def fill(i):
        return (shared if i % 2 else Inpainter.load(small_model, runtime="litert"))(*photo, network)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(fill, range(12)))
    assert all(np.array_equal(answer, expected) for answer in answers)


def test_inpaint_file_is_the_same_as_arrays(inpainter, photo, tmp_path):
    image, mask = photo
    image_files.write_image(tmp_path / "photo.png", image)
    image_files.write_image(tmp_path / "mask.png", np.repeat(mask[..., None] * 255, 3, -1).astype(np.uint8))
    assert inpaint_file(inpainter, tmp_path / "photo.png", tmp_path / "mask.png", tmp_path / "out.png").has_hole
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "out.png"), inpainter(image, mask))
