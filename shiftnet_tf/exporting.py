"""What every exporter does around its conversion: open the run, convert, prove the file, list it in spec.json.

The file is run in its own runtime on real photos and compared with Keras; a file that differs is not left behind.
"""

import argparse
import contextlib
import dataclasses
import secrets
import shutil
from pathlib import Path

import tensorflow as tf

from shiftnet_tf import model_folder, parity
from shiftnet_tf.errors import ExportError, InputError, first_line
from shiftnet_tf.run_folder import Run
from shiftnet_tf.runtime import backends
from shiftnet_tf.system.atomic import locked
from shiftnet_tf.system.packages import versions_of
from shiftnet_tf.system.quiet import quiet_stderr

CALIBRATION_PHOTOS = (100, 128)  # at the least, at the most


@dataclasses.dataclass(frozen=True)
class Job:
    """What a converter is asked for.

    Attributes:
        format: str, one of `model_folder.FORMATS`.
        with_shift_map: bool, whether the file gives the shift map too.
        precision: str, one of `model_folder.PRECISIONS`.
        calibration: (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]), from which int8 takes the range of each
            activation; None for other precisions.
        profile: str, one of `model_folder.PROFILES`.
    """

    format: str
    with_shift_map: bool
    precision: str = "float32"
    calibration: tuple | None = None
    profile: str = "default"


def parser(description, photos, precisions=("float32",), profiles=("default",)):
    """The arguments that all exporters take.

    Args:
        description: str, for --help.
        photos: Path, the default folder of photos to compare with Keras on.
        precisions: of `model_folder.PRECISIONS`, what the exporter offers; with more than one come the arguments of the
            lower ones.
        profiles: of `model_folder.PROFILES`, likewise.

    Returns:
        argparse.ArgumentParser.
    """
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", help="run folder of training/train.py")
    arguments.add_argument("--out", help="model folder to write to; default: export/ in the run folder")
    arguments.add_argument("--image-size", type=int, help="pixels, a multiple of 2**depth; default: the training's")
    arguments.add_argument("--shift-map", action="store_true", help="a second output: where each hole part came from")
    arguments.add_argument("--photos", default=photos, help="photos to compare with Keras on; default: the samples")
    arguments.set_defaults(precision="float32", calibration_photos=None, max_psnr_drop=0.0, profile="default")
    if len(profiles) > 1:
        more = "mobile-gpu: only what LiteRT's delegates for the GPUs of phones run; default: default"
        arguments.add_argument("--profile", choices=profiles, help=more)
    if len(precisions) > 1:
        arguments.add_argument("--precision", choices=precisions, default="float32", help="default: float32")
        arguments.add_argument(
            "--max-psnr-drop", type=float, default=0.2, metavar="DB", help="what a lower one may lose; default: 0.2"
        )
    if "int8" in precisions:
        more = "100 photos or more that int8 is fitted to, but for those compared on; default: those trained on"
        arguments.add_argument("--calibration-photos", metavar="DIR", help=more)
    return arguments


def export(options, file_format, suffix, convert, packages, batch=None):
    """The body of an exporter: open the run, convert, prove the file, put it in place with its entry in spec.json.

    Args:
        options: what `parser` parsed.
        file_format: str, `"onnx"`, `"tflite"` or `"saved_model"`.
        suffix: str, of the file name, `""` for a folder.
        convert: function (generator, path, job) -> dict of details; writes the file or folder `path`.
        packages: list of str, whose versions are noted.
        batch: int, what the file takes, or None for any.

    Raises:
        InputError: the run, the photos, the size or the folder cannot be used.
        ExportError: the conversion fails, or its file is not within the limits of parity, or loses too much; nothing
            is left then.
    """
    run = Run.open(options.run)
    generator = run.load_generator(options.image_size)
    if options.shift_map and not generator.shift_layers:
        raise InputError(f"--shift-map: the network of {options.run} has no shift connection")
    pairs = parity.sample_pairs(options.photos, generator.image_size)
    job = Job(file_format, options.shift_map, options.precision, profile=options.profile)
    if options.precision == "int8":
        job = dataclasses.replace(job, calibration=_calibration(options, run, generator.image_size))
    name = _file_name(job, run, generator.image_size) + suffix
    out = Path(options.out or run.path / "export")
    spec = model_folder.ModelSpec(
        image_size=run.config.model.image_size,
        masks=run.config.masks.weights,
        weights_sha256=model_folder.sha256(run.generator_weights),
        versions=versions_of(packages),
    )
    spec.merged_into(out, name, None)  # refuses a folder of other weights before the work, not after it
    with _temporary(out) as folder:
        print(f"converting {options.run} ({generator.count_params():,} weights) to {out / name}", flush=True)
        details = convert(generator, folder / name, job) or {}
        print(f"comparing with Keras on {len(pairs[0])} photos", flush=True)
        outputs, measured = _prove(generator, folder / name, convert, pairs, job, options)
        digest = model_folder.sha256(folder / name)
        size, precision = generator.image_size, job.precision
        entry = model_folder.FileEntry(
            file_format, size, batch, outputs, digest, measured, precision, options.profile, details=details
        )
        with locked(out):
            _replace(folder / name, out / name)
            spec.merged_into(out, name, entry).write(out)
    print(f"{out / name}: {megabytes(out / name):.1f} MB, {measured}")


def _file_name(job, run, image_size):
    """Without its suffix: what is not as usual is part of it."""
    parts = ["saved_model" if job.format == "saved_model" else "model"]
    parts += [str(image_size)] * (image_size != run.config.model.image_size)
    parts += [value for value in (job.profile, job.precision) if value not in ("default", "float32")]
    return "-".join(parts)


def _calibration(options, run, image_size):
    """The masked photos that 8 bits are fitted to; none of those that the file is compared on."""
    folders = options.calibration_photos or run.config.data.photos
    if not folders:
        raise InputError(f"{options.run} does not tell the photos it was trained on: name --calibration-photos")
    least, most = CALIBRATION_PHOTOS
    pairs = parity.sample_pairs(folders, image_size, most, parity.sample_paths(options.photos))
    if len(pairs[0]) < least:
        raise InputError(
            f"int8 is fitted to at least {least} photos, others than those compared on. Received: "
            f"{len(pairs[0])} below {folders} (--calibration-photos)"
        )
    return pairs


def _prove(generator, path, convert, pairs, job, options):
    """The outputs of a file and what was measured of it; refuses one that is past its limits."""
    with quiet_stderr():
        backend = backends.open_file(job.format, path, cpu=True)
    if job.precision != "float32":
        twin = None
        if "shift_map" not in backend.outputs and generator.shift_layers:
            twin = _twin(generator, path, convert, job)
        measured = parity.measure_loss(generator, backend, pairs, twin)
        if not measured["psnr_drop"] <= options.max_psnr_drop:
            raise ExportError(
                f"{path.name} loses {measured['psnr_drop']:.2f} dB, more than the {options.max_psnr_drop:g} of "
                f"--max-psnr-drop, and was not kept: {measured}"
            )
        return backend.outputs, measured
    measured = parity.measure(generator, backend, pairs)
    if not parity.within_limits(measured) and measured["equal_shifts"] is None and generator.shift_layers:
        # The file does not tell whether it only decided near ties otherwise; a twin with the shift map does.
        measured = parity.measure(generator, backend, pairs, _twin(generator, path, convert, job))
    if not parity.within_limits(measured):
        raise ExportError(f"{path.name} does not compute what Keras computes, and was not kept: {measured}")
    return backend.outputs, measured


def _twin(generator, path, convert, job):
    """A backend on the same conversion with the shift map."""
    twin = path.with_name(f"twin-{path.name}")
    convert(generator, twin, dataclasses.replace(job, with_shift_map=True))
    with quiet_stderr():
        return backends.open_file(job.format, twin, cpu=True)


@contextlib.contextmanager
def _temporary(out):
    """A folder inside `out` for unfinished work; what the system refuses there is said in a sentence."""
    folder = out / f".{secrets.token_hex(4)}"
    made = [path for path in (out, *out.parents) if not path.exists()]
    kept = False
    try:
        folder.mkdir(parents=True)
        yield folder
        kept = True
    except (OSError, tf.errors.OpError) as error:
        raise InputError(f"cannot write to {out}: {first_line(error)}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if not kept:
            for path in made:
                with contextlib.suppress(OSError):
                    path.rmdir()


def _replace(new, path):
    """Puts a file or folder in the place of another; the old one goes to the temporary folder that `new` is in."""
    if path.exists():
        path.rename(new.with_name(f"old-{path.name}"))
    new.rename(path)


def megabytes(path):
    """float, 10^6 bytes of a file or of all files in a folder."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
