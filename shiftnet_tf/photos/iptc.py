"""IPTC: texts about a photo as news agencies write them, stored among Photoshop's resources in a JPEG.

Adobe Photoshop File Formats Specification (image resource blocks); IPTC-NAA Information Interchange Model 4.2.
"""

import struct
from collections.abc import Iterator

from shiftnet_tf.photos.pictures import objection_to

PHOTOSHOP = b"Photoshop 3.0\0"  # start of the segment APP13
_RESOURCE = 0x0404
_WORDS = (1, 2)  # records; 7 to 9 hold the photo itself, 3 how it was coded
_PREVIEWS = (200, 201, 202)  # data sets of record 2: a picture and its format


def resource(content: bytes) -> bytes:
    """Return the IPTC among Photoshop's resources, b"" if there is none."""
    for number, data in _resources(content.removeprefix(PHOTOSHOP)):
        if number == _RESOURCE:
            return data
    return b""


def segment(data: bytes) -> bytes:
    """Return the JPEG's segment APP13 that holds IPTC and nothing else."""
    padded = data + b"\0" * (len(data) % 2)
    content = PHOTOSHOP + b"8BIM" + struct.pack(">HHI", _RESOURCE, 0, len(data)) + padded
    return b"\xff\xed" + struct.pack(">H", len(content) + 2) + content


def take_over(data: bytes) -> tuple[bytes, list[str]]:
    """Return IPTC without its preview, b"" if nothing is left; and what is not kept, for a note."""
    kept, left_out = b"", []
    for record, number, whole, value in _data_sets(data):
        if record == 2 and number in _PREVIEWS:
            continue  # without a note, like the thumbnail in EXIF
        if record not in _WORDS:
            left_out.append(f"IPTC {record}:{number}, which may hold a picture")
        elif objection := objection_to(value):
            left_out.append(f"IPTC {record}:{number}, {objection}")
        else:
            kept += whole
    if len(kept) > 60000:  # a segment of a JPEG holds no more
        return b"", ["IPTC, which is too long"]
    return kept, left_out


def _resources(content: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while content[at : at + 4] == b"8BIM" and at + 12 <= len(content):
        number, length = struct.unpack_from(">HB", content, at + 4)
        at += 7 + length + (length + 1) % 2  # the name with its length byte, padded to an even size
        if at + 4 > len(content):
            return
        size = struct.unpack_from(">I", content, at)[0]
        yield number, content[at + 4 : at + 4 + size]
        at += 4 + size + size % 2


def _data_sets(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Yield (record, number, the data set with its header, its value) until a byte that starts no data set."""
    at = 0
    while data[at : at + 1] == b"\x1c" and at + 5 <= len(data):
        record, number, size = struct.unpack_from(">BBH", data, at + 1)
        start = at + 5
        if size & 0x8000:  # the number of bytes that hold the size
            start += size & 0x7FFF
            size = int.from_bytes(data[at + 5 : start], "big")
        if start + size > len(data):
            return
        yield record, number, data[at : start + size], data[start : start + size]
        at = start + size
