"""The metadata of a photo file that are kept when the filled photo is written; `metadata_writing` writes them.

They must not show anything that was removed from the photo: only data known to contain no picture are kept. Meaningful
data that are left out are named, so that nothing is lost silently; docs/run.md has the table.
"""

import math
import os
from dataclasses import dataclass, field
from typing import Any

from PIL import ImageFile, JpegImagePlugin

from shiftnet_tf.photos import containers, exif, iptc, tiff, xmp
from shiftnet_tf.photos.pictures import holds_picture, objection_to
from shiftnet_tf.photos.sources import mapped

PACKET = "XML:com.adobe.xmp"  # name of XMP among the texts of a PNG


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
    with mapped(source) as content:
        kept.file_size = len(content)
        photoshop, own_iptc = _read_format(kept, raw, content, lying)
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


def _read_format(
    kept: Metadata, raw: ImageFile.ImageFile, content: containers.Content, lying: bool
) -> tuple[bytes, bytes]:
    """Read what only one format stores; return Photoshop's resources and the IPTC of a TIFF, b"" without them."""
    photoshop, own_iptc = b"", b""
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
        kept.directories = exif.Taken(tiff.reader(content), kept.orientation, kept.size, moved=True)
        kept.left_out += kept.directories.left_out
        photoshop, own_iptc = (kept.directories.stored.get(tag, b"") for tag in (exif.PHOTOSHOP, exif.IPTC))
    return photoshop, own_iptc


def without(kept: Metadata) -> Metadata:
    """Return what is kept if metadata cannot be written: how the pixels are stored."""
    names = ("format", "size", "orientation", "file_size", "tables", "compression", "codestream", "lossless")
    return Metadata(**{name: getattr(kept, name) for name in names})


def _read_png(kept: Metadata, raw: ImageFile.ImageFile, content: containers.Content) -> None:
    """Read texts, and the chunks that Pillow does not keep."""
    sizes = {b"cHRM": (32,), b"cICP": (4,), b"gAMA": (4,), b"sBIT": (1, 2, 3, 4), b"sRGB": (1,)}
    kept.chunks = {name: data for name, data in containers.png_chunks(content) if len(data) in sizes.get(name, ())}
    for key, value in getattr(raw, "text", {}).items():
        if key == PACKET or key.startswith("Raw profile type "):
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
