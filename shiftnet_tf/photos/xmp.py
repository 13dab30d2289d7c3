"""XMP: which properties are kept.

XMP is RDF in XML (ISO 16684-1): properties are children or attributes of `rdf:Description`. Properties that no longer
apply to the image, and pictures, are removed; everything else stays as it is.
"""

import json
from typing import Any
from xml.dom import minidom
from xml.parsers import expat

from shiftnet_tf.photos.pictures import holds_picture

MAX_BYTES = 2**20  # of a packet; it is parsed whole
_MOST_LEVELS = 64  # nested elements, which minidom traverses by recursion
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_CAMERA = "http://ns.google.com/photos/1.0/camera/"
# Namespaces and properties that describe other parts of a file than its image; (namespace, property), None: all.
_GAIN_MAP, _MOTION = "the gain map (HDR) and its description", "the motion photo and its description"
_BESIDE: dict[tuple[str | None, str | None], str] = {
    ("http://ns.adobe.com/hdr-gain-map/1.0/", None): _GAIN_MAP,
    ("http://ns.apple.com/HDRGainMap/1.0/", None): _GAIN_MAP,
    ("http://ns.google.com/photos/1.0/container/", None): "the description of the pictures beside it",
    ("http://ns.google.com/photos/1.0/container/item/", None): "the description of the pictures beside it",
    ("http://ns.google.com/photos/1.0/depthmap/", None): "the depth map",
    ("http://ns.google.com/photos/1.0/image/", None): "the picture beside it",
    **{(_CAMERA, name): _MOTION for name in ("MotionPhoto", "MotionPhotoVersion", "MicroVideo", "MicroVideoVersion")},
    **{(_CAMERA, name): _MOTION for name in ("MotionPhotoPresentationTimestampUs", "MicroVideoOffset")},
    (_CAMERA, "MicroVideoPresentationTimestampUs"): _MOTION,
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"): "",  # without a note, like the thumbnail in EXIF
    ("http://ns.adobe.com/xmp/note/", "HasExtendedXMP"): "the second part of XMP",
}
_SIZES = {(_EXIF, "PixelXDimension"): 0, (_EXIF, "PixelYDimension"): 1}
_SIZES |= {(_TIFF, "ImageWidth"): 0, (_TIFF, "ImageLength"): 1}


def take_over(packet: bytes, size: tuple[int, int] | None) -> tuple[bytes, list[str]]:
    """Filter a packet of XMP.

    Args:
        packet: UTF-8 or UTF-16, as it is in the file.
        size: width and height of the upright image, in pixels, if it was rotated by 90 degrees; else None.

    Returns:
        The packet, b"" if nothing is left; and what is not kept, for a note. A packet in UTF-8 that needs no change is
        returned as it is.
    """
    if len(packet) > MAX_BYTES:
        return b"", [f"XMP of {len(packet) / 1e6:.1f} MB"]
    encoding = json.detect_encoding(packet)
    try:
        text = packet.decode(encoding).strip("\0 \r\n\t\ufeff")
        _check(text)
        document = minidom.parseString(text)
    except _RefusedError as error:
        return b"", [f"XMP {error}"]
    except (expat.ExpatError, ValueError):  # not XML, or not UTF
        return b"", ["XMP, which is damaged"]
    left_out: list[str] = []
    if _edit_below(document, size, left_out, checked=False):
        packet = "".join(node.toxml() for node in document.childNodes).encode()
    elif encoding not in ("utf-8", "utf-8-sig"):
        packet = text.encode()
    found = holds_picture(packet) or holds_picture(_all_text(document))  # outside any property
    document.unlink()
    return (b"", ["XMP, which holds a picture"]) if found else (packet, left_out)


class _RefusedError(Exception):
    """XMP that is not parsed further."""


def _check(text: str) -> None:
    """Refuse a document type (its entities may expand without end) or deep nesting, before anything is built."""
    levels = 0

    def start(*_: Any) -> None:
        nonlocal levels
        levels += 1
        if levels > _MOST_LEVELS:
            raise _RefusedError(f"with more than {_MOST_LEVELS} nested levels")

    def end(_: str) -> None:
        nonlocal levels
        levels -= 1

    def doctype(*_: Any) -> None:
        raise _RefusedError("with a document type")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = start, end, doctype
    parser.Parse(text, True)


def _edit_below(parent: Any, size: tuple[int, int] | None, left_out: list[str], checked: bool) -> bool:
    """Change the properties of all descriptions below a node; return whether anything changed.

    Args:
        parent: the node.
        size: see `take_over`.
        left_out: receives the notes.
        checked: whether the node is known to contain no picture.
    """
    changed = False
    for node in list(parent.childNodes):
        if node.nodeType != node.ELEMENT_NODE:
            continue
        about = (node.namespaceURI, node.localName) == (_RDF, "Description")
        if about:
            changed |= _edit(node, size, left_out, checked)
        changed |= _edit_below(node, size, left_out, checked or about)
    return changed


def _edit(about: minidom.Element, size: tuple[int, int] | None, left_out: list[str], checked: bool) -> bool:
    """Change the properties of one description; return whether anything changed."""
    nodes: list[Any] = [*about.attributes.values(), *about.childNodes]
    changed = False
    for node in nodes:
        if node.nodeType not in (node.ATTRIBUTE_NODE, node.ELEMENT_NODE) or node.prefix == "xmlns":
            continue
        name = node.namespaceURI, node.localName
        beside = _BESIDE.get(name, _BESIDE.get((node.namespaceURI, None)))
        if name in _SIZES and size:
            _set_text(node, str(size[_SIZES[name]]))
        elif name == (_TIFF, "Orientation") and _text(node).strip() != "1":  # applied
            _remove(about, node)
        elif beside is not None:
            _remove(about, node)
            left_out += [beside] if beside and beside not in left_out else []
        elif not checked and holds_picture(_all_text(node)):
            _remove(about, node)
            left_out.append(f"{node.nodeName}, which may hold a picture")
        else:
            continue
        changed = True
    return changed


def _all_text(node: Any) -> bytes:
    """Return all text below a node, without markup and with references resolved."""
    if node.nodeType in (node.ATTRIBUTE_NODE, node.TEXT_NODE, node.CDATA_SECTION_NODE, node.COMMENT_NODE):
        return str(node.nodeValue).encode()
    own = node.attributes.values() if node.nodeType == node.ELEMENT_NODE else ()
    words = (_all_text(child).strip() for child in (*own, *node.childNodes))
    return b"\n".join(part for part in words if part)


def _text(node: Any) -> str:
    if node.nodeType == node.ATTRIBUTE_NODE:
        return str(node.value)
    kinds = (node.TEXT_NODE, node.CDATA_SECTION_NODE)
    return "".join(child.data for child in node.childNodes if child.nodeType in kinds)


def _set_text(node: Any, text: str) -> None:
    if node.nodeType == node.ATTRIBUTE_NODE:
        node.value = text
        return
    for child in list(node.childNodes):
        node.removeChild(child)
    node.appendChild(node.ownerDocument.createTextNode(text))


def _remove(about: minidom.Element, node: Any) -> None:
    if node.nodeType == node.ATTRIBUTE_NODE:
        about.removeAttributeNode(node)
    else:
        about.removeChild(node)
