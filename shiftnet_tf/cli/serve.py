"""`shiftnet serve` and `shiftnet demo`: the server, and the server with its page."""

import argparse
import functools
import os

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.running import MODEL_HELP, add_running, start


def _add_arguments(parser: argparse.ArgumentParser, page: bool) -> None:
    parser.add_argument("--model", metavar="PATH", help=MODEL_HELP)
    parser.add_argument("--host", default="127.0.0.1", help="listen on this address (default: this machine alone)")
    parser.add_argument(
        "--port", type=int, default=7860 if page else 8000, help="listen on this port (default: %(default)s)"
    )
    parser.add_argument("--fd", type=int, metavar="N", help="take the listening socket with this number, as of systemd")
    parser.add_argument("--root-path", default="", metavar="PATH", help="expect this prefix of a proxy on all paths")
    parser.add_argument(
        "--log-format", choices=["text", "json"], default="text", help="write the log so (default: text)"
    )
    if page:
        parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    group = parser.add_argument_group("limits")
    group.add_argument("--max-bytes", type=float, default=64, metavar="MB", help="reject larger requests (default: 64)")
    group.add_argument(
        "--max-pixels",
        type=float,
        default=50,
        metavar="MILLIONS",
        help="reject photos above this many megapixels (default: 50)",
    )
    group.add_argument(
        "--timeout", type=float, default=60, metavar="SECONDS", help="cancel requests that take longer (default: 60)"
    )
    group.add_argument(
        "--in-flight", type=int, default=32, metavar="N", help="answer N requests at a time, no more (default: 32)"
    )
    group.add_argument(
        "--connections", type=int, default=512, metavar="N", help="keep N connections open, no more (default: 512)"
    )
    _add_access(parser)
    add_running(parser)
    parser.set_defaults(page=page)


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("access")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer requests to this name too (repeat for several; *.example.org for all below a name, * for any) "
        "(default: addresses, localhost and the machine's name)",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="let web pages of this origin use the server too, such as https://example.org (repeat for several, * for "
        "any) (default: only its own pages)",
    )
    group.add_argument(
        "--token",
        help="require `Authorization: Bearer TOKEN` (default: the environment variable SHIFTNET_TOKEN, or none)",
    )


def _run(options: argparse.Namespace) -> int:
    from shiftnet_tf.server import Limits, serve

    limits = Limits(
        bytes=round(options.max_bytes * 1e6),
        pixels=round(options.max_pixels * 1e6),
        seconds=options.timeout,
        in_flight=options.in_flight,
        connections=options.connections,
    )
    return serve(
        start(options),
        limits,
        host=options.host,
        port=options.port,
        fd=options.fd,
        hosts=tuple(options.allow_host),
        origins=tuple(options.allow_origin),
        token=options.token or os.environ.get("SHIFTNET_TOKEN"),
        root_path=options.root_path,
        log_format=options.log_format,
        page=options.page,
        open_browser=options.page and not options.no_browser,
    )


SERVE = Subcommand(
    "serve inpainting over HTTP",
    "Serve inpainting over HTTP.",
    functools.partial(_add_arguments, page=False),
    _run,
    "[options]",
)
DEMO = Subcommand(
    "open a page in the browser to brush things away",
    "Open a page in the browser: brush over what you want to remove.",
    functools.partial(_add_arguments, page=True),
    _run,
    "[options]",
)
