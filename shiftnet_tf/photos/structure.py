"""Limits on the structure of image files, checked before anything is decoded.

A few kilobytes can keep a decoder busy for minutes or make it use gigabytes: a JPEG with thousands of scans, a PNG with
millions of chunks, an AVIF whose coded picture is larger than its header says. No camera or program writes such files,
and a walk through their parts finds them.
"""

import contextlib
import re
from collections.abc import Iterator
from itertools import islice, takewhile

from shiftnet_tf.errors import InputError, TooLargeError
from shiftnet_tf.photos import containers
from shiftnet_tf.photos.sources import FileSource, mapped, name_of

_MOST_SCANS = 100  # of a JPEG; a progressive one has about ten
_MOST_SEGMENTS = 10_000  # of a JPEG; an ICC profile takes at most 255
_MOST_CHUNKS = 100_000  # of a PNG; a chunk usually holds 8 KB or more
_MOST_OBU_BYTES = 2**16  # before the first frame of an AV1 picture
_START_OF_SCAN = b"\xff\xda"
_MARKER = re.compile(rb"\xff[^\0\xd0-\xd7\xff]")  # not the zeros and restarts within a scan, nor fill bytes
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6  # types of an AV1 OBU


def check_structure(source: FileSource, what: str, max_pixels: int) -> None:
    """Refuse a file with more parts, or larger coded pictures, than any camera or program writes.

    Args:
        source: path of the file, or its content.
        what: its name in messages, such as `"photo"`.
        max_pixels: maximum width times height of each AV1 picture.

    Raises:
        InputError: the file exceeds a limit.
    """
    objection = ""
    with contextlib.suppress(PermissionError), mapped(source) as content:  # which is reported when the image is opened
        if content[:2] == b"\xff\xd8":
            objection = _objection_to_jpeg(content)
        elif content[:8] == b"\x89PNG\r\n\x1a\n":
            if _more_than(_MOST_CHUNKS, containers.png_chunks(content)):
                objection = f"a PNG with more than {_MOST_CHUNKS:,} chunks"
        elif content[4:8] == b"ftyp":
            for begun in containers.av1_pictures(content, _MOST_OBU_BYTES):
                _check_av1(begun, what, name_of(source), max_pixels)
    if objection:
        raise InputError(f"the {what} is {objection}, which no camera or program writes: {name_of(source)}")


def _more_than(most: int, parts: Iterator[object]) -> bool:
    return sum(1 for _ in islice(parts, most + 1)) > most


def _objection_to_jpeg(content: containers.Content) -> str:
    if _more_than(_MOST_SEGMENTS, takewhile(_START_OF_SCAN.__ne__, _jpeg_markers(content))):
        return f"a JPEG with more than {_MOST_SEGMENTS:,} segments"
    # A quick count, which includes thumbnails and chance matches, spares nearly all files the walk.
    if _more_than(_MOST_SCANS, re.finditer(_START_OF_SCAN, content)):
        scans = filter(_START_OF_SCAN.__eq__, _jpeg_markers(content))
        if _more_than(_MOST_SCANS, scans):
            return f"a JPEG with more than {_MOST_SCANS} scans"
    return ""


def _jpeg_markers(content: containers.Content) -> Iterator[bytes]:
    """Yield each marker of a JPEG before its end (ITU-T T.81, B.1)."""
    at = 2
    while (found := _MARKER.search(content, at)) and found[0] != b"\xff\xd9":
        yield found[0]
        at = found.end()
        if found[0] != b"\xff\x01":  # the only other marker without a length
            at += int.from_bytes(content[at : at + 2], "big")


def _check_av1(begun: bytes, what: str, name: str, max_pixels: int) -> None:
    """Check the size of a coded picture, which is what the decoder uses instead of the file's header.

    Args:
        begun: the first bytes of the picture.
        what, name: for the messages.
        max_pixels: maximum width times height.
    """
    try:
        sizes = list(_av1_sizes(begun))
    except (IndexError, ValueError):
        sizes = []
    if not sizes:
        raise InputError(f"the {what} is damaged (the AVIF lacks the size of its coded picture): {name}")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    if width * height > max_pixels:
        raise TooLargeError(
            f"the {what} is too large: its coded picture is {width}x{height}, {width * height / 1e6:g} megapixels, "
            f"the limit is {max_pixels / 1e6:g}: {name}"
        )


def _av1_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield width and height of each sequence header before the first frame (AV1 specification, 5.3 to 5.5)."""
    at = 0
    while at < len(data):
        kind = data[at] >> 3 & 15
        extended, sized = data[at] & 4, data[at] & 2
        at += 2 if extended else 1
        size = 0
        for i in range(8 if sized else 0):  # leb128
            size |= (data[at] & 127) << 7 * i
            at += 1
            if data[at - 1] < 128:
                break
        if kind in (_FRAME_HEADER, _FRAME):
            return
        end = at + size if sized else len(data)
        if kind == _SEQUENCE_HEADER:
            yield _sequence_size(data[at : min(end, at + 1024)])
        at = end


def _sequence_size(header: bytes) -> tuple[int, int]:
    """Return the largest width and height of the frames of a sequence header (AV1 specification, 5.5.1)."""
    number, left = int.from_bytes(header, "big"), 8 * len(header)

    def bits(count: int) -> int:
        nonlocal left
        left -= count
        if left < 0:
            raise ValueError("the header is truncated")
        return number >> left & (1 << count) - 1

    bits(4)  # profile, still picture
    if bits(1):  # a reduced header
        bits(5)  # level
    else:
        delay_bits = 0
        if bits(1):  # timing
            bits(64)
            if bits(1):  # equal intervals, an unsigned number of variable length
                zeros = 0
                while not bits(1):
                    zeros += 1
                bits(zeros)
            if bits(1):  # model of a decoder
                delay_bits = bits(5) + 1
                bits(42)
        has_delays = bits(1)
        for _ in range(bits(5) + 1):  # operating points
            bits(12)
            if bits(5) > 7:
                bits(1)
            if delay_bits and bits(1):
                bits(2 * delay_bits + 1)
            if has_delays and bits(1):
                bits(4)
    width_bits, height_bits = bits(4) + 1, bits(4) + 1
    return bits(width_bits) + 1, bits(height_bits) + 1
