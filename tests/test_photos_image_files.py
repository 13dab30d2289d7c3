"""Reading and writing pictures: orientation, formats, files that are none."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import image_files
from shiftnet_tf.system.atomic import write_atomically


def random_image(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_png_round_trip(tmp_path):
    image = random_image(13, 17)
    image_files.write_image(tmp_path / "a.png", image)
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "a.png"), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_exif_orientation_is_applied(tmp_path):
    image = random_image(16, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "a.png"), np.rot90(image, -1))


def test_what_is_hole_in_a_mask_file(tmp_path):
    levels = np.zeros((8, 8), np.uint8)
    levels[2, 3], levels[4, 4] = 1, 255
    Image.fromarray(levels).save(tmp_path / "grey.png")
    assert mask_files.read_mask(tmp_path / "grey.png").sum() == 2
    Image.fromarray(levels > 0).save(tmp_path / "bits.png")
    assert mask_files.read_mask(tmp_path / "bits.png").sum() == 2
    Image.fromarray(levels.astype(np.uint16) * 200).save(tmp_path / "deep.png")
    assert mask_files.read_mask(tmp_path / "deep.png").sum() == 2
    red = np.zeros((8, 8, 3), np.uint8)
    red[1, 1, 0] = 9
    Image.fromarray(red).save(tmp_path / "red.png")
    assert mask_files.read_mask(tmp_path / "red.png").sum() == 1


def test_a_jpeg_mask_is_cut_in_the_middle(tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    Image.fromarray(mask).save(tmp_path / "mask.jpg", quality=60)
    (tmp_path / "jpeg.png").write_bytes((tmp_path / "mask.jpg").read_bytes())  # a name says nothing
    np.testing.assert_array_equal(mask_files.read_mask(tmp_path / "jpeg.png"), mask // 255)
    np.testing.assert_array_equal(mask_files.read_mask(tmp_path / "mask.jpg"), mask // 255)


def deep_rgb_png():
    """A PNG of 2x1 pixels with 16 bits a channel, which Pillow cannot write."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    rows = zlib.compress(b"\0" + struct.pack(">6H", *range(0, 1200, 200)))
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_files_that_are_no_photo(tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    Image.fromarray(random_image(64, 64)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:600])
    Image.fromarray(np.full((8, 8, 4), 100, np.uint8)).save(tmp_path / "glass.png")
    Image.fromarray(np.dstack([random_image(8, 8), np.eye(8, dtype=np.uint8) * 255])).save(tmp_path / "cut_out.png")
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "deep_rgb.png").write_bytes(deep_rgb_png())
    with pytest.raises(InputError, match="transparent pixels and several colours"):
        mask_files.read_mask(tmp_path / "cut_out.png")
    for name, message in (
        ("absent.jpg", "does not exist"),
        (".", "must be a picture file, not a folder"),
        ("text.jpg", "no picture that Pillow can read"),
        ("cut.jpg", "damaged"),
        ("glass.png", "transparent pixels"),
        ("deep.png", "8 bits a channel"),
        ("deep_rgb.png", "8 bits a channel. Received 16"),
    ):
        with pytest.raises(InputError, match=message):
            image_files.read_image(tmp_path / name)


def test_an_opaque_alpha_channel_is_no_hindrance(tmp_path):
    image = random_image(8, 8)
    Image.fromarray(np.dstack([image, np.full((8, 8), 255, np.uint8)])).save(tmp_path / "a.png")
    np.testing.assert_array_equal(image_files.read_image(tmp_path / "a.png"), image)


def test_nothing_is_left_of_a_failed_write(tmp_path):
    def fail(part):
        part.write_text("half")
        raise OSError(28, "No space left on device")

    (tmp_path / "a.txt").write_text("before")
    with pytest.raises(InputError, match="cannot write .*a.txt: No space left on device"):
        write_atomically(tmp_path / "a.txt", fail)
    assert (tmp_path / "a.txt").read_text() == "before" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.ico", "a.pdf", "absent/a.png"])
def test_output_names(tmp_path, name):
    with pytest.raises(InputError, match="known suffix|does not exist"):
        image_files.write_image(tmp_path / name, random_image(4, 4))


def test_find_photos(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/z.JPG", "a.png", "c.webp", "notes.txt", "d.gif"):
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in image_files.find_photos(tmp_path)] == [
        "a.png",
        "b/z.JPG",
        "c.webp",
    ]
