"""A folder of photos: pairs by name, a bad file does not stop the others, what is there can be skipped."""

import json
import subprocess

import numpy as np
import pytest
from conftest import MASK, PHOTOS, says
from PIL import Image

from shiftnet_tf import FillOptions, Inpainter, inpaint_file, inpaint_folder
from shiftnet_tf.cli import main
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime.folders import pair


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
    found = {str(photo): mask and mask.name for photo, mask in pair(photos, masks)}
    assert found == {"a.jpg": "a.png", "alone.webp": None, "broken.jpg": "broken.tif", "inner/b c.png": "b c.json"}
    assert {mask for _, mask in pair(photos, masks / "a.png")} == {masks / "a.png"}


def test_the_command_goes_on_after_bad_files_and_lists_them(folders, tmp_path, capsys):
    photos, masks = folders
    out, log = tmp_path / "out", tmp_path / "log.jsonl"
    arguments = ["inpaint", str(photos), "--mask", str(masks), "-o", str(out), "--log", str(log)]
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert "2 failed, 2 filled of 4 photos" in printed.out
    assert f"failed: {photos / 'alone.webp'}: there is no mask alone.* in {masks}" in printed.err
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


def test_one_mask_for_all_and_another_suffix(folders, tmp_path, capsys):
    photos, _ = folders
    (photos / "broken.jpg").unlink()
    assert (
        main(
            [
                "inpaint",
                "--detail",
                "model",
                str(photos),
                "--mask",
                str(MASK),
                "-o",
                str(tmp_path / "out"),
                "--suffix",
                ".png",
            ]
        )
        == 0
    )
    assert "3 filled of 3 photos" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.png")) == ["a.png", "alone.png", "b c.png"]


def test_many_workers_give_the_bytes_of_one(folders, tmp_path):
    photos, _ = folders
    for i in range(12):
        Image.fromarray(np.asarray(Image.open(photos / "a.jpg"))[:, i * 8 :]).resize((530, 384)).save(
            photos / f"{i:02}.png"
        )
    results = {}
    for workers in (1, 8):
        out = tmp_path / f"out{workers}"
        number, outcomes = inpaint_folder(
            Inpainter.load(), photos, MASK, out, workers=workers, options=FillOptions(detail="model")
        )
        assert number == 16 and sorted(outcome.status for outcome in outcomes) == ["failed"] + ["filled"] * 15
        results[workers] = {path.name: path.read_bytes() for path in out.rglob("*.*")}
    assert results[1] == results[8] and len(set(results[1].values())) == 15


def test_whoever_stops_listening_stops_the_work(folders, tmp_path):
    photos, _ = folders
    for i in range(20):
        Image.open(photos / "a.jpg").save(photos / f"{i:02}.png")
    number, outcomes = inpaint_folder(
        Inpainter.load(), photos, MASK, tmp_path / "out", workers=1, options=FillOptions(detail="model")
    )
    next(outcomes)
    outcomes.close()
    assert number == 24 and len(list((tmp_path / "out").rglob("*.*"))) < 6


def test_what_is_refused(folders, tmp_path, capsys):
    photos, masks = folders
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    out = str(tmp_path / "out")
    for arguments, message in (
        ([str(tmp_path / "empty"), "--mask", str(masks), "-o", out], "no photo below the folder"),
        ([str(photos), "--mask", str(tmp_path / "nowhere"), "-o", out], "the mask does not exist"),
        ([str(photos), "--mask", str(masks), "-o", str(photos)], "must go to a folder of their own"),
        ([str(photos), "--mask", str(masks), "-o", str(masks)], "must go to a folder of their own"),
        ([str(photos), "--mask", str(masks), "-o", out, "--max-pixels", "nan"], "`--max-pixels` must be above 0"),
        ([str(photos), "--mask", str(masks), "-o", out, "--max-pixels", "300"], "at most 179"),
        ([str(photos), "--mask", str(masks), "-o", str(tmp_path / "file")], "must go to a folder"),
        ([str(photos), "--mask", str(masks), "-o", out, "--workers", "0"], "`workers` must be a whole number"),
        ([str(photos), "--mask", str(masks), "--mask", str(MASK), "-o", out], "takes one --mask"),
        ([str(photos), "--mask", str(masks), "-o", out, "--save-shift-map", "m.png"], "--save-shift-map is for one"),
        ([str(photos / "a.jpg"), "--mask", str(MASK), "-o", "x.png", "--log", "l"], "--log is for a folder of photos"),
        ([str(photos), "--mask", str(masks), "-o", out, "--suffix", ".exe"], "known suffix"),
    ):
        says(capsys, 2, message, main(["inpaint", *arguments]))
    Image.open(photos / "a.jpg").save(photos / "a.png")
    says(
        capsys,
        2,
        "two photos would be",
        main(["inpaint", "--detail", "model", str(photos), "--mask", str(MASK), "-o", out, "--suffix", ".png"]),
    )
    with pytest.raises(InputError, match="the folder of photos does not exist"):
        inpaint_folder(None, tmp_path / "nowhere", masks, out)


def test_a_full_disk_and_a_folder_that_may_not_be_written(folders, small_disk, capsys):
    photos, masks = folders
    (photos / "broken.jpg").unlink()
    (photos / "alone.webp").unlink()
    disk, resize = small_disk
    resize("40k")
    one = ["inpaint", "--detail", "model", str(photos / "a.jpg"), "--mask", str(masks / "a.png"), "-o"]
    says(capsys, 2, "No space left on device", main([*one, str(disk / "out.png")]))
    assert list(disk.iterdir()) == []
    assert main(["inpaint", "--detail", "model", str(photos), "--mask", str(masks), "-o", str(disk / "out")]) == 1
    printed = capsys.readouterr()
    assert "No space left on device" in printed.err and "Traceback" not in printed.err
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    says(capsys, 2, "Read-only file system", main([*one, str(disk / "out.png")]))


def test_an_output_that_is_its_input_is_replaced_whole(folders, capsys):
    photos, masks = folders
    before = (photos / "a.jpg").read_bytes()
    assert (
        main(
            [
                "inpaint",
                "--detail",
                "model",
                str(photos / "a.jpg"),
                "--mask",
                str(masks / "a.png"),
                "-o",
                str(photos / "a.jpg"),
            ]
        )
        == 0
    )
    assert (photos / "a.jpg").read_bytes() != before and Image.open(photos / "a.jpg").size == (530, 384)


def test_results_and_masks_below_the_photos_are_no_photos(folders, tmp_path):
    photos, masks = folders
    masks = masks.rename(photos / "masks")
    for _ in range(2):
        number, outcomes = inpaint_folder(
            Inpainter.load(), photos, masks, photos / "filled", options=FillOptions(detail="model")
        )
        assert number == 4 and sorted(outcome.status for outcome in outcomes) == [
            "failed",
            "failed",
            "filled",
            "filled",
        ]


def test_a_name_that_is_no_text_and_an_error_that_nobody_thought_of(folders, tmp_path, monkeypatch, capsys):
    photos, _ = folders
    strange = photos / b"b\xff.png".decode("utf-8", "surrogateescape")
    Image.open(photos / "a.jpg").save(strange)
    from shiftnet_tf.runtime import folders as module

    def fails(inpainter, photo, *rest, **more):
        raise MemoryError if photo.name == "a.jpg" else InputError("no")

    monkeypatch.setattr(module, "inpaint_file", fails)
    log = tmp_path / "log"
    arguments = [
        "inpaint",
        "--detail",
        "model",
        str(photos),
        "--mask",
        str(MASK),
        "-o",
        str(tmp_path / "out"),
        "--log",
        str(log),
    ]
    assert main(arguments) == 1
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == 5 and str(strange) in {line["photo"] for line in lines}
    assert [line["error"] for line in lines if line["photo"].endswith("a.jpg")] == ["MemoryError: MemoryError()"]
    assert "Traceback" not in capsys.readouterr().err


def test_a_bug_that_one_photo_meets_is_a_traceback_and_exit_code_70(folders, tmp_path, monkeypatch, capsys):
    photos, _ = folders
    read = image_files.open_picture
    monkeypatch.setattr(image_files, "open_picture", lambda *given: [][1] if "a.jpg" in str(given[0]) else read(*given))
    arguments = ["inpaint", "--detail", "model", str(photos), "--mask", str(MASK), "-o", str(tmp_path / "out")]
    assert main(arguments) == 70
    printed = capsys.readouterr()
    assert printed.err.count("Traceback") == 1 and f"failed: {photos / 'a.jpg'}: IndexError" in printed.err
    assert "2 failed, 2 filled of 4 photos" in printed.out
