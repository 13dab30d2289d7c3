"""`shiftnet serve` and `shiftnet demo`: run the server, without and with its page."""

import argparse
import functools
import os

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.running import MODEL_HELP, add_running, start


def _add_arguments(parser: argparse.ArgumentParser, page: bool) -> None:
    parser.add_argument("--model", metavar="PATH", help=MODEL_HELP)
    parser.add_argument(
        "--model-name",
        default="shiftnet",
        metavar="NAME",
        help="serve the Open Inference Protocol at /v2/models/NAME (default: shiftnet)",
    )
    port = 7860 if page else 8000
    parser.add_argument(
        "--host", default="127.0.0.1", help="listen on this address (default: 127.0.0.1, this machine only)"
    )
    parser.add_argument(
        "--port", type=int, default=port, help="listen on this port; 0 picks a free one (default: %(default)s)"
    )
    parser.add_argument(
        "--fd",
        type=int,
        metavar="N",
        help="listen on the inherited socket with this file descriptor, as systemd passes it",
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="also answer under this prefix, such as /inpainting, where a reverse proxy publishes the server (default: "
        "none)",
    )
    parser.add_argument(
        "--log-format", choices=["text", "json"], default="text", help="write the log in this format (default: text)"
    )
    if page:
        parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    _add_limits(parser)
    _add_access(parser)
    add_running(parser)
    parser.set_defaults(page=page)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("limits")
    for name, kind, default, metavar, text in (
        ("--max-bytes", float, 64, "MB", "reject requests above this many megabytes"),
        ("--max-pixels", float, 50, "MILLIONS", "reject photos above this many megapixels"),
        ("--timeout", float, 60, "SECONDS", "cancel requests after this time"),
        ("--in-flight", int, 32, "N", "handle at most this many requests at a time; refuse others with 429"),
        ("--connections", int, 512, "N", "keep at most this many connections open; close idle ones beyond that"),
    ):
        group.add_argument(name, type=kind, default=default, metavar=metavar, help=f"{text} (default: {default})")


def _add_access(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("access")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="also accept requests for this host name; *.example.org for all its subdomains, * for any; repeat for "
        "several (default: IP addresses, localhost and the machine's name)",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="also let web pages from this origin use the server, such as https://example.org; * for any; repeat for "
        "several (default: its own pages only)",
    )
    group.add_argument(
        "--token",
        help="require `Authorization: Bearer TOKEN`; other users of the machine can see command lines, but not the "
        "environment variable SHIFTNET_TOKEN (default: that variable, or none)",
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
        token=os.environ.get("SHIFTNET_TOKEN") if options.token is None else options.token,
        root_path=options.root_path,
        model_name=options.model_name,
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
    "open a web page for brushing over what to remove",
    "Open a page in the browser: brush over what you want to remove.",
    functools.partial(_add_arguments, page=True),
    _run,
    "[options]",
)
