"""prepare_data.py: scenes from lists in the format of Places365, Paris StreetView, and checks of photo folders."""

import re
import shlex
import shutil

import pytest
from conftest import PHOTOS, ROOT, load_script, says
from PIL import Image, ImageOps

from shiftnet_tf.config import toml_file
from shiftnet_tf.photos import finding, image_files
from shiftnet_tf.training.photo_lists import read_photo_list

SAMPLE = PHOTOS / "test" / "gc_petra.jpg"
TRAIN_LIST = """/a/airfield/00000001.jpg 0
/b/butte/00000001.jpg 71
/b/butte/00000002.jpg 71
/c/canyon/00000001.jpg 79
/f/field/cultivated/00000001.jpg 140
/f/field/wild/00000001.jpg 141
/f/field_road/00000001.jpg 142
/s/synagogue/outdoor/00000001.jpg 334
/t/tundra/00000001.jpg 344
/v/valley/00000001.jpg 350
"""
VAL_LIST = "Places365_val_00000001.jpg 0\nPlaces365_val_00000002.jpg 71\nPlaces365_val_00000003.jpg 141\n"


@pytest.fixture(scope="module")
def main():
    return load_script("training/prepare_data").main


@pytest.fixture
def places(tmp_path):
    """The images as the archives of Places365 unpack: data_256/b/butte/..., val_256/..."""
    (tmp_path / "places365_train_standard.txt").write_text(TRAIN_LIST)
    (tmp_path / "places365_val.txt").write_text(VAL_LIST)
    for folder, text in (("data_256", TRAIN_LIST), ("val_256", VAL_LIST)):
        for line in text.splitlines():
            path = tmp_path / "images" / folder / line.split()[0].lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(SAMPLE, path)
    return tmp_path


def places6(main, places, *lists, more=()):
    paths = [str(places / name) for name in lists]
    return main(
        ["places6", "--images", str(places / "images"), "--filelist", *paths, "--out", str(places / "out"), *more]
    )


def files_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def printed_settings(capsys, config):
    """The config that the printed command trains with."""
    [line] = re.findall(r"^train with: (.*)$", capsys.readouterr().out, flags=re.MULTILINE)
    words = shlex.split(line)
    assert words[:3] == ["python", "training/train.py", f"training/configs/{config}.toml"] and "--run-dir" in words
    return toml_file.read(ROOT / words[2], [words[i + 1] for i, word in enumerate(words) if word == "--set"])


def test_the_six_scenes_and_their_splits(main, places, capsys):
    assert places6(main, places, "places365_train_standard.txt", "places365_val.txt") == 0
    settings = printed_settings(capsys, "paper_places6")
    assert settings.data.photos == (str(places / "out" / "train"),)
    assert settings.data.validation_photos == (str(places / "out" / "val"),)
    assert files_in(places / "out") == [
        "train/butte/00000001.jpg",
        "train/butte/00000002.jpg",
        "train/canyon/00000001.jpg",
        "train/field_cultivated/00000001.jpg",
        "train/field_wild/00000001.jpg",
        "train/synagogue_outdoor/00000001.jpg",
        "train/tundra/00000001.jpg",
        "train/valley/00000001.jpg",
        "val/butte/Places365_val_00000002.jpg",
        "val/field_wild/Places365_val_00000003.jpg",
    ]
    linked = places / "out" / "train" / "butte" / "00000001.jpg"
    assert linked.samefile(places / "images" / "data_256" / "b" / "butte" / "00000001.jpg")
    assert places6(main, places, "places365_train_standard.txt") == 0  # once more: what is there stays
    assert f"{places / 'out' / 'train'}: 2 of butte" in capsys.readouterr().out
    assert len(files_in(places / "out")) == 10


def test_the_list_of_categories_explains_labels(main, places):
    (places / "categories_places365.txt").write_text("/b/butte 71\n/f/field/wild 141\n/a/airfield 0\n")
    assert places6(main, places, "places365_val.txt", "categories_places365.txt", more=["--scenes", "butte"]) == 0
    assert files_in(places / "out") == ["val/butte/Places365_val_00000002.jpg"]


def test_labels_of_other_scenes_need_no_explanation(main, places):
    (places / "train.txt").write_text("/b/butte/00000001.jpg 71\n")
    assert places6(main, places, "train.txt", "places365_val.txt", more=["--scenes", "butte"]) == 0
    assert files_in(places / "out") == ["train/butte/00000001.jpg", "val/butte/Places365_val_00000002.jpg"]


def test_without_hard_links_files_are_copied(main, places, monkeypatch):
    def refuse(source, target):
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    assert places6(main, places, "places365_train_standard.txt", more=["--scenes", "field/wild"]) == 0
    (copied,) = (places / "out").rglob("*.jpg")
    assert copied.read_bytes() == SAMPLE.read_bytes() and copied.stat().st_nlink == 1


def test_what_is_missing_is_said(main, places, capsys):
    (places / "images" / "data_256" / "b" / "butte" / "00000001.jpg").unlink()
    assert places6(main, places, "places365_train_standard.txt") == 0
    assert "1 of the 8 listed images are not in" in capsys.readouterr().out


def test_bad_lists_are_one_sentence(main, places, capsys):
    cases = [
        ("val_only.txt", "Places365_val_00000002.jpg 71\n", "no list explains its label 71"),
        (
            "places365_test.txt",
            "Places365_test_00000001.jpg\n",
            "cannot find the scene of Places365_test_00000001.jpg in",
        ),
        ("list.txt", TRAIN_LIST, "must contain one of train, val, test"),
        ("train.txt", "/b/butte/00000001.jpg seventy one\n", "line 1 of"),
        ("train_empty.txt", "\n", "the file list is empty"),
        ("train_few.txt", "/b/butte/00000001.jpg 71\n", "no image of the scene 'canyon'"),
        ("train_else.txt", TRAIN_LIST.replace("0000000", "0000009"), "none of the 8 listed images is in"),
    ]
    for name, text, message in cases:
        (places / name).write_text(text)
        result = places6(main, places, name)
        error = capsys.readouterr().err
        assert result == 2 and message in error and error.splitlines()[-1].startswith("error: "), error
    (places / "train_bytes.txt").write_bytes(b"\xff\xfe\x00")
    says(capsys, 2, "is not a UTF-8 text file", places6(main, places, "train_bytes.txt"))
    says(capsys, 2, "No such file", places6(main, places, "absent.txt"))
    nowhere = ["places6", "--images", str(places / "x"), "--filelist", "a", "--out", str(places / "out")]
    says(capsys, 2, "--images must be a folder", main(nowhere))


def test_lists_of_other_editors(main, places):
    """Tabs, several spaces, a byte order mark, names with spaces where a label follows."""
    text = "\ufeff" + TRAIN_LIST.replace(" ", "\t", 3).replace("canyon/00000001.jpg 79", "canyon/00000001.jpg   79")
    (places / "places365_train_standard.txt").write_text(text, encoding="utf-8")
    assert places6(main, places, "places365_train_standard.txt") == 0
    assert len(files_in(places / "out")) == 8


def test_images_that_are_symbolic_links_become_files(main, places):
    for path in list((places / "images").rglob("*.jpg")):
        path.unlink()
        path.symlink_to(SAMPLE)
    assert places6(main, places, "places365_train_standard.txt") == 0
    copies = [places / "out" / name for name in files_in(places / "out")]
    assert copies and not any(path.is_symlink() for path in copies)


@pytest.fixture
def paris(tmp_path):
    """A set of 12 training and 2 test photos of 936x537 in the folders of Paris StreetView."""
    for i in range(14):
        path = tmp_path / "set" / ("paris_train_original" if i < 12 else "paris_eval_gt") / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (936, 537), (i, 0, 0)).save(path)
    return tmp_path


def lay_out(main, paris, *more):
    return main(["paris", "--images", str(paris / "set"), "--out", str(paris / "out of it"), *more])


def test_paris_is_laid_out_for_its_config(main, paris, capsys):
    out = paris / "out of it"
    assert lay_out(main, paris, "--val-count", "3") == 0
    train = [f"train/{i:02}.png" for i in (1, 2, 3, 5, 6, 7, 9, 10, 11)]
    assert files_in(out) == ["test/12.png", "test/13.png", *train, "val/00.png", "val/04.png", "val/08.png"]
    assert (out / "val" / "04.png").samefile(paris / "set" / "paris_train_original" / "04.png")
    settings = printed_settings(capsys, "paper_paris")
    assert settings.data.photos == (str(out / "train"),) and settings.data.validation_photos == (str(out / "val"),)
    assert lay_out(main, paris, "--val-count", "3") == 0  # once more: what is there stays
    printed = capsys.readouterr().out
    assert "found 12 training photos (the paper: 14900) and 2 test photos (the paper: 100)" in printed
    assert f"{out / 'train'}: 9\n{out / 'val'}: 3\n{out / 'test'}: 2\n" in printed


def test_paris_in_other_folders(main, paris):
    (paris / "set" / "paris_train_original").rename(paris / "elsewhere")
    (paris / "set" / "paris_eval_gt").rename(paris / "set" / "eval")
    (paris / "set" / "more" / "east").mkdir(parents=True)
    Image.new("RGB", (936, 537)).save(paris / "set" / "more" / "east" / "00.jpg")
    folders = ["--train", str(paris / "elsewhere"), "more", "--test", "eval"]
    assert lay_out(main, paris, *folders, "--val-count", "1") == 0
    train = ["train/east/00.jpg", *(f"train/{i:02}.png" for i in range(1, 12))]
    assert files_in(paris / "out of it") == sorted([*train, "test/12.png", "test/13.png", "val/00.png"])


def test_bad_input_of_paris_is_one_sentence(main, paris, capsys):
    (paris / "set" / "again").mkdir()
    shutil.copy(paris / "set" / "paris_train_original" / "01.png", paris / "set" / "again")
    cases = [
        (["--test", "val"], "has again, paris_eval_gt, paris_train_original: pass the right one as --test"),
        (["--test", "paris_train_original"], "is listed twice"),
        (["--train", "paris_train_original", "again", "--val-count", "1"], "would both become"),
        (["--val-count", "0"], "`--val-count` must be at least 1 and below the number of training photos, 12"),
        (["--val-count", "12"], "Received: 12"),
    ]
    for more, message in cases:
        says(capsys, 2, message, lay_out(main, paris, *more))
    says(capsys, 2, "--images must be a folder", main(["paris", "--images", str(paris / "x"), "--out", str(paris)]))
    assert not (paris / "out of it").exists()


def test_another_layout_of_paris_is_not_mixed_in(main, paris, capsys):
    """A photo of the old OUT/val would be in OUT/train too."""
    assert lay_out(main, paris, "--val-count", "3") == 0
    before = files_in(paris / "out of it")
    capsys.readouterr()
    says(capsys, 2, "has photos of another layout", lay_out(main, paris, "--val-count", "2"))
    assert files_in(paris / "out of it") == before


@pytest.fixture
def folder(tmp_path):
    """A photo, a broken one, a near-duplicate, a mirrored copy of a validation photo and another file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copyfile(SAMPLE, folder / "whole.jpg")
    (folder / "cut.jpg").write_bytes(SAMPLE.read_bytes()[:5000])
    picture = Image.open(SAMPLE)
    picture.resize((picture.width * 9 // 10, picture.height * 9 // 10)).save(folder / "copy.png")
    ImageOps.mirror(Image.open(PHOTOS / "test" / "gc_pontdugard.jpg")).save(folder / "held.jpg", quality=50)
    (folder / "notes.txt").write_text("no photo")
    return folder


def test_check_prints_one_line_for_each_finding(main, folder, capsys):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert (
        main(["check", str(folder), "--validation", str(PHOTOS / "train"), "--validation", str(PHOTOS / "test")]) == 1
    )
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("broken: ") and str(folder / "cut.jpg") in lines[0]
    for line, name, other in zip(lines[1:4], ("copy.png", "held.jpg", "whole.jpg"), (SAMPLE, "pontdugard", SAMPLE)):
        assert line.startswith(f"near-duplicate: {folder / name} of {PHOTOS / 'test'}") and str(other) in line
    assert "gc_pontdugard.jpg, mirrored, similarity " in lines[2]
    assert lines[4] == "photos: 4, usable at 256x256: 0; other files: 1"
    assert lines[5] == "broken: 1, too small: 0, near-duplicate: 3"
    assert lines[6].startswith("short side: ")
    assert before == {path: path.read_bytes() for path in folder.iterdir()}


def test_check_writes_a_list_to_leave_out(main, folder, tmp_path, capsys):
    path = tmp_path / "leave_out.txt"
    assert main(["check", str(folder), "--write-list", str(path)]) == 1
    assert read_photo_list(path) == {"": ["copy.png", "cut.jpg"]}
    assert capsys.readouterr().out.endswith(f"{path}: 2 names\n")
    assert main(["check", str(PHOTOS / "test"), "--write-list", str(path)]) == 0
    assert capsys.readouterr().out.endswith(f"{path}: 0 names, train without data.held_out\n")


def test_check_of_good_photos_is_a_success(main, capsys):
    assert main(["check", str(PHOTOS / "train"), str(PHOTOS / "test")]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(finding.find_photos(PHOTOS))
    assert lines[:2] == [
        f"photos: {count}, usable at 256x256: {count}; other files: 0",
        "broken: 0, too small: 0, near-duplicate: 0",
    ]


def test_check_shows_its_progress_on_stderr(main, folder, capsys):
    main(["check", str(folder)])
    error = capsys.readouterr().err
    assert "reading:   0%|" in error and "4/4" in error and "comparing: 100%|" in error


def test_check_refuses_bad_input_before_it_reads_a_photo(main, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(image_files, "read_image", lambda path: pytest.fail("a photo was read"))
    good = str(PHOTOS / "test")
    (tmp_path / "empty").mkdir()
    cases = [
        ([str(tmp_path / "absent")], f"the photo folder does not exist: {tmp_path / 'absent'}"),
        ([good, "--validation", str(tmp_path / "absent")], "the photo folder does not exist"),
        ([str(tmp_path / "empty")], "no photos (JPEG, PNG, WebP) in"),
        ([good, good], "is listed twice"),
        ([good, "--validation", good], "is listed twice"),
        ([str(PHOTOS), "--validation", good], "is inside another listed folder"),
        ([good, "--image-size", "0"], "`--image-size` must be at least 1"),
        ([good, "--threshold", "1.5"], "`--threshold` must be above 0 and at most 1"),
        ([good, "--write-list", str(tmp_path / "absent" / "list.txt")], "must be a file in a folder that exists"),
        ([good, "--write-list", str(tmp_path)], "must be a file in a folder that exists"),
    ]
    for arguments, message in cases:
        says(capsys, 2, message, main(["check", *arguments]))


def test_small_photos_are_findings(main, capsys):
    assert main(["check", str(PHOTOS / "test"), "--image-size", "4096"]) == 1
    assert "usable at 4096x4096: 0" in (text := capsys.readouterr().out) and "too small: 8" in text
