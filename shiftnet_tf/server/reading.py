"""What a request holds, read from a multipart form or from JSON, and what is wrong with it."""

import base64
import binascii
import json
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from shiftnet_tf.errors import InputError, check, first_line
from shiftnet_tf.masks.mask_files import MaskSettings
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime.refine import DETAILS
from shiftnet_tf.runtime.strategies import STRATEGIES

FIELDS = ("image", "mask", "strategy", "detail", "format", "invert", "dilate", "threshold", "mask_channel")
_MOST_MASKS = 16


class RequestError(Exception):
    """Its status and its text are for the client."""

    def __init__(self, status, text, headers=None):
        super().__init__(text)
        self.status, self.headers = status, headers


@dataclass(frozen=True)
class Wanted:
    """One request.

    Attributes:
        photo: bytes, the file.
        masks: list of bytes, the files.
        strategy: str.
        file_format: str, Pillow's name, or None for the photo's own.
        settings: MaskSettings.
        detail: str.
    """

    photo: bytes
    masks: list
    strategy: str = "auto"
    file_format: str | None = None
    settings: MaskSettings = field(default_factory=MaskSettings)
    detail: str = "auto"


async def read_body(request, limit):
    """The body of a request, of which never more than `limit` bytes are kept.

    Of a body that is up to four times as long the rest is read and thrown away, so that the client, who sends before it
    listens, gets to hear the answer; of a longer one nothing more is read.

    Args:
        request: starlette's Request.
        limit: int, bytes.

    Returns:
        bytes.

    Raises:
        RequestError: 413, it is longer.
    """
    too_long = RequestError(413, f"a request may have {limit / 1e6:g} MB at most", {"Connection": "close"})
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length) > 4 * limit:
        raise too_long
    body, received = bytearray(), 0
    try:
        async for part in request.stream():
            received += len(part)
            if received > 4 * limit:
                break
            if received <= limit:
                body += part
    except ClientDisconnect as error:
        raise RequestError(400, "the client went away") from error
    if received > limit:
        raise too_long
    return bytes(body)


async def read_request(request, body):
    """What a request asks for.

    Args:
        request: starlette's Request, for its headers.
        body: bytes.

    Returns:
        (Wanted, bool: whether it came as JSON, and the answer goes so).

    Raises:
        RequestError: 415, 422.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == "application/json":
        return _wanted(_from_json(body)), True
    if kind == "multipart/form-data":
        return _wanted(await _from_form(request, body)), False
    raise RequestError(415, "send multipart/form-data with `image` and `mask`, or application/json with both in base64")


async def _from_form(request, body):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    try:
        form = await Request(request.scope, receive).form(
            max_files=_MOST_MASKS + 1, max_fields=32, max_part_size=len(body) + 1
        )
    except (HTTPException, MultiPartException, FormParserError, ValueError, KeyError) as error:
        raise RequestError(422, f"this is no form: {getattr(error, 'detail', first_line(error))}") from error
    values = {}
    try:
        for name, value in form.multi_items():
            content = value if isinstance(value, str) else await value.read()
            if name in ("image", "mask"):
                values.setdefault(name, []).append(content.encode() if isinstance(content, str) else content)
            elif isinstance(content, str):
                values[name] = content
            else:
                raise RequestError(422, f"`{name[:40]}` must not be a file")
    finally:
        await form.close()
    return values


def _from_json(body):
    try:
        values = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(422, f"this is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise RequestError(422, "the JSON must be an object")
    read = {name: value for name, value in values.items() if value is not None}
    for name in ("image", "mask"):
        if name in read:
            items = read[name] if isinstance(read[name], list) else [read[name]]
            read[name] = [_decoded(name, item) for item in items]
    return read


def _decoded(name, item):
    if name == "mask" and isinstance(item, dict):
        return json.dumps(item).encode()
    try:
        return base64.b64decode(item.partition("base64,")[2] or item, validate=True)
    except (binascii.Error, ValueError, AttributeError, TypeError) as error:
        raise RequestError(422, f"`{name}` must be a file in base64") from error


def _wanted(values):
    unknown = sorted(set(values) - set(FIELDS))
    if unknown:
        raise RequestError(422, f"unknown field {unknown[0]!r}; known are {', '.join(FIELDS)}")
    for name, most in (("image", 1), ("mask", _MOST_MASKS)):
        if not 1 <= len(values.get(name, ())) <= most:
            raise RequestError(422, f"send `{name}` {'once' if most == 1 else f'1 to {most} times'}")
    strategy, detail = values.get("strategy", "auto"), values.get("detail", "auto")
    try:
        check("detail", detail, detail in DETAILS, f"one of {', '.join(DETAILS)}")
        check("strategy", strategy, strategy in STRATEGIES, f"one of {', '.join(STRATEGIES)}")
        settings = MaskSettings(
            _flag(values.get("invert", False)),
            _number("dilate", values.get("dilate", 0)),
            None if values.get("threshold") in (None, "") else _number("threshold", values["threshold"]),
            values.get("mask_channel", "auto"),
        )
    except InputError as error:
        raise RequestError(422, str(error)) from error
    return Wanted(values["image"][0], values["mask"], strategy, _format(values.get("format")), settings, detail)


def _flag(value):
    words = {"true": True, "1": True, "false": False, "0": False, "": False}
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _number(name, value):
    if isinstance(value, str):
        value = value.strip()
        if not value.isdecimal() or len(value) > 12:
            raise InputError(f"`{name}` must be a whole number. Received: {value[:40]!r}")
        return int(value)
    return value


def _format(name):
    if not name:
        return None
    found = image_files.format_of(f".{name.lstrip('.')}") if isinstance(name, str) else None
    if found is None:
        raise RequestError(422, f"`format` must be one such as png, jpg, webp or tiff. Received: {str(name)[:40]!r}")
    return found
