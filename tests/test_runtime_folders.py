"""A folder of photos: pairs by name, a bad file does not stop the others, what is there can be skipped."""

import json
import os
import shutil
import subprocess
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import MASK, PHOTOS, says
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter, inpaint_file, inpaint_folder
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError, MissingPackageError
from shiftnet_tf.photos import file_formats, finding, image_files
from shiftnet_tf.runtime import inpaint_photo
from shiftnet_tf.runtime.jobs import pair


@pytest.fixture(scope="module")
def inpainter(small_model):
    return Inpainter.load(small_model)


@pytest.fixture
def inpaint(small_model):
    """The command `shiftnet inpaint` with a small model."""
    return lambda *words: main(["inpaint", *map(str, words), "--detail", "model", "--model", str(small_model)])


@pytest.fixture
def folders(tmp_path):
    """Four photos, one in a folder of its own, one broken; masks of other suffixes; one mask is missing."""
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos, masks):
        (folder / "inner").mkdir(parents=True)
    picture = Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg")
    picture.save(photos / "a.jpg")
    picture.save(photos / "inner" / "b c.png")
    picture.save(photos / "alone.webp")
    (photos / "broken.jpg").write_bytes((photos / "a.jpg").read_bytes()[:3000])
    (photos / "notes.txt").write_text("no photo")
    mask = Image.open(MASK)
    mask.save(masks / "a.png")
    (masks / "inner" / "b c.json").write_text('{"boxes": [[10, 20, 60, 70]]}')
    mask.save(masks / "broken.tif")
    return photos, masks


def test_pairs_by_name(folders):
    photos, masks = folders
    found = {str(photo): masks and masks[0].name for photo, masks in pair(photos, masks)}
    assert found == {"a.jpg": "a.png", "alone.webp": (), "broken.jpg": "broken.tif", "inner/b c.png": "b c.json"}
    assert {mask for _, mask in pair(photos, masks / "a.png")} == {(masks / "a.png",)}


def test_the_command_goes_on_after_bad_files_and_lists_them(folders, tmp_path, capsys):
    photos, masks = folders
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    arguments = ["inpaint", str(photos), "--mask", str(masks), "-o", str(out), "--log", str(log)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "2 failed, 2 filled of 4 photos" in printed.out
    assert f"failed: {photos / 'alone.webp'}: no mask named alone.* in {masks}" in printed.err
    assert f"failed: {photos / 'broken.jpg'}: the photo is damaged" in printed.err and "Traceback" not in printed.err
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.*")) == ["a.jpg", "inner/b c.png"]
    lines = {json.loads(line)["photo"]: json.loads(line) for line in log.read_text().splitlines()}
    assert len(lines) == 4 and lines[str(photos / "a.jpg")]["status"] == "filled"
    assert "window" in lines[str(photos / "a.jpg")]["plan"] and lines[str(photos / "broken.jpg")]["error"]
    share = (np.asarray(Image.open(MASK).convert("L")) > 127).mean()
    assert (
        abs(lines[str(photos / "a.jpg")]["share"] - share) < 1e-6 and "share" not in lines[str(photos / "broken.jpg")]
    )
    inpaint_file(Inpainter.load(), photos / "a.jpg", masks / "a.png", tmp_path / "alone.jpg")
    assert (tmp_path / "alone.jpg").read_bytes() == (out / "a.jpg").read_bytes()

    (photos / "broken.jpg").unlink()
    (photos / "alone.webp").unlink()
    before = (out / "a.jpg").stat().st_mtime_ns
    assert main([*arguments, "--skip-existing"]) == 0
    assert "2 skipped of 2 photos" in capsys.readouterr().out and (out / "a.jpg").stat().st_mtime_ns == before
    assert len(log.read_text().splitlines()) == 6  # a log is added to


def test_one_mask_for_all_and_another_suffix(inpaint, folders, tmp_path, capsys):
    photos, _ = folders
    (photos / "broken.jpg").unlink()
    assert inpaint(photos, "--mask", MASK, "-o", tmp_path / "out", "--suffix", ".png") == 0
    assert "3 filled of 3 photos" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == ["a.png", "alone.png", "b c.png"]


def test_many_workers_give_the_bytes_of_one(inpainter, folders, tmp_path):
    photos, _ = folders
    picture = np.asarray(Image.open(photos / "a.jpg"))
    for i in range(5):
        Image.fromarray(picture[:, i * 8 :]).resize((530, 384)).save(photos / f"{i:02}.png", compress_level=1)
    results, options = {}, FillOptions(detail="model")
    for workers in (1, 8):
        out = tmp_path / f"out{workers}"
        number, outcomes = inpaint_folder(inpainter, photos, MASK, out, workers=workers, options=options)
        assert number == 9 and sorted(outcome.status for outcome in outcomes) == ["failed"] + ["filled"] * 8
        results[workers] = {path.name: path.read_bytes() for path in out.rglob("*.*")}
    assert results[1] == results[8] and len(set(results[1].values())) == 8


def test_whoever_stops_listening_stops_the_work(inpainter, folders, tmp_path):
    photos, _ = folders
    for i in range(20):
        shutil.copy(photos / "a.jpg", photos / f"{i:02}.jpg")
    out, options = tmp_path / "out", FillOptions(detail="model")
    number, outcomes = inpaint_folder(inpainter, photos, MASK, out, workers=1, options=options)
    next(outcomes)
    outcomes.close()
    assert number == 24 and len(list(out.rglob("*.*"))) < 6


def test_what_is_refused(inpaint, folders, tmp_path, capsys):
    photos, masks = folders
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    out = tmp_path / "out"
    for arguments, message in (
        ([tmp_path / "empty", "--mask", masks, "-o", out], "no photos in"),
        ([photos, "--mask", tmp_path / "nowhere", "-o", out], "the mask does not exist"),
        ([photos, "--mask", masks, "-o", photos], "would overwrite the photo"),
        ([photos, "--mask", masks, "-o", masks], "must not be the folder of masks"),
        ([photos, "--mask", masks, "-o", out, "--max-pixels", "nan"], "`--max-pixels` must be above 0"),
        ([photos, "--mask", masks, "-o", out, "--max-pixels", "300"], "at most 179"),
        ([photos, "--mask", masks, "-o", tmp_path / "file"], "the output must be a folder, not a file"),
        ([photos, "--mask", masks, "-o", out, "--workers", "0"], "`workers` must be a whole number"),
        ([photos, "--mask", masks, "--mask", MASK, "-o", out], "a folder of masks cannot be combined"),
        ([photos, "--mask", masks, "-o", out, "--save-shift-map", "m.png"], "--save-shift-map is for a single"),
        ([photos, "--mask", masks, "-o", out, "--suffix", ".exe"], "known image suffix"),
    ):
        says(capsys, 2, message, inpaint(*arguments))
    Image.open(photos / "a.jpg").save(photos / "a.png")
    says(capsys, 2, "two photos would be", inpaint(photos, "--mask", MASK, "-o", out, "--suffix", ".png"))
    with pytest.raises(InputError, match="the photo folder does not exist"):
        inpaint_folder(None, tmp_path / "nowhere", masks, out)


def test_a_full_disk_and_a_folder_that_may_not_be_written(inpaint, folders, small_disk, capsys):
    photos, masks = folders
    (photos / "broken.jpg").unlink()
    (photos / "alone.webp").unlink()
    disk, resize = small_disk
    resize("40k")
    one = [photos / "a.jpg", "--mask", masks / "a.png", "-o"]
    says(capsys, 2, "No space left on device", inpaint(*one, disk / "out.png"))
    assert list(disk.iterdir()) == []
    assert inpaint(photos, "--mask", masks, "-o", disk / "out") == 1
    printed = capsys.readouterr()
    assert "No space left on device" in printed.err and "Traceback" not in printed.err
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    says(capsys, 2, "Read-only file system", inpaint(*one, disk / "out.png"))


def test_an_output_that_is_its_input_is_replaced_whole(inpaint, folders):
    photo, masks = folders[0] / "a.jpg", folders[1]
    before = photo.read_bytes()
    assert inpaint(photo, "--mask", masks / "a.png", "-o", photo, "--overwrite") == 0
    assert photo.read_bytes() != before and Image.open(photo).size == (530, 384)


def test_results_and_masks_below_the_photos_are_no_photos(inpainter, folders):
    photos, masks = folders
    masks = masks.rename(photos / "masks")
    for _ in range(2):
        options = FillOptions(detail="model")
        number, outcomes = inpaint_folder(inpainter, photos, masks, photos / "filled", options=options)
        statuses = sorted(outcome.status for outcome in outcomes)
        assert number == 4 and statuses == ["failed", "failed", "filled", "filled"]


def test_a_name_that_is_no_text_and_an_error_that_nobody_thought_of(inpaint, folders, tmp_path, monkeypatch, capsys):
    photos, _ = folders
    strange = photos / b"b\xff.png".decode("utf-8", "surrogateescape")
    Image.open(photos / "a.jpg").save(strange)
    from shiftnet_tf.runtime import folders as module

    def fails(inpainter, photo, *rest, **more):
        raise MemoryError if photo.name == "a.jpg" else InputError("no")

    monkeypatch.setattr(module, "inpaint_file", fails)
    log = tmp_path / "log"
    assert inpaint(photos, "--mask", MASK, "-o", tmp_path / "out", "--log", log) == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 5 and str(strange) in {line["photo"] for line in lines}
    assert [line["error"] for line in lines if line["photo"].endswith("a.jpg")] == ["MemoryError: MemoryError()"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_that_one_photo_meets_is_a_traceback_and_exit_code_70(inpaint, folders, tmp_path, monkeypatch, capsys):
    photos, _ = folders
    read = image_files.open_picture
    monkeypatch.setattr(image_files, "open_picture", lambda *given: [][1] if "a.jpg" in str(given[0]) else read(*given))
    assert inpaint(photos, "--mask", MASK, "-o", tmp_path / "out") == 70
    printed = capsys.readouterr()
    assert printed.err.count("Traceback") == 1 and f"failed: {photos / 'a.jpg'}: IndexError" in printed.err
    assert "2 failed, 2 filled of 4 photos" in printed.out


@pytest.fixture
def small(tmp_path):
    """A folder for photos, and the mask of 80x64 pixels and the options with which they are filled."""
    (tmp_path / "photos").mkdir()
    mask = np.zeros((64, 80), np.uint8)
    mask[20:30, 20:40] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return tmp_path / "photos", tmp_path / "mask.png", FillOptions(detail="model")


def picture():
    return Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((80, 64))


def test_hidden_files_and_unfinished_ones_are_no_photos(small):
    photos, mask, _ = small
    (photos / ".trash").mkdir()
    names = ("a.jpg", "._a.jpg", ".DS_Store", ".hidden.png", ".trash/b.jpg", ".0123abcd.jpg", ".shiftnet-x-1-0.jpg")
    for name in names:
        picture().save(photos / name, "JPEG")
    assert [str(path) for path, _ in pair(photos, mask)] == ["a.jpg"]
    assert finding.find_photos(photos) == [photos / "a.jpg"]  # for training and evaluation
    assert finding.find_photos(photos / ".trash") == [photos / ".trash" / "b.jpg"]  # a folder that is named counts


def test_names_pair_however_their_accents_are_written(small):
    photos, mask, _ = small
    masks = mask.parent / "masks"
    for form, folder in (("NFC", photos), ("NFD", masks)):
        (folder / unicodedata.normalize(form, "été")).mkdir(parents=True)
    relative = unicodedata.normalize("NFC", "été/café.jpg"), unicodedata.normalize("NFD", "été/café.png")
    picture().save(photos / relative[0])
    (masks / relative[1]).write_bytes(mask.read_bytes())
    assert pair(photos, masks) == [(Path(relative[0]), (masks / relative[1],))]
    exact = masks / Path(relative[0]).with_suffix(".png")
    exact.parent.mkdir()
    exact.write_bytes(mask.read_bytes())
    assert pair(photos, masks) == [(Path(relative[0]), (exact,))]


def test_links_to_folders_are_followed_and_neither_loop_nor_double(small):
    photos, mask, _ = small
    other = photos.parent / "other"
    for folder in (photos / "own", other / "deep"):
        folder.mkdir(parents=True)
    picture().save(photos / "own" / "a.jpg")
    picture().save(other / "deep" / "b.jpg")
    (photos / "linked").symlink_to(other)
    (photos / "again").symlink_to(photos / "own")
    (photos / "up").symlink_to("..")
    (other / "deep" / "back").symlink_to(photos)
    (photos / "loop").symlink_to("loop")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "photo.jpg").symlink_to(other / "deep" / "b.jpg")
    found = [str(path) for path, _ in pair(photos, mask)]
    assert found == ["linked/deep/b.jpg", "own/a.jpg", "photo.jpg"]


def test_a_folder_that_cannot_be_read_is_said(small, monkeypatch, caplog):
    photos, mask, _ = small
    (photos / "closed").mkdir()
    picture().save(photos / "a.jpg")
    scan = os.scandir

    def scandir(place):
        if str(place).endswith("closed"):  # root may read all folders
            raise PermissionError(13, "Permission denied")
        return scan(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert len(pair(photos, mask)) == 1 and caplog.messages == [f"{photos / 'closed'}: skipped: Permission denied"]


def test_a_suffix_with_or_without_its_dot(inpaint, small):
    photos, mask, _ = small
    picture().save(photos / "a.jpg")
    out = photos.parent / "out"
    assert inpaint(photos, "--mask", mask, "-o", out, "--suffix", "png") == 0 and (out / "a.png").is_file()
    for suffix in (".", "a/b", "../x.png/y", "exe", ".gif"):
        with pytest.raises(InputError, match="write a .png" if suffix == ".gif" else "known image suffix"):
            inpaint_folder(None, photos, mask, out, suffix=suffix)


def test_photos_in_formats_that_cannot_be_written_get_another(inpainter, small):
    """GIF as PNG, a phone's MPO as JPEG, as the server answers them; a file that is named .gif is refused."""
    photos, mask, options = small
    picture().save(photos / "a.GIF")
    picture().save(photos / "b.MPO", "MPO", save_all=True, append_images=[picture().rotate(90)])
    picture().save(photos / "c.jpg")
    out = photos.parent / "out"
    outcomes = list(inpaint_folder(inpainter, photos, mask, out, options=options)[1])
    assert [outcome.error for outcome in outcomes] == [""] * 3
    assert {path.name: Image.open(path).format for path in out.iterdir()} == {
        "a.png": "PNG",
        "b.jpg": "JPEG",
        "c.jpg": "JPEG",
    }
    filled = inpaint_photo(inpainter, (photos / "a.GIF").read_bytes(), [mask.read_bytes()], options)
    assert filled.encoded() == (out / "a.png").read_bytes()
    with pytest.raises(
        InputError, match=r"the 256 colours of a GIF are too few for the result: write a .png. Received: 'a"
    ):
        inpaint_file(inpainter, photos / "a.GIF", mask, photos.parent / "a.gif")
    picture().save(photos / "a.png")
    for suffix, cure in ((None, "rename one of them"), (".webp", "leave out --suffix")):
        with pytest.raises(InputError, match=rf"two photos would be written to .*out/a\.\w+: {cure}"):
            inpaint_folder(inpainter, photos, mask, out, suffix=suffix)


def test_heic_without_its_package_names_it(small, monkeypatch):
    photos, mask, options = small
    known = tuple(name for name in file_formats.readable() if name != "HEIF")
    monkeypatch.setattr(file_formats, "readable", lambda: known)
    monkeypatch.setitem(Image.SAVE, "HEIF", None)
    monkeypatch.delitem(Image.SAVE, "HEIF")
    message = r"HEIC needs the package pillow-heif, .*: pip install pillow-heif: "
    for brand in ("heic", "mif1"):
        (photos / "a.heic").write_bytes(HEIC.replace(b"heic", brand.encode(), 1))
        with pytest.raises(MissingPackageError, match=f"{message}.*/a.heic"):
            inpaint_file(None, photos / "a.heic", mask, photos.parent / "a.png")
        with pytest.raises(MissingPackageError, match=f"{message}a.heic"):
            inpaint_file(None, photos / "a.heic", mask, photos.parent / "a.heic")
        with pytest.raises(MissingPackageError, match=message):  # as the server is given it: 422
            inpaint_photo(None, (photos / "a.heic").read_bytes(), [mask.read_bytes()], options)
    (photos / "a.heic").rename(photos / "b.jpg")
    (photos / "a.HEIC").write_bytes(HEIC)
    outcomes = list(inpaint_folder(None, photos, mask, photos.parent / "out")[1])
    assert len(outcomes) == 2 and all("pip install pillow-heif" in outcome.error for outcome in outcomes)
    (photos / "c.jpg").write_bytes(HEIC.replace(b"heic", b"avif"))
    with pytest.raises(InputError, match="not an image file"):
        image_files.read_image(photos / "c.jpg")


# The beginning of a HEIC file: its brands.
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
