"""prepare_data.py: the scenes out of lists in the format of Places365, and what a folder of photos holds."""

import shutil

import pytest
from conftest import PHOTOS, load_script, says

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


def test_the_six_scenes_and_their_splits(main, places, capsys):
    assert places6(main, places, "places365_train_standard.txt", "places365_val.txt") == 0
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
    assert f"{places / 'out' / 'train'}: 2 of butte" in capsys.readouterr().out
    assert places6(main, places, "places365_train_standard.txt") == 0  # once more: what is there stays
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
    assert "1 of the 8 listed images are not below" in capsys.readouterr().out


def test_bad_lists_are_one_sentence(main, places, capsys):
    cases = [
        ("val_only.txt", "Places365_val_00000002.jpg 71\n", "has label 71, which no list explains"),
        ("places365_test.txt", "Places365_test_00000001.jpg\n", "cannot be told: it has no label"),
        ("list.txt", TRAIN_LIST, "must tell its split, one of train, val, test"),
        ("train.txt", "/b/butte/00000001.jpg seventy one\n", "line 1 of"),
        ("train_empty.txt", "\n", "the file list is empty"),
        ("train_few.txt", "/b/butte/00000001.jpg 71\n", "no image of the scene 'canyon'"),
        ("train_else.txt", TRAIN_LIST.replace("0000000", "0000009"), "none of the 8 listed images is below"),
    ]
    for name, text, message in cases:
        (places / name).write_text(text)
        result = places6(main, places, name)
        error = capsys.readouterr().err
        assert result == 2 and message in error and error.splitlines()[-1].startswith("error: "), error
    (places / "train_bytes.txt").write_bytes(b"\xff\xfe\x00")
    says(capsys, 2, "the file list is no text", places6(main, places, "train_bytes.txt"))
    says(capsys, 2, "No such file", places6(main, places, "absent.txt"))
    nowhere = ["places6", "--images", str(places / "x"), "--filelist", "a", "--out", str(places / "out")]
    says(capsys, 2, "--images must be a folder", main(nowhere))


def test_check_says_what_a_folder_holds(main, tmp_path, capsys):
    assert main(["check", str(PHOTOS / "test")]) == 0
    text = capsys.readouterr().out
    assert "photos: 8, of which 8 can be trained on at 256x256" in text and "broken: 0, too small: 0" in text
    shutil.copyfile(SAMPLE, tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes(SAMPLE.read_bytes()[:5000])
    (tmp_path / "notes.txt").write_text("no photo")
    assert main(["check", str(tmp_path), "--image-size", "4096"]) == 1
    text = capsys.readouterr().out
    assert "photos: 2, of which 0 can be trained on at 4096x4096" in text
    assert "broken: 1, too small: 1, other files: 1" in text
    assert "broken: the photo is damaged" in text and f"too small: {tmp_path / 'whole.jpg'}, " in text


def test_check_of_no_photos_is_one_sentence(main, tmp_path, capsys):
    says(capsys, 2, "no photo (JPEG, PNG, WebP) below", main(["check", str(tmp_path)]))
    says(capsys, 2, "no such folder", main(["check", str(tmp_path / "absent")]))
    says(capsys, 2, "`--image-size` must be at least 1", main(["check", str(PHOTOS / "test"), "--image-size", "0"]))


def test_a_folder_of_small_photos_is_no_success(main, capsys):
    assert main(["check", str(PHOTOS / "test"), "--image-size", "4096"]) == 1
    assert "too small: 8" in capsys.readouterr().out


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
