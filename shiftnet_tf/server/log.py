"""The log, on stderr: lines of text, or of JSON for programs."""

import json
import logging
import time
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]
REQUESTS = "shiftnet.requests"  # the logger of requests, whose records have the attribute `request`
_QUIET_SECONDS = 60  # in which a message that is not about a request is logged once


class _TextFormatter(logging.Formatter):
    """Time, level and message; of a request: its id, client, method, path, status, milliseconds, bytes, reason."""

    def format(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None)
        line = record.getMessage()
        if request:
            line = "{request_id} {client} {method} {path} {status} {milliseconds} ms {bytes} bytes".format(**request)
            line += f": {request['reason']}" if request["reason"] else ""
        text = f"{_time(record)} {record.levelname} {_printable(line)}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class _JsonFormatter(logging.Formatter):
    """The same as `_TextFormatter`, one JSON object a line; a traceback is one of its values."""

    def format(self, record: logging.LogRecord) -> str:
        values: dict[str, Any] = {"time": _time(record), "level": record.levelname}
        values |= getattr(record, "request", None) or {"message": record.getMessage()}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


class _Rarely(logging.Filter):
    """Passes requests, and of other messages each once a minute: what a client causes must not fill the disk."""

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
    """Escape what could begin a new line or steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def configuration(log_format: LogFormat, level: str) -> dict[str, Any]:
    """Return the settings of logging, all of it on stderr: stdout has the address alone.

    Args:
        log_format: of its lines.
        level: from which on requests and messages of Uvicorn are logged; of all else, from warnings on.
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
