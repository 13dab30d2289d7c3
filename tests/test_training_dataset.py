"""The stream of samples: each a pure function of (seed, k), photos of every kind, damaged and small ones."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf
from conftest import PHOTOS
from PIL import Image

from shiftnet_tf.config import toml_file
from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.training import dataset, photo_folder
from shiftnet_tf.training.photo_folder import PhotoFolder

SETTINGS = toml_file.from_dict(
    {
        "model": {"image_size": 64, "depth": 6},
        "data": {"short_side": 96},
        "masks": {"center": 1, "rectangle": 1, "freeform": 2},
        "training": {"batch_size": 2, "seed": 5},
    }
)


@pytest.fixture(scope="module")
def photos():
    return PhotoFolder(PHOTOS / "test", 64, 96, cache_megabytes=64)


def take(photos, settings, count, first_sample=0):
    return list(dataset.training_dataset(photos, settings, first_sample).take(count).as_numpy_iterator())


def test_shapes_and_ranges(photos):
    for batch in take(photos, SETTINGS, 5):
        assert batch["image"].shape == (2, 64, 64, 3) and batch["image"].dtype == np.float32
        assert batch["mask"].shape == (2, 64, 64, 1) and set(np.unique(batch["mask"])) == {0, 1}
        assert -1 <= batch["image"].min() < -0.1 and 0.1 < batch["image"].max() <= 1
        assert not np.array_equal(batch["mask"][0], batch["mask"][1])


def test_a_stream_repeats_itself_and_starts_anywhere(photos):
    whole = take(photos, SETTINGS, 12)
    later = take(photos, SETTINGS, 5, first_sample=2 * 7)
    for expected, given in zip(whole[7:], later):
        np.testing.assert_array_equal(expected["image"], given["image"])
        np.testing.assert_array_equal(expected["mask"], given["mask"])
    uncached = PhotoFolder(PHOTOS / "test", 64, 96)
    np.testing.assert_array_equal(take(uncached, SETTINGS, 1)[0]["image"], whole[0]["image"])


def test_another_seed_gives_other_samples(photos):
    other = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, seed=6))
    assert not np.array_equal(take(photos, SETTINGS, 1)[0]["image"], take(photos, other, 1)[0]["image"])


def test_each_pass_shows_each_photo_once_in_another_order(photos, tmp_path):
    for level in range(7):  # a photo of one grey level each: its level tells which it is
        image_files.write_image(tmp_path / f"{level}.png", np.full((80, 90, 3), 30 * level, np.uint8))
    settings = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, batch_size=1))
    folder = PhotoFolder(tmp_path, 64, 96)
    levels = [round((sample["image"][0, 0, 0, 0] + 1) * 127.5 / 30) for sample in take(folder, settings, 28)]
    turns = [tuple(levels[i : i + 7]) for i in range(0, 28, 7)]
    assert all(sorted(turn) == list(range(7)) for turn in turns)
    assert len(set(turns)) > 1


def test_crops_and_flips_are_parts_of_the_photo(tmp_path):
    ramp = np.zeros((64, 96, 3), np.uint8)
    ramp[..., 0] = np.arange(96)
    image_files.write_image(tmp_path / "ramp.png", ramp)
    settings = dataclasses.replace(SETTINGS, training=dataclasses.replace(SETTINGS.training, batch_size=1))
    folder = PhotoFolder(tmp_path, 64, 96)
    rows = [np.round((s["image"][0, 0, :, 0] + 1) * 127.5) for s in take(folder, settings, 60)]
    steps = {int(row[1] - row[0]) for row in rows}
    starts = {int(row.min()) for row in rows}
    assert steps == {1, -1} and min(starts) == 0 and max(starts) == 32 and len(starts) > 15
    never = dataclasses.replace(settings, data=dataclasses.replace(settings.data, flip=False))
    assert all(s["image"][0, 0, 1, 0] > s["image"][0, 0, 0, 0] for s in take(folder, never, 20))


def test_formats_and_nested_folders(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    image = image_files.read_image(PHOTOS / "test" / "gc_petra.jpg")
    for name in ("one.jpg", "a/two.png", "a/b/three.WEBP"):
        Image.fromarray(image).save(tmp_path / name)
    folder = PhotoFolder(tmp_path, 64, 96)
    assert len(folder) == 3
    assert all(folder.load(i).shape == (96, 136, 3) for i in range(3))


def test_small_and_damaged_photos_are_named_skipped_and_counted(tmp_path):
    shutil.copy(PHOTOS / "test" / "gc_petra.jpg", tmp_path / "good.jpg")
    image_files.write_image(tmp_path / "small.png", np.zeros((63, 200, 3), np.uint8))
    (tmp_path / "text.jpg").write_text("no photo")
    folder = PhotoFolder(tmp_path, 64, 96)
    assert [path.name for path in folder.paths] == ["good.jpg"]
    assert any("small.png is too small: short side 63, must be at least 64" in line for line in folder.skipped)
    assert any("not an image file that Pillow can identify" in line and "text.jpg" in line for line in folder.skipped)


def test_folders_without_a_usable_photo(tmp_path):
    with pytest.raises(InputError, match="no photos .* in '"):
        PhotoFolder(tmp_path, 64, 96)
    with pytest.raises(InputError, match="the photo folder does not exist: .*absent"):
        PhotoFolder(tmp_path / "absent", 64, 96)
    with pytest.raises(InputError, match="no photo folder given"):
        PhotoFolder((), 64, 96)
    image_files.write_image(tmp_path / "small.png", np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(InputError, match="none of the 1 photos .* can be used; the first: .*too small"):
        PhotoFolder(tmp_path, 64, 96)


def test_a_photo_cut_short_is_passed_over_and_many_of_them_stop_the_stream(tmp_path, capsys):
    whole = (PHOTOS / "test" / "gc_petra.jpg").read_bytes()
    for i in range(30):
        (tmp_path / f"{i:02}.jpg").write_bytes(whole)
    (tmp_path / "05.jpg").write_bytes(whole[:20000])
    folder = PhotoFolder(tmp_path, 64, 96)
    assert folder.load(5).shape == folder.load(6).shape
    assert "05.jpg" in capsys.readouterr().err
    for i in (10, 20):
        (tmp_path / f"{i}.jpg").write_bytes(whole[:20000])
    with pytest.raises(tf.errors.OpError, match="photos cannot be used"):
        take(folder, SETTINGS, 30)
    assert "of 30 photos cannot be used" in str(folder.failure)


def test_photos_and_masks_that_cannot_be_read_at_all(tmp_path, monkeypatch):
    shutil.copy(PHOTOS / "test" / "gc_petra.jpg", tmp_path / "good.jpg")
    image_files.write_image(tmp_path / "bomb.png", np.zeros((80, 80, 3), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # Pillow refuses more than twice as many
    with pytest.raises(InputError, match="not an image file that Pillow can identify|damaged"):
        PhotoFolder(tmp_path, 64, 96)


def test_a_black_validation_mask_is_kept_as_the_failure(photos, tmp_path):
    image_files.write_image(tmp_path / "black.png", np.zeros((64, 64, 3), np.uint8))
    masks = dataclasses.replace(SETTINGS.masks, folder_path=str(tmp_path), validation="folder")
    samples = dataset.validation_dataset(photos, dataclasses.replace(SETTINGS, masks=masks))
    with pytest.raises(tf.errors.OpError):
        list(samples)
    assert "must cover part of the image" in str(photos.failure)


def test_the_cache_keeps_to_its_room():
    small = PhotoFolder(PHOTOS / "test", 64, 128, cache_megabytes=0)
    small._cache_room = 2 * 128 * 200 * 3  # about two photos
    for index in range(len(small)):
        small.load(index)
    assert 1 <= len(small._cache) <= 2 and small._cache_room >= 0


def test_training_photos_are_not_those_of_validation():
    folder, held = PhotoFolder(PHOTOS, 64, 96), PhotoFolder(PHOTOS / "test", 64, 96)
    folder.exclude(held)
    assert {path.parent.name for path in folder.paths} == {"train"}
    with pytest.raises(InputError, match="all training photos are also"):
        held.exclude(PhotoFolder(PHOTOS / "test", 64, 96))


def test_validation_with_the_mix_of_training(photos):
    masks = dataclasses.replace(SETTINGS.masks, validation="mix")
    samples = dataset.validation_dataset(photos, dataclasses.replace(SETTINGS, masks=masks))
    assert len({sample["mask"].tobytes() for sample in samples.as_numpy_iterator()}) > 3


def test_validation_is_the_same_on_each_pass(photos):
    samples = dataset.validation_dataset(photos, SETTINGS)
    passes = [list(samples.as_numpy_iterator()) for _ in range(2)]
    assert len(passes[0]) == len(photos) == samples.cardinality()
    for first, second in zip(*passes):
        np.testing.assert_array_equal(first["image"], second["image"])
        np.testing.assert_array_equal(first["mask"], second["mask"])


def test_hold_out_shares_no_photo():
    folder = PhotoFolder(PHOTOS / "train", 64, 96)
    count = len(folder)
    held = folder.hold_out()
    assert len(held) == -(-count // 10) and len(held) + len(folder) == count
    assert not set(held.paths) & set(folder.paths)


def changed(section, **values):
    return dataclasses.replace(SETTINGS, **{section: dataclasses.replace(getattr(SETTINGS, section), **values)})


def test_crops_of_many_sizes_are_scaled_down(tmp_path):
    ramp = np.zeros((160, 200, 3), np.uint8)
    ramp[..., 0] = np.arange(200)
    image_files.write_image(tmp_path / "ramp.png", ramp)
    settings = changed("data", short_side=160, largest_crop=4.0, flip=False)
    samples = take(PhotoFolder(tmp_path, 64, 160), settings, 40)
    rows = np.concatenate([(s["image"][:, 32, :, 0] + 1) * 127.5 for s in samples])
    factors = (rows[:, 40] - rows[:, 20]) / 20  # grey levels a pixel are pixels of the photo a pixel of the sample
    assert factors.min() < 1.1 and 2.4 < factors.max() <= 2.5  # as far as the photo goes: 160 / 64
    assert 1.4 < np.median(factors) < 1.8  # evenly on a logarithmic scale
    assert rows.min() < 15 and rows.max() > 185
    for a, b in zip(samples, take(PhotoFolder(tmp_path, 64, 160), settings, 3)):
        np.testing.assert_array_equal(a["image"], b["image"])


def test_colours_change_at_random_by_as_much_as_is_told(photos, tmp_path):
    image_files.write_image(tmp_path / "orange.png", np.full((80, 80, 3), (150, 100, 50), np.uint8))
    folder = PhotoFolder(tmp_path, 64, 96)
    colours = [(s["image"][:, 0, 0] + 1) * 127.5 for s in take(folder, changed("data", colour=0.2), 40)]
    colours = np.concatenate(colours)
    assert colours.std(axis=0).min() > 1 and (colours >= 0).all() and (colours <= 255).all()
    grey = colours @ (0.2989, 0.587, 0.114)
    true_grey = np.dot((150, 100, 50), (0.2989, 0.587, 0.114))
    assert 0.8 * true_grey - 1 < grey.min() < 0.9 * true_grey and 1.1 * true_grey < grey.max() < 1.2 * true_grey + 1
    spread = (colours[:, 0] - colours[:, 2]) / grey * true_grey  # saturation, whatever the brightness
    assert 79 < spread.min() < 90 and 110 < spread.max() < 121
    plain, coloured = (take(photos, changed("data", colour=c), 1)[0] for c in (0.0, 0.2))
    np.testing.assert_array_equal(plain["mask"], coloured["mask"])
    assert np.abs(plain["image"] - coloured["image"]).max() > 0.02


def test_several_folders(tmp_path):
    folders = [PHOTOS / "test", PHOTOS / "train"]
    assert len(PhotoFolder(folders, 64, 96)) == sum(len(PhotoFolder(folder, 64, 96)) for folder in folders)
    for others in (
        [PHOTOS / "test", PHOTOS / "test" / ".." / "test"],
        [PHOTOS, PHOTOS / "test"],
        [PHOTOS / "test", PHOTOS],
    ):
        with pytest.raises(InputError, match="listed twice, or is inside another"):
            PhotoFolder(others, 64, 96)


def test_held_out_photos_are_not_trained_on_and_may_be_validated_with(tmp_path):
    list_of_photos = tmp_path / "held_out.txt"
    names = [path.name for path in PhotoFolder(PHOTOS / "train", 64, 96).paths]
    list_of_photos.write_text(f"# kept\n[more]\n{names[3]}  # why\n{names[5]}\n\n[theme]\n{names[0]}\n")
    section = {"photos": str(PHOTOS / "train"), "held_out": str(list_of_photos), "validation_sets": ("more",)}
    settings = changed("data", **section | {"photos": (str(PHOTOS / "train"),)})
    photos, sets = photo_folder.open_photos(settings)
    assert list(sets) == ["more"] and [path.name for path in sets["more"].paths] == [names[3], names[5]]
    assert [path.name for path in photos.paths] == [n for n in names if n not in (names[0], names[3], names[5])]
    both = dataclasses.replace(
        settings, data=dataclasses.replace(settings.data, validation_photos=(str(PHOTOS / "test"),))
    )
    assert {name: len(folder) for name, folder in photo_folder.open_photos(both)[1].items()} == {"val": 8, "more": 2}


@pytest.mark.parametrize(
    "text, sets, message",
    [
        (None, (), "cannot read the photo list"),
        ("# nothing", (), "the photo list is empty"),
        ("a.jpg\nb.jpg\na.jpg", (), "names a.jpg twice"),
        ("absent.jpg", (), "1 of 1 held-out photos are not in the photo folders, such as absent.jpg"),
        ("[one]\ngc_crab.jpg", ("two",), "`data.validation_sets` must be one of the sets in .*: one. Received: 'two'"),
    ],
)
def test_held_out_lists_that_are_refused(tmp_path, text, sets, message):
    path = tmp_path / "held_out.txt"
    if text is not None:
        path.write_text(text)
    settings = changed("data", photos=(str(PHOTOS / "train"),), held_out=str(path), validation_sets=sets)
    with pytest.raises(InputError, match=message):
        photo_folder.open_photos(settings)
