"""Directories of TIFF files and of EXIF blocks, entry by entry, with the bytes of each value as they are.

TIFF 6.0, section 2 (https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf): a directory has a number of
entries, 12 bytes each (tag, type, count, and the value or its position), and the position of the next directory.
Pillow's reader and writer guess types and lose unknown entries; here values are copied byte for byte.
"""

import mmap
import struct
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

Read = Callable[[int, int], bytes]  # (position, number of bytes) -> at most so many bytes
EXIF, GPS, INTEROP = 34665, 34853, 40965  # entries that hold the position of another directory
BYTE, ASCII, SHORT, LONG, UNDEFINED = 1, 2, 3, 4, 7
_MOST_BYTES = 2**25  # of all values of a directory
_PLACES = ((273, 279), (324, 325), (513, 514))  # positions and sizes of pictures
PLACES = frozenset(tag for pair in _PLACES for tag in pair)
ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
# type -> bytes per value, bytes that are swapped together
_TYPES = {BYTE: (1, 1), ASCII: (1, 1), SHORT: (2, 2), LONG: (4, 4), 5: (8, 4), 6: (1, 1), UNDEFINED: (1, 1), 8: (2, 2)}
_TYPES |= {9: (4, 4), 10: (8, 4), 11: (4, 4), 12: (8, 8), 13: (4, 4), 129: (1, 1)}


@dataclass(frozen=True)
class Entry:
    """One entry of a directory.

    Attributes:
        tag, kind, count: as in the file; `kind` is TIFF's type.
        value: the bytes of the value, in the order of the file.
        at: position of the value in the file; 0 for a new one.
    """

    tag: int
    kind: int
    count: int
    value: bytes
    at: int = 0

    def numbers(self, order: str) -> tuple[int, ...]:
        """Return the values of an entry of SHORT or LONG; () of another type."""
        letter = {SHORT: "H", LONG: "I", 13: "I"}.get(self.kind)
        return struct.unpack(f"{order}{self.count}{letter}", self.value) if letter else ()

    def swapped(self) -> "Entry":
        """Return the entry in the other byte order."""
        unit = _TYPES[self.kind][1]
        parts = (self.value[i : i + unit][::-1] for i in range(0, len(self.value), unit))
        return replace(self, value=b"".join(parts))


@dataclass(frozen=True)
class Directory:
    """A directory.

    Attributes:
        at: its position in the file.
        entries: those that can be read.
        damaged: tags of the others: their type is unknown, or their value is outside the file.
        following: position of the next directory, 0 if there is none.
    """

    at: int
    entries: tuple[Entry, ...]
    damaged: tuple[int, ...]
    following: int = 0

    def pictures(self, order: str) -> list[tuple[int, int]]:
        """Return (begin, end) of the strips, tiles and thumbnail that the directory locates in the file."""
        numbers = {entry.tag: entry.numbers(order) for entry in self.entries if entry.value}
        pairs = (pair for first, second in _PLACES for pair in zip(numbers.get(first, ()), numbers.get(second, ())))
        return [(start, start + size) for start, size in pairs]


def reader(content: bytes | mmap.mmap) -> Read:
    """Return a function that reads bytes of the content at a position."""
    return lambda at, size: content[at : at + size]


def read_directory(read: Read, at: int, order: str, wanted: Container[int] | None = None) -> Directory:
    """Read the directory at a position; if a tag occurs twice, the first entry counts.

    Args:
        read: returns bytes of the file.
        at: position of the directory.
        order: `"<"` or `">"`.
        wanted: tags whose values are read; others get b"". None: all.
    """
    head = read(at, 2)
    stated = struct.unpack(f"{order}H", head)[0] if len(head) == 2 else 0
    table = read(at + 2, 12 * stated)
    entries, damaged = dict[int, Entry](), list[int]()
    left = _MOST_BYTES  # the values of a damaged file may all be the same bytes
    for i in range(len(table) // 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", table, 12 * i)
        if tag in entries:
            continue
        size = _TYPES[kind][0] * count if kind in _TYPES else 0
        where = at + 10 + 12 * i if size <= 4 else struct.unpack_from(f"{order}I", table, 12 * i + 8)[0]
        if wanted is not None and tag not in wanted:
            entries[tag] = Entry(tag, kind, count, b"", where)
            continue
        value = read(where, size) if size <= left else b""
        left -= len(value)
        if size and len(value) == size:
            entries[tag] = Entry(tag, kind, count, value, where)
        else:
            damaged.append(tag)
    end = read(at + 2 + 12 * stated, 4)
    following = struct.unpack(f"{order}I", end)[0] if len(end) == 4 else 0
    return Directory(at, tuple(entries.values()), tuple(damaged), following)


def write_directory(entries: Iterable[Entry], order: str, at: int, next_directory: int = 0) -> bytes:
    """Return a directory and its values, for an even position in a file.

    Args:
        entries: in the byte order of the file; if a tag occurs twice, the last one counts.
        order: `"<"` or `">"`.
        at: the position.
        next_directory: position of the next directory; 0 if there is none.
    """
    by_tag = {entry.tag: entry for entry in entries}
    table = struct.pack(f"{order}H", len(by_tag))
    values = b""
    start = at + 2 + 12 * len(by_tag) + 4
    for tag in sorted(by_tag):
        entry = by_tag[tag]
        table += struct.pack(f"{order}HHI", tag, entry.kind, entry.count)
        if len(entry.value) <= 4:
            table += entry.value.ljust(4, b"\0")
        else:
            table += struct.pack(f"{order}I", start + len(values))
            values += entry.value + b"\0" * (len(entry.value) % 2)
    return table + struct.pack(f"{order}I", next_directory) + values


def write_tree(
    groups: Mapping[int, Iterable[Entry]], order: str, at: int, next_directory: int = 0
) -> tuple[bytes, int]:
    """Return a directory with its subdirectories, for an even position in a file, and its own position.

    Args:
        groups: 0 -> entries of the directory itself; EXIF, GPS, INTEROP (below EXIF) -> those of the others.
        order, at, next_directory: as for `write_directory`.
    """
    own = {tag: list(entries) for tag, entries in groups.items() if entries}
    content = b""
    for tag, parent in ((INTEROP, EXIF), (EXIF, 0), (GPS, 0)):
        if tag in own:
            place = struct.pack(f"{order}I", at + len(content))
            content += write_directory(own[tag], order, at + len(content))
            own.setdefault(parent, []).append(Entry(tag, LONG, 1, place))
    root = at + len(content)
    return content + write_directory(own.get(0, []), order, root, next_directory), root
