"""The command `shiftnet`: fill holes of photos, serve that to others, say what a model is and what works here."""

import argparse
import contextlib
import dataclasses
import functools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from tqdm import tqdm

from shiftnet_tf import __version__, doctor
from shiftnet_tf.errors import InputError, MissingPackageError, check
from shiftnet_tf.masks.holes import percent
from shiftnet_tf.model_folder import ModelSpec, locate
from shiftnet_tf.photos import image_files
from shiftnet_tf.runtime import FillOptions, Inpainter, inpaint_file, inpaint_folder
from shiftnet_tf.runtime.backends import RUNTIMES, list_installed
from shiftnet_tf.runtime.folders import Outcome
from shiftnet_tf.system.command import BUG, command
from shiftnet_tf.system.progress import Progress
from shiftnet_tf.system.quiet import quiet_start


def _inpaint(options: argparse.Namespace) -> int:
    folder = Path(options.photo).is_dir()
    for given, name, fits in (
        (options.save_shift_map, "--save-shift-map", not folder),
        (options.log, "--log", folder),
        (options.skip_existing, "--skip-existing", folder),
        (options.suffix, "--suffix", folder),
    ):
        if given and not fits:
            raise InputError(f"{name} is for {'one photo, not for a folder' if folder else 'a folder of photos'}")
    if folder:
        return _inpaint_folder(options)
    inpainter = _start(options)
    with _bar() as progress:
        filled = inpaint_file(
            inpainter,
            options.photo,
            options.mask,
            options.output,
            options=FillOptions.from_attributes(options),
            shift_map=options.save_shift_map,
            max_pixels=_pixels(options),
            progress=progress,
        )
    if filled.has_hole:
        share = percent(filled.share)
        print(f"{options.output}: filled {share} with {inpainter.model.path} on {_where(inpainter)}; {filled.plan}")
        if options.save_shift_map:
            print(f"{options.save_shift_map}: where each part of the hole came from")
    else:
        print(f"note: the mask has no hole, {options.output} is the photo unchanged", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    """Show progress on a terminal, from one second on."""
    form = "filling {percentage:3.0f}% {bar} {elapsed}"
    with tqdm(total=1, delay=1, disable=None, leave=False, bar_format=form) as bar:
        yield lambda share: bar.update(share - bar.n)


def _inpaint_folder(options: argparse.Namespace) -> int:
    if len(options.mask) > 1:
        raise InputError("a folder of photos takes one --mask: a folder, or one file for all")
    inpainter = _start(options)
    number, outcomes = inpaint_folder(
        inpainter,
        options.photo,
        options.mask[0],
        options.output,
        options=FillOptions.from_attributes(options),
        suffix=options.suffix,
        workers=options.workers,
        skip_existing=options.skip_existing,
        max_pixels=_pixels(options),
    )
    counts: Counter[str] = Counter()
    failed: list[Outcome] = []
    with open(options.log, "a", encoding="utf-8") if options.log else contextlib.nullcontext() as log:
        for outcome in tqdm(outcomes, total=number, unit="photo", disable=None):
            if log:
                print(outcome.as_json(), file=log, flush=True)
            counts[outcome.status] += 1
            if outcome.error:
                failed.append(outcome)
    for outcome in sorted(failed, key=lambda outcome: outcome.photo):
        print(f"{outcome.bug}failed: {outcome.photo}: {outcome.error}", file=sys.stderr)
    words = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    print(f"{options.output}: {words} of {number} photos, with {inpainter.model.path} on {_where(inpainter)}")
    if any(outcome.bug for outcome in failed):
        return BUG
    return 1 if failed else 0


def _pixels(options: argparse.Namespace) -> int | None:
    millions: float | None = options.max_pixels
    if millions is None:
        return None
    most = image_files.MAX_PIXELS / 1e6
    check("--max-pixels", millions, 0 < millions <= most, f"above 0 and at most {most:.0f}")
    return round(millions * 1e6)


def _info(options: argparse.Namespace) -> None:
    path = options.model
    folder, name = locate(path)
    spec = ModelSpec.read(folder)
    masks = ", ".join(f"{kind} {weight:g}" for kind, weight in spec.masks.items() if weight)
    print(f"model folder: {folder}\ntrained at: {spec.image_size}x{spec.image_size}, masks: {masks}")
    print(f"weights: sha256 {spec.weights_sha256}")
    for file, entry in sorted(spec.files.items()):
        if name not in (None, file):
            continue
        batch = "any batch" if entry.batch is None else f"batch {entry.batch}"
        print(f"{file}: {entry.format}, {entry.precision}, {entry.image_size}x{entry.image_size}, {batch}")
        print(f"    outputs: {', '.join(entry.outputs)}")
        print(
            f"    against Keras on {entry.parity['pairs']} photos: mean difference "
            f"{entry.parity['mean_difference']:.2g} grey levels, at most {entry.parity['max_difference']}"
        )
    print(f"runtimes installed: {', '.join(list_installed()) or 'none'}")
    try:
        inpainter = _start(options)
    except MissingPackageError as error:
        print(f"taken here: nothing, {error}")
    else:
        print(f"taken here: {inpainter.model.path.name} on {_where(inpainter)}")


def _start(options: argparse.Namespace) -> Inpainter:
    with quiet_start():
        return Inpainter.load(
            options.model,
            runtime=options.runtime,
            precision=options.precision,
            threads=options.threads,
            provider=options.provider,
            require_gpu=options.require_gpu,
        )


def _where(inpainter: Inpainter) -> str:
    return f"{inpainter.runtime} ({inpainter.provider})"


def _doctor(options: argparse.Namespace) -> int:
    return 0 if doctor.examine(functools.partial(print, flush=True), options.tensorflow) else 1


def _serve(options: argparse.Namespace) -> int:
    from shiftnet_tf.server import Limits, serve

    limits = Limits(
        bytes=round(options.max_bytes * 1e6),
        pixels=round(options.max_pixels * 1e6),
        seconds=options.timeout,
        in_flight=options.in_flight,
        connections=options.connections,
    )
    browser = options.page and not options.no_browser
    return serve(
        _start(options),
        limits,
        host=options.host,
        port=options.port,
        fd=options.fd,
        hosts=tuple(options.allow_host),
        origins=tuple(options.allow_origin),
        token=os.environ.get("SHIFTNET_TOKEN") if options.token is None else options.token,
        root_path=options.root_path,
        log_format=options.log_format,
        page=options.page,
        open_browser=browser,
    )


_MODEL = "model folder (with spec.json), or one model file in it; default: the one that comes with shiftnet_tf"

_RUNTIME = "default: onnxruntime, or litert where that is not installed or has no file; tensorflow only when named"


def _add_running(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the model and what runs it")
    group.add_argument("--runtime", choices=list(RUNTIMES), help=_RUNTIME)
    group.add_argument("--precision", help="default: the most precise file")
    group.add_argument("--threads", type=int, help="default: one for each core that the process may use")
    group.add_argument("--provider", default="auto", help="auto (default), cpu, cuda, tensorrt: `doctor` lists them")
    group.add_argument("--require-gpu", action="store_true", help="end with exit code 3 rather than run on the CPU")


def _add_inpaint(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "inpaint",
        help="fill the holes of a photo or of a folder of photos",
        description="Fills the hole of a photo, or the holes of all photos of a folder. Known pixels stay as they are, "
        "and so do metadata, colour profile, alpha and 16-bit grey.",
    )
    parser.add_argument("photo", help="JPEG, PNG, WebP, TIFF, AVIF (HEIC with the package pillow-heif), or a folder")
    parser.add_argument(
        "--mask",
        required=True,
        action="append",
        help="picture of the photo's size: fill what is lighter than the middle; or JSON of boxes, polygons and "
        "strokes; given several times, all are joined. For a folder of photos: a folder of masks of the same names, or "
        "one file",
    )
    parser.add_argument("-o", "--output", required=True, help="file (its suffix names the format) or folder to write")
    parser.add_argument("--model", help=_MODEL)
    parser.add_argument("--save-shift-map", metavar="FILE", help="picture of where each part of the hole came from")
    parser.add_argument("--max-pixels", type=float, metavar="MILLIONS", help="of a photo, at most 179 (default)")
    group = parser.add_argument_group("how the hole is filled and the mask is read")
    types = get_type_hints(FillOptions)
    for field in dataclasses.fields(FillOptions):
        kinds: dict[str, Any] = {"help": field.metadata["help"], "default": field.default}
        if types[field.name] is bool:
            kinds["action"] = "store_true"
        elif get_origin(types[field.name]) is Literal:
            kinds["choices"] = get_args(types[field.name])
        else:
            kinds |= {"type": int, "metavar": "N"}
        group.add_argument("--" + field.name.replace("_", "-"), **kinds)
    group = parser.add_argument_group("folders")
    group.add_argument("--workers", type=int, default=2, help="photos at a time; default: 2")
    group.add_argument("--skip-existing", action="store_true", help="leave alone what is there already")
    group.add_argument("--suffix", help="of the results, such as .png; default: each photo's own")
    group.add_argument("--log", metavar="FILE", help="add a line of JSON for each photo to this file")
    _add_running(parser)
    parser.set_defaults(run=_inpaint)


def _add_serving(parser: argparse.ArgumentParser, page: bool) -> None:
    port = 7860 if page else 8000
    parser.add_argument(
        "--host", default="127.0.0.1", help="listen on this address (default: 127.0.0.1, for this machine alone)"
    )
    parser.add_argument(
        "--port", type=int, default=port, help="listen on this port; 0 for any that is free (default: %(default)s)"
    )
    parser.add_argument(
        "--fd", type=int, metavar="N", help="listen on the open socket with this number, as systemd passes it"
    )
    parser.add_argument(
        "--root-path",
        default="",
        metavar="PATH",
        help="answer below this prefix too, such as /inpainting, under which a reverse proxy publishes the server "
        "(default: none)",
    )
    parser.add_argument(
        "--log-format", choices=["text", "json"], default="text", help="write the log in this format (default: text)"
    )
    if page:
        parser.add_argument("--no-browser", action="store_true", help="do not open the browser")
    group = parser.add_argument_group("limits")
    for name, kind, default, metavar, text in (
        ("--max-bytes", float, 64, "MB", "reject requests above this many megabytes"),
        ("--max-pixels", float, 50, "MILLIONS", "reject photos above this many megapixels"),
        ("--timeout", float, 60, "SECONDS", "give up a request after this time"),
        ("--in-flight", int, 32, "N", "answer at most this many requests at a time and refuse others with 429"),
        ("--connections", int, 512, "N", "keep at most this many connections open and close idle ones beyond that"),
    ):
        group.add_argument(name, type=kind, default=default, metavar=metavar, help=f"{text} (default: {default})")
    group = parser.add_argument_group("who may use it")
    group.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="answer requests to this name too (repeat for several; *.example.org for all names below it, * for any; "
        "default: IP addresses, localhost and the machine's name)",
    )
    group.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="URL",
        help="let web pages of this origin use the server too, such as https://example.org (repeat for several; * for "
        "any; default: only its own pages)",
    )
    group.add_argument(
        "--token",
        help="require `Authorization: Bearer TOKEN`; other users of the machine can see the token in the command line, "
        "but not in the environment variable SHIFTNET_TOKEN (default: that variable, or none)",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="shiftnet", description=__doc__)
    parser.add_argument("--version", action="version", version=f"shiftnet {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_inpaint(commands)

    for name, page, what in (
        ("demo", True, "open a page in the browser: brush over what shall vanish"),
        ("serve", False, "serve inpainting over HTTP"),
    ):
        serve = commands.add_parser(name, help=what, description=f"{what[0].upper()}{what[1:]}.")
        serve.add_argument("--model", help=_MODEL)
        _add_serving(serve, page)
        _add_running(serve)
        serve.set_defaults(run=_serve, page=page)

    info = commands.add_parser("info", help="say what a model is", description="Says what a model folder holds.")
    info.add_argument("model", nargs="?", help=_MODEL)
    _add_running(info)
    info.set_defaults(run=_info)

    check = commands.add_parser(
        "doctor",
        help="say what is installed and what works",
        description="One page for a bug report: what is installed, what loads, how long a fill takes. Exit code 1 "
        "where nothing can run the model that comes with shiftnet_tf.",
    )
    check.add_argument("--tensorflow", action="store_true", help="import TensorFlow too, which takes seconds")
    check.set_defaults(run=_doctor)
    return parser


@command
def main(arguments: Sequence[str] | None = None) -> int | None:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int | None] = options.run
    return run(options)


if __name__ == "__main__":
    raise SystemExit(main())
