"""Requests as multipart forms or JSON: parsed, checked and documented from the same types."""

import asyncio
import base64
import dataclasses
import json
from collections.abc import AsyncGenerator
from typing import Annotated, Any, get_type_hints
from urllib.parse import unquote, unquote_to_bytes

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, WithJsonSchema, create_model
from python_multipart.exceptions import FormParserError
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.photos import file_formats
from shiftnet_tf.runtime.options import FillOptions
from shiftnet_tf.server.responses import RequestError

_MOST_MASKS = 16
_MOST_SIGNS = 1_000_000  # commas and brackets of JSON: that many values take up to 100 MB; base64 has none of them
_ALPHABET = bytes.maketrans(b"-_", b"+/")  # from the URL-safe alphabet of base64


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _from_base64(item: Any) -> bytes:
    """Return a file sent in base64, of either alphabet, wrapped or not, padded or not, or as a data: URL."""
    if isinstance(item, dict):  # a mask of shapes
        return json.dumps(item).encode()
    try:
        if item.lstrip()[:1] == "{":  # the same as text, as in a form
            return str(item).encode()
        if item[:5].lower() == "data:":
            head, _, item = item.partition(",")
            if not head.lower().endswith(";base64"):
                return unquote_to_bytes(item)
            item = unquote(item)
        digits = item.encode("ascii").translate(_ALPHABET, b" \t\r\n").rstrip(b"=")
        return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except (ValueError, AttributeError) as error:
        raise ValueError("must be a file, encoded in base64") from error


def _field(default: Any, text: str, most: int | None) -> Any:
    limits: Any = {} if most is None else {"ge": 0, "le": most}
    return Field(default, description=text, **limits)


def _model(name: str, file: Any, masks: Any, strict: bool) -> type[BaseModel]:
    """Return a pydantic model of a request whose files have the types `file` and `masks`.

    Args:
        name: of the model.
        file: type of the photo.
        masks: type of all masks.
        strict: whether a setting must have its own type; in a form, all are text.
    """
    types = get_type_hints(FillOptions)
    options: Any = {
        field.name: (types[field.name], _field(field.default, field.metadata["help"], field.metadata.get("most")))
        for field in dataclasses.fields(FillOptions)
    }
    image = "JPEG, PNG, WebP, TIFF, ..."
    mask = "An image of the photo's size, lighter than mid-grey = hole; or JSON shapes. Several masks are combined."
    return create_model(
        name,
        __config__={"extra": "forbid", "strict": strict},
        image=(Annotated[file, Field(description=image)], ...),
        mask=(Annotated[masks, Field(description=mask)], ...),
        format=(str | None, Field(None, description="format of the result, such as png (default: the photo's own)")),
        **options,
    )


def _schema(model: type[BaseModel], nullable: bool) -> dict[str, Any]:
    """Return the schema of a model for OpenAPI 3.0, which has no type `null`.

    Args:
        model: the model of a request.
        nullable: whether a setting may be null, which means left out.
    """
    schema = model.model_json_schema()
    for name in schema["properties"].keys() - {"image", "mask"}:
        field = schema["properties"][name]
        for kind in field.pop("anyOf", []):
            field |= kind if kind != {"type": "null"} else {}
        if nullable:
            field |= {"nullable": True} | ({"enum": [*field["enum"], None]} if "enum" in field else {})
    return schema


_IN_FORM = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
_IN_BASE64 = {"type": "string", "format": "byte"}
_IN_JSON = Annotated[bytes, BeforeValidator(_from_base64), WithJsonSchema(_IN_BASE64)]
_MASK_IN_JSON = {"anyOf": [_IN_BASE64, {"type": "object", "description": "boxes, polygons and strokes"}]}
_SEVERAL = Field(min_length=1, max_length=_MOST_MASKS)
_MASKS_IN_JSON = {
    "anyOf": [
        *_MASK_IN_JSON["anyOf"],
        {"type": "array", "items": _MASK_IN_JSON, "minItems": 1, "maxItems": _MOST_MASKS},
    ]
}
_FORM = _model("Form", _IN_FORM, Annotated[list[_IN_FORM], _SEVERAL], strict=False)
_JSON = _model(
    "JSON",
    _IN_JSON,
    Annotated[list[_IN_JSON], _SEVERAL, BeforeValidator(_as_list), WithJsonSchema(_MASKS_IN_JSON)],
    strict=True,
)
_KINDS = {"multipart/form-data": _FORM, "application/json": _JSON}
BODY = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": _schema(model, nullable=model is _JSON)} for kind, model in _KINDS.items()},
    }
}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """A parsed request.

    Attributes:
        photo: content of the file.
        masks: contents of the files.
        options: how to fill.
        file_format: Pillow's name of the output format; None: the photo's own.
        as_json: whether request and answer are JSON.
    """

    photo: bytes
    masks: list[bytes]
    options: FillOptions
    file_format: str | None
    as_json: bool


def read_request(content_type: str, body: bytes) -> Wanted:
    """Parse a request.

    Args:
        content_type: the header.
        body: see `bodies.read_body`.

    Raises:
        RequestError: 413, 415, 422.
    """
    kind = content_type.split(";")[0].strip().lower()
    if kind not in _KINDS:
        text = "send multipart/form-data with `image` and `mask`, or application/json with both in base64"
        raise RequestError(415, text)
    values = _read_json(body) if kind == "application/json" else asyncio.run(_read_form(content_type, body))
    try:
        found: Any = _KINDS[kind].model_validate(values)
        options = FillOptions.from_attributes(found)
    except ValidationError as error:
        raise RequestError(422, _sentence(error)) from error
    except InputError as error:
        raise RequestError(422, str(error)) from error
    return Wanted(found.image, found.mask, options, _format(found.format), kind == "application/json")


def _sentence(error: ValidationError) -> str:
    """Return the first error as a sentence, with the field's name and the value received."""
    first = error.errors(include_url=False)[0]
    name = str(first["loc"][0]) if first["loc"] else "request"
    if first["type"] == "extra_forbidden":
        return f"unknown field {name[:40]!r}; known are {', '.join(_FORM.model_fields)}"
    if first["type"] == "missing":
        return f"`{name}` is missing"
    text = first["msg"].removeprefix("Value error, ").removeprefix("Input ")
    received = "" if name in ("image", "mask") else f". Received: {str(first['input'])[:40]!r}"
    return f"`{name}`: {text[0].lower()}{text[1:]}{received}"


async def _read_form(content_type: str, body: bytes) -> dict[str, Any]:
    """Read a multipart form; a photo or mask may be a part with a file name, with `filename*=` only, or without one."""
    # Starlette decodes parts without a plain `filename=`; Latin-1 keeps every byte recoverable.
    headers = Headers({"content-type": content_type + "; charset=latin-1"})

    async def stream() -> AsyncGenerator[bytes, None]:
        yield body

    parser = MultiPartParser(headers, stream(), max_part_size=len(body) + 1)
    parser.spool_max_size = len(body) + 1  # no temporary files: the body is in memory, and a container may lack /tmp
    try:
        form = await parser.parse()
    except (MultiPartException, FormParserError, ValueError, KeyError) as error:
        raise RequestError(422, f"malformed multipart form: {first_line(error)}") from error
    values: dict[str, Any] = {}
    try:
        for encoded, value in form.multi_items():
            name = _decoded(encoded)
            content = value.encode("latin-1") if isinstance(value, str) else await value.read()
            if name == "mask":
                values.setdefault(name, []).append(content)
            elif name == "image" and name in values:
                raise RequestError(422, "exactly one `image` is required")
            elif name == "image":
                values[name] = content
            elif isinstance(value, str):
                values[name] = _decoded(value)
            else:
                raise RequestError(422, f"`{name[:40]}` must not be a file")
    finally:
        await form.close()
    return {name: value for name, value in values.items() if value != ""}  # drops fields that are not filled in


def _decoded(text: str) -> str:
    """Return the UTF-8 text whose bytes were decoded as Latin-1."""
    return text.encode("latin-1").decode(errors="replace")


def _read_json(body: bytes) -> dict[str, Any]:
    if sum(body.count(sign) for sign in b",[{") > _MOST_SIGNS:
        raise RequestError(413, f"the JSON has more than {_MOST_SIGNS:,} commas and brackets: send fewer points")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(422, f"invalid JSON: {error}") from error
    if not isinstance(values, dict):
        raise RequestError(422, "the JSON must be an object")
    return {name: value for name, value in values.items() if value is not None or name in ("image", "mask")}


def _format(name: str | None) -> str | None:
    if not name:
        return None
    found = file_formats.format_of(f".{name.lstrip('.')}")
    if found is None:
        raise RequestError(
            422, f"`format` must be an image format such as png, jpg, webp or tiff. Received: {name[:40]!r}"
        )
    return found
