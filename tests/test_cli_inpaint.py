"""The manners of `shiftnet inpaint`: several photos, folders, standard input and output, what is never overwritten."""

import io
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import PHOTOS, says
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter, inpaint_file
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files


@pytest.fixture
def inpaint(small_model):
    """The command `shiftnet inpaint` with a small model."""
    return lambda *words: main(["inpaint", *map(str, words), "--detail", "model", "--model", str(small_model)])


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The working folder, with a.jpg and b.png of 80x64 pixels, mask.png, and masks of the two in masks/."""
    monkeypatch.chdir(tmp_path)
    photo = Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((80, 64))
    photo.save("a.jpg", quality=90)
    photo.rotate(180).save("b.png")
    mask = Image.new("L", (80, 64))
    mask.paste(255, (20, 20, 40, 30))
    os.mkdir("masks")
    for name in ("mask.png", "masks/a.png"):
        mask.save(name)
    mask.rotate(180).save("masks/b.png")
    return tmp_path


class Stream:
    """A standard stream of bytes: a pipe, or a terminal."""

    def __init__(self, content=b"", terminal=False):
        self.buffer, self.isatty = io.BytesIO(content), lambda: terminal
        self.write, self.flush = lambda text: self.buffer.write(text.encode()), lambda: None


def test_several_photos_go_to_a_folder(inpaint, here, capsys):
    assert inpaint("a.jpg", "b.png", "--mask", "masks", "-o", "out/", "--log", "log") == 0
    assert re.fullmatch(
        r"out/: 2 filled of 2 photos in [0-9.]+ s with small/model.onnx on onnxruntime \(.*\)\n",
        capsys.readouterr().out,
    )
    assert inpaint("a.jpg", "--mask", "masks/a.png", "-o", "one.jpg") == 0
    assert inpaint("b.png", "--mask", "masks/b.png", "-o", "one.png") == 0
    for one, of_two in (("one.jpg", "out/a.jpg"), ("one.png", "out/b.png")):
        assert (here / one).read_bytes() == (here / of_two).read_bytes()
    assert sorted(json.loads(line)["out"] for line in (here / "log").read_text().splitlines()) == [
        "out/a.jpg",
        "out/b.png",
    ]

    before = (here / "out" / "a.jpg").stat().st_mtime_ns
    (here / "out" / "b.png").unlink()
    assert inpaint("a.jpg", "b.png", "--mask", "mask.png", "-o", "out", "--skip-existing") == 0
    assert "1 filled, 1 skipped of 2 photos" in capsys.readouterr().out
    assert (here / "out" / "a.jpg").stat().st_mtime_ns == before
    (here / "bad.jpg").write_bytes(b"bad")
    assert inpaint("a.jpg", "bad.jpg", "--mask", "mask.png", "-o", "out") == 1
    assert "failed: bad.jpg: " in capsys.readouterr().err


@pytest.mark.parametrize("output, suffix", [("out/", None), ("made", None), ("made", "webp")])
def test_one_photo_into_a_folder(inpaint, here, capsys, output, suffix):
    (here / "made").mkdir()
    more = ["--suffix", suffix] if suffix else []
    assert inpaint("a.jpg", "--mask", "masks", "-o", output, "--log", "log", *more) == 0
    out = f"{output.removesuffix('/')}/a.{suffix or 'jpg'}"
    assert Image.open(out).size == (80, 64)
    assert re.match(rf"{out}: filled 3\.9 % in [0-9.]+ s with small/model\.onnx on onnx", capsys.readouterr().out)
    assert json.loads((here / "log").read_text())["status"] == "filled"
    assert inpaint("a.jpg", "--mask", "masks", "-o", output, "--skip-existing", *more) == 0
    assert capsys.readouterr().out == f"{out}: skipped, it already exists\n"


def test_folders_above_the_output_are_made(inpaint, here):
    assert (
        inpaint("a.jpg", "--mask", "mask.png", "-o", "x/y/a.png", "--save-shift-map", "z/map.png", "--detail", "model")
        == 0
    )
    assert Image.open("x/y/a.png").size == (80, 64) and (here / "z" / "map.png").exists()
    Image.new("L", (80, 64)).save("none.png")
    assert inpaint("a.jpg", "--mask", "none.png", "-o", "no/hole/a.jpg") == 0
    assert (here / "no" / "hole" / "a.jpg").read_bytes() == (here / "a.jpg").read_bytes()
    assert inpaint("a.jpg", "b.png", "--mask", "mask.png", "-o", "p/q/") == 0 and (here / "p" / "q" / "b.png").exists()


def test_standard_input_and_output(inpaint, here, monkeypatch, capsys):
    assert inpaint("a.jpg", "--mask", "mask.png", "-o", "out.jpg") == 0
    expected = (here / "out.jpg").read_bytes()
    capsys.readouterr()
    photo, mask = (here / "a.jpg").read_bytes(), (here / "mask.png").read_bytes()
    for words, sent, suffix in (
        (["-", "--mask", "mask.png"], photo, None),
        (["a.jpg", "--mask", "-"], mask, None),
        (["-", "--mask", "mask.png"], photo, ".png"),
    ):
        monkeypatch.setattr(sys, "stdin", Stream(sent))
        monkeypatch.setattr(sys, "stdout", stdout := Stream())
        assert inpaint(*words, "-o", "-", *(["--suffix", suffix] if suffix else [])) == 0
        answer = stdout.buffer.getvalue()
        if suffix:
            assert Image.open(io.BytesIO(answer)).format == "PNG"
        else:
            assert answer == expected
        assert capsys.readouterr().err.startswith("standard output: filled 3.9 % in ")
    monkeypatch.setattr(sys, "stdin", Stream(photo))
    monkeypatch.setattr(sys, "stdout", stdout := Stream())
    assert inpaint("-", "--mask", "mask.png", "-o", "sent.jpg", "-q") == 0
    assert stdout.buffer.getvalue() == b"" and (here / "sent.jpg").read_bytes() == expected


def test_a_pipe(small_model, here):
    command = [
        sys.executable,
        "-m",
        "shiftnet_tf",
        "inpaint",
        "-",
        "--mask",
        "mask.png",
        "-o",
        "-",
        "--detail",
        "model",
    ]
    sent = (here / "a.jpg").read_bytes()
    done = subprocess.run([*command, "--model", str(small_model)], input=sent, capture_output=True)
    assert done.returncode == 0 and Image.open(io.BytesIO(done.stdout)).size == (80, 64), done.stderr
    assert done.stderr.startswith(b"standard output: filled 3.9 %") and done.stderr.count(b"\n") == 1


def test_an_input_is_never_overwritten_by_any_name(inpaint, here, capsys):
    os.link("a.jpg", "hard.jpg")
    os.symlink("a.jpg", "soft.jpg")
    os.symlink(".", "again")
    os.link("mask.png", "hard_mask.png")
    photo, mask = (here / "a.jpg").read_bytes(), (here / "mask.png").read_bytes()
    (here / "out").mkdir()
    os.symlink("../b.png", "out/a.png")
    for words in (
        ["a.jpg", "-o", "a.jpg"],
        ["a.jpg", "-o", "hard.jpg"],
        ["a.jpg", "-o", "soft.jpg"],
        ["a.jpg", "-o", "again/a.jpg"],
        ["soft.jpg", "-o", "a.jpg"],
        ["a.jpg", "-o", "."],
        ["a.jpg", "b.png", "-o", "."],
        ["a.jpg", "b.png", "-o", "out", "--suffix", "png"],  # out/a.png is a link to b.png
        [".", "-o", "again"],
    ):
        says(capsys, 2, "would overwrite the photo", inpaint(*words, "--mask", "mask.png"))
    for output in ("mask.png", "hard_mask.png"):
        says(capsys, 2, "would overwrite the mask", inpaint("a.jpg", "--mask", "mask.png", "-o", output, "--overwrite"))
    says(
        capsys,
        2,
        "file of its own",
        inpaint("a.jpg", "--mask", "mask.png", "-o", "o.jpg", "--save-shift-map", "hard.jpg"),
    )
    assert (here / "a.jpg").read_bytes() == photo and (here / "mask.png").read_bytes() == mask

    assert inpaint("a.jpg", "--mask", "mask.png", "-o", "soft.jpg", "--overwrite") == 0
    assert (here / "a.jpg").read_bytes() != photo and os.path.islink("soft.jpg")
    assert (here / "hard.jpg").read_bytes() == photo  # another name of what was there
    before = (here / "b.png").read_bytes()
    assert inpaint("a.jpg", "b.png", "--mask", "mask.png", "-o", ".", "--overwrite") == 0
    assert (here / "b.png").read_bytes() != before


def test_a_folder_onto_itself(inpaint, here, capsys):
    (here / "photos").mkdir()
    (here / "b.png").rename("photos/b.png")
    before = (here / "photos" / "b.png").read_bytes()
    says(capsys, 2, "would overwrite the photo photos/b.png", inpaint("photos", "--mask", "mask.png", "-o", "photos"))
    assert (here / "photos" / "b.png").read_bytes() == before
    assert inpaint("photos", "--mask", "mask.png", "-o", "photos", "--overwrite") == 0
    assert (here / "photos" / "b.png").read_bytes() != before and len(os.listdir("photos")) == 1


def test_quiet(inpaint, here, capsys):
    Image.new("L", (80, 64)).save("none.png")
    Image.new("L", (80, 64), 60).save("grey.png")
    for mask in ("mask.png", "none.png", "grey.png"):
        assert inpaint("a.jpg", "--mask", mask, "-o", "out.jpg", "--quiet") == 0
    assert inpaint("a.jpg", "b.png", "--mask", "mask.png", "-o", "out/", "-q") == 0
    assert capsys.readouterr() == ("", "")
    says(capsys, 2, "the photo does not exist", inpaint("absent.jpg", "--mask", "mask.png", "-o", "out.jpg", "-q"))


def test_quality(inpaint, here, capsys):
    sizes = []
    for quality in (95, 20):
        for suffix in ("jpg", "webp", "avif"):
            assert inpaint("a.jpg", "--mask", "mask.png", "-o", f"q{quality}.{suffix}", "--quality", quality) == 0
        sizes.append([os.path.getsize(f"q{quality}.{suffix}") for suffix in ("jpg", "webp", "avif")])
    assert all(2 * small < large for large, small in zip(*sizes))
    own = Image.open("a.jpg").quantization
    assert inpaint("a.jpg", "--mask", "mask.png", "-o", "own.jpg") == 0 and Image.open("own.jpg").quantization == own
    assert Image.open("q20.jpg").quantization != own
    assert inpaint("a.jpg", "b.png", "--mask", "mask.png", "-o", "out/", "--quality", 20) == 0  # of a.jpg alone
    assert os.path.getsize("out/a.jpg") == os.path.getsize("q20.jpg")
    for quality in (0, 101):
        words = ["a.jpg", "--mask", "mask.png", "-o", "out.jpg", "--quality", quality]
        says(capsys, 2, "`quality` must be a whole number from 1 to 100", inpaint(*words))
    says(capsys, 2, "written without loss", inpaint("a.jpg", "--mask", "mask.png", "-o", "o.png", "--quality", 50))
    says(capsys, 2, "written without loss", inpaint("b.png", "--mask", "masks", "-o", "out/", "--quality", 50))


def test_bad_input_is_one_sentence(inpaint, here, monkeypatch, capsys):
    (here / "photos").mkdir()
    (here / "b.png").rename("photos/a.jpg")
    before = sorted(here.rglob("*"))
    monkeypatch.setattr(sys, "stdin", Stream(terminal=True))
    mask = ["--mask", "mask.png", "-o"]
    for words, message in (
        (["a.jpg", *mask, "a.jpg/x/out.jpg"], "cannot create the folder a.jpg/x: "),
        (["a.jpg", "b.jpg", *mask, "mask.png/x/"], "cannot create the folder mask.png/x: "),
        (["a.jpg", *mask, "mask.png/"], "must be a folder, not a file"),
        (["photos", *mask, "-"], "`-` is for a single photo"),
        (["-", *mask, "masks"], "a photo from standard input has no name"),
        (["-", "a.jpg", *mask, "out/"], "`-` is for a single photo"),
        (["-", "--mask", "-", "-o", "out.jpg"], "standard input can be read only once"),
        (["-", *mask, "out.jpg"], "standard input is a terminal"),
        (["a.jpg", "b.jpg", *mask, "out.jpg"], "2 photos need a folder"),
        (["a.jpg", "photos/a.jpg", *mask, "out/"], "two photos would be written to out/a.jpg"),
        (["a.jpg", "photos", *mask, "out/"], "a folder of photos cannot be combined"),
        (
            ["a.jpg", "photos/a.jpg", *mask, "out/", "--save-shift-map", "m.png"],
            "--save-shift-map is for a single photo",
        ),
        (["a.jpg", *mask, "out.jpg", "--suffix", "png"], "--suffix is for folders"),
        (["mask.png", "--mask", "masks", "-o", "out.png"], "no mask named mask.* in masks"),
        (["a.jpg", "--mask", "masks", *mask, "out/"], "a folder of masks cannot be combined"),
    ):
        says(capsys, 2, message, inpaint(*words))
    monkeypatch.setattr(sys, "stdout", Stream(terminal=True))
    says(capsys, 2, "standard output is a terminal", inpaint("a.jpg", *mask, "-"))
    assert sorted(here.rglob("*")) == before


def test_python_takes_contents_and_opened_files(small_model, here):
    inpainter, options = Inpainter.load(small_model), FillOptions(detail="model")
    inpaint_file(inpainter, "a.jpg", "mask.png", "out.webp", options=options, quality=70)
    photo, mask, buffer = (here / "a.jpg").read_bytes(), (here / "mask.png").read_bytes(), io.BytesIO()
    inpaint_file(inpainter, photo, [mask], buffer, options=options, file_format="WEBP", quality=70)
    assert buffer.getvalue() == (here / "out.webp").read_bytes()
    own = io.BytesIO()
    inpaint_file(inpainter, photo, mask, own, options=options)
    filled = inpainter(np.asarray(Image.open("a.jpg")), image_files.read_image("mask.png")[..., 0], options)
    difference = np.abs(np.asarray(Image.open(own)).astype(int) - filled)
    assert Image.open(own).format == "JPEG" and difference.mean() < 2
    with pytest.raises(InputError, match=r"pass --overwrite \(in Python, overwrite=True\)"):
        inpaint_file(inpainter, "a.jpg", "mask.png", "a.jpg")
