"""Write the metadata of a photo: `options` for Pillow's `save`, then `finish`, which checks the written file too."""

import io
import os
import struct
from typing import Any, BinaryIO

from PIL import Image, ImageCms, PngImagePlugin

from shiftnet_tf.errors import UnwritableError
from shiftnet_tf.photos import containers, exif, iptc, tiff
from shiftnet_tf.photos.metadata import PACKET, Metadata
from shiftnet_tf.photos.pictures import holds_picture
from shiftnet_tf.photos.sources import mapped
from shiftnet_tf.photos.tiff import Entry

_EXIF_FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF", "TIFF")  # each holds XMP and an ICC profile too
_DPI_FORMATS = ("JPEG", "PNG", "TIFF", "BMP")
_LONGEST_EXIF, _LONGEST_XMP, _LONGEST_COMMENT = 65527, 65504, 65533  # bytes, of a JPEG's segments


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
    return written | _encoding(kept, file_format), lost


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


def _encoding(kept: Metadata, file_format: str) -> dict[str, Any]:
    """Return the options of a format for how the pixels are stored, as in the input photo."""
    if file_format == "TIFF":
        return {"compression": kept.compression or "tiff_adobe_deflate"}
    return {"no_jp2": kept.codestream} if file_format == "JPEG2000" else {}


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
        info.add_itxt(PACKET, kept.xmp.decode("utf-8", "replace"))
    return info


def _profile_name(icc: bytes) -> str:
    try:
        return ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(icc))).strip()
    except (ImageCms.PyCMSError, OSError):
        return "damaged"


def _is_srgb(icc: bytes) -> bool:
    return "srgb" in _profile_name(icc).lower()
