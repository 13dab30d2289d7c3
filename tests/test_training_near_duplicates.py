"""near_duplicates.py: copies of photos are found, different photos are not, against slow loops.

python tests/test_training_near_duplicates.py DIR ... # lowest similarity of each kind of copy, of the photos in DIR
"""

import io
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from conftest import PHOTOS
from PIL import Image, ImageEnhance, ImageOps

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import finding
from shiftnet_tf.training import near_duplicates as nd
from shiftnet_tf.training.photo_lists import read_photo_list


def encode(picture):
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=30)
    return Image.open(file).convert("RGB")


def crop(picture, left, top, right, bottom):
    """Cuts per cent off each side."""
    width, height = picture.size
    box = (width * left / 100, height * top / 100, width * (1 - right / 100), height * (1 - bottom / 100))
    return picture.crop(tuple(map(round, box)))


def correct_gamma(picture, gamma):
    return picture.point([round(255 * (level / 255) ** gamma) for level in range(256)] * 3)


COPIES = {
    "JPEG of quality 30": encode,
    "half the size": lambda picture: picture.resize((picture.width // 2, picture.height // 2)),
    "96x64 pixels": lambda picture: picture.resize((96, 64), Image.Resampling.BILINEAR),
    "brightness x0.6": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
    "brightness x1.15": lambda picture: ImageEnhance.Brightness(picture).enhance(1.15),
    "contrast x0.6": lambda picture: ImageEnhance.Contrast(picture).enhance(0.6),
    "gamma 1.5": lambda picture: correct_gamma(picture, 1.5),
    "gamma 0.67": lambda picture: correct_gamma(picture, 0.67),
    "mirrored": ImageOps.mirror,
    "1 % cut off each side": lambda picture: crop(picture, 1, 1, 1, 1),
    "3 % cut off each side": lambda picture: crop(picture, 3, 3, 3, 3),
    "5 % cut off the bottom": lambda picture: crop(picture, 0, 0, 0, 5),
    "4 % cut off left and top": lambda picture: crop(picture, 4, 4, 0, 0),
    "3 % cut off left and right, mirrored, quality 30": lambda picture: encode(
        ImageOps.mirror(crop(picture, 3, 0, 3, 0))
    ),
}


def thumbnail(picture):
    return nd.make_thumbnail(np.asarray(picture.convert("RGB")))


def similarities(originals, copies):
    """Of each copy and its original: float [N]; 0 where step 1 drops the pair."""
    found = [nd.find_duplicates(np.stack(pair), threshold=1e-9) for pair in zip(originals, copies)]
    return np.array([matches[1].similarity if matches else 0.0 for matches in found])


@pytest.fixture(scope="module")
def pictures():
    return [Image.open(path).convert("RGB") for path in finding.find_photos(PHOTOS)]


@pytest.fixture(scope="module")
def originals(pictures):
    return np.stack([thumbnail(picture) for picture in pictures])


@pytest.mark.parametrize("kind", COPIES)
def test_copies_are_found(pictures, originals, kind):
    copies = np.stack([thumbnail(COPIES[kind](picture)) for picture in pictures])
    count = len(pictures)
    matches = nd.find_duplicates(np.concatenate([originals, copies]), kept=count)
    assert {i: match.index for i, match in matches.items()} == {count + i: i for i in range(count)}
    assert all(match.mirrored for match in matches.values()) == ("mirrored" in kind)


def test_different_photos_are_not_near_duplicates(originals):
    assert len(originals) >= 36
    assert nd.find_duplicates(originals) == {}
    assert all(match.similarity < 0.85 for match in nd.find_duplicates(originals, threshold=0.5).values())


def shrink(thumbnail, top=0.0, bottom=0.0, left=0.0, right=0.0):
    """64x64 to 16x16 with a triangle filter, cell by cell, as the definition says."""

    def weights(start, end, k):
        width = (1 - start - end) * 4
        centre = start * 64 + width * (k + 0.5)
        values = [max(0.0, 1 - abs(i + 0.5 - centre) / width) for i in range(64)]
        return [value / sum(values) for value in values]

    small = np.zeros((16, 16))
    for y in range(16):
        for x in range(16):
            rows, columns = weights(top, bottom, y), weights(left, right, x)
            near = [(i, j) for i in range(64) if rows[i] for j in range(64) if columns[j]]
            small[y, x] = sum(rows[i] * columns[j] * float(thumbnail[i, j]) for i, j in near)
    return small


def correlate(a, b):
    a, b = np.ravel(a) - np.mean(a), np.ravel(b) - np.mean(b)
    return sum(a * b) / (sum(a * a) * sum(b * b)) ** 0.5


def differences(small):
    across = [small[y, x + 1] - small[y, x] for y in range(16) for x in range(15)]
    down = [small[y + 1, x] - small[y, x] for y in range(15) for x in range(16)]
    return np.concatenate([across - np.mean(across), down - np.mean(down)])


@pytest.mark.parametrize("mirrored", [False, True])
def test_both_steps_against_slow_loops(pictures, originals, monkeypatch, mirrored):
    cut = crop(pictures[3], 4, 2, 0, 6)
    pair = np.stack([originals[3], thumbnail(ImageOps.mirror(cut) if mirrored else cut)])
    second = pair[1][:, ::-1] if mirrored else pair[1]
    margins = (0.02, 0.06, 0.04, 0.0)  # those of the cut: no other of the 256 fits better
    similarity = correlate(differences(shrink(pair[0], *margins)), differences(shrink(second)))
    [(index, match)] = nd.find_duplicates(pair).items()
    assert (index, match.index, match.mirrored) == (1, 0, mirrored)
    assert match.similarity == pytest.approx(similarity, abs=1e-4)
    correlation = correlate(shrink(pair[0]), shrink(second))
    assert correlation < 0.99 < similarity
    monkeypatch.setattr(nd, "CANDIDATE", correlation - 1e-4)
    assert 1 in nd.find_duplicates(pair)
    monkeypatch.setattr(nd, "CANDIDATE", correlation + 1e-4)
    assert nd.find_duplicates(pair) == {}


@pytest.mark.parametrize("kept", [0, 5])
def test_small_blocks_find_the_pairs_of_one_block(pictures, originals, monkeypatch, kept):
    kinds = ["JPEG of quality 30", "mirrored", "3 % cut off each side"]
    copies = [thumbnail(COPIES[kind](picture)) for kind in kinds for picture in pictures[:10]]
    thumbnails = np.random.default_rng(0).permutation(np.concatenate([originals, copies]))
    whole = nd.find_duplicates(thumbnails, kept, threshold=0.7)
    assert len(whole) >= 25 and all(i >= kept and match.index < i for i, match in whole.items())
    for block in (1, 7, 32):
        monkeypatch.setattr(nd, "BLOCK", block)
        blocks = nd.find_duplicates(thumbnails, kept, threshold=0.7)
        assert {i: (m.index, m.mirrored) for i, m in blocks.items()} == {
            i: (m.index, m.mirrored) for i, m in whole.items()
        }
        for i, match in blocks.items():
            assert match.similarity == pytest.approx(whole[i].similarity, abs=1e-5)


def test_only_photos_that_are_kept_take_others_out(pictures):
    """Each of three crops is like the next one; the first and the last are not alike."""
    picture = pictures[5]
    a, b, c = (thumbnail(crop(picture, left, 0, 9 - left, 0)) for left in (0, 4.5, 9))
    assert min(similarities([a, b], [b, c])) >= 0.75 > similarities([a], [c])[0]
    assert list(nd.find_duplicates(np.stack([a, b, c]), threshold=0.75)) == [1]
    assert list(nd.find_duplicates(np.stack([b, a, c]), threshold=0.75)) == [1, 2]


def test_flat_thumbnails_match_nothing():
    random = np.random.default_rng(0)
    sky = np.linspace(90, 230, 400)[:, None] + np.zeros((400, 600))
    blank = np.full((400, 600), 128.0)
    noisy = [plane + random.normal(0, 3, plane.shape) for plane in (blank, sky, sky)]
    photos = [np.repeat(plane.round().astype(np.uint8)[..., None], 3, -1) for plane in (blank, blank, sky, *noisy)]
    thumbnails = np.stack([thumbnail(encode(Image.fromarray(photo))) for photo in photos])
    assert nd.find_duplicates(thumbnails, threshold=0.5) == {}


def test_memory_is_bounded(monkeypatch):
    """All pairs of 3,000 photos at once are 36 MB for each mirroring, and more for each step after that."""
    monkeypatch.setattr(nd, "BLOCK", 100)
    thumbnails = np.random.default_rng(0).integers(0, 256, (3000, 64, 64), np.uint8)
    tracemalloc.start()
    try:
        assert nd.find_duplicates(thumbnails) == {}
        assert tracemalloc.get_traced_memory()[1] < 20e3 * len(thumbnails)
    finally:
        tracemalloc.stop()


def test_no_thumbnails_at_all():
    assert nd.find_duplicates(np.zeros((0, 64, 64), np.uint8)) == {}


def test_folders_are_checked(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to(PHOTOS / "test")
    cases = [
        ([tmp_path / "absent"], f"the photo folder does not exist: {tmp_path / 'absent'}"),
        ([PHOTOS / "test", tmp_path / "empty"], f"no photos (JPEG, PNG, WebP) in {tmp_path / 'empty'}"),
        ([PHOTOS / "test", tmp_path / "link"], f"the folder {tmp_path / 'link'} is listed twice"),
        ([PHOTOS, PHOTOS / "test"], "is inside another listed folder"),
        ([PHOTOS / "test", PHOTOS], "is inside another listed folder"),
    ]
    for folders, message in cases:
        with pytest.raises(InputError) as error:
            nd.list_photos(folders)
        assert message in str(error.value)
    listed = nd.list_photos([str(PHOTOS / "test"), PHOTOS / "train"])
    assert list(listed) == [PHOTOS / "test", PHOTOS / "train"] and len(listed[PHOTOS / "test"]) == 8


@pytest.fixture
def folders(tmp_path, pictures):
    """Training photos of every kind and one validation photo; (training folder, validation folder)."""
    train, validation = tmp_path / "train", tmp_path / "validation"
    (train / "nested").mkdir(parents=True)
    validation.mkdir()
    a, b, c = (picture.resize((300, 300)) for picture in pictures[:3])
    a.save(train / "a.png")
    crop(a, 2, 2, 2, 2).save(train / "0 smaller.jpg")
    ImageOps.mirror(b).save(train / "nested" / "held.jpg")
    b.resize((200, 200)).save(validation / "v.png")
    c.resize((300, 200)).save(train / "small.png")
    Image.new("RGB", (300, 300), "gray").save(train / "flat.png")
    whole = (train / "a.png").read_bytes()
    (train / "broken.png").write_bytes(whole[: len(whole) // 2])  # the header is there: only decoding shows it
    return train, validation


def survey(train, validation):
    return nd.survey(nd.list_photos([train]), nd.list_photos([validation]), 256)


def test_each_kind_of_finding(folders):
    train, validation = folders
    findings, sides = survey(train, validation)
    kinds = {finding.path.relative_to(train).as_posix(): finding.kind for finding in findings}
    assert kinds == {
        "broken.png": "broken",
        "small.png": "too small",
        "0 smaller.jpg": "near-duplicate",
        "nested/held.jpg": "near-duplicate",
    }
    texts = {finding.path.name: finding.text for finding in findings}
    assert str(train / "broken.png") in texts["broken.png"]
    assert texts["small.png"] == f"{train / 'small.png'}: size 300x200, the short side must be at least 256"
    assert texts["0 smaller.jpg"].startswith(f"{train / '0 smaller.jpg'} of {train / 'a.png'}, similarity 0.9")
    assert f"{train / 'nested' / 'held.jpg'} of {validation / 'v.png'}, mirrored, similarity" in texts["held.jpg"]
    assert sorted(sides) == [200, 288, 300, 300, 300]


def test_a_broken_validation_photo_is_a_finding_and_a_small_one_is_not(folders):
    train, validation = folders
    (validation / "w.jpg").write_bytes(b"no photo")
    findings = [finding for finding in survey(train, validation)[0] if finding.folder == validation]
    assert [(finding.kind, finding.path) for finding in findings] == [("broken", validation / "w.jpg")]


def test_a_list_is_written_and_read_back(folders, tmp_path):
    train, validation = folders
    path = tmp_path / "leave_out.txt"
    assert nd.write_list(path, survey(train, validation)[0]) == 4
    assert read_photo_list(path) == {"": ["0 smaller.jpg", "broken.png", "nested/held.jpg", "small.png"]}
    lines = path.read_text().splitlines()
    assert lines[lines.index("small.png") - 1].startswith("# too small: ")
    assert lines[lines.index("nested/held.jpg") - 1].startswith("# near-duplicate: ")


def test_names_of_several_folders_are_listed_once(tmp_path):
    findings = [nd.Finding("too small", Path(name), Path(name) / "a.jpg", f"{name} line\nbreak") for name in "xy"]
    assert nd.write_list(tmp_path / "list.txt", findings) == 1
    assert read_photo_list(tmp_path / "list.txt") == {"": ["a.jpg"]}
    assert "# too small: y line break" in (tmp_path / "list.txt").read_text()


def test_names_that_a_list_cannot_hold(tmp_path):
    for name in ("#1.jpg", "a #1.jpg", " a.jpg", "a\n.jpg", "a\u2028.jpg"):
        with pytest.raises(InputError, match="a photo list cannot contain the name"):
            nd.write_list(tmp_path / "list.txt", [nd.Finding("broken", tmp_path, tmp_path / name, "")])
    assert not (tmp_path / "list.txt").exists()
    assert nd.write_list(tmp_path / "list.txt", [nd.Finding("broken", tmp_path, tmp_path / "a#[1].jpg", "")]) == 1
    assert read_photo_list(tmp_path / "list.txt") == {"": ["a#[1].jpg"]}


def test_the_module_is_light():
    code = "import sys, shiftnet_tf.training.near_duplicates; "
    code += "print({'tensorflow', 'keras', 'cv2'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


if __name__ == "__main__":
    loaded = [Image.open(path).convert("RGB") for folder in sys.argv[1:] for path in finding.find_photos(folder)]
    whole = [thumbnail(picture) for picture in loaded]
    for kind, make in COPIES.items():
        values = np.sort(similarities(whole, [thumbnail(make(picture)) for picture in loaded]))
        missed = (values < nd.THRESHOLD).mean()
        print(f"{kind}: lowest {values[0]:.3f}, 1st percentile {values[len(values) // 100]:.3f}, missed {missed:.2%}")
