"""The steps common to all exporters: open the run, convert, check the file, list it in spec.json.

The file is run in its own runtime on real photos and compared with Keras; a file that differs is discarded.
"""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from shiftnet_tf import model_folder
from shiftnet_tf.errors import ExportError, InputError, check, first_line
from shiftnet_tf.export import parity
from shiftnet_tf.export.facts import describe
from shiftnet_tf.networks import Generator
from shiftnet_tf.photos import pixels
from shiftnet_tf.run_folder import Run
from shiftnet_tf.runtime import backends
from shiftnet_tf.system.atomic import locked, remove_leftovers, temporary_path
from shiftnet_tf.system.bundled import find_preset
from shiftnet_tf.system.packages import versions_of
from shiftnet_tf.system.quiet import quiet_stderr

CALIBRATION_PHOTOS = (100, 128)  # minimum, maximum


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """The task of a converter.

    Attributes:
        format: one of `model_folder.FORMATS`.
        shift_map: whether the file also outputs the shift map.
        precision: one of `model_folder.PRECISIONS`.
        profile: one of `model_folder.PROFILES`.
        calibration: (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]), on which int8 calibrates the range of each
            activation; None for other precisions.
        facts: metadata for formats that can store it: a sentence under `"description"`, short texts under other names,
            such as `"model_license"`.
    """

    format: str
    shift_map: bool = False
    precision: str = "float32"
    profile: str = "default"
    calibration: parity.Pairs | None = None
    facts: dict[str, str] = dataclasses.field(default_factory=dict)


Convert = Callable[[Generator, Path, Job], dict[str, Any] | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """How to write a file format, and which versions to record.

    Attributes:
        name: one of `model_folder.FORMATS`.
        convert: writes a generator to the file or folder at the path, as the job says; returns the details for its
            entry in spec.json.
        packages: names of packages whose versions are recorded.
    """

    name: str
    convert: Convert
    packages: tuple[str, ...]


def export(
    file_format: Format,
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    shift_map: bool = False,
    precision: str = "float32",
    profile: str = "default",
    photos: parity.Folders | None = None,
    calibration_photos: parity.Folders | None = None,
    max_psnr_drop: float = 0.2,
    license: str | None = None,
    log: Callable[[str], object] = print,
) -> Path:
    """Open a run, convert it, check the file against Keras, and put it in place with its entry in spec.json.

    `export_onnx`, `export_tflite` and `export_saved_model` describe the other arguments.

    Args:
        file_format: the format to write.

    Returns:
        The path of the file or folder.
    """
    its = model_folder.FORMATS[file_format.name]
    check("precision", precision, precision in its.precisions, f"one of {', '.join(its.precisions)}")
    check("profile", profile, profile in its.profiles, f"one of {', '.join(its.profiles)}")
    folder = find_preset(run)
    if out is None and folder != Path(run):
        raise InputError(f"bundled weights need an output folder: pass --out. Received: {run!r}")
    trained = Run.open(folder)
    generator = _load_generator(trained, image_size, shift_map)
    photos = _folders(trained, photos, "to compare with Keras on", "--photos")
    pairs, calibration = parity.sample_pairs(photos, generator.image_size), None
    _check_finite(generator, pairs, trained.path)
    if precision == "int8":
        folders = _folders(trained, calibration_photos, "to calibrate int8 on", "--calibration-photos")
        calibration = _calibration(folders, generator.image_size, parity.sample_paths(photos))
    kind = {"format": file_format.name, "precision": precision, "profile": profile}
    job = Job(
        shift_map=shift_map, calibration=calibration, facts=describe(trained, generator, precision, license), **kind
    )
    name = _file_name(job, trained, generator.image_size) + its.suffix
    out = Path(out or trained.path / "export")
    spec = _describe_run(trained, file_format.packages)
    spec.merge_into(out)  # refuses a folder of other weights before the work, not after it
    with _temporary(out) as folder:
        log(f"converting {trained.path} ({generator.count_params():,} weights) to {out / name}")
        details = file_format.convert(generator, folder / name, job) or {}
        log(f"comparing with Keras on {len(pairs[0])} photos")
        outputs, measured = _prove(generator, folder / name, file_format.convert, job, pairs, max_psnr_drop)
        entry = model_folder.FileEntry(
            image_size=generator.image_size,
            batch=its.batch,
            outputs=outputs,
            sha256=model_folder.sha256(folder / name),
            parity=measured,
            details=details,
            **kind,
        )
        with locked(out):
            _replace(folder / name, out / name)
            dataclasses.replace(spec, files={name: entry}).merge_into(out).write(out)
    log(f"{out / name}: {megabytes(out / name):.1f} MB; {_in_words(measured)}")
    return out / name


def _load_generator(run: Run, image_size: int | None, shift_map: bool) -> Generator:
    """Return the generator of a run; refuse one without a shift connection if its shift map is wanted."""
    generator = run.load_generator(image_size)
    if shift_map and not generator.shift_layers:
        raise InputError(f"cannot export a shift map: the network of {run.path} has no shift connection")
    return generator


def _describe_run(run: Run, packages: Sequence[str]) -> model_folder.ModelSpec:
    """Return a spec without files, with the versions of the packages that write them."""
    return model_folder.ModelSpec(
        image_size=run.config.model.image_size,
        masks=run.config.masks.weights,
        weights_sha256=model_folder.sha256(run.generator_weights),
        versions=versions_of(packages),
    )


def _check_finite(generator: Generator, pairs: parity.Pairs, path: Path) -> None:
    """Refuse a network of NaN: as uint8, it would equal its exported file."""
    image, mask = (pair[:1].astype(np.float32) for pair in pairs)
    prediction = generator({"image": pixels.to_unit(image), "mask": np.minimum(mask, 1.0)})
    if not np.isfinite(np.asarray(prediction)).all():
        raise InputError(f"the network predicts values that are not finite; train it again: {path}")


def _folders(run: Run, given: parity.Folders | None, use: str, option: str) -> parity.Folders:
    """Return the given folders of photos, or those that the run was trained on."""
    folders = given or run.config.data.photos
    if not folders:
        raise InputError(f"{run.path} does not list its training photos: pass {option}, photos {use}")
    return folders


def _in_words(measured: dict[str, Any]) -> str:
    """Return the measurements of a file as a sentence."""
    sentence = (
        f"on {measured['pairs']} photos it differs from Keras by {measured['mean_difference']:.2g} grey levels on "
        f"average and {measured['max_difference']} at most"
    )
    if "psnr_drop" not in measured:
        return sentence
    lost = measured["psnr_drop"]
    return f"{sentence}, and {'loses' if lost >= 0 else 'gains'} {abs(lost):.2f} dB of the hole's PSNR"


def _file_name(job: Job, run: Run, image_size: int) -> str:
    """Return the file name without suffix; non-default settings become part of it."""
    parts = ["saved_model" if job.format == "saved_model" else "model"]
    parts += [str(image_size)] * (image_size != run.config.model.image_size)
    parts += [value for value in (job.profile, job.precision) if value not in ("default", "float32")]
    return "-".join(parts)


def _calibration(folders: parity.Folders, image_size: int, compared: Sequence[Path]) -> parity.Pairs:
    """Return the masked photos for int8 calibration, without those that the file is compared on."""
    least, most = CALIBRATION_PHOTOS
    pairs = parity.sample_pairs(folders, image_size, most, compared)
    if len(pairs[0]) < least:
        raise InputError(
            f"int8 calibration needs at least {least} photos besides those compared with Keras. Received: "
            f"{len(pairs[0])} in {folders} (--calibration-photos)"
        )
    return pairs


def _prove(
    generator: Generator,
    path: Path,
    convert: Convert,
    job: Job,
    pairs: parity.Pairs,
    max_psnr_drop: float,
) -> tuple[list[str], dict[str, Any]]:
    """Return the outputs and the measurements of a file; refuse one beyond the limits.

    If it outputs no shift map, a twin of the same conversion with one tells near ties decided differently from errors.
    """

    def load(path: Path) -> backends.Backend:
        with quiet_stderr():
            return backends.open_file(job.format, path, cpu=True)

    def load_twin() -> backends.Backend:
        twin = path.with_name(f"twin-{path.name}")
        convert(generator, twin, dataclasses.replace(job, shift_map=True))
        return load(twin)

    backend = load(path)
    blind = "shift_map" not in backend.outputs and generator.shift_layers
    if job.precision != "float32":
        measured = parity.measure_loss(generator, backend, pairs, load_twin() if blind else None)
        if not measured["psnr_drop"] <= max_psnr_drop:
            raise ExportError(
                f"{path.name} loses {measured['psnr_drop']:.2f} dB, more than the {max_psnr_drop:g} allowed "
                f"(max_psnr_drop), and was discarded: {measured}"
            )
        return backend.outputs, measured
    measured = parity.measure(generator, backend, pairs)
    if not parity.within_limits(measured) and blind:
        measured = parity.measure(generator, backend, pairs, load_twin())
    if not parity.within_limits(measured):
        raise ExportError(f"the file does not compute what Keras computes, and was discarded: {measured}")
    return backend.outputs, measured


@contextlib.contextmanager
def _temporary(out: Path) -> Iterator[Path]:
    """Yield a folder inside `out` for unfinished work; report system errors there in a sentence."""
    remove_leftovers(out)
    folder = temporary_path(out)
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


def _replace(new: Path, path: Path) -> None:
    """Replace a file or folder; the old one moves to the temporary folder that contains `new`."""
    if path.exists():
        path.rename(new.with_name(f"old-{path.name}"))
    new.rename(path)


def megabytes(path: Path) -> float:
    """Return the size of a file, or of all files in a folder, in 10^6 bytes."""
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
