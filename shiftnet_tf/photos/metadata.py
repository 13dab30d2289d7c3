"""The part of a photo file's metadata that is kept when the photo is written again."""

import contextlib
import struct
from typing import Any

from PIL import ExifTags, Image, ImageFile, JpegImagePlugin, PngImagePlugin

from shiftnet_tf.photos import image_files

NESTED = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_ORIENTATION = ExifTags.Base.Orientation
# Of a TIFF, whose EXIF is the file's own directory: what says something about the photo, and not how it is stored.
_TIFF_TAGS = (269, 270, 271, 272, 282, 283, 296, 305, 306, 315, 316, 33432, 34665, 34853)


def read(raw: ImageFile.ImageFile, picture: Image.Image) -> dict[str, Any]:
    """Return the metadata to keep, by name.

    Args:
        raw: the opened file.
        picture: the same, rotated upright; `raw` itself if it needs no rotation.
    """
    kept: dict[str, Any] = {}
    for name in ("icc_profile", "dpi"):
        if raw.info.get(name):
            kept[name] = raw.info[name]
    if isinstance(picture.info.get("xmp"), bytes) and len(picture.info["xmp"]) < 65000:
        kept["xmp"] = picture.info["xmp"]
    lying = picture is not raw and raw.getexif()[_ORIENTATION] >= 5
    kept["exif"] = _exif(raw)
    if isinstance(raw, JpegImagePlugin.JpegImageFile) and raw.mode in ("RGB", "L") and raw.quantization:
        kept["tables"] = _tables(raw, lying)
    if raw.format == "TIFF" and raw.info.get("compression") in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        kept["compression"] = raw.info["compression"]
    if raw.format == "PNG":
        kept["texts"] = _texts(raw)
    if raw.format == "JPEG2000":
        kept["no_jp2"] = getattr(raw, "codec", "jp2") == "j2k"
    return kept


def _tables(raw: JpegImagePlugin.JpegImageFile, lying: bool) -> dict[str, Any]:
    """Return the options of `save` that quantise as the JPEG did; its tables are transposed if it is rotated by 90°."""
    tables = raw.quantization
    sampling = JpegImagePlugin.get_sampling(raw)
    if lying:
        tables = {name: [table[8 * (i % 8) + i // 8] for i in range(64)] for name, table in tables.items()}
        sampling = {1: 0}.get(sampling, sampling)  # half the colours in one direction: Pillow has it in that one alone
    options: dict[str, Any] = {"qtables": tables, "progressive": bool(raw.info.get("progressive"))}
    return options | ({"subsampling": sampling} if sampling in (0, 1, 2) else {})


def _texts(raw: ImageFile.ImageFile) -> PngImagePlugin.PngInfo:
    texts = PngImagePlugin.PngInfo()
    if "gamma" in raw.info:
        texts.add(b"gAMA", struct.pack(">I", round(raw.info["gamma"] * 100_000)))
    if "srgb" in raw.info:
        texts.add(b"sRGB", bytes([raw.info["srgb"]]))
    if "chromaticity" in raw.info:
        texts.add(b"cHRM", struct.pack(">8I", *(round(x * 100_000) for x in raw.info["chromaticity"])))
    for key, value in getattr(raw, "text", {}).items():
        if key in ("XML:com.adobe.xmp",):
            texts.add_itxt(key, value)
        elif not key.startswith("Raw profile type"):
            texts.add_text(key, value)
    return texts


def _exif(raw: ImageFile.ImageFile) -> bytes:
    """Return the EXIF without the orientation, which was applied, and the thumbnail, which shows the removed object."""
    with contextlib.suppress(
        *image_files.PILLOW_ERRORS
    ):  # a broken EXIF is no reason to refuse a photo; it is left out
        exif = raw.getexif()
        if raw.format == "TIFF":
            kept = Image.Exif()
            for tag in _TIFF_TAGS:
                if tag in exif:
                    kept[tag] = exif.get_ifd(tag) if tag in NESTED else exif[tag]
            exif = kept
        if _ORIENTATION in exif:
            del exif[_ORIENTATION]
        return exif.tobytes() if len(exif) else b""
    return b""
