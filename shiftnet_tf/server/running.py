"""Starting and stopping the server."""

import contextlib
import importlib.util
import math
import signal
import socket
import threading
import webbrowser
from typing import Any

import numpy as np

from shiftnet_tf.errors import InputError, MissingPackageError, check
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.limits import Limits

_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "swagger_ui_bundle")


def serve(
    inpainter: Inpainter,
    limits: Limits | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    page: bool = False,
    open_browser: bool = False,
) -> int:
    """Serve until told to stop (SIGINT, SIGTERM), and then finish what was taken.

    Args:
        inpainter: what fills photos.
        limits: see `Limits`; None for the defaults.
        host: address to listen on.
        port: from 0 to 65535; 0 takes any that is free.
        page: whether to serve the page too.
        open_browser: whether to open a browser on it.

    Returns:
        The exit code.

    Raises:
        InputError: a port that cannot be used.
        MissingPackageError: the extra `serve` is not installed.
    """
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingPackageError(f'a server needs {", ".join(absent)}: pip install "shiftnet-tf[serve]"')
    import uvicorn

    from shiftnet_tf.server.app import create_app

    limits = limits or Limits()
    with contextlib.closing(_bound(host, port)) as listening:
        _warm_up(inpainter)
        app = create_app(inpainter, limits, page)
        url = f"http://{_name(host)}:{listening.getsockname()[1]}/"
        level = "warning" if page else "info"
        config = uvicorn.Config(
            app,
            log_level=level,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=math.ceil(limits.seconds) + 5,  # for who does not fetch their answer
            server_header=False,
            log_config=_log(),
        )
        server = uvicorn.Server(config)
        listening.listen(128)  # whoever comes from now on waits until they are answered
        print(f"{inpainter.model.path.name} on {inpainter.runtime} ({inpainter.provider}), warm")
        print(f"{url}  (Ctrl-C ends it)", flush=True)
        if open_browser:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        for number in (signal.SIGINT, signal.SIGTERM):  # which uvicorn raises once more after its clean end
            signal.signal(number, lambda *_: None)
        server.run(sockets=[listening])
        app.state.service.stop()  # after a second Ctrl-C there may be something that is not finished
    return 0


def _bound(host: str, port: int) -> socket.socket:
    check("--port", port, 0 <= port <= 65535, "from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise InputError(f"cannot listen on {host} port {port} ({error.strerror}): name another --port") from error
    return listening


def _name(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _warm_up(inpainter: Inpainter) -> None:
    """Fill once, of each size of a batch that the runtime is prepared for, so that no request waits for it."""
    size = inpainter.model.image_size
    image, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), bool)
    mask[size // 4 : size // 2, size // 4 : size // 2] = True
    for number in inpainter.warm_up_sizes:
        list(inpainter.batch([image] * number, [mask] * number, batch_size=number))


def _log() -> dict[str, Any]:
    """Return the settings of Uvicorn's own log, all of it on stderr: stdout has the address alone."""
    from uvicorn.config import LOGGING_CONFIG

    handlers = {name: handler | {"stream": "ext://sys.stderr"} for name, handler in LOGGING_CONFIG["handlers"].items()}
    return LOGGING_CONFIG | {"handlers": handlers}
