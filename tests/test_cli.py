"""The command `shiftnet`: exit codes, one sentence for bad input, nothing half-written."""

import re

import numpy as np
import pytest
from conftest import MASK, PHOTOS, load_script, says
from PIL import Image

from shiftnet_tf import Inpainter, __version__
from shiftnet_tf.cli import main
from shiftnet_tf.photos import image_files, sheets

PHOTO = PHOTOS / "test" / "gc_farm_sheep.jpg"


def inpaint(model, out, photo=PHOTO, mask=MASK, *more):
    return main(["inpaint", str(photo), "--mask", str(mask), "-o", str(out), "--model", str(model), *more])


def test_inpaint(small_model, tmp_path, capsys, photo):
    assert inpaint(small_model, tmp_path / "out.png") == 0
    printed = capsys.readouterr().out
    assert re.search(
        rf"out\.png: filled {100 * photo[1].mean():.1f} % in [0-9.]+ s with small/model\.onnx on onnxrun", printed
    )
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "out.png"), Inpainter.load(small_model)(*photo))


def test_runtime_and_threads(small_model, tmp_path, capsys):
    assert inpaint(small_model, tmp_path / "out.png", PHOTO, MASK, "--runtime", "litert", "--threads", "1") == 0
    assert "model.tflite on litert (CPU (XNNPACK))" in capsys.readouterr().out


def test_a_bug_is_a_traceback(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(image_files, "_check_header", lambda *_: [][0])
    assert main(["inpaint", str(PHOTO), "--mask", str(MASK), "-o", str(tmp_path / "out.png")]) == 70
    error = capsys.readouterr().err
    assert error.startswith("Traceback") and error.endswith("IndexError: list index out of range\n")
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_shift_map_as_a_picture(small_model, tmp_path, capsys, photo, suffix):
    sheet = tmp_path / f"map{suffix}"
    assert inpaint(small_model, tmp_path / "out.png", PHOTO, MASK, "--save-shift-map", str(sheet)) == 0
    assert f"{sheet}: where each part of the hole came from" in capsys.readouterr().out
    answer = Inpainter.load(small_model).inpaint(*photo, shift_maps=True)
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "out.png"), answer.image)
    expected = sheets.shift_map_sheet(*photo, answer.shift_maps)
    difference = np.abs(image_files.read_image(sheet).astype(int) - expected)
    assert difference.mean() < (6 if suffix == ".jpg" else 1e-9)


def test_an_empty_mask_is_no_error(small_model, tmp_path, capsys):
    Image.new("L", (530, 384)).save(tmp_path / "empty.png")
    assert inpaint(small_model, tmp_path / "out.jpg", mask=tmp_path / "empty.png") == 0
    assert capsys.readouterr().err.startswith("note: the mask has no hole")
    assert (tmp_path / "out.jpg").read_bytes() == (PHOTOS / "test" / "gc_farm_sheep.jpg").read_bytes()
    assert inpaint(small_model, tmp_path / "out.png", mask=tmp_path / "empty.png") == 0
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "out.png"), image_files.read_image(PHOTO))


def test_bad_input_is_one_sentence_and_writes_nothing(small_model, small_run, tmp_path, capsys):
    Image.new("L", (530, 384), 255).save(tmp_path / "full.png")
    Image.new("L", (384, 530), 255).save(tmp_path / "turned.png")
    (tmp_path / "broken.jpg").write_bytes((PHOTOS / "test" / "gc_farm_sheep.jpg").read_bytes()[:9000])
    (tmp_path / "bare").mkdir()
    without_map = tmp_path / "without"
    assert load_script("export/export_onnx").main([str(small_run), "--out", str(without_map)]) == 0
    capsys.readouterr()
    out = tmp_path / "out.png"
    cases = [
        ((small_model, out, tmp_path / "absent.jpg"), "the photo does not exist"),
        ((small_model, out, tmp_path / "broken.jpg"), "the photo is damaged"),
        ((small_model, out, PHOTO, tmp_path / "absent.png"), "the mask does not exist"),
        ((small_model, out, PHOTO, tmp_path / "turned.png"), "must have the photo's size, 530x384. Received: 384x530"),
        ((small_model, out, PHOTO, tmp_path / "full.png"), "covers the whole photo"),
        ((tmp_path / "bare", out), "not a model folder (it has no spec.json)"),
        ((tmp_path / "nowhere", out), "the model does not exist"),
        ((small_model, tmp_path / "out.xyz"), "known image suffix"),
        ((small_model, out, PHOTO, MASK, "--save-shift-map", str(out)), "needs a file of its own"),
        ((small_model, out, PHOTO, MASK, "--save-shift-map", str(PHOTO)), "needs a file of its own"),
        ((small_model, out, PHOTO, MASK, "--save-shift-map", str(MASK)), "needs a file of its own"),
        ((small_model, out, PHOTO, MASK, "--save-shift-map", "map.xyz"), "known image suffix"),
        (
            (without_map, out, PHOTO, MASK, "--detail", "model", "--save-shift-map", str(tmp_path / "map.png")),
            "has no shift map: export",
        ),
        ((small_model, PHOTO / "new" / "out.png"), "cannot create the folder"),
        ((small_model, tmp_path / ("x" * 300 + ".png")), "File name too long"),
    ]
    before = sorted(tmp_path.iterdir())
    for arguments, message in cases:
        says(capsys, 2, message, inpaint(*arguments))
    assert sorted(tmp_path.iterdir()) == before


def test_a_doubtful_mask_gets_a_note_on_stderr(small_model, tmp_path, capsys):
    Image.open(MASK).convert("L").point(lambda level: level // 3).save(tmp_path / "dark.png")
    assert inpaint(small_model, tmp_path / "out.jpg", mask=tmp_path / "dark.png") == 0
    first, second = capsys.readouterr().err.splitlines()
    assert (
        first.startswith(f"note: {tmp_path / 'dark.png'}: nothing in the mask is lighter") and "--threshold N" in first
    )
    assert second.startswith("note: the mask has no hole")
    assert inpaint(small_model, tmp_path / "out.jpg", PHOTO, tmp_path / "dark.png", "--threshold", "40") == 0
    printed = capsys.readouterr()
    assert ": filled " in printed.out and printed.err == ""


def test_a_bug_is_a_traceback_and_exit_code_70(small_model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(image_files, "_check_header", lambda *_: [][1])
    assert inpaint(small_model, tmp_path / "out.png") == 70
    error = capsys.readouterr().err
    assert "Traceback" in error and "IndexError" in error and "damaged" not in error
    assert not (tmp_path / "out.png").exists()


def test_info(small_model, tmp_path, capsys):
    assert main(["info", str(small_model)]) == 0
    text = capsys.readouterr().out
    assert "trained at: 64x64, masks: center 1, rectangle 1, freeform 1" in text
    assert (
        "model.tflite: tflite, float32, 64x64, batch 1" in text
        and "selected on this machine: small/model.onnx on onnxruntime (CPU" in text
    )
    says(capsys, 2, "pass --runtime tensorflow", main(["info", str(small_model / "saved_model")]))
    assert main(["info", str(small_model / "saved_model"), "--runtime", "tensorflow"]) == 0
    text = capsys.readouterr().out
    assert "model.onnx" not in text and "selected on this machine: small/saved_model on tensorflow" in text
    for path, message in ((tmp_path, "not a model folder"), (tmp_path / "absent", "does not exist")):
        says(capsys, 2, message, main(["info", str(path)]))


def test_usage(capsys):
    for arguments in (["--version"], ["inpaint", "--help"]):
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        assert exit_.value.code == 0
    assert __version__ in capsys.readouterr().out
