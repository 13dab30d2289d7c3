"""The metadata of a photo file that are kept when the filled photo is written.

They must not show anything that was removed from the photo: only data known to contain no picture are kept, and
`finish` checks the written file. Meaningful data that are left out are named, so that nothing is lost silently;
docs/run.md has the table.
"""

import io
import math
import os
import struct
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from PIL import Image, ImageCms, ImageFile, JpegImagePlugin, PngImagePlugin

from shiftnet_tf.errors import UnwritableError
from shiftnet_tf.photos import containers, exif, iptc, tiff, xmp
from shiftnet_tf.photos.pictures import holds_picture, objection_to
from shiftnet_tf.photos.sources import mapped
from shiftnet_tf.photos.tiff import Entry

_EXIF_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF")  # each holds XMP and an ICC profile too
_DPI_FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
_LONGEST_EXIF, _LONGEST_XMP, _LONGEST_COMMENT = 65527, 65504, 65533  # bytes, of a JPEG's segments
_PACKET = "XML:com.adobe.xmp"  # name of XMP among the texts of a PNG


@dataclass
class Metadata:
    """The data of a photo file, other than its pixels, that may be kept.

    Attributes:
        format: Pillow's name of the file's format.
        size: width and height of the upright picture, in pixels.
        orientation: 1 to 8, by which it was turned upright.
        file_size: bytes.
        icc, xmp, iptc, comment: b"" if there is none.
        dpi: pixels per inch, across and down; None if there is no resolution.
        block: EXIF as it is in the file, not yet filtered; b"" for a TIFF.
        directories: EXIF of a TIFF, whose values must be moved.
        texts: of a PNG.
        chunks: of a PNG, which define its colours.
        tables: options for Pillow's `save` that quantise like the original JPEG.
        compression: of a TIFF.
        codestream: whether a JPEG 2000 is a bare codestream.
        lossless: whether a WebP is lossless.
        left_out: what is not kept, whatever the output format.
    """

    format: str
    size: tuple[int, int]
    orientation: int
    file_size: int = 0
    icc: bytes = b""
    xmp: bytes = b""
    iptc: bytes = b""
    comment: bytes = b""
    dpi: tuple[float, float] | None = None
    block: bytes = b""
    directories: exif.Taken | None = None
    texts: dict[str, str] = field(default_factory=dict)
    chunks: dict[bytes, bytes] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    compression: str | None = None
    codestream: bool = False
    lossless: bool = False
    left_out: list[str] = field(default_factory=list)


def read(raw: ImageFile.ImageFile, source: str | os.PathLike[str] | bytes, orientation: int) -> Metadata:
    """Read the metadata of a file that may be kept.

    Args:
        raw: the image as it is in the file, decoded.
        source: path of the file, or its content.
        orientation: 1 to 8, by which the image is turned upright.
    """
    lying = orientation >= 5
    kept = Metadata(raw.format or "", raw.size[::-1] if lying else raw.size, orientation)
    _read_icc(kept, raw.info.get("icc_profile") or b"")
    comment = raw.info.get("comment") or b""
    kept.comment = comment.encode() if isinstance(comment, str) else bytes(comment)
    if raw.info.get("dpi"):
        kept.dpi = _resolution(raw.info["dpi"], lying)
        if not kept.dpi:
            kept.left_out.append("the resolution, which is damaged")
    photoshop, own_iptc = b"", b""
    with mapped(source) as content:
        kept.file_size = len(content)
        if isinstance(raw, JpegImagePlugin.JpegImageFile):
            segments = [data for name, data in raw.applist if name == "APP13" and data.startswith(iptc.PHOTOSHOP)]
            photoshop = b"".join(data.removeprefix(iptc.PHOTOSHOP) for data in segments)  # one may continue in the next
            kept.comment = b"\n".join(data for name, data in raw.applist if name == "COM")
            if raw.mode in ("RGB", "L") and raw.quantization:
                kept.tables = _tables(raw, lying)
        elif raw.format == "PNG":
            _read_png(kept, raw, content)
            photoshop = _raw_profile(raw, "iptc")
        elif raw.format == "WEBP":
            kept.lossless = any(name == b"VP8L" for name, _ in containers.riff_chunks(content))
        elif raw.format == "JPEG2000":
            kept.codestream = getattr(raw, "codec", "jp2") == "j2k"
            if kept.comment.startswith(b"Created by OpenJPEG"):
                kept.comment = b""
            if containers.names_of_boxes(content) & {b"uuid", b"xml "}:  # which Pillow does not read
                kept.left_out.append("EXIF and XMP of a JPEG 2000")
        elif raw.format == "GIF" and content.find(b"XMP DataXMP") >= 0:
            kept.left_out.append("XMP of a GIF")
        elif raw.format == "TIFF":
            if raw.info.get("compression") in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
                kept.compression = raw.info["compression"]
            kept.directories = exif.Taken(tiff.reader(content), orientation, kept.size, moved=True)
            kept.left_out += kept.directories.left_out
            photoshop, own_iptc = (kept.directories.stored.get(tag, b"") for tag in (exif.PHOTOSHOP, exif.IPTC))
    if raw.format != "TIFF":
        kept.block = _block(raw)
    if raw.format == "MPO" or (raw.format == "HEIF" and getattr(raw, "n_frames", 1) > 1):
        kept.left_out.append("the other pictures in the file")
    if raw.info.get("depth_images") or raw.info.get("aux"):
        kept.left_out.append("the depth map or gain map")
    kept.iptc, left_out = iptc.take_over(own_iptc or iptc.resource(photoshop))
    kept.left_out += left_out
    packet = raw.info.get("xmp") or _raw_profile(raw, "xmp")
    if packet:
        packet = packet.encode() if isinstance(packet, str) else packet
        kept.xmp, left_out = xmp.take_over(packet, kept.size if lying else None)
        kept.left_out += left_out
    if objection := objection_to(kept.comment):
        kept.comment = b""
        kept.left_out.append(f"the comment, {objection}")
    return kept


def options(kept: Metadata, file_format: str, mode: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options for Pillow's `save` that write the metadata, and what the format cannot store.

    Args:
        kept: the metadata of the input photo.
        file_format: Pillow's name of the format to write.
        mode: Pillow's mode of the picture.
    """
    written: dict[str, Any] = {}
    lost = []
    holds = file_format in _EXIF_FORMATS
    if kept.icc:
        if holds:
            written["icc_profile"] = kept.icc
        elif not _is_srgb(kept.icc):
            lost.append(f"the ICC profile ({_profile_name(kept.icc)}), without which the colours look different")
    if kept.dpi:
        if file_format in _DPI_FORMATS:
            written["dpi"] = kept.dpi
        elif not holds:
            lost.append("the resolution")
    if kept.xmp and (not holds or (file_format == "JPEG" and len(kept.xmp) > _LONGEST_XMP)):
        lost.append("XMP")
    elif kept.xmp and file_format not in ("PNG", "TIFF"):
        written["xmp"] = kept.xmp
    block, more = _exif(kept, file_format)
    if block and file_format != "TIFF":
        written["exif"] = block
    lost += more
    if kept.iptc:
        if file_format == "JPEG":
            written["extra"] = iptc.segment(kept.iptc)
        elif file_format != "TIFF":
            lost.append("IPTC")
    if kept.comment and file_format == "JPEG" and len(kept.comment) <= _LONGEST_COMMENT:
        written["comment"] = kept.comment
    elif kept.comment and file_format != "PNG":
        lost.append("the comment")
    if file_format == "PNG":
        written["pnginfo"] = _png_info(kept, mode)
    elif kept.texts:
        lost.append("the texts of the PNG")
    if b"cICP" in kept.chunks and file_format != "PNG":
        lost.append("the colour space of the PNG (cICP), without which the colours look different")
    if file_format == "TIFF":
        written["compression"] = kept.compression or "tiff_adobe_deflate"
    elif file_format == "JPEG2000":
        written["no_jp2"] = kept.codestream
    return written, lost


def without(kept: Metadata) -> Metadata:
    """Return what is kept if metadata cannot be written: how the pixels are stored."""
    names = ("format", "size", "orientation", "file_size", "tables", "compression", "codestream", "lossless")
    return Metadata(**{name: getattr(kept, name) for name in names})


def finish(kept: Metadata, file: BinaryIO, file_format: str) -> None:
    """Complete a written file, and refuse it if anything other than its image contains a picture.

    Args:
        kept: the metadata of the input photo.
        file: the file, open for reading and writing.
        file_format: Pillow's name.

    Raises:
        UnwritableError: something in the file holds a picture.
    """
    if file_format == "TIFF":
        _add_to_tiff(kept, file)
    file.flush()
    file.seek(0)
    with mapped(file) as content:
        if any(holds_picture(part) for part in containers.beside_picture(content, file_format)):
            raise UnwritableError("the metadata still contain a picture, which may show what was removed")


def _exif(kept: Metadata, file_format: str) -> tuple[bytes, list[str]]:
    """Return the EXIF block to write, with its prefix, and what is left out of it."""
    left_out: list[str] = []
    if kept.directories:
        groups, order, block = kept.directories.groups, kept.directories.order, b""
        if groups:
            content, root = tiff.write_tree(groups, order, 8)
            head = {order: mark for mark, order in tiff.ORDERS.items()}[order] + struct.pack(f"{order}I", root)
            block = head + content
    elif kept.block:
        taken = exif.Taken(tiff.reader(kept.block), kept.orientation, kept.size, moved=file_format == "TIFF")
        block, left_out = taken.edited(kept.block), taken.left_out
    else:
        return b"", []
    if block and (file_format not in _EXIF_FORMATS or (file_format == "JPEG" and len(block) > _LONGEST_EXIF)):
        return b"", ["EXIF"]
    return exif.PREFIX + block if block else b"", left_out


def _add_to_tiff(kept: Metadata, file: BinaryIO) -> None:
    """Add EXIF, XMP and IPTC to a TIFF file from Pillow, in a directory at its end that replaces the first one."""
    file.seek(0)
    head = file.read(8)
    order = tiff.ORDERS[head[:4]]

    def read(at: int, size: int) -> bytes:
        file.seek(at)
        return file.read(size)

    taken = kept.directories
    if not taken and kept.block:
        taken = exif.Taken(tiff.reader(kept.block), kept.orientation, kept.size, moved=True)
    groups = taken.in_order(order) if taken else {}
    own = tiff.read_directory(read, struct.unpack(f"{order}I", head[4:])[0], order).entries
    new = [
        Entry(tag, tiff.BYTE, len(data), data) for tag, data in ((exif.XMP, kept.xmp), (exif.IPTC, kept.iptc)) if data
    ]
    if not groups and not new:
        return
    at = file.seek(0, os.SEEK_END)
    at += file.write(b"\0" * (at % 2))
    content, root = tiff.write_tree({**groups, 0: [*own, *groups.get(0, []), *new]}, order, at)
    file.write(content)
    file.seek(4)
    file.write(struct.pack(f"{order}I", root))


def _png_info(kept: Metadata, mode: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    for name, data in kept.chunks.items():
        if name != b"sBIT" or len(data) == len(Image.getmodebands(mode) * b"."):
            info.add(name, data)
    for key, value in kept.texts.items():
        info.add_text(key, value)
    if kept.comment and "Comment" not in kept.texts:
        info.add_text("Comment", kept.comment.decode("utf-8", "replace"))
    if kept.xmp:
        info.add_itxt(_PACKET, kept.xmp.decode("utf-8", "replace"))
    return info


def _read_png(kept: Metadata, raw: ImageFile.ImageFile, content: containers.Content) -> None:
    """Read texts, and the chunks that Pillow does not keep."""
    sizes = {b"cHRM": (32,), b"cICP": (4,), b"gAMA": (4,), b"sBIT": (1, 2, 3, 4), b"sRGB": (1,)}
    kept.chunks = {name: data for name, data in containers.png_chunks(content) if len(data) in sizes.get(name, ())}
    for key, value in getattr(raw, "text", {}).items():
        if key == _PACKET or key.startswith("Raw profile type "):
            continue  # see `_raw_profile`
        words = (value, getattr(value, "lang", None) or "", getattr(value, "tkey", None) or "")  # tkey: the name again
        if objection := objection_to("\n".join(words).encode()):
            kept.left_out.append(f"the text {key!r}, {objection}")
        else:
            kept.texts[key] = value


def _read_icc(kept: Metadata, icc: bytes) -> None:
    """Read a colour profile, which begins with its length."""
    icc = icc[: int.from_bytes(icc[:4], "big")]
    if icc[36:40] == b"acsp" and not holds_picture(icc, tables=True):
        kept.icc = icc
    elif icc:
        reason = "which holds a picture" if icc[36:40] == b"acsp" else "which is damaged"
        kept.left_out.append(f"the ICC profile, {reason}")


def _block(raw: ImageFile.ImageFile) -> bytes:
    block = raw.info.get("exif") or _raw_profile(raw, "exif")
    return bytes(block).removeprefix(exif.PREFIX)


def _raw_profile(raw: ImageFile.ImageFile, name: str) -> bytes:
    """Return metadata that ImageMagick or exiftool wrote into a PNG as hexadecimal text, or b""."""
    lines = str(raw.info.get(f"Raw profile type {name}", "")).split("\n")[3:]
    try:
        return bytes.fromhex("".join(lines))
    except ValueError:
        return b""


def _resolution(dpi: tuple[Any, ...], lying: bool) -> tuple[float, float] | None:
    """Return pixels per inch, across and down in the upright image; None if no format can store them."""
    try:
        across, down = map(float, dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 0.01 <= value <= 65535 for value in (across, down)):
        return None
    return (down, across) if lying else (across, down)


def _tables(raw: JpegImagePlugin.JpegImageFile, lying: bool) -> dict[str, Any]:
    """Return the options for `save` that quantise like the JPEG, with transposed tables if it is rotated by 90°."""
    tables = raw.quantization
    sampling = JpegImagePlugin.get_sampling(raw)
    if lying:
        tables = {name: [table[8 * (i % 8) + i // 8] for i in range(64)] for name, table in tables.items()}
        sampling = {1: 0}.get(sampling, sampling)  # colours halved in one direction, for which Pillow has only that one
    found: dict[str, Any] = {"qtables": tables, "progressive": bool(raw.info.get("progressive"))}
    return found | ({"subsampling": sampling} if sampling in (0, 1, 2) else {})


def _profile_name(icc: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "damaged"


def _is_srgb(icc: bytes) -> bool:
    return "srgb" in _profile_name(icc).lower()
