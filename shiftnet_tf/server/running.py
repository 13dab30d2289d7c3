"""Start and stop the server."""

import contextlib
import importlib.util
import re
import socket
import threading
import webbrowser

import numpy as np

from shiftnet_tf.errors import InputError, MissingPackageError, check
from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server import log
from shiftnet_tf.server.limits import BACKLOG, Limits
from shiftnet_tf.server.log import LogFormat

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]

_PACKAGES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client", "swagger_ui_bundle")
_MODEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_ROOT_PATH = re.compile(r"(?!/(v1|v2|docs|static|healthz|metrics)$)(/[A-Za-z0-9._~-]+)*")


def serve(
    inpainter: Inpainter,
    limits: Limits | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    fd: int | None = None,
    page: bool = False,
    open_browser: bool = False,
    hosts: tuple[str, ...] = (),
    origins: tuple[str, ...] = (),
    token: str | None = None,
    root_path: str = "",
    model_name: str = "shiftnet",
    log_format: LogFormat = "text",
) -> int:
    """Serve until SIGINT or SIGTERM, then finish the accepted requests.

    Args:
        inpainter: the model.
        limits: see `Limits`; None for the defaults.
        host: address to listen on.
        port: 0 to 65535; 0 picks a free one.
        fd: file descriptor of a listening socket, instead of `host` and `port`.
        page: whether to serve the page.
        open_browser: whether to open the page in a browser.
        hosts, origins, token: who may use the server, see `server.access.Access`.
        root_path: prefix that a proxy adds to all paths, such as `/inpainting`.
        model_name: the model's name in the Open Inference Protocol.
        log_format: `"text"` or `"json"`.

    Returns:
        The exit code.

    Raises:
        InputError: a port or socket that cannot be used, or another invalid setting.
        MissingPackageError: the extra `serve` is not installed.
        ShiftNetError: the server could not start.
    """
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if absent:
        raise MissingPackageError(f'the server needs {", ".join(absent)}: pip install "shiftnet-tf[serve]"')
    from shiftnet_tf.server.access import Access
    from shiftnet_tf.server.app import create_app
    from shiftnet_tf.server.http_server import HTTPServer

    limits = limits or Limits()
    root_path = root_path.rstrip("/")
    check(
        "--root-path",
        root_path,
        _ROOT_PATH.fullmatch(root_path),
        "a path such as /inpainting, not one that the server itself uses",
    )
    check("--model-name", model_name, _MODEL_NAME.fullmatch(model_name), "letters, digits and any of . _ -")
    access = Access(hosts=(*hosts, host), origins=origins, token=token)
    with contextlib.closing(_bound(host, port) if fd is None else _inherited(fd)) as listening:
        warm_up(inpainter)
        app = create_app(inpainter, limits, page, access, root_path, model_name)
        log_config = log.configuration(log_format, "WARNING" if page else "INFO")
        server = HTTPServer(app, limits, _connections(limits), log_config)
        listening.listen(BACKLOG)  # clients that connect from now on wait until they are answered
        url = _url(listening, None if fd is not None else host, root_path)
        print(f"{inpainter.model.path.name} on {inpainter.runtime} ({inpainter.provider}), warmed up")
        print(f"{url} (press Ctrl-C to stop)", flush=True)
        if open_browser:
            threading.Timer(0.5, webbrowser.open, [url]).start()
        server.run_until_told(listening)
        app.state.service.stop()  # after a second Ctrl-C, requests may be unfinished
    return 0


def _connections(limits: Limits) -> int:
    """Return the maximum number of connections that leaves file descriptors for everything else."""
    if resource is None:
        return limits.connections
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    others = 64 + BACKLOG + 4 * limits.workers  # Python's own files, incoming connections, pipes
    return limits.connections if files < 0 else max(16, min(limits.connections, files - others))


def _bound(host: str, port: int) -> socket.socket:
    check("--port", port, 0 <= port <= 65535, "from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, UnicodeError) as error:
        listening.close()
        why = getattr(error, "strerror", None) or error
        raise InputError(f"cannot listen on {host} port {port} ({why}): choose another --host or --port") from error
    return listening


def _inherited(fd: int) -> socket.socket:
    """Return the listening socket that the process inherited."""
    try:
        listening = socket.socket(fileno=fd)
        listens = listening.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"--fd {fd} is not an open socket: systemd passes the first one as 3") from error
    check("--fd", fd, listens, "a listening socket: systemd passes one with `Accept=no`")
    return listening


def _url(listening: socket.socket, host: str | None, root_path: str) -> str:
    """Return the server's address; `host` is the name given by the user, if any."""
    name = listening.getsockname()
    if not isinstance(name, tuple):
        return f"unix:{name}"
    host = host or name[0]
    return f"http://{f'[{host}]' if ':' in host else host}:{name[1]}{root_path}/"


def warm_up(inpainter: Inpainter) -> None:
    """Fill one batch of each size that the runtime is prepared for, so that no request waits for the warm-up."""
    size = inpainter.model.image_size
    image, mask = np.zeros((size, size, 3), np.uint8), np.zeros((size, size), bool)
    mask[size // 4 : size // 2, size // 4 : size // 2] = True
    for number in inpainter.warm_up_sizes:
        list(inpainter.batch([image] * number, [mask] * number, batch_size=number))
