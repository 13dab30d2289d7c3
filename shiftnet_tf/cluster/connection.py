"""Connect a command to a Ray cluster: a running one, or one started on this machine only."""

import contextlib
import logging
import os
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftnet_tf.errors import InputError, ShiftNetError, first_line
from shiftnet_tf.system.packages import import_optional
from shiftnet_tf.system.quiet import quiet_stderr

AUTO = "auto"
_TO_CONNECT = 5.0  # seconds in which an address must accept a connection
_TO_ANSWER = 20.0  # seconds in which a cluster must answer
_ADDRESS = re.compile(r"\[?(?P<host>[^\s/\]]+)\]?:(?P<port>[0-9]{1,5})")


@contextlib.contextmanager
def connected(address: str, **options: Any) -> Iterator[Any]:
    """Connect to a Ray cluster, and yield the package `ray`.

    Args:
        address: `"auto"`: the cluster named by RAY_ADDRESS or running on this machine, else one that is started here
            and ends with the block; or `host:port` of the cluster that this machine belongs to.
        **options: further arguments of `ray.init`; by default, Ray and its workers print nothing.

    Raises:
        InputError: Ray is not installed, or nothing answers at the address within 30 seconds.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # statistics would be sent to Ray's makers
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    ray = import_optional("ray", '"shiftnet-tf[cluster]"', "--cluster")
    import_optional("ray.data", '"shiftnet-tf[cluster]"', "--cluster")
    target = _existing() if address == AUTO else address
    _check_answers(target)
    with _quiet_loggers():
        try:
            with quiet_stderr():
                _connect(ray, target, {"log_to_driver": False, "configure_logging": False} | options)
            yield ray
        except ray.exceptions.RayTaskError:
            raise  # raised in our own code: a bug
        except ray.exceptions.RayError as error:
            raise ShiftNetError(f"the Ray cluster failed: {first_line(error)}") from error
        finally:
            ray.shutdown()


def _check_answers(address: str) -> None:
    """Refuse an address that accepts no connection: Ray itself would try for minutes."""
    if address in (AUTO, "local"):
        return
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise InputError(
            "--cluster must be auto or host:port of a cluster that this machine belongs to (from another machine, use "
            f"`ray job submit`). Received: {address!r}"
        )
    try:
        socket.create_connection((found["host"], int(found["port"])), _TO_CONNECT).close()
    except (OSError, OverflowError) as error:
        reason = first_line(error)
        raise InputError(
            f"no Ray cluster answers at {address} ({reason}): start one with `ray start --head`"
        ) from error


def _existing() -> str:
    """Return the cluster that this machine belongs to; "local", to start one, if there is none or it has ended."""
    named = os.environ.get("RAY_ADDRESS")
    if named:
        return named
    note = Path(os.environ.get("RAY_TMPDIR") or "/tmp", "ray", "ray_current_cluster")  # which outlives the cluster
    with contextlib.suppress(InputError, OSError):
        address = note.read_text("utf-8").strip()
        _check_answers(address)
        return address
    return "local"


def _connect(ray: Any, target: str, options: dict[str, Any]) -> None:
    """Call ray.init, in a thread that can be abandoned: it never returns if the address does not answer.

    A local cluster ends with the thread that started it, so it is started in the main thread.
    """
    failures: list[BaseException] = []

    def connect() -> None:
        try:
            ray.init(address=target, logging_level="ERROR", **options)
        except Exception as error:
            failures.append(error)

    if target == "local":
        connect()
    else:
        thread = threading.Thread(target=connect, daemon=True)
        thread.start()
        thread.join(_TO_ANSWER)
        if thread.is_alive():
            raise InputError(f"no Ray cluster answers at {target} within {_TO_ANSWER:.0f} seconds: check `ray status`")
    if failures:
        raise InputError(f"cannot connect to the Ray cluster {target}: {first_line(failures[0])}") from failures[0]


@contextlib.contextmanager
def _quiet_loggers() -> Iterator[None]:
    """Keep Ray's own messages off the terminal."""
    loggers = [logging.getLogger(name) for name in ("ray", "ray.data")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels):
            logger.setLevel(level)
