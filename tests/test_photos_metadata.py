"""Metadata: nothing that may show what was taken out stays, all else does, and what cannot stay is named.

The input files are made here, byte by byte where Pillow does not write them. Pillow reads the results; so does exiftool
in the long test.
"""

import base64
import io
import json
import logging
import shutil
import struct
import subprocess
import time
import tracemalloc

import numpy as np
import pytest
from conftest import PHOTOS
from PIL import ExifTags, Image, ImageCms, PngImagePlugin

from shiftnet_tf.errors import UnwritableError
from shiftnet_tf.photos import containers, exif, file_formats, iptc, metadata, metadata_writing, tiff, xmp
from shiftnet_tf.photos.photo import Photo
from shiftnet_tf.photos.pictures import holds_picture, is_text
from shiftnet_tf.photos.tiff import EXIF, GPS, Entry

pytestmark = pytest.mark.filterwarnings("ignore:Tag data larger than file", "ignore:Corrupt EXIF")  # Pillow's
FORMATS = {".jpg": "JPEG", ".png": "PNG", ".webp": "WEBP", ".tif": "TIFF", ".avif": "AVIF", ".heic": "HEIF"}
SOURCES = ("EXIF thumbnail", "MakerNote", "PreviewIFD", "XMP", "Photoshop 0x0409", "Photoshop 0x040C", "IPTC")
SIZE = (96, 64)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture(scope="module", autouse=True)
def all_formats():
    pytest.importorskip("pillow_heif")
    file_formats.readable_suffixes()  # has Pillow register them


@pytest.fixture(scope="module")
def picture():
    return Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg").resize(SIZE)


@pytest.fixture(scope="module")
def preview(picture):
    file = io.BytesIO()
    picture.resize((48, 32)).save(file, "JPEG", quality=60)
    return file.getvalue()


def text(tag, value):
    return Entry(tag, tiff.ASCII, len(value) + 1, value.encode() + b"\0")


def short(tag, *values, order="<"):
    return Entry(tag, tiff.SHORT, len(values), struct.pack(f"{order}{len(values)}H", *values))


def raw(tag, value):
    return Entry(tag, tiff.UNDEFINED, len(value), value)


def rational(tag, over, under, order="<"):
    return Entry(tag, 5, 1, struct.pack(f"{order}II", over, under))


NAMES = [text(271, "Camera"), text(315, "Some One"), text(33432, "(c) Some One")]


def make_block(groups, thumbnail=b"", order="<"):
    """An EXIF block, with its prefix and a thumbnail behind the rest."""
    content, root = tiff.write_tree(groups, order, 8)
    end = 8 + len(content)
    if thumbnail:
        content, root = tiff.write_tree(groups, order, 8, end)
        start = end + 2 + 3 * 12 + 4
        place = [Entry(513, tiff.LONG, 1, struct.pack(f"{order}I", start))]
        place += [short(259, 6, order=order), Entry(514, tiff.LONG, 1, struct.pack(f"{order}I", len(thumbnail)))]
        content += tiff.write_directory(place, order, end) + thumbnail
    mark = {"<": b"II*\0", ">": b"MM\0*"}[order]
    return exif.PREFIX + mark + struct.pack(f"{order}I", root) + content


def make_xmp(properties="", attributes=""):
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:xmpGImg="http://ns.adobe.com/xap/1.0/g/img/" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" '
        'xmlns:GCamera="http://ns.google.com/photos/1.0/camera/" '
        'xmlns:Container="http://ns.google.com/photos/1.0/container/" '
        f"{attributes}><dc:creator>Some One</dc:creator>{properties}</rdf:Description></rdf:RDF></x:xmpmeta>"
        '<?xpacket end="w"?>'
    ).encode()


def photoshop(*resources):
    content = iptc.PHOTOSHOP
    for number, data in resources:
        content += b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + b"\0" * (len(data) % 2)
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def data_set(record, number, value):
    return b"\x1c" + struct.pack(">BBH", record, number, len(value)) + value


def save_with(picture, path, source, preview):
    """A JPEG that holds the preview in one place."""
    groups = {0: [*NAMES], EXIF: [rational(33434, 1, 250)], GPS: [text(1, "N")]}
    options, thumbnail = {}, b""
    if source == "EXIF thumbnail":
        thumbnail = preview
    elif source == "MakerNote":
        groups[EXIF].append(raw(37500, b"QVC\0\0\0" + preview))
    elif source == "PreviewIFD":  # a directory that only another entry points at, as DNG has it
        groups[0].append(Entry(330, tiff.LONG, 1, struct.pack("<I", 26)))
        groups[0].append(raw(50969, preview))
    elif source == "XMP":
        coded = base64.encodebytes(preview).decode().replace("\n", "&#xA;")
        image = f"<rdf:Alt><rdf:li><xmpGImg:image>{coded}</xmpGImg:image></rdf:li></rdf:Alt>"
        options["xmp"] = make_xmp(f"<xmp:Thumbnails>{image}</xmp:Thumbnails>")
    elif source.startswith("Photoshop"):
        number = int(source.split()[1], 16)
        options["extra"] = photoshop((0x0404, data_set(2, 80, b"Some One")), (number, bytes(28) + preview))
    elif source == "IPTC":
        options["extra"] = photoshop((0x0404, data_set(2, 80, b"Some One") + data_set(2, 202, preview)))
    picture.save(path, "JPEG", exif=make_block(groups, thumbnail), **options)
    content = path.read_bytes()
    assert preview[:200] in content or base64.b64encode(preview)[:60] in content


# -- kind 1: copies of the unedited picture --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("source", SOURCES)
def test_no_copy_of_the_picture_stays(picture, preview, tmp_path, source, suffix):
    save_with(picture, tmp_path / "a.jpg", source, preview)
    out = tmp_path / f"out{suffix}"
    Photo(tmp_path / "a.jpg").save(out)
    content = out.read_bytes()
    for part in (preview[:64], preview[-64:], base64.b64encode(preview)[:48], base64.b64encode(preview)[-48:]):
        assert part not in content
    with Image.open(out) as written:
        found = written.getexif()
        assert [found[tag] for tag in (271, 315, 33432)] == ["Camera", "Some One", "(c) Some One"]
        assert found.get_ifd(ExifTags.IFD.GPSInfo)[1] == "N"
        assert found.get_ifd(ExifTags.IFD.Exif)[33434] in ((1, 250), 1 / 250)


def test_a_tiff_s_own_copies_do_not_stay(picture, preview, tmp_path):
    """Photoshop's resources and layers, further directories, and GeoTIFF's place on the map beside them."""
    scale = struct.pack("<3d", 0.1, 1 / 3, 0)
    picture.save(tmp_path / "plain.tif")
    resources = photoshop((0x0409, bytes(28) + preview), (0x0404, data_set(2, 80, b"Some One")))[4:]
    kept = metadata.Metadata("TIFF", SIZE, 1)
    extra = [raw(34377, resources.removeprefix(iptc.PHOTOSHOP)), raw(37724, preview), Entry(33550, 12, 3, scale)]
    kept.directories = exif.Taken(lambda at, size: b""[at:size], 1, SIZE, moved=True)
    kept.directories.order, kept.directories.groups = "<", {0: [*NAMES, *extra]}
    with open(tmp_path / "plain.tif", "r+b") as file:
        metadata_writing._add_to_tiff(kept, file)
    before = (tmp_path / "plain.tif").read_bytes()
    assert before.count(preview[:64]) == 2
    for suffix in (".tif", ".jpg"):
        Photo(tmp_path / "plain.tif").save(tmp_path / f"out{suffix}")
        content = (tmp_path / f"out{suffix}").read_bytes()
        assert preview[:64] not in content and data_set(2, 80, b"Some One") in content and b"Camera" in content
        assert scale in content  # to the last bit, and of its own type
    with Image.open(tmp_path / "out.tif") as out:
        assert out.tag_v2[33550] == (0.1, 1 / 3, 0) and out.tag_v2.tagtype[33550] == 12
        assert out.tag_v2[33723] == data_set(2, 80, b"Some One")


def test_what_a_picture_in_bytes_is(preview):
    png, webp = io.BytesIO(), io.BytesIO()
    for file, name in ((png, "PNG"), (webp, "WEBP")):
        Image.new("RGB", (40, 40), "red").save(file, name)
    for content in (preview, png.getvalue(), webp.getvalue(), b"\0" + preview[1:]):
        assert holds_picture(b"before" + content)
        if content[0]:
            coded = base64.b64encode(content)
            assert holds_picture(coded) and holds_picture(coded.decode().encode("utf-16"))
            assert holds_picture(base64.urlsafe_b64encode(content)) and holds_picture(base64.encodebytes(content))
    for content in (b"", b"/9j/ is how it begins", bytes(range(256)) * 9, "häuser".encode() * 999):
        assert not holds_picture(content)


def test_a_file_that_still_holds_a_picture_is_refused(picture, preview, tmp_path, monkeypatch, caplog):
    """The last look through the file, in each format: were something to pass the first, it is not written."""
    coded = base64.b64encode(preview)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Notes", coded.decode(), zip=True)
    block = make_block({0: [*NAMES, raw(37510, preview)]})
    for suffix, file_format in FORMATS.items():
        out = tmp_path / f"a{suffix}"
        picture.save(out, pnginfo=texts if suffix == ".png" else None, exif=block if suffix != ".png" else b"")
        assert any(holds_picture(part) for part in containers.beside_picture(out.read_bytes(), file_format)), suffix
        picture.save(
            out, exif=make_block({0: NAMES}), icc_profile=SRGB, **({"xmp": make_xmp()} if suffix != ".png" else {})
        )
        found = list(containers.beside_picture(out.read_bytes(), file_format))
        assert not any(holds_picture(part) for part in found), suffix
        assert any(b"Some One" in part for part in found), suffix
        if suffix != ".tif":
            assert len(b"".join(found)) < 6000, suffix  # the picture itself is not looked through
    picture.save(tmp_path / "b.jpg", exif=make_block({0: NAMES}), comment=b"before")
    monkeypatch.setattr(metadata_writing, "_exif", lambda kept, file_format: (block if kept.block else b"", []))
    with caplog.at_level(logging.WARNING, "shiftnet_tf"):
        Photo(tmp_path / "b.jpg").save(tmp_path / "out.jpg")
    assert "left out: all metadata (the metadata still contain a picture" in caplog.text
    assert b"Camera" not in (tmp_path / "out.jpg").read_bytes() and preview not in (tmp_path / "out.jpg").read_bytes()
    monkeypatch.setattr(metadata, "without", lambda kept: kept)
    with pytest.raises(UnwritableError, match="still contain a picture"):
        Photo(tmp_path / "b.jpg").save(tmp_path / "never.jpg")
    assert not (tmp_path / "never.jpg").exists()


def previews(picture, small=(48, 32)):
    """The same preview as each kind of file, by its name."""
    options = {
        "JPEG": {},
        "PNG": {},
        "WEBP": {},
        "TIFF": {},
        "GIF": {},
        "BMP": {},
        "JPEG2000": {},
        "HEIF": {},
        "AVIF": {},
    }
    options["codestream"] = {"format": "JPEG2000", "no_jp2": True}
    found = {}
    for name, more in options.items():
        file = io.BytesIO()
        picture.resize(small).save(file, **{"format": name, **more})
        found[name] = file.getvalue()
    return found


def test_previews_of_every_format_are_known(picture):
    """Not JPEG, PNG and WebP alone; raw, and however base64 and hexadecimal are broken into lines."""
    for name, content in previews(picture).items():
        coded = base64.b64encode(content)
        in_threes = b"\n".join(coded[i : i + 3] for i in range(0, len(coded), 3))
        for form in (b"before" + content, coded, base64.encodebytes(content), in_threes):
            assert holds_picture(form), (name, form[:40])
    for content in (picture.tobytes(), picture.resize((64, 64)).tobytes()):  # raw pixels, or a picture behind a head
        for form in (base64.b64encode(content), base64.encodebytes(content), content.hex().encode()):
            assert holds_picture(b"before: " + form)


@pytest.mark.parametrize(
    "words",
    [
        "It is a long description of a photo. " * 200,
        "一张照片的很长的描述" * 300,
        " ".join(["0a1b2c3d-0a1b-2c3d-4e5f-0a1b2c3d4e5f"] * 100),  # identifiers of the documents that it came from
        '{"prompt":"a/b","seed":123,"steps":[1,2,3]},' * 100,
        "http://example.com/photos/a-b-c?x=1 " * 100,
        "II* and MM*, GIF89a, ftyp, BM, RIFF and WEBP, /9j/ and TU0AK",
    ],
)
def test_long_words_are_no_picture(words):
    for encoding in ("utf-8", "utf-16-le"):
        assert not holds_picture(words.encode(encoding))
    assert is_text(words.encode()) and is_text(words.encode("utf-16-le"), ("utf-16-le",))


def test_a_maker_note_that_is_a_tiff_stays(picture):
    content, root = tiff.write_tree({0: [short(1, 2), text(2, "Nikon"), short(274, 1)]}, ">", 8)
    assert not holds_picture(b"Nikon\0\2\x10\0\0MM\0*" + struct.pack(">I", root) + content)
    for cut in range(8, 40):
        holds_picture((b"MM\0*" + struct.pack(">I", root) + content)[:cut])


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif"])
def test_what_may_be_pixels_is_not_taken_over(picture, tmp_path, caplog, suffix):
    """Long values that are no words; further records of IPTC. Long words stay, in each way to write them."""
    pixels = picture.resize((40, 30)).tobytes()
    long = "Ein langer Text über ein Foto, 一张照片. " * 60
    groups = {
        0: [*NAMES, Entry(40092, tiff.BYTE, 2 * len(long), long.encode("utf-16-le")), raw(37510, pixels)],
        EXIF: [raw(37510, b"UNICODE\0" + long.encode("utf-16-le")), raw(41730, pixels)],
        GPS: [raw(27, b"ASCII\0\0\0" + pixels), raw(28, b"ASCII\0\0\0" + b"x y " * 400)],
    }
    extra = photoshop((0x0404, data_set(2, 120, long.encode()) + data_set(2, 5, pixels) + data_set(8, 10, b"object")))
    picture.save(tmp_path / "a.jpg", exif=make_block(groups), comment=pixels, extra=extra)
    said = save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
    for name in ("CFAPattern", "GPSProcessingMethod", "UserComment", "IPTC 2:5", "IPTC 8:10", "the comment"):
        assert f"{name}, which may hold a picture" in said
    content = (tmp_path / f"out{suffix}").read_bytes()
    assert pixels[600:640] not in content and b"x y x y x y" in content
    assert content.count(long.encode("utf-16-le")) == 2
    assert (long.encode() in content) == (suffix != ".png")


def test_a_picture_in_several_nodes_of_xmp(picture, tmp_path):
    """Split over the items of a list, in CDATA, with every letter as a reference, in a description inside another."""
    content = previews(picture)["JPEG"]
    coded = base64.b64encode(content).decode()
    items = "".join(f"<rdf:li>{coded[i : i + 48]}</rdf:li>" for i in range(0, len(coded), 48))
    letters = "".join(f"&#{ord(letter)};" for letter in coded)
    for number, inner in enumerate(
        (f"<rdf:Seq>{items}</rdf:Seq>", f"<![CDATA[{coded}]]>", letters, f'<rdf:Description dc:format="{coded}"/>')
    ):
        packet, left_out = xmp.take_over(make_xmp(f"<dc:source>{inner}</dc:source>"), None)
        assert b"dc:source" not in packet and b"Some One" in packet, number
        assert left_out == ["dc:source, which may hold a picture"], number


@pytest.mark.parametrize(
    "packet, said",
    [
        (b"<a>" * 3000 + b"</a>" * 3000, "XMP with more than 64 nested levels"),
        (make_xmp("<rdf:Description>" * 300 + "</rdf:Description>" * 300), "XMP with more than 64 nested levels"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16"), "XMP with a document type"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode("utf-16-be"), "XMP with a document type"),
        (b"\xff\xfe<", "XMP, which is damaged"),
    ],
)
def test_xmp_that_is_not_parsed(packet, said):
    assert xmp.take_over(packet, None) == (b"", [said])


def test_large_xmp_takes_seconds_not_minutes():
    start = time.process_time()
    attributes = " ".join(f'dc:a{i}="x"' for i in range(20000))
    packet = make_xmp("<dc:b>" + "<rdf:Description>" * 50 + "x " * 200000 + "</rdf:Description>" * 50 + "</dc:b>")
    assert xmp.take_over(make_xmp("", attributes), None)[0] and xmp.take_over(packet, None)[0]
    assert time.process_time() - start < 10  # 5 minutes before


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_xmp_in_other_encodings(picture, tmp_path, caplog, encoding):
    picture.save(tmp_path / "a.jpg", xmp=make_xmp("<dc:title>Größe</dc:title>").decode().encode(encoding))
    for suffix in (".png", ".jpg"):
        assert not save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
        assert "Größe".encode() in (tmp_path / f"out{suffix}").read_bytes()


def test_a_directory_whose_entries_are_all_the_same_bytes(picture, tmp_path, caplog):
    """Were each of 900 values of 1 MB read, the memory would grow by 900 MB; and not every name is a note's."""
    Image.new("RGB", (600, 600)).save(tmp_path / "a.tif")
    content = bytearray((tmp_path / "a.tif").read_bytes())
    at = struct.unpack_from("<I", content, 4)[0]
    number = struct.unpack_from("<H", content, at)[0]
    own = content[at + 2 : at + 2 + 12 * number]
    more = b"".join(struct.pack("<HHII", tag, tiff.UNDEFINED, 1_000_000, 8) for tag in range(0x8298, 0x8298 + 900))
    struct.pack_into("<I", content, 4, len(content))
    content += struct.pack("<H", number + 900) + own + more + bytes(4)
    (tmp_path / "a.tif").write_bytes(content)
    tracemalloc.start()
    said = save(tmp_path / "a.tif", tmp_path / "out.jpg", caplog)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert len(said) < 1500 and "; and 8" in said


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".bmp"])
def test_a_big_tiff(picture, tmp_path, caplog, suffix):
    picture.save(tmp_path / "a.tif", big_tiff=True)
    said = save(tmp_path / "a.tif", tmp_path / f"out{suffix}", caplog)
    assert "left out: EXIF and IPTC of a TIFF larger than 4 GB (BigTIFF)" in said


@pytest.mark.parametrize("coded", [True, False])
@pytest.mark.parametrize("skipped", [0, 300])
def test_an_entry_that_reaches_into_the_thumbnail(picture, preview, tmp_path, caplog, skipped, coded):
    """A damaged MakerNote, with or without the beginning of a thumbnail, which is a JPEG or bare pixels."""
    content = preview if coded else picture.resize((24, 16)).tobytes()
    block = bytearray(make_block({0: NAMES, EXIF: [raw(37500, b"Nikon\0" + bytes(99))]}, content))
    if not coded:
        for tag, strip in ((513, 273), (514, 279)):
            at = block.index(struct.pack("<HHI", tag, tiff.LONG, 1))
            block[at : at + 2] = struct.pack("<H", strip)
    at, start = block.index(struct.pack("<HHI", 37500, 7, 105)), len(block) - len(content) - len(exif.PREFIX)
    struct.pack_into("<II", block, at + 4, len(content) - skipped, start + skipped)
    picture.save(tmp_path / "a.jpg", exif=bytes(block))
    for suffix in (".jpg", ".png"):
        said = save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
        assert "left out: MakerNote, which overlaps a picture" in said
        out = (tmp_path / f"out{suffix}").read_bytes()
        assert content[-50:] not in out and b"Camera" in out


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_colour_profile_is_nothing_else(picture, preview, tmp_path, caplog, suffix):
    """It ends where it says, has its mark, and holds no picture; curves that look like a JPEG's beginning are none."""
    curves = SRGB + struct.pack(">3H", 0xFFD0, 0xFFD8, 0xFFE0)
    curves = struct.pack(">I", len(curves)) + curves[4:]
    inside = SRGB + preview
    inside = struct.pack(">I", len(inside)) + inside[4:]
    cases = [(SRGB + picture.resize((9, 9)).tobytes(), SRGB, ""), (curves, curves, "")]
    cases += [(inside, None, "which holds a picture"), (preview, None, "which is damaged")]
    for given, kept, said in cases:
        picture.save(tmp_path / "a.jpg", icc_profile=given)
        text = save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
        assert (f"left out: the ICC profile, {said}" in text) if said else not text
        with Image.open(tmp_path / f"out{suffix}") as out:
            assert out.info.get("icc_profile") == kept


# -- kind 2: orientation and colour ----------------------------------------------------------------------------------


def save(photo, out, caplog):
    """Write a photo again; return what is said to be left out."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, "shiftnet_tf"):
        Photo(photo).save(out)
    return caplog.text


@pytest.mark.parametrize("attribute", [True, False])
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_an_orientation_that_was_applied_is_not_applied_again(picture, tmp_path, caplog, suffix, attribute):
    orientation = 'tiff:Orientation="6"' if attribute else "<tiff:Orientation>6</tiff:Orientation>"
    packet = make_xmp("", orientation) if attribute else make_xmp(orientation)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode())
    picture.save(tmp_path / "a.png", pnginfo=texts, exif=make_block({0: [short(274, 6), *NAMES]}))
    assert not save(tmp_path / "a.png", tmp_path / f"out{suffix}", caplog)
    with Image.open(tmp_path / f"out{suffix}") as out:
        assert out.size == SIZE[::-1] and 274 not in out.getexif()
        assert b"Some One" in out.info["xmp"] and b"Orientation" not in out.info["xmp"].replace(b"xmlns", b"")
        if suffix == ".png":
            np.testing.assert_array_equal(np.array(out), np.rot90(np.array(picture), -1))


def test_an_upright_photo_s_xmp_is_not_touched(picture, tmp_path):
    packet = make_xmp(attributes='tiff:Orientation="1" exif:PixelXDimension="96"')
    picture.save(tmp_path / "a.jpg", xmp=packet)
    Photo(tmp_path / "a.jpg").save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["xmp"] == packet


TURNED = {  # orientation -> a rectangle's middle (10, 20) and its sizes (6, 4) in the upright picture
    1: (10, 20, 6, 4),
    2: (85, 20, 6, 4),
    3: (85, 43, 6, 4),
    4: (10, 43, 6, 4),
    5: (20, 10, 4, 6),
    6: (43, 10, 4, 6),
    7: (43, 85, 4, 6),
    8: (20, 85, 4, 6),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("orientation", TURNED)
def test_sizes_and_places_turn_with_the_picture(tmp_path, orientation, order):
    """The subject is a white pixel in the stored picture."""
    stored = np.zeros((64, 96, 3), np.uint8)
    stored[20, 10] = 255
    own = [short(tag, *values, order=order) for tag, *values in ((37396, 10, 20, 6, 4), (41492, 10, 20))]
    own += [Entry(tag, tiff.LONG, 1, struct.pack(f"{order}I", size)) for tag, size in ((40962, 96), (40963, 64))]
    resolution = [rational(282, 300, 1, order), rational(283, 200, 1, order)]
    block = make_block({0: [short(274, orientation, order=order), *resolution], EXIF: own}, order=order)
    packet = make_xmp(attributes='exif:PixelXDimension="96" exif:PixelYDimension="64"')
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("XML:com.adobe.xmp", packet.decode())
    Image.fromarray(stored).save(tmp_path / "a.png", exif=block, pnginfo=texts, dpi=(300, 200))
    Photo(tmp_path / "a.png").save(tmp_path / "out.png")
    lying = orientation >= 5
    with Image.open(tmp_path / "out.png") as out:
        found = out.getexif()
        details = found.get_ifd(ExifTags.IFD.Exif)
        assert details[37396] == TURNED[orientation] and details[41492] == TURNED[orientation][:2]
        assert np.array(out)[TURNED[orientation][1], TURNED[orientation][0]].tolist() == [255, 255, 255]
        assert (details[40962], details[40963]) == out.size == ((64, 96) if lying else (96, 64))
        assert (found[282], found[283]) == ((200, 300) if lying else (300, 200))
        assert out.info["dpi"] == pytest.approx((200, 300) if lying else (300, 200), abs=0.01)
        assert f'exif:PixelXDimension="{out.width}"'.encode() in out.info["xmp"]


def test_a_png_says_how_its_colours_are_meant(picture, tmp_path, caplog):
    chunks = PngImagePlugin.PngInfo()
    chunks.add(b"cICP", b"\x0c\x0d\x00\x01")  # Display P3
    chunks.add(b"sBIT", b"\x05\x06\x05")
    picture.save(tmp_path / "a.png", pnginfo=chunks)
    assert not save(tmp_path / "a.png", tmp_path / "out.png", caplog)
    found = dict(containers.png_chunks((tmp_path / "out.png").read_bytes()))
    assert found[b"cICP"] == b"\x0c\x0d\x00\x01" and found[b"sBIT"] == b"\x05\x06\x05"
    assert "the colour space of the PNG (cICP)" in save(tmp_path / "a.png", tmp_path / "out.jpg", caplog)


@pytest.mark.parametrize("suffix", [".bmp", ".tga", ".ppm", ".jp2"])
def test_a_colour_profile_that_a_format_cannot_hold_is_named(picture, tmp_path, caplog, suffix):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture.save(tmp_path / "a.png", icc_profile=lab)
    said = save(tmp_path / "a.png", tmp_path / f"out{suffix}", caplog)
    assert "left out: the ICC profile (Lab" in said and "without which the colours look different" in said
    picture.save(tmp_path / "b.png", icc_profile=SRGB)
    assert not save(tmp_path / "b.png", tmp_path / f"out{suffix}", caplog)


# -- kind 3: what is kept ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_one_bad_entry_costs_no_other(picture, tmp_path, caplog, suffix):
    beyond = Entry(306, tiff.ASCII, 4000, b"2026")  # longer than the file
    block = make_block({0: [text(282, "300 dpi"), *NAMES, beyond], EXIF: [rational(33434, 1, 250)]})
    picture.save(tmp_path / "a.jpg", exif=block)
    assert "left out: DateTime, which is damaged" in save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
    with Image.open(tmp_path / f"out{suffix}") as out:
        found = out.getexif()
        assert [found[tag] for tag in (271, 315)] == ["Camera", "Some One"] and 306 not in found
        assert found.get_ifd(ExifTags.IFD.Exif)[33434] in ((1, 250), 1 / 250)


@pytest.mark.parametrize("content", [b"", b"no header", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_a_damaged_exif_costs_nothing_else(picture, tmp_path, content):
    picture.save(tmp_path / "a.jpg", exif=exif.PREFIX + content, comment=b"a comment", icc_profile=SRGB)
    Photo(tmp_path / "a.jpg").save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["comment"] == b"a comment" and out.info["icc_profile"] == SRGB and not out.getexif()


def test_a_directory_that_points_at_itself_ends(picture, tmp_path):
    content = bytearray(make_block({0: NAMES, EXIF: [rational(33434, 1, 250)]}).removeprefix(exif.PREFIX))
    root = struct.unpack_from("<I", content, 4)[0]
    taken = exif.Taken(lambda at, size: bytes(content[at : at + size]), 1, SIZE, moved=False)
    pointer = next(entry for entry in taken.groups[0] if entry.tag == EXIF)
    content[pointer.at : pointer.at + 4] = struct.pack("<I", root)
    picture.save(tmp_path / "a.jpg", exif=exif.PREFIX + bytes(content))
    Photo(tmp_path / "a.jpg").save(tmp_path / "out.jpg")
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.getexif()[271] == "Camera"


def test_a_maker_note_stays_where_it_was(picture, tmp_path, caplog):
    """Its own positions count from the beginning of the block: it is moved nowhere, or named as left out."""
    note = b"Nikon\0" + bytes(range(200))
    block = make_block({0: [short(274, 1), *NAMES], EXIF: [raw(37500, note), rational(33434, 1, 250)]})
    picture.save(tmp_path / "a.jpg", exif=block)
    for suffix in (".jpg", ".png", ".webp", ".avif"):
        assert not save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
        with Image.open(tmp_path / f"out{suffix}") as out:
            assert out.info["exif"].removeprefix(exif.PREFIX).index(note) == block.index(note) - len(exif.PREFIX)
    assert "left out: MakerNote, whose offsets" in save(tmp_path / "a.jpg", tmp_path / "out.tif", caplog)


def test_xmp_iptc_comment_and_texts_go_where_they_can(picture, tmp_path, caplog):
    words = data_set(2, 80, b"Some One") + data_set(2, 120, "Größe".encode())
    extra = photoshop((0x03ED, bytes(16)), (0x0404, words))
    picture.save(tmp_path / "a.jpg", xmp=make_xmp(), comment="Größe".encode(), extra=extra, exif=make_block({0: NAMES}))
    assert not save(tmp_path / "a.jpg", tmp_path / "out.jpg", caplog)
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["photoshop"] == {0x0404: words} and out.info["comment"] == "Größe".encode()
        assert out.info["xmp"] == make_xmp()
    said = save(tmp_path / "a.jpg", tmp_path / "out.tif", caplog)
    assert "left out: the comment\n" in said
    with Image.open(tmp_path / "out.tif") as out:
        assert out.tag_v2[33723] == words and out.tag_v2[700] == make_xmp() and out.info["compression"] != "raw"
    assert not save(tmp_path / "out.tif", tmp_path / "again.jpg", caplog)
    with Image.open(tmp_path / "again.jpg") as out:
        assert out.info["photoshop"] == {0x0404: words} and out.info["xmp"] == make_xmp()
        assert out.getexif()[315] == "Some One"
    assert "left out: IPTC\n" in save(tmp_path / "a.jpg", tmp_path / "out.png", caplog)
    with Image.open(tmp_path / "out.png") as out:
        assert out.info["xmp"] == make_xmp() and out.text["Comment"] == "Größe"
    assert "XMP; EXIF; IPTC; the comment" in save(tmp_path / "a.jpg", tmp_path / "out.bmp", caplog)


def test_what_other_programs_write_into_a_png(picture, tmp_path, caplog):
    """EXIF, IPTC and XMP as hexadecimal texts."""
    iptc_block = photoshop((0x0404, data_set(2, 80, b"Some One")))[4:]
    texts = PngImagePlugin.PngInfo()
    for name, content in (("iptc", iptc_block), ("exif", make_block({0: NAMES})), ("xmp", make_xmp())):
        texts.add_text(f"Raw profile type {name}", f"\n{name}\n{len(content):8}\n{content.hex()}\n", zip=True)
    texts.add_text("Raw profile type 8bim", "\n8bim\n 2\nno hexadecimal")
    picture.save(tmp_path / "a.png", pnginfo=texts)
    assert not save(tmp_path / "a.png", tmp_path / "out.jpg", caplog)
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["photoshop"] == {0x0404: data_set(2, 80, b"Some One")} and out.info["xmp"] == make_xmp()
        assert out.getexif()[315] == "Some One"
    assert "left out: IPTC\n" in save(tmp_path / "a.png", tmp_path / "out.png", caplog)


def test_what_cannot_be_read_is_named(picture, tmp_path, caplog):
    picture.save(tmp_path / "a.jp2")
    assert not save(tmp_path / "a.jp2", tmp_path / "out.webp", caplog)  # though OpenJPEG leaves a comment
    with open(tmp_path / "a.jp2", "ab") as file:
        file.write(struct.pack(">I", 24 + len(make_xmp())) + b"uuid" + bytes(16) + make_xmp())
    assert "left out: EXIF and XMP of a JPEG 2000\n" in save(tmp_path / "a.jp2", tmp_path / "out.jpg", caplog)
    picture.save(tmp_path / "a.gif")
    content = (tmp_path / "a.gif").read_bytes()
    start = 13 + 3 * 2 ** ((content[10] & 7) + 1)
    extension = b"!\xff\x0bXMP DataXMP\x04 <x>\0"
    (tmp_path / "a.gif").write_bytes(content[:start] + extension + content[start:])
    assert "left out: XMP of a GIF\n" in save(tmp_path / "a.gif", tmp_path / "out.png", caplog)


def test_a_chunk_of_a_png_has_its_own_size(picture, tmp_path):
    """One that has not may hold anything, such as pixels."""
    pixels = picture.resize((9, 9)).tobytes()
    chunks = PngImagePlugin.PngInfo()
    for name, size in ((b"cHRM", 32), (b"cICP", 4), (b"gAMA", 4), (b"sBIT", 3), (b"sRGB", 1)):
        chunks.add(name, bytes(size) + pixels)
    picture.save(tmp_path / "a.png", pnginfo=chunks)
    Photo(tmp_path / "a.png").save(tmp_path / "out.png")
    assert pixels[:40] not in (tmp_path / "out.png").read_bytes()


def test_a_picture_in_the_translated_name_of_a_text(picture, preview, tmp_path, caplog):
    coded = base64.b64encode(preview).decode()
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Title", "a title", "de", coded)
    texts.add_text("Author", "Some One")
    picture.save(tmp_path / "a.png", pnginfo=texts)
    assert "left out: the text 'Title', which holds a picture\n" in save(
        tmp_path / "a.png", tmp_path / "out.png", caplog
    )
    with Image.open(tmp_path / "out.png") as out:
        assert out.text == {"Author": "Some One"}


def test_several_comments_and_parts_of_photoshop_s_resources(picture, tmp_path, caplog):
    """All comments stay as one; IPTC is found behind another APP13, and in two segments."""
    whole = photoshop((0x03ED, bytes(16)), (0x0404, data_set(2, 80, b"Some One")))[4:]
    parts = [b"Adobe_CM\0\2", whole[:50], iptc.PHOTOSHOP + whole[50:]]
    extra = b"".join(b"\xff\xed" + struct.pack(">H", len(part) + 2) + part for part in parts)
    extra += b"\xff\xfe\0\x07first\xff\xfe\0\x08second"
    picture.save(tmp_path / "a.jpg", extra=extra)
    assert not save(tmp_path / "a.jpg", tmp_path / "out.jpg", caplog)
    with Image.open(tmp_path / "out.jpg") as out:
        assert out.info["comment"] == b"first\nsecond"
        assert out.info["photoshop"] == {0x0404: data_set(2, 80, b"Some One")}
    long = b"\xff\xfe\x9c\x42" + b"long " * 8000
    picture.save(tmp_path / "a.jpg", extra=long + long, exif=make_block({0: NAMES}))
    assert "left out: the comment\n" in save(tmp_path / "a.jpg", tmp_path / "out.jpg", caplog)
    assert b"Camera" in (tmp_path / "out.jpg").read_bytes()


def test_no_note_for_nothing(picture, preview, tmp_path, caplog):
    """What Windows, digiKam and cameras write into each photo: fillings, empty comments, and a thumbnail."""
    own = [raw(59932, bytes(2060)), raw(59933, bytes(4)), text(11, "digiKam"), short(531, 1), raw(50341, b"PrintIM\0")]
    exif_own = [raw(59932, bytes(2060)), raw(37510, bytes(2000)), raw(36864, b"0232"), raw(42080, b"\2\0")]
    block = make_block({0: [*NAMES, *own], EXIF: exif_own, GPS: [raw(0, b"\2\3\0\0")]}, preview)
    picture.save(tmp_path / "a.jpg", exif=block)
    for suffix in (".jpg", ".png", ".tif"):
        assert not save(tmp_path / "a.jpg", tmp_path / f"out{suffix}", caplog)
        assert b"digiKam" in (tmp_path / f"out{suffix}").read_bytes()


def test_words_in_other_letters_go_to_a_tiff_as_they_are(picture, tmp_path):
    name = "© Jürgen".encode()
    for order in "<>":
        block = make_block({0: [Entry(315, tiff.ASCII, len(name), name)]}, order=order)
        picture.save(tmp_path / "a.jpg", exif=block)
        Photo(tmp_path / "a.jpg").save(tmp_path / "out.tif")
        assert name in (tmp_path / "out.tif").read_bytes()


@pytest.mark.parametrize("dpi, kept", [(300, True), (2**32 - 1, False)])
def test_the_resolution(picture, tmp_path, caplog, dpi, kept):
    per_metre = round(dpi / 0.0254) % 2**32
    picture.save(tmp_path / "a.bmp", dpi=(300, 300))
    assert not save(tmp_path / "a.bmp", tmp_path / "out.bmp", caplog)
    with Image.open(tmp_path / "out.bmp") as out:
        assert out.info["dpi"] == pytest.approx((300, 300), abs=0.02)
    block = make_block({0: [*NAMES, rational(282, dpi, 1), rational(283, dpi, 1), short(296, 2)]})
    picture.save(tmp_path / "a.jpg", exif=block, comment=b"a comment")
    assert per_metre
    said = save(tmp_path / "a.jpg", tmp_path / "out.png", caplog)
    assert ("left out: the resolution, which is damaged" in said) != kept
    with Image.open(tmp_path / "out.png") as out:
        assert out.text["Comment"] == "a comment" and out.getexif()[271] == "Camera"
        assert ("dpi" in out.info) == kept


# -- kinds 4 and 5: what describes something that is gone; quality -----------------------------------------------------


@pytest.mark.parametrize(
    "properties, attributes, said",
    [
        ("", 'hdrgm:Version="1.0"', "the gain map (HDR) and its description"),
        ("", 'GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"', "the motion photo and its description"),
        ("", 'GCamera:MicroVideoOffset="4321"', "the motion photo and its description"),
        ("<Container:Directory><rdf:Seq/></Container:Directory>", "", "the description of the pictures beside it"),
    ],
)
def test_what_describes_something_that_is_gone(picture, tmp_path, caplog, properties, attributes, said):
    picture.save(tmp_path / "a.jpg", xmp=make_xmp(properties, attributes))
    with open(tmp_path / "a.jpg", "ab") as file:
        file.write(b"\0\0\0\x18ftypmp42 a video")
    text = save(tmp_path / "a.jpg", tmp_path / "out.jpg", caplog)
    assert text.count(said) == 1 and text.count("\n") == 1
    content = (tmp_path / "out.jpg").read_bytes()
    for word in (b"hdrgm:V", b"MotionPhoto", b"MicroVideo", b"Directory", b"ftypmp42"):
        assert word not in content
    assert b"Some One" in content


def test_a_jpeg_with_several_pictures_is_one_afterwards(picture, tmp_path, caplog):
    picture.save(
        tmp_path / "a.mpo", "MPO", save_all=True, append_images=[picture.rotate(90)], exif=make_block({0: NAMES})
    )
    assert "left out: the other pictures in the file" in save(tmp_path / "a.mpo", tmp_path / "out.jpg", caplog)
    content = (tmp_path / "out.jpg").read_bytes()
    assert b"MPF\0" not in content and content.count(b"\xff\xd8\xff") == 1 and b"Camera" in content


def test_a_webp_without_loss_stays_without_loss(picture, tmp_path):
    picture.save(tmp_path / "a.webp", lossless=True, exif=make_block({0: NAMES}))
    Photo(tmp_path / "a.webp").save(tmp_path / "out.webp")
    with Image.open(tmp_path / "out.webp") as out:
        np.testing.assert_array_equal(np.array(out.convert("RGB")), np.array(picture))


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("suffix", [".heic", ".avif", ".webp"])
def test_a_photo_keeps_about_its_size(tmp_path, suffix, quality):
    with Image.open(PHOTOS / "test" / "gc_farm_sheep.jpg") as large:
        large.save(tmp_path / f"a{suffix}", quality=quality)
    Photo(tmp_path / f"a{suffix}").save(tmp_path / f"out{suffix}")
    before, after = ((tmp_path / f"{name}{suffix}").stat().st_size for name in ("a", "out"))
    assert 0.75 < after / before < 1.4


@pytest.mark.long
def test_exiftool_sees_the_differences_that_are_documented(picture, preview, tmp_path):
    """Twelve files; what exiftool finds in them before and after differs in what docs/run.md names, and in nothing."""
    if not shutil.which("exiftool"):
        pytest.skip("exiftool is not installed")
    groups = {
        0: [short(274, 1), *NAMES, rational(282, 300, 1), rational(283, 300, 1), short(296, 2)],
        EXIF: [rational(33434, 1, 250), raw(36864, b"0232"), raw(37500, b"Nikon\0" + bytes(40))],
        GPS: [text(1, "N"), Entry(2, 5, 3, struct.pack("<6I", 48, 1, 8, 1, 30, 1))],
    }
    extra = photoshop((0x0404, data_set(2, 80, b"Some One")), (0x0409, bytes(28) + preview))
    thumbnails = f"<xmp:Thumbnails>{base64.b64encode(preview).decode()}</xmp:Thumbnails>"
    jpeg = {"exif": make_block(groups, preview), "xmp": make_xmp(thumbnails), "comment": b"a comment", "extra": extra}
    gone = {"IFD1", "Photoshop", "XMP-xmp:Thumbnails"}
    cases = []
    for suffix in FORMATS:
        for icc in (SRGB, b""):
            cases.append((tmp_path / f"a{len(cases)}.jpg", tmp_path / f"b{len(cases)}{suffix}", suffix))
            picture.save(cases[-1][0], icc_profile=icc, **jpeg)
    assert len(cases) == 12
    named = {
        ".jpg": set(),
        ".png": {"IPTC", "File:Comment"},
        ".tif": {"File:Comment", "ExifIFD:MakerNote", "MakerNotes", "Nikon"},
        ".webp": {"IPTC", "File:Comment"},
        ".avif": {"IPTC", "File:Comment"},
        ".heic": {"IPTC", "File:Comment"},
    }
    groups_of_interest = ("IFD0", "IFD1", "ExifIFD", "GPS", "XMP", "IPTC", "Photoshop", "ICC_Profile", "MakerNotes")
    for before, after, suffix in cases:
        Photo(before).save(after)
        found = []
        for path in (before, after):
            command = ["exiftool", "-json", "-G1", "-a", "-u", "-b", str(path)]
            tags = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
            found.append({k: v for k, v in tags.items() if k.startswith(groups_of_interest) or k == "File:Comment"})
        lost = {key for key in found[0] if key not in found[1]}
        allowed = gone | named[suffix] | {"IFD0:Orientation", "IFD0:ExifByteOrder"}
        assert {key for key in lost if not key.startswith(tuple(allowed))} == set(), suffix
        assert {key for key in lost if key.startswith("IFD1")} and not any(k.startswith("IFD1") for k in found[1])
        changed = {key for key, value in found[0].items() if key in found[1] and found[1][key] != value}
        assert changed <= {"IFD0:YCbCrPositioning"}, suffix
