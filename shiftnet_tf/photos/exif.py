"""EXIF: which entries are kept, and in which form.

EXIF 2.32 (https://www.cipa.jp/std/documents/e/DC-008-Translation-2019-E.pdf), 4.5 and 4.6. Cameras add undocumented
values (MakerNote) that contain offsets of their own. To keep those valid, a block is edited in place and nothing in it
moves. Everything that may contain a picture is overwritten with zeros: the thumbnail's directory, entries that are not
listed here, and every byte that belongs to no entry.
"""

import struct
from collections.abc import Iterable
from dataclasses import replace

from PIL import ExifTags

from shiftnet_tf.photos import tiff
from shiftnet_tf.photos.pictures import LONGEST, holds_picture, is_text
from shiftnet_tf.photos.tiff import EXIF, GPS, INTEROP, Directory, Entry

PREFIX = b"Exif\0\0"  # of a block in a JPEG
MAKER_NOTE = 37500
XMP, IPTC, PHOTOSHOP = 700, 33723, 34377  # in a TIFF, beside its EXIF
_WIDTH, _HEIGHT, _SUBJECT_AREA, _SUBJECT_LOCATION = 40962, 40963, 37396, 41492
_RESOLUTIONS = {282: 283, 283: 282, 41486: 41487, 41487: 41486}  # across and down
# Entries about the photo, as opposed to how it is stored or what it looks like.
_ABOUT = {11, 269, 270, 271, 272, 282, 283, 285, 296, 301, 305, 306, 315, 316, 318, 319, 532, 18246, 18249, 50341}
_ABOUT |= {int(tag) for tag in ExifTags.Base if 33432 <= tag <= 42240} | {_SUBJECT_AREA, *range(40091, 40096)}
_ABOUT -= {IPTC, PHOTOSHOP, 34675, EXIF, GPS, INTEROP}
_GEO = {33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113}  # the place of a GeoTIFF on the map
_KNOWN = {0: _ABOUT | _GEO, EXIF: _ABOUT, GPS: set(range(32)), INTEROP: {1, 2}}
_HANGING = {0: (EXIF, GPS), EXIF: (INTEROP,)}
_STORED = {254, 255, *range(256, 267), 273, 274, 277, 278, 279, *range(280, 300), 317, *range(320, 348), 513, 514}
_STORED |= {512, *range(515, 533), 4096, 4097, 4098, XMP, IPTC, PHOTOSHOP, 34675, 37724}  # left out without a note
_STORED |= {59932, 59933}  # padding by Windows

_TEXTS = {37510, 27, 28}  # UserComment and similar GPS entries: eight bytes name the encoding, text follows
_WIDE = range(40091, 40096)  # Windows' own texts, in UTF-16
_FEW = 64  # smaller values may be anywhere, because the position of a thumbnail may be wrong
_LONGEST_NOTE = 2**16  # bytes of a MakerNote; it cannot be longer in a JPEG

Groups = dict[int, list[Entry]]  # 0, EXIF, GPS, INTEROP -> the entries of that directory


class Taken:
    """The EXIF of one file that is kept.

    Attributes:
        order: `"<"` or `">"`, the byte order of the entries.
        groups: the entries by directory.
        stored: XMP, IPTC and Photoshop's resources of a TIFF, by tag.
        left_out: what is not kept although it has a meaning, for a note.
    """

    def __init__(self, read: tiff.Read, orientation: int, size: tuple[int, int], *, moved: bool) -> None:
        """Read a block or a TIFF file.

        Args:
            read: returns the bytes at a position.
            orientation: 1 to 8, by which the image was turned upright.
            size: width and height of the upright image, in pixels.
            moved: whether the values will be moved, which breaks a MakerNote.
        """
        self.groups: Groups = {}
        self.stored: dict[int, bytes] = {}
        self.left_out: list[str] = []
        self._read, self._orientation, self._size, self._moved = read, orientation, size, moved
        self._directories: dict[int, Directory] = {}
        self._pictures: list[tuple[int, int]] = []
        head = read(0, 8)
        self.order = tiff.ORDERS.get(head[:4], "")
        if self.order and len(head) == 8:
            root = struct.unpack(f"{self.order}I", head[4:])[0]
            self._find_pictures(root)
            self._take(0, root)
        elif head[:4] in (b"II+\0", b"MM\0+"):
            self.left_out.append("EXIF and IPTC of a TIFF larger than 4 GB (BigTIFF)")
        else:
            self.left_out.append("EXIF, which is damaged")

    def _find_pictures(self, at: int) -> None:
        """Find the pictures of a directory and of those that follow it, such as the thumbnail's."""
        seen = set[int]()
        while at and at not in seen and len(seen) < 8:
            seen.add(at)
            directory = tiff.read_directory(self._read, at, self.order, tiff.PLACES)
            self._pictures += directory.pictures(self.order)
            at = directory.following

    def _take(self, group: int, at: int) -> None:
        """Keep the directory at a position, and its subdirectories."""
        wanted = {*_KNOWN[group], *_HANGING.get(group, ()), XMP, IPTC, PHOTOSHOP}
        directory = tiff.read_directory(self._read, at, self.order, wanted)
        self._directories[group] = directory
        kept: list[Entry] = []
        for entry in directory.entries:
            if entry.tag in _HANGING.get(group, ()):
                place, *_ = *entry.numbers(self.order), 0
                if place and entry.tag not in self._directories:
                    self._take(entry.tag, place)
                    kept += [entry] if entry.tag in self.groups else []
            elif entry.tag in _KNOWN[group]:
                if reason := self._objection(entry):
                    self.left_out.append(f"{_name(entry.tag, group)}, {reason}")
                else:
                    kept.append(entry)
            elif entry.tag in (XMP, IPTC, PHOTOSHOP):
                self.stored[entry.tag] = entry.value
            elif entry.tag not in _STORED:
                self.left_out.append(_name(entry.tag, group))
        self.left_out += [f"{_name(tag, group)}, which is damaged" for tag in directory.damaged]
        if kept:
            self.groups[group] = list(self._upright(kept))

    def _objection(self, entry: Entry) -> str:
        """Return why an entry is not kept, "" if it is."""
        end = entry.at + len(entry.value)
        if len(entry.value) > _FEW and any(entry.at < stop and start < end for start, stop in self._pictures):
            return "which overlaps a picture"
        if entry.tag == MAKER_NOTE:
            if self._moved:
                return "whose offsets would no longer be valid"
            if len(entry.value) > _LONGEST_NOTE:
                return "which may hold a picture"
        elif len(entry.value) > LONGEST and entry.tag not in _GEO:
            code, words = (entry.value[:8], entry.value[8:]) if entry.tag in _TEXTS else (b"", entry.value)
            wide = entry.tag in _WIDE or code == b"UNICODE\0"
            if not (is_text(words, ("utf-16-le", "utf-16-be")) if wide else is_text(words)):
                return "which may hold a picture"
        return "which holds a picture" if holds_picture(entry.value) else ""

    def _upright(self, entries: list[Entry]) -> Iterable[Entry]:
        """Yield the entries with the values that are true of the upright image."""
        lying = self._orientation >= 5
        tags = {entry.tag for entry in entries}
        for entry in entries:
            numbers = entry.numbers(self.order)
            if lying and entry.tag in (_WIDTH, _HEIGHT) and len(numbers) == 1:
                numbers = (self._size[entry.tag == _HEIGHT],)
            elif entry.tag in (_SUBJECT_AREA, _SUBJECT_LOCATION) and 2 <= len(numbers) <= 4:
                numbers = self._turn(numbers)
            elif lying and _RESOLUTIONS.get(entry.tag) in tags:
                entry = replace(entry, tag=_RESOLUTIONS[entry.tag])
            if numbers:
                letter = "H" if entry.kind == tiff.SHORT else "I"
                highest = 65535 if entry.kind == tiff.SHORT else 2**32 - 1
                numbers = tuple(min(max(number, 0), highest) for number in numbers)
                entry = replace(entry, value=struct.pack(f"{self.order}{len(numbers)}{letter}", *numbers))
            yield entry

    def _turn(self, area: tuple[int, ...]) -> tuple[int, ...]:
        """Rotate a point, a circle or a rectangle (centre, then its sizes) with the image."""
        x, y, *sizes = area
        width, height = self._size[::-1] if self._orientation >= 5 else self._size
        right, below = width - 1 - x, height - 1 - y
        turned = [(x, y), (right, y), (right, below), (x, below), (y, x), (below, x), (below, right), (y, right)]
        return (*turned[self._orientation - 1], *(sizes[::-1] if self._orientation >= 5 else sizes))

    def in_order(self, order: str) -> Groups:
        """Return the entries in a byte order."""
        same = order == self.order
        return {group: [e if same else e.swapped() for e in entries] for group, entries in self.groups.items()}

    def edited(self, block: bytes) -> bytes:
        """Return the block without all that is not kept and with nothing moved; b"" if nothing is left."""
        if not self.groups.get(0):
            return b""
        result, end = bytearray(len(block)), 8
        result[:8] = block[:8]
        for group, entries in self.groups.items():
            at = self._directories[group].at
            table = struct.pack(f"{self.order}H", len(entries))
            for entry in sorted(entries, key=lambda entry: entry.tag):
                table += struct.pack(f"{self.order}HHI", entry.tag, entry.kind, entry.count)
                if len(entry.value) <= 4:
                    table += entry.value.ljust(4, b"\0")
                    continue
                table += struct.pack(f"{self.order}I", entry.at)
                result[entry.at : entry.at + len(entry.value)] = entry.value
                end = max(end, entry.at + len(entry.value))
            table += bytes(4)  # no next directory, which would be the thumbnail's
            result[at : at + len(table)] = table
            end = max(end, at + len(table))
        return bytes(result[:end])


def _name(tag: int, group: int) -> str:
    names = {GPS: ExifTags.GPS, INTEROP: ExifTags.Interop}.get(group, ExifTags.Base)
    return next((str(known.name) for known in names if known.value == tag), f"EXIF entry {tag}")
