"""The log on stderr: lines of text, or of JSON for programs."""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]
REQUESTS = "shiftnet.requests"  # the logger of requests, whose records have the attribute `request`
_QUIET_SECONDS = 60  # a message that is not about a request is logged once in this time


class _TextFormatter(logging.Formatter):
    """Time, level and message; for a request its id, client, method, path, status, milliseconds, bytes, reason."""

    def format(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None)
        line = record.getMessage()
        if request:
            line = "{request_id} {client} {method} {path} {status} {milliseconds} ms {bytes} bytes".format(**request)
            line += f": {request['reason']}" if request["reason"] else ""
        text = f"{_time(record)} {record.levelname} {_printable(line)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JsonFormatter(logging.Formatter):
    """The same values as `_TextFormatter`, as one JSON object per line; a traceback is one of them."""

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {"time": _time(record), "level": record.levelname}
        values |= getattr(record, "request", None) or {"message": record.getMessage()}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


class _Rarely(logging.Filter):
    """Passes requests, and each other message once a minute, so that a client cannot fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if hasattr(record, "request"):
            return True
        message = record.getMessage().partition("\n")[0]
        if "out of system resource" in message:  # accept, without a file descriptor
            record.msg, record.args, record.exc_info = message, None, None
        key, now = (record.name, message[:200]), time.monotonic()
        if now - self._last.get(key, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        if len(self._last) > 1000:
            self._last.clear()
        self._last[key] = now
        return True


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    return moment.replace("+00:00", "Z")


def _printable(text: str) -> str:
    """Escape characters that could begin a new line or control a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(log_format: LogFormat, level: str) -> dict[str, Any]:
    """Return the logging settings; everything goes to stderr, because stdout is for the address only.

    Args:
        log_format: `"text"` or `"json"`.
        level: minimum level of requests and Uvicorn's messages; for everything else it is WARNING.
    """
    formatter = _JsonFormatter if log_format == "json" else _TextFormatter
    loggers = {name: {"level": level, "handlers": [], "propagate": True} for name in ("uvicorn", REQUESTS)}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"rarely": {"()": _Rarely}},
        "handlers": {
            "log": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["rarely"],
                "stream": "ext://sys.stderr",
            }
        },
        "loggers": loggers | {"shiftnet_tf": {"handlers": [], "propagate": True}},
        "root": {"level": "WARNING", "handlers": ["log"]},
    }
