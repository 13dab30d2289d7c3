"""Photos as they are: modes, depth, orientation, metadata; what is kept, and what is refused."""

import io

import numpy as np
import pytest
from conftest import PHOTOS
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, features

from shiftnet_tf.errors import InputError, TooLargeError
from shiftnet_tf.photos.photo import Photo
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime import Inpainter, inpaint_file, inpaint_photo

SHAPE = (48, 70)
HOLE = Window(10, 20, 16, 25)


@pytest.fixture(scope="module")
def inpainter():
    return Inpainter.load(runtime="litert")


@pytest.fixture
def mask(tmp_path):
    levels = np.zeros(SHAPE, np.uint8)
    levels[HOLE.slices] = 255
    Image.fromarray(levels).save(tmp_path / "mask.png")
    return tmp_path / "mask.png"


def pixels(mode, seed=0):
    rng = np.random.default_rng(seed)
    if mode == "I;16":
        return rng.integers(0, 65536, SHAPE, dtype=np.uint16)
    return rng.integers(0, 256, (*SHAPE, len(mode)) if len(mode) > 1 else SHAPE, dtype=np.uint8)


def known_equal(before, after):
    known = np.ones(SHAPE, bool)
    known[HOLE.slices] = False
    np.testing.assert_array_equal(before[known], after[known])
    return (before[HOLE.slices] != after[HOLE.slices]).mean()


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "I;16"])
def test_modes_come_back_without_loss(inpainter, mask, tmp_path, mode, suffix):
    before = pixels(mode)
    Image.fromarray(before).save(tmp_path / f"a{suffix}")
    assert inpaint_file(inpainter, tmp_path / f"a{suffix}", mask, tmp_path / f"out{suffix}").has_hole
    with Image.open(tmp_path / f"out{suffix}") as out:
        assert out.mode == mode
        after = np.array(out)
    assert known_equal(before, after) > 0.4
    if mode.endswith("A"):
        np.testing.assert_array_equal(before[..., -1], after[..., -1])  # in the hole too


def test_a_big_endian_16_bit_tiff(inpainter, mask, tmp_path):
    before = pixels("I;16")
    Image.frombytes("I;16B", SHAPE[::-1], before.astype(">u2").tobytes()).save(tmp_path / "a.tif")
    inpaint_file(inpainter, tmp_path / "a.tif", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert known_equal(before, np.array(out)) > 0.9


def test_palettes_and_bits_become_what_holds_them(inpainter, mask, tmp_path):
    picture = Image.fromarray(pixels("RGB")).quantize(32)
    picture.save(tmp_path / "p.png")
    before = np.array(picture.convert("RGB"))
    inpaint_file(inpainter, tmp_path / "p.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "RGB" and known_equal(before, np.array(out)) > 0.5
    bits = pixels("L") > 127
    Image.fromarray(bits).save(tmp_path / "b.png")
    inpaint_file(inpainter, tmp_path / "b.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        known_equal(bits * np.uint8(255), np.array(out))
    picture.info["transparency"] = 3
    picture.save(tmp_path / "t.png", transparency=3)
    inpaint_file(inpainter, tmp_path / "t.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out, Image.open(tmp_path / "t.png") as given:
        np.testing.assert_array_equal(np.array(out)[..., 3], np.array(given.convert("RGBA"))[..., 3])


def jpeg_like_a_camera_s(path, orientation=6):
    """A lying JPEG with EXIF (maker, GPS, a thumbnail), XMP, an ICC profile, a comment and a resolution."""
    picture = Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((96, 64))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.Make] = "Camera"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = (1, 250)
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><rdf:Description tiff:Orientation="6" tiff:Artist="someone"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    picture.save(path, exif=exif, icc_profile=icc, xmp=xmp, dpi=(300, 300), quality=83, subsampling=1, progressive=True)
    return icc


@pytest.mark.parametrize("sampling", [0, 1, 2])
def test_writing_a_jpeg_again_hardly_changes_a_known_block(inpainter, tmp_path, sampling):
    Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").save(tmp_path / "a.jpg", quality=70, subsampling=sampling)
    mask = np.zeros((384, 530), np.uint8)
    mask[64:96, 64:96] = 255
    Image.fromarray(mask).save(tmp_path / "m.png")
    inpaint_file(inpainter, tmp_path / "a.jpg", tmp_path / "m.png", tmp_path / "out.jpg")
    with Image.open(tmp_path / "a.jpg") as given, Image.open(tmp_path / "out.jpg") as out:
        assert out.quantization == given.quantization and out.layer == given.layer
        difference = np.abs(np.array(given).astype(int) - np.array(out))
    assert (
        difference[:, 112:].mean() < 0.3
        and abs((tmp_path / "out.jpg").stat().st_size / (tmp_path / "a.jpg").stat().st_size - 1) < 0.05
    )


def mask_for(path, shape):
    levels = np.zeros(shape, np.uint8)
    levels[10:30, 20:40] = 255
    Image.fromarray(levels).save(path)
    return path


def test_a_camera_s_jpeg_keeps_its_metadata_and_is_turned_upright(inpainter, tmp_path):
    icc = jpeg_like_a_camera_s(tmp_path / "a.jpg")
    mask = mask_for(tmp_path / "m.png", (96, 64))  # upright
    inpaint_file(inpainter, tmp_path / "a.jpg", mask, tmp_path / "out.jpg")
    with Image.open(tmp_path / "a.jpg") as given, Image.open(tmp_path / "out.jpg") as out:
        assert out.size == (64, 96)
        exif = out.getexif()
        assert ExifTags.Base.Orientation not in exif and exif[ExifTags.Base.Make] == "Camera"
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
        assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] in ((1, 250), 1 / 250)
        assert out.info["icc_profile"] == icc and out.info["dpi"] == (300, 300) and out.info["progressive"]
        assert b"someone" in out.info["xmp"] and b"Orientation" not in out.info["xmp"]
        for name, table in given.quantization.items():
            np.testing.assert_array_equal(np.reshape(out.quantization[name], (8, 8)), np.reshape(table, (8, 8)).T)
        upright = np.rot90(np.array(given), -1).astype(int)
        difference = np.abs(np.array(out).astype(int) - upright)
    known = np.ones((96, 64), bool)
    known[8:32, 16:40] = False  # the blocks of 8x8 pixels around the hole
    assert difference[known].mean() < 2  # the same tables: hardly anything is lost twice
    assert difference[10:30, 20:40].mean() > 3


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
def test_metadata_goes_to_other_formats(inpainter, tmp_path, suffix):
    icc = jpeg_like_a_camera_s(tmp_path / "a.jpg")
    mask = mask_for(tmp_path / "m.png", (96, 64))
    inpaint_file(inpainter, tmp_path / "a.jpg", mask, tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as out:
        assert out.size == (64, 96) and out.info["icc_profile"] == icc
        assert out.getexif()[ExifTags.Base.Make] == "Camera" and out.getexif().get(ExifTags.Base.Orientation, 1) == 1


def test_a_tiff_keeps_its_words_and_its_compression(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(
        tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={270: "a barn", 315: "someone"}, dpi=(200, 200)
    )
    inpaint_file(inpainter, tmp_path / "a.tif", mask, tmp_path / "out.tif")
    with Image.open(tmp_path / "out.tif") as out:
        assert out.tag_v2[270] == "a barn" and out.tag_v2[315] == "someone"
        assert out.info["compression"] == "tiff_lzw" and out.info["dpi"] == (200, 200)


def test_a_png_keeps_its_texts(inpainter, mask, tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", "someone")
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png", pnginfo=texts)
    inpaint_file(inpainter, tmp_path / "a.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.text == {"Author": "someone"}


def test_the_thumbnail_which_shows_what_was_taken_out_is_gone(inpainter, tmp_path):
    thumbnail = io.BytesIO()
    Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((60, 40)).save(thumbnail, "JPEG")
    picture = Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize((64, 96))
    entries = [(0x0103, 3, 6), (0x0201, 4, 62), (0x0202, 4, len(thumbnail.getvalue()))]
    make = b"Camera\0"
    ifd0 = b"\x01\x00" + _entry(0x010F, 2, 26, len(make)) + (33).to_bytes(4, "little")
    ifd1 = len(entries).to_bytes(2, "little") + b"".join(_entry(*entry) for entry in entries) + bytes(4)
    ifd1 = ifd1.replace((62).to_bytes(4, "little"), (33 + len(ifd1)).to_bytes(4, "little"))
    exif = b"Exif\0\0II*\0\x08\0\0\0" + ifd0 + make + ifd1 + thumbnail.getvalue()
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert thumbnail.getvalue()[:200] in (tmp_path / "a.jpg").read_bytes()
    inpaint_file(inpainter, tmp_path / "a.jpg", mask_for(tmp_path / "m.png", (96, 64)), tmp_path / "out.jpg")
    assert thumbnail.getvalue()[:200] not in (tmp_path / "out.jpg").read_bytes()
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.getexif()[ExifTags.Base.Make] == "Camera"


def _entry(tag, kind, value, count=1):
    return b"".join(n.to_bytes(size, "little") for n, size in ((tag, 2), (kind, 2), (count, 4), (value, 4)))


def test_a_file_and_its_bytes_give_the_same_bytes(inpainter, tmp_path):
    jpeg_like_a_camera_s(tmp_path / "a.jpg")
    mask = mask_for(tmp_path / "m.png", (96, 64))
    inpaint_file(inpainter, tmp_path / "a.jpg", mask, tmp_path / "out.jpg")
    filled = inpaint_photo(inpainter, (tmp_path / "a.jpg").read_bytes(), [mask.read_bytes()])
    assert filled.encoded() == (tmp_path / "out.jpg").read_bytes()
    inpaint_file(inpainter, tmp_path / "a.jpg", mask, tmp_path / "out.png")
    assert filled.encoded("PNG") == (tmp_path / "out.png").read_bytes()


def test_a_photo_without_a_hole_keeps_its_bytes(inpainter, tmp_path):
    jpeg_like_a_camera_s(tmp_path / "a.jpg")
    Image.new("L", (64, 96)).save(tmp_path / "m.png")
    filled = inpaint_photo(inpainter, (tmp_path / "a.jpg").read_bytes(), [(tmp_path / "m.png").read_bytes()])
    assert not filled.has_hole and filled.encoded() == (tmp_path / "a.jpg").read_bytes()
    assert filled.encoded("PNG")[:4] == b"\x89PNG"


def test_a_gif_comes_back_as_png_with_a_hole_or_without(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).quantize(16).save(tmp_path / "a.gif")
    Image.new("L", SHAPE[::-1]).save(tmp_path / "empty.png")
    for hole in (mask, tmp_path / "empty.png"):
        assert inpaint_photo(inpainter, (tmp_path / "a.gif").read_bytes(), [hole]).encoded()[:4] == b"\x89PNG"
        inpaint_file(inpainter, tmp_path / "a.gif", hole, tmp_path / "out.png")
        assert (tmp_path / "out.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    "mode, name, message",
    [
        ("RGBA", "out.jpg", "has transparency, which JPEG cannot store"),
        ("LA", "out.bmp", "has transparency, which BMP cannot store"),
        ("I;16", "out.jpg", "16 bits per pixel, which JPEG cannot store"),
        ("I;16", "out.webp", "16 bits per pixel, which WEBP cannot store"),
    ],
)
def test_formats_in_which_something_would_be_lost(inpainter, mask, tmp_path, mode, name, message):
    Image.fromarray(pixels(mode)).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=message):
        inpaint_file(inpainter, tmp_path / "a.png", mask, tmp_path / name)
    assert not (tmp_path / name).exists()


def test_photos_that_are_refused(tmp_path):
    Image.new("CMYK", (8, 8)).save(tmp_path / "cmyk.jpg")
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "moving.webp", save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "pages.tif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(np.full((8, 8), 70000, np.int32)).save(tmp_path / "deep.tif")
    Image.new("RGB", (300, 200)).save(tmp_path / "large.png")
    (tmp_path / "a.eps").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    for name, message in (
        ("cmyk.jpg", "not CMYK: the conversion loses data"),
        ("moving.gif", "animated or has several pages"),
        ("moving.webp", "animated or has several pages"),
        ("pages.tif", "animated or has several pages"),
        ("float.tif", "not F: the conversion loses data"),
        ("deep.tif", "8 or 16 bits per channel, not 32"),
        ("a.eps", "not an image file that Pillow can identify"),
    ):
        with pytest.raises(InputError, match=message):
            Photo(tmp_path / name)
    with pytest.raises(TooLargeError, match="300x200 is 0.06 megapixels, the limit is 0.05"):
        Photo(tmp_path / "large.png", max_pixels=50_000)


def test_a_picture_of_many_pixels_in_few_bytes_is_refused_before_it_is_decoded(tmp_path):
    content = bytearray(b"\x89PNG\r\n\x1a\n")
    import struct
    import zlib

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    with pytest.raises(InputError, match="too large|DecompressionBomb|exceeds limit"):
        Photo(bytes(content))


@pytest.mark.skipif(not features.check("avif"), reason="this Pillow has no AVIF")
def test_avif(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.avif", quality=90)
    assert inpaint_file(inpainter, tmp_path / "a.avif", mask, tmp_path / "out.avif").has_hole
    with Image.open(tmp_path / "out.avif") as out:
        assert out.size == SHAPE[::-1]


def test_heic(inpainter, mask, tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.register_heif_opener()
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.heic", quality=90)
    assert inpaint_file(inpainter, tmp_path / "a.heic", mask, tmp_path / "out.png").has_hole


def test_names_with_spaces_and_other_letters(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(tmp_path / "Größe und Tiefe 写真.png")
    assert inpaint_file(inpainter, tmp_path / "Größe und Tiefe 写真.png", mask, tmp_path / "aus gefüllt.png").has_hole
    assert (tmp_path / "aus gefüllt.png").exists()


def test_a_name_that_lies_about_the_format(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert inpaint_file(inpainter, tmp_path / "a.jpg", mask, tmp_path / "out.png").has_hole
    with Image.open(tmp_path / "out.png") as out:
        known_equal(pixels("RGB"), np.array(out))


def test_a_heic_without_exif_is_written(inpainter, mask, tmp_path):
    pytest.importorskip("pillow_heif")
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png")
    assert inpaint_file(inpainter, tmp_path / "a.png", mask, tmp_path / "out.heic").has_hole
    assert inpaint_photo(inpainter, (tmp_path / "out.heic").read_bytes(), [mask]).encoded()[4:8] == b"ftyp"


def test_sixteen_bits_a_colour_are_refused_and_not_cut(tmp_path):
    (tmp_path / "deep.ppm").write_bytes(b"P6 2 1 65535\n" + bytes(12))
    (tmp_path / "ten.ppm").write_bytes(b"P6 2 1 1023\n" + bytes(12))
    picture = Image.new("RGB", (8, 8))
    picture.save(tmp_path / "deep.tif")
    content = (tmp_path / "deep.tif").read_bytes()
    bits = (258).to_bytes(2, "little") + (3).to_bytes(2, "little") + (3).to_bytes(4, "little")
    at = int.from_bytes(content[content.index(bits) + 8 :][:4], "little")
    content = content[:at] + (16).to_bytes(2, "little") * 3 + content[at + 6 :]
    (tmp_path / "deep.tif").write_bytes(content)
    for name in ("deep.ppm", "ten.ppm", "deep.tif"):
        with pytest.raises(InputError, match="8 bits per channel, not 16"):
            Photo(tmp_path / name)
    (tmp_path / "plain.ppm").write_bytes(b"P6 2 1 100\n" + bytes(6))
    assert Photo(tmp_path / "plain.ppm").shape == (1, 2)


def test_a_transparent_colour_is_alpha(inpainter, mask, tmp_path):
    bits = pixels("L") > 127
    Image.fromarray(bits).save(tmp_path / "bits.png", transparency=1)
    inpaint_file(inpainter, tmp_path / "bits.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.mode == "LA"
        np.testing.assert_array_equal(np.array(out)[..., 1], np.where(bits, 0, 255))
    Image.fromarray(pixels("I;16")).save(tmp_path / "deep.png", transparency=5)
    with pytest.raises(InputError, match="with a transparent grey level is not supported"):
        Photo(tmp_path / "deep.png")


def test_a_png_keeps_its_gamma(inpainter, mask, tmp_path):
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"gAMA", (45455).to_bytes(4, "big"))
    chunks.add(b"cHRM", b"".join(x.to_bytes(4, "big") for x in (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)))
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png", pnginfo=chunks)
    inpaint_file(inpainter, tmp_path / "a.png", mask, tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as out:
        assert out.info["gamma"] == 0.45455 and out.info["chromaticity"][0] == 0.3127


def test_a_mask_is_not_replaced_by_the_result(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png")
    before = mask.read_bytes()
    with pytest.raises(InputError, match="would overwrite the mask"):
        inpaint_file(inpainter, tmp_path / "a.png", mask, mask)
    assert mask.read_bytes() == before


def test_what_is_replaced_keeps_its_permissions(inpainter, mask, tmp_path):
    Image.fromarray(pixels("RGB")).save(tmp_path / "a.png")
    (tmp_path / "a.png").chmod(0o600)
    inpaint_file(inpainter, tmp_path / "a.png", mask, tmp_path / "a.png", overwrite=True)
    assert (tmp_path / "a.png").stat().st_mode & 0o777 == 0o600
