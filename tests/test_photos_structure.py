"""Files that cost much to decode are refused before they are decoded, by every door; those of programs are not."""

import io
import time

import attacks
import pytest
from PIL import Image, features

from shiftnet_tf.errors import InputError, TooLargeError
from shiftnet_tf.photos import containers, image_files, structure

ATTACKS = {
    "jpeg": (lambda: attacks.jpeg_of_scans(500, 2000), "a JPEG with more than 100 scans, which no camera"),
    "segments": (attacks.jpeg_of_segments, "a JPEG with more than 10,000 segments"),
    "png": (lambda: attacks.png_of_chunks(500_000), "a PNG with more than 100,000 chunks"),
    "tiff": (attacks.tiff_of_directories, "is animated or has several pages"),
}
needs_avif = pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_refused_at_once(name, tmp_path):
    make, message = ATTACKS[name]
    content = make()
    (tmp_path / "a").write_bytes(content)
    for source in (content, tmp_path / "a"):
        started = time.process_time()
        with pytest.raises(InputError, match=message):
            image_files.open_picture(source, "photo")
        assert time.process_time() - started < 1


@needs_avif
def test_an_avif_is_as_large_as_its_coded_picture():
    content = attacks.avif_that_lies(2000)
    assert image_files.upright_shape(content, "photo", 4_000_000) == (64, 64)
    with pytest.raises(TooLargeError, match="its coded picture is 2000x2000, 4 megapixels, the limit is 3.9"):
        image_files.open_picture(content, "photo", 3_900_000)


@needs_avif
@pytest.mark.parametrize("size", [(1, 1), (64, 48), (333, 77), (70, 4097)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_size_of_av1_pictures(size, mode):
    for options in ({}, {"speed": 10, "subsampling": "4:4:4"}):
        content = bytes(attacks.encoded(Image.new(mode, size), "AVIF", **options))
        pictures = containers.av1_pictures(content, 2**16)
        assert len(pictures) == len(mode) - 2  # alpha is a picture of its own
        assert {found for data in pictures for found in structure._av1_sizes(data)} == {size}


@needs_avif
def test_an_avif_whose_size_is_unknown_is_refused():
    content = attacks.avif_that_lies(64)
    at = content.index(b"mdat") + 4
    with pytest.raises(InputError, match="the AVIF lacks the size of its coded picture"):
        image_files.open_picture(content[:at] + bytes(len(content) - at), "photo")


def test_a_jpeg_2000_may_have_half_as_many_pixels():
    content = attacks.flat_jpeg_2000(100, 100)
    assert image_files.upright_shape(content, "photo", 20_000) == (100, 100)
    with pytest.raises(TooLargeError, match=r"100x100 is 0.01 megapixels, the limit for a JPEG 2000 is 0.0099"):
        image_files.upright_shape(content, "photo", 19_800)


def test_what_programs_write_is_taken():
    """A progressive JPEG with ten thumbnails as large as itself in its segments, and a PNG of chunks of 100 bytes."""
    thumbnail = bytes(attacks.encoded(Image.new("RGB", (64, 64)), "JPEG", progressive=True))
    segment = b"\xff\xe5" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    jpeg = bytes(attacks.encoded(Image.new("RGB", (64, 48), "red"), "JPEG", progressive=True))
    assert jpeg.count(b"\xff\xda") < 20 < 100 < (segment * 12).count(b"\xff\xda")
    picture, *_ = image_files.open_picture(jpeg[:2] + segment * 12 + jpeg[2:], "photo")
    assert picture.size == (64, 48)
    png = io.BytesIO()
    Image.effect_noise((200, 200), 90).save(png, "PNG")
    idat = b"".join(data for name, data in _chunks(png.getvalue()) if name == b"IDAT")
    parts = [attacks.chunk(b"IDAT", idat[i : i + 100]) for i in range(0, len(idat), 100)]
    assert len(parts) > 100
    content = png.getvalue()[:33] + b"".join(parts) + attacks.chunk(b"IEND", b"")
    assert image_files.open_picture(content, "photo")[0].tobytes() == Image.open(png).tobytes()


def _chunks(png):
    at = 8
    while at < len(png):
        size = int.from_bytes(png[at : at + 4], "big")
        yield png[at + 4 : at + 8], png[at + 8 : at + 8 + size]
        at += 12 + size
