"""Find the parts of an image file other than the coded image.

JPEG (ITU-T T.81, B), PNG (https://www.w3.org/TR/png-3/), WebP (RFC 9649), TIFF 6.0, HEIF and AVIF (ISO 14496-12 and
23008-12). Content is bytes, or a file mapped into memory: the coded image itself is not read.
"""

import mmap
import re
import struct
import zlib
from collections.abc import Iterator

from shiftnet_tf.photos import tiff

Content = bytes | mmap.mmap
_JPEG_PICTURE = {0xC4, 0xDB, 0xDD, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xD0)}  # tables and frames
_PNG_PICTURE = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"iCCP")
_WEBP_PICTURE = (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ICCP")
_HEIF_PICTURES = (b"av01", b"hvc1", b"grid", b"iden", b"iovl")
_LONGEST_TEXT = 2**24


def jpeg_segments(content: Content) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, content) of each segment before the first scan, then (0xD9, everything after the image)."""
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF:
        marker, size = content[at + 1], struct.unpack_from(">H", content, at + 2)[0]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker == 0xDA:
            break
        yield marker, content[at + 4 : at + 2 + size]
        at += 2 + size
    for found in re.compile(rb"\xff[\xc4\xd9\xda\xdb]").finditer(content, at):
        if found[0] == b"\xff\xd9":
            yield 0xD9, content[found.end() :]
            return


def png_chunks(content: Content) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each chunk, with b"" for image data, then (b"", everything after the last chunk)."""
    at = 8
    while at + 12 <= len(content):
        size, name = struct.unpack_from(">I4s", content, at)
        yield name, b"" if name == b"IDAT" else content[at + 8 : at + 8 + size]
        at += 12 + size
        if name == b"IEND":
            break
    yield b"", content[at:]


def riff_chunks(content: Content) -> Iterator[tuple[bytes, bytes]]:
    """Yield (name, content) of each chunk of a WebP file, with b"" for image data."""
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, at)
        yield name, b"" if name in _WEBP_PICTURE else content[at + 8 : at + 8 + size]
        at += 8 + size + size % 2


def beside_picture(content: Content, file_format: str) -> Iterator[bytes]:
    """Yield all bytes of a file other than its coded image and its ICC profile, with compressed texts unpacked.

    Args:
        content: a file that Pillow wrote.
        file_format: Pillow's name; formats without metadata have no such bytes.
    """
    if file_format == "JPEG":
        segments = ((marker, data) for marker, data in jpeg_segments(content) if marker not in _JPEG_PICTURE)
        yield from (data for marker, data in segments if not (marker == 0xE2 and data.startswith(b"ICC_PROFILE\0")))
    elif file_format == "PNG":
        for name, data in png_chunks(content):
            if name in (b"zTXt", b"iTXt"):
                yield from (_unpacked(data[place:]) for place in _zlib_starts(data))
            if name not in _PNG_PICTURE:
                yield data
    elif file_format == "WEBP":
        yield from (data for _, data in riff_chunks(content))
    elif file_format == "TIFF":
        yield from _between(content, _tiff_pictures(content))
    elif file_format in ("AVIF", "HEIF"):
        yield from _between(content, _heif_pictures(content))


def _zlib_starts(data: bytes) -> Iterator[int]:
    """Yield the places where compressed text may begin: after the name, or after language and translated name."""
    places = [found.end() for found in re.finditer(rb"\0", data)]
    yield from {place + more for place in places[:5] for more in (0, 1)}


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, _LONGEST_TEXT)
    except zlib.error:  # no compressed text starts here
        return b""


def _between(content: Content, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes between ranges of (begin, end)."""
    at = 0
    for begin, end in [*sorted(ranges), (len(content), len(content))]:
        if begin > at:
            yield content[at:begin]
        at = max(at, end)


def _tiff_pictures(content: Content) -> list[tuple[int, int]]:
    """Find strips, tiles and the ICC profile of a TIFF file of one page."""
    order = tiff.ORDERS.get(bytes(content[:4]), "<")
    at = struct.unpack_from(f"{order}I", content, 4)[0]
    wanted = {*tiff.PLACES, 34675}
    directory = tiff.read_directory(tiff.reader(content), at, order, wanted)
    profile = [(entry.at, entry.at + len(entry.value)) for entry in directory.entries if entry.tag == 34675]
    return [(0, 8), *profile, *directory.pictures(order)]


def _heif_pictures(content: Content) -> list[tuple[int, int]]:
    """Find the coded pictures and the ICC profile of a HEIF or AVIF file."""
    found = [(0, end) for name, _, end in _boxes(content, 0, len(content)) if name == b"ftyp"]
    meta = _meta(content)
    found += [(start, start + size) for _, start, size in _items(content, meta, _HEIF_PICTURES)]
    for name, start, stop in _boxes(content, *meta.get(b"iprp", (0, 0))):
        if name == b"ipco":
            found += [(a, b) for name, a, b in _boxes(content, start, stop) if name in (b"colr", b"hvcC", b"av1C")]
    return found


def av1_pictures(content: Content, most: int) -> list[bytes]:
    """Return the first bytes, at most `most`, of each AV1-coded image in an AVIF file."""
    found: dict[int, bytes] = {}
    for item, start, size in _items(content, _meta(content), (b"av01",)):
        begun = found.get(item, b"")
        size = (size or len(content)) if len(begun) < most else 0  # a size of 0: to the end of the file
        found[item] = begun + content[start : start + min(size, most - len(begun))]
    return list(found.values())


def names_of_boxes(content: Content) -> set[bytes]:
    """Return the names of the outermost boxes of a file made of boxes."""
    return {name for name, _, _ in _boxes(content, 0, len(content))}


def _boxes(content: Content, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (name, begin, end) of the contents of the boxes in a range."""
    while begin + 8 <= end:
        size, name = struct.unpack_from(">I4s", content, begin)
        head = 8
        if size == 1 and begin + 16 <= end:
            size, head = struct.unpack_from(">Q", content, begin + 8)[0], 16
        stop = end if size == 0 else min(end, begin + size)
        yield name, begin + head, stop
        if stop < begin + head:
            return
        begin = stop


def _meta(content: Content) -> dict[bytes, tuple[int, int]]:
    """Return the begin and end of each box that describes the images of a HEIF or AVIF file."""
    for name, begin, end in _boxes(content, 0, len(content)):
        if name == b"meta":
            return {name: (start, stop) for name, start, stop in _boxes(content, begin + 4, end)}
    return {}


def _items(
    content: Content, meta: dict[bytes, tuple[int, int]], wanted: tuple[bytes, ...]
) -> Iterator[tuple[int, int, int]]:
    """Yield (number, position, size) of each part of the items of the wanted kinds."""
    kinds = dict(_item_kinds(content, *meta.get(b"iinf", (0, 0))))
    for item, method, start, size in _item_places(content, *meta.get(b"iloc", (0, 0))):
        if kinds.get(item) in wanted and method < 2:
            yield item, start + (meta.get(b"idat", (0, 0))[0] if method else 0), size


def _item_kinds(content: Content, begin: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Yield (number, kind) of each item listed in an `iinf` box."""
    if end - begin < 8:
        return
    first = begin + (6 if content[begin] == 0 else 8)
    for name, start, stop in _boxes(content, first, end):
        version = content[start]
        if name == b"infe" and version >= 2 and stop - start >= 14:
            letter = "H" if version == 2 else "I"
            number, _, kind = struct.unpack_from(f">{letter}H4s", content, start + 4)
            yield number, kind


def _item_places(content: Content, begin: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield (number, method, position, size) of each part of the items located by an `iloc` box.

    The position counts from the beginning of the file (method 0) or of the box `idat` (1).
    """
    if end - begin < 8:
        return
    version, sizes = content[begin], struct.unpack_from(">H", content, begin + 4)[0]
    offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
    at = begin + 6

    def number(size: int) -> int:
        nonlocal at
        at += size
        return int.from_bytes(content[at - size : at], "big")

    wide = 4 if version == 2 else 2
    for _ in range(number(wide)):
        item = number(wide)
        method = number(2) & 15 if version else 0
        number(2)
        base = number(base_size)
        parts = number(2)
        if at > end:  # the stated number of items is wrong
            return
        for _ in range(min(parts, end - at)):
            if version:
                number(index_size)
            start, length = number(offset_size), number(length_size)
            yield item, method, base + start, length
