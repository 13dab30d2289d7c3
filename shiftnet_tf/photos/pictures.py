"""Pictures that lie inside other bytes: previews and thumbnails in metadata, raw or in base64."""

import re

# JPEG, PNG, WebP; and a JPEG's table of quantisation, by which a preview without its first bytes is known.
_RAW = re.compile(rb"\xff\xd8\xff|\xff\xdb\0[\x43\x84\xc5]|\x89PNG\r\n\x1a\n|RIFF.{4}WEBP", re.DOTALL)
# The same at the beginning of base64, of either alphabet, with line breaks as they are or as XML writes them.
_BASE64 = re.compile(
    rb"(?:[/_]9j[/_]|iVBORw0KGgo|UklG.{8}RUJQ)(?:[A-Za-z0-9+/_=-]|\s|\\n|&#(?:x[0-9A-Fa-f]+|[0-9]+);){64}", re.DOTALL
)


def holds_picture(data: bytes) -> bool:
    """Tell whether bytes hold the beginning of a JPEG, PNG or WebP file, raw or in base64.

    A picture is known by its first bytes alone (three of a JPEG): other bytes may hold these by chance, one in sixteen
    million for each position.
    """
    letters = data.replace(b"\0", b"") if b"\0" in data else data
    return bool(_RAW.search(data) or _BASE64.search(letters))
