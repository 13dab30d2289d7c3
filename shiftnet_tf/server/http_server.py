"""Uvicorn with the limits of this server, and a bounded shutdown."""

import contextlib
import logging
import math
import os
import signal
import socket
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI

from shiftnet_tf.errors import ShiftNetError
from shiftnet_tf.server.connections import limited
from shiftnet_tf.server.limits import BACKLOG, SECONDS_TO_END, Limits

_logger = logging.getLogger("uvicorn.error")


class HTTPServer(uvicorn.Server):
    """Serves an application.

    Args:
        app: the application.
        limits: of its requests.
        connections: maximum number at a time.
        log_config: see `log.configuration`; None leaves logging as it is.
    """

    def __init__(self, app: FastAPI, limits: Limits, connections: int, log_config: dict[str, Any] | None) -> None:
        config = uvicorn.Config(
            app,
            http=limited(connections, limits.answer_bytes),
            ws="none",
            loop="asyncio",
            backlog=BACKLOG,
            access_log=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=math.ceil(limits.seconds) + 5,  # allow slow clients to read the response
            server_header=False,
            log_config=log_config,
        )
        super().__init__(config)
        self._seconds_to_stop = limits.seconds + SECONDS_TO_END - 1

    def run_until_told(self, listening: socket.socket) -> None:
        """Serve until SIGINT or SIGTERM, then finish the accepted requests.

        Args:
            listening: the listening socket.

        Raises:
            ShiftNetError: the application could not start.
        """
        # Handle signals before the server runs too, and after it has ended, when Uvicorn raises the signal again.
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            with contextlib.suppress(SystemExit):  # raised by Uvicorn if it could not start
                self.run(sockets=[listening])
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        if not self.started:
            raise ShiftNetError("the server could not start: see the log")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the accepted requests; end the process if the model never responds."""
        watchdog = threading.Timer(self._seconds_to_stop, _end_process)
        watchdog.daemon = True
        watchdog.start()
        try:
            await super().shutdown(sockets)
        finally:
            watchdog.cancel()


def _end_process() -> None:
    _logger.error("the model does not respond: stopping the server without it")
    os._exit(1)
