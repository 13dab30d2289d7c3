"""Reading and writing pictures: orientation, formats, files that are none."""

import io
import random
import struct
import time
import zlib

import numpy as np
import pytest
from conftest import PHOTOS
from PIL import Image, ImageFile
from test_any_photo import mutated

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import mask_files
from shiftnet_tf.photos import file_formats, finding, image_files
from shiftnet_tf.photos.photo import Photo
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
    assert mask_files.read_mask(tmp_path / "grey.png").sum() == 1
    Image.fromarray(levels > 0).save(tmp_path / "bits.png")
    assert mask_files.read_mask(tmp_path / "bits.png").sum() == 2
    Image.fromarray(levels.astype(np.uint16) * 200).save(tmp_path / "deep.png")
    assert mask_files.read_mask(tmp_path / "deep.png").sum() == 1
    red = np.zeros((8, 8, 3), np.uint8)
    red[1, 1, 0] = 255
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
        (".", "must be an image file, not a folder"),
        ("text.jpg", "not an image file that Pillow can identify"),
        ("cut.jpg", "damaged"),
        ("glass.png", "transparent pixels"),
        ("deep.png", "8 bits per channel"),
        ("deep_rgb.png", "8 bits per channel, not 16"),
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


@pytest.mark.parametrize("name", ["a", "a.xyz", "a.ico", "a.pdf", "file/a.png", "file/b/a.png"])
def test_output_names(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="known image suffix|cannot create the folder .*/file.*: .*/file is a file"):
        image_files.write_image(tmp_path / name, random_image(4, 4))
    assert len(list(tmp_path.iterdir())) == 1


def test_folders_above_an_output_are_made(tmp_path):
    image_files.write_image(tmp_path / "a" / "b" / "c.png", random_image(4, 4))
    assert image_files.read_image(tmp_path / "a" / "b" / "c.png").shape == (4, 4, 3)


def test_find_photos(tmp_path):
    (tmp_path / "b").mkdir()
    for name in ("b/z.JPG", "a.png", "c.webp", "notes.txt", "d.gif"):
        (tmp_path / name).touch()
    assert [path.relative_to(tmp_path).as_posix() for path in finding.find_photos(tmp_path)] == [
        "a.png",
        "b/z.JPG",
        "c.webp",
    ]


def encoded(picture, kind, **options):
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def png(header, *chunks):
    """A PNG of these chunks, right or wrong."""
    parts = [(b"IHDR", header), *chunks, (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )


def files_of_every_format():
    """One file of each format and mode that Pillow can write, by a name: some 100, all small."""
    file_formats.readable_suffixes()  # has HEIC registered, where its package is installed
    with Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg") as photo:
        photo = photo.resize((40, 32))
    found = {}
    for kind in sorted(Image.SAVE):
        for mode in ("RGB", "RGBA", "L", "LA", "P", "1", "I;16", "I", "F", "CMYK", "YCbCr", "LAB"):
            try:
                found[f"{kind} {mode}"] = encoded(photo.convert("L" if mode[0] in "IF" else "RGB").convert(mode), kind)
            except (OSError, ValueError, KeyError, TypeError, AttributeError, SystemError):
                continue  # Pillow does not write this format in this mode
    return found


FILES = files_of_every_format()


def read_all(content):
    """Read a file as a photo and as a mask, each to its end; return the sentences of what is refused."""
    refused = []
    for read in (
        lambda: Photo(content, 10**6).encoded(),
        lambda: image_files.upright_shape(content, "photo", 10**6),
        lambda: mask_files.read_hole([content], (32, 40), None, 10**6),
    ):
        try:
            read()
        except InputError as error:
            assert str(error) and "\n" not in str(error)
            refused.append(str(error))
    return refused


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_each_format_is_read_or_refused_in_a_sentence(name):
    kind, mode = name.split()
    refused = read_all(FILES[name])
    if kind in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "AVIF", "HEIF", "GIF") and mode in ("RGB", "L", "1", "P", "RGBA"):
        assert not [text for text in refused if text.startswith("the photo")], refused


def test_500_mutated_files_are_read_or_refused_in_a_sentence():
    rng = random.Random(16)
    names, refused = list(FILES), 0
    for i in range(500):
        started = time.monotonic()
        content = mutated(rng, FILES[names[i % len(names)]])
        try:
            refused += bool(read_all(content))
        except Exception as error:
            raise AssertionError(f"file {i}, of {names[i % len(names)]}") from error
        assert time.monotonic() - started < 10, (i, names[i % len(names)])
    assert refused > 100


def test_a_palette_picture_without_a_palette(tmp_path):
    content = png(struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0), (b"IDAT", zlib.compress(b"\0\0\1" * 2)))
    for read in (
        lambda: Photo(content),
        lambda: mask_files.read_hole([content], (2, 2)),
        lambda: image_files.open_picture(content, "photo"),
    ):
        with pytest.raises(InputError, match=r"is damaged \(it has no palette\): \(sent\)"):
            read()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 2}, {"restart_marker_blocks": 3}])
def test_a_jpeg_that_lacks_its_end_alone_is_read(options, tmp_path):
    with Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg") as photo:
        for mode in ("RGB", "L"):
            whole = encoded(photo.resize((101, 67)).convert(mode), "JPEG", **options)
            expected = np.asarray(Image.open(io.BytesIO(whole)))
            for end in (1, 2):
                (tmp_path / "a.jpg").write_bytes(whole[:-end])
                for source in (whole[:-end], tmp_path / "a.jpg"):
                    picture, raw, _ = image_files.open_picture(source, "photo")
                    np.testing.assert_array_equal(np.asarray(picture), expected)
                    assert raw.format == "JPEG"
            for end in (6, 12, 40, len(whole) // 2):
                for tail in (b"", b"\xff", b"\xff" * 5000):
                    with pytest.raises(InputError, match="the photo is damaged"):
                        image_files.open_picture(whole[:-end] + tail, "photo")
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_of_a_heic_with_several_pictures_the_primary_one_is_read(tmp_path, caplog):
    pytest.importorskip("pillow_heif").register_heif_opener()
    colours = [Image.new("RGB", (64, 48), colour) for colour in ("red", "lime", "blue")]
    for primary in range(3):
        colours[0].save(tmp_path / "a.heic", save_all=True, append_images=colours[1:], primary_index=primary)
        assert image_files.read_image(tmp_path / "a.heic").mean((0, 1)).argmax() == primary
        Photo(tmp_path / "a.heic").save(tmp_path / "out.png")
        assert "left out: the other pictures in the file" in caplog.text
        caplog.clear()


@pytest.mark.parametrize("what", ["load", "convert", "transpose", "getexif"])
@pytest.mark.parametrize("error", [AssertionError(), MemoryError(), SystemError("bad"), struct.error("unpack")])
def test_whatever_pillow_raises_is_a_sentence(what, error, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.new("P", (8, 8)), "PNG", exif=exif)
    monkeypatch.setattr(Image.Image, what, lambda *_, **__: (_ for _ in ()).throw(error))
    if what == "getexif":  # a photo is not refused for it
        assert image_files.open_picture(content, "photo")[2] == 1
    else:
        said = "not enough memory for the photo" if isinstance(error, MemoryError) else "the photo is damaged"
        with pytest.raises(InputError, match=said):
            image_files.open_picture(content, "photo")


@pytest.mark.parametrize("name", ["_check_header", "_orientation", "name_of", "_bits"])
def test_a_bug_of_ours_does_not_look_like_a_damaged_file(name, monkeypatch):
    monkeypatch.setattr(image_files, name, lambda *_: [][1])
    with pytest.raises(IndexError):
        image_files.open_picture(encoded(Image.new("RGB", (8, 8)), "PNG"), "photo")
