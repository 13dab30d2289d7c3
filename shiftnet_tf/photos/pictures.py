"""Detect pictures inside other data: previews and thumbnails in metadata, raw, in base64 or in hexadecimal."""

import contextlib
import re
import struct
import unicodedata
from collections.abc import Iterable

LONGEST = 1024  # bytes: a value up to this size may be anything, a longer one must be text, see `is_text`
# First bytes: JPEG, and a JPEG's quantisation table, which identifies a preview without its own first bytes; PNG; WebP;
# GIF; BMP; JPEG 2000 with and without boxes; JPEG XL; HEIC, AVIF and videos.
_JPEG = re.compile(rb"\xff\xd8\xff")
_RAW = re.compile(
    rb"\xff\xdb\0[\x43\x84\xc5]|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP|GIF8[79]a.[\0-\x1f].[\0-\x1f]"
    rb"|BM.{4}\0{4}.{2}\0\0[\x28\x6c\x7c]\0{3}.{8}\x01\0|\0{3}\x0c(?:jP  |JXL )\r\n\x87\n|\xff\x4f\xff\x51\0"
    rb"|\0{3}.ftyp[0-9A-Za-z]{3}",
    re.DOTALL,
)
_TIFF = re.compile(rb"II\*\0|MM\0\*")
_TIFF_PICTURE = {273, 324, 513}  # entries that locate a picture; a MakerNote may be a TIFF without them
# The same in base64, of either alphabet, or hexadecimal; line breaks and zeros are removed first.
_CODED = re.compile(
    rb"(?:[/_]9j[/_]|iVBORw0KGgo|UklG.{8}RUJQ|R0lGOD[dl]h|AAAADGpQICAN|AAAADEpYTCAN|AAAA..Z0eX|_0__UQA|/0//UQA|SUkqA"
    rb"|TU0AK|Qk.{6}AAAAA..AAAA|[Ff]{2}[Dd]8[Ff]{2}|89504[Ee]47|52494646.{8}57454250)[A-Za-z0-9+/_=-]{64}"
)
_BREAKS = re.compile(rb"\\n|&#(?:x[0-9A-Fa-f]+|[0-9]+);")
# Lines of such letters, each longer than a UUID: text has spaces or punctuation in between.
_LINES = re.compile(rb"(?:[A-Za-z0-9+/_=-]{40,}(?:\s|\\n|&#(?:x[0-9A-Fa-f]+|[0-9]+);)*)+")


def holds_picture(data: bytes, tables: bool = False) -> bool:
    """Tell whether data contain the start of an image file, or more than 1024 letters of base64 or hexadecimal.

    A picture is detected by its first bytes alone (three for a JPEG), which other data contain by chance at one in
    sixteen million positions. A picture without such a start is not detected unless it is coded in letters.

    Args:
        data: the bytes.
        tables: whether they are tables of numbers, such as curves up to 65535, that contain a JPEG's first three bytes
            more often than by chance; a JPEG is then detected by its quantisation table alone.
    """
    if not tables and _JPEG.search(data):
        return True
    if _RAW.search(data) or any(_is_tiff_picture(data, found.start()) for found in _TIFF.finditer(data)):
        return True
    if _CODED.search(_BREAKS.sub(b"", data.translate(None, b"\0 \t\n\v\f\r"))):
        return True
    letters = data.replace(b"\0", b"") if b"\0" in data else data
    return any(len(found[0]) > LONGEST for found in _LINES.finditer(letters))


def objection_to(words: bytes) -> str:
    """Return why a value that should be text is not kept, "" if it is."""
    if len(words) > LONGEST and not is_text(words):
        return "which may hold a picture"
    return "which holds a picture" if holds_picture(words) else ""


def is_text(data: bytes, encodings: Iterable[str] = ("utf-8", "cp1252")) -> bool:
    """Tell whether data are text: existing characters, and no control characters other than line breaks and tabs."""
    for encoding in encodings:
        with contextlib.suppress(UnicodeDecodeError):
            kinds = {unicodedata.category(letter) for letter in set(data.decode(encoding)) - set("\0\t\n\r")}
            if not kinds & {"Cc", "Cn", "Co", "Cs"}:
                return True
    return False


def _is_tiff_picture(data: bytes, at: int) -> bool:
    """Tell whether the first directory of the TIFF header at a position locates a picture."""
    order = "<" if data[at : at + 1] == b"I" else ">"
    if at + 8 > len(data):
        return False
    at += struct.unpack_from(f"{order}I", data, at + 4)[0]
    table = data[at + 2 : at + 2 + 12 * 64]
    count = struct.unpack_from(f"{order}H", data, at)[0] if table else 0
    tags = {struct.unpack_from(f"{order}H", table, 12 * i)[0] for i in range(min(count, len(table) // 12))}
    return bool(tags & _TIFF_PICTURE)
