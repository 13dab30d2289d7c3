"""The request and the answers as OpenAPI says them."""

from shiftnet_tf.masks.mask_files import CHANNELS
from shiftnet_tf.runtime.refine import DETAILS
from shiftnet_tf.runtime.strategies import STRATEGIES

_CHOICES = {
    "strategy": {"type": "string", "enum": list(STRATEGIES), "default": "auto"},
    "detail": {
        "type": "string",
        "enum": list(DETAILS),
        "default": "auto",
        "description": "model: the network's detail; shift-map: pixels copied from the photo, guided by the network",
    },
    "format": {"type": "string", "example": "png", "description": "of the answer; default: the photo's own"},
    "invert": {"type": "boolean", "default": False, "description": "what is marked stays, all else is hole"},
    "dilate": {"type": "integer", "minimum": 0, "maximum": 1000, "default": 0, "description": "pixels"},
    "threshold": {"type": "integer", "minimum": 0, "maximum": 255, "description": "lighter is hole"},
    "mask_channel": {"type": "string", "enum": list(CHANNELS), "default": "auto"},
}
_MASK = "A picture of the photo's size, not black = hole; or JSON of boxes, polygons and strokes. Several are joined."


def _schema(file, description):
    image = file | {"description": f"The photo{description}"}
    mask = {"type": "array", "items": file, "minItems": 1, "maxItems": 16, "description": _MASK}
    properties = {"image": image, "mask": mask, **_CHOICES}
    return {"schema": {"type": "object", "required": ["image", "mask"], "properties": properties}}


BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": _schema({"type": "string", "format": "binary"}, ": JPEG, PNG, WebP, TIFF, ..."),
            "application/json": _schema({"type": "string", "format": "byte"}, ", in base64"),
        },
    }
}
_ERROR = {"schema": {"type": "object", "properties": {"error": {"type": "string"}}}}
_JSON = {
    "schema": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "format": "byte"},
            "media_type": {"type": "string"},
            "plan": {"type": "string"},
        },
    }
}
_PICTURE = {"schema": {"type": "string", "format": "binary"}}
_REFUSED = {
    status: {"description": text, "content": {"application/json": _ERROR}}
    for status, text in (
        (413, "More bytes or pixels than the server takes"),
        (415, "Neither a form nor JSON"),
        (422, "The photo, the mask or a setting is wrong; `error` says how"),
        (429, "As many requests as the server takes are being answered"),
        (503, "Not answered in time"),
    )
}


def _answers(text, kinds):
    content = dict.fromkeys(kinds, _PICTURE) | {"application/json": _JSON}
    header = {"X-Shiftnet-Plan": {"schema": {"type": "string"}, "description": "what the model looked at"}}
    return {200: {"description": text, "content": content, "headers": header}, **_REFUSED}


ANSWERS = _answers("The filled photo, to a form as the file itself", ("image/jpeg", "image/png", "image/webp"))
MAP_ANSWERS = _answers("A picture of where each part of the hole was filled from", ("image/png",))
