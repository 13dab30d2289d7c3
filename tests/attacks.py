"""Hostile files for the tests, each as bytes: small to send, and much to decode or to parse."""

import io
import json
import struct
import zlib

from PIL import Image


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return bytearray(buffer.getvalue())


def chunk(name, data):
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def jpeg_of_scans(side=7000, scans=5000):
    """A flat progressive JPEG with its last scan again and again."""
    jpeg = bytes(encoded(Image.new("L", (side, side), 128), "JPEG", progressive=True, quality=50))
    scan = jpeg[jpeg.rfind(b"\xff\xc4", 0, jpeg.rfind(b"\xff\xda")) : -2]
    return jpeg[:-2] + scan * scans + b"\xff\xd9"


def jpeg_of_segments(number=200_000):
    jpeg = bytes(encoded(Image.new("L", (64, 64), 128), "JPEG"))
    return jpeg[:2] + b"\xff\xe5\0\2" * number + jpeg[2:]


def png_of_chunks(number=2_000_000):
    png = bytes(encoded(Image.new("RGB", (64, 64)), "PNG"))
    return png[:33] + chunk(b"teSt", b"") * number + png[33:]


def tiff_of_directories(number=100_000):
    """Pillow walks through them in quadratic time when it counts its pages."""
    tiff = encoded(Image.new("L", (64, 64)), "TIFF")
    first = struct.unpack("<I", tiff[4:8])[0]
    link = first + 2 + 12 * struct.unpack("<H", tiff[first : first + 2])[0]
    directory = bytes(tiff[first:link])
    tiff += b"\0" * (len(tiff) % 2)
    start, size = len(tiff), len(directory) + 4
    struct.pack_into("<I", tiff, link, start)
    places = [start + size * (i + 1) for i in range(number - 1)] + [0]
    return bytes(tiff) + b"".join(directory + struct.pack("<I", place) for place in places)


def tiff_of_values(number=20_000, size=2_000_000):
    """All its values are the same bytes, which Pillow reads for each of them."""
    tiff = encoded(Image.new("L", (64, 64)), "TIFF")
    start, first = len(tiff), struct.unpack_from("<I", tiff, 4)[0]
    count = struct.unpack_from("<H", tiff, first)[0]
    own = bytes(tiff[first + 2 : first + 2 + 12 * count])
    more = b"".join(struct.pack("<HHII", 40_000 + i, 7, size, 8) for i in range(number))
    struct.pack_into("<I", tiff, 4, start)
    return bytes(tiff) + struct.pack("<H", count + number) + own + more + bytes(4 + size)


def avif_that_lies(side=14_000):
    """Its header says 64x64."""
    avif = encoded(Image.new("RGB", (side, side), (77, 9, 9)), "AVIF", speed=10, quality=30)
    struct.pack_into(">II", avif, avif.find(b"ispe") + 8, 64, 64)
    return bytes(avif)


def flat_jpeg_2000(width=7000, height=7100):
    """A kilobyte that takes 19 bytes a pixel to decode and 39 to encode again."""
    return bytes(encoded(Image.new("RGB", (width, height)), "JPEG2000"))


def mask_of_points(number=1_500_000):
    return json.dumps({"polygons": [[[i % 60, i * 7 % 60] for i in range(number)]]}).encode()


def form_of_line_breaks(size=10_000_000):
    """The body of a form, with the boundary x, whose every other byte may begin its boundary."""
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    return head + b"\r\n" * (size // 2) + b"--x--\r\n"
