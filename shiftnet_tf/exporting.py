"""What every exporter does around its conversion: open the run, convert, prove the file, list it in spec.json.

The file is run in its own runtime on real photos and compared with Keras; a file that differs is not left behind.
"""

import argparse
import contextlib
import secrets
import shutil
from pathlib import Path

import numpy as np
import tensorflow as tf

from shiftnet_tf import artifact, image_files, images, masks, serving
from shiftnet_tf.atomic import locked
from shiftnet_tf.errors import ExportError, InputError, first_line
from shiftnet_tf.quiet import quiet_stderr
from shiftnet_tf.runs import Run, versions_of
from shiftnet_tf.runtime import backends

# What a float32 file may differ from Keras. Rounding decides near ties of the shift's argmax, and a position that is
# filled from elsewhere changes the picture there: so pictures are compared where the shift maps are equal.
LEAST_EQUAL_SHIFTS = 0.99
MOST_MEAN_DIFFERENCE = 0.05  # grey levels
MOST_PIXELS_OFF = 0.001  # share of the hole's pixels that differ by more than 1


def sample_pairs(folder, image_size, count=20):
    """Photos and masks on which a file is compared with Keras: the same each time.

    Args:
        folder: str or Path with photos; the first `count` are taken, a centre square of each, scaled.
        image_size: int, S in pixels.
        count: int, at most so many pairs; centre holes, rectangles and free-form strokes in turn.

    Returns:
        (images uint8 [N, S, S, 3], masks uint8 [N, S, S, 1]).

    Raises:
        InputError: no photo in the folder.
    """
    paths = image_files.find_photos(folder)[:count]
    if not paths:
        raise InputError(f"no photo (JPEG, PNG, WebP) to compare on below {folder}")
    photos, holes = [], []
    for i, path in enumerate(paths):
        photo = image_files.read_image(path)
        side = min(photo.shape[:2])
        top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
        photos.append(images.resize_image(photo[top : top + side, left : left + side], image_size, image_size))
        kind = ("center", "rectangle", "freeform")[i % 3]
        holes.append(masks.MaskSampler(image_size, {kind: 1.0})(np.random.default_rng(i))[..., np.newaxis])
    return np.stack(photos), np.stack(holes)


def measure_parity(generator, backend, pairs, twin=None):
    """How far a model file is from its Keras model, over the hole's pixels.

    Args:
        generator: Generator.
        backend: of `runtime.backends`, running the file.
        pairs: (images, masks), see `sample_pairs`.
        twin: a backend of the same conversion whose file gives the shift map too, for a file that gives none.

    Returns:
        dict: `pairs`, their number; `equal_shifts`, the share of hole positions whose shift map is equal (None where
        no file gives a shift map); `compared_pairs`, those whose shift map is equal throughout; and of them the
        largest `mean_difference` and `max_difference` in grey levels and the largest share `pixels_off` of pixels
        that differ by more than 1.

    Raises:
        ExportError: the file changes a known pixel.
    """
    mapping = next((b for b in (backend, twin) if b is not None and "shift_map" in b.outputs), None)
    equal, differences = [], []
    for image, mask in zip(*pairs):
        inputs = image[np.newaxis], mask[np.newaxis]
        with tf.device("CPU"):  # a GPU multiplies in less than float32 unless told otherwise
            expected = serving.serve(generator, *inputs, with_shift_map=mapping is not None)
        given = backend(*inputs)["inpainted_image"][0]
        hole = mask[..., 0] != 0
        if not np.array_equal(given[~hole], image[~hole]):
            raise ExportError("the file changes known pixels")
        if mapping is not None:
            shift_map = expected["shift_map"].numpy()
            given_map = mapping(*inputs)["shift_map"]
            equal.append((shift_map == given_map)[(shift_map >= 0) | (given_map >= 0)])
        if mapping is None or equal[-1].all():
            difference = np.abs(expected["inpainted_image"][0].numpy().astype(int) - given)[hole]
            differences.append((float(difference.mean()), int(difference.max()), float((difference > 1).mean())))
    means, largest, off = zip(*differences) if differences else ((0.0,), (0,), (0.0,))
    positions = np.concatenate(equal) if equal else np.array([])
    return {
        "pairs": len(pairs[0]),
        "equal_shifts": float(positions.mean()) if positions.size else None,
        "compared_pairs": len(differences),
        "mean_difference": max(means),
        "max_difference": max(largest),
        "pixels_off": max(off),
    }


def within_limits(parity):
    """Whether a file computes what Keras computes.

    Args:
        parity: dict of `measure_parity`.

    Returns:
        bool.
    """
    return (
        (parity["equal_shifts"] is None or parity["equal_shifts"] >= LEAST_EQUAL_SHIFTS)
        and parity["compared_pairs"] > 0
        and parity["mean_difference"] <= MOST_MEAN_DIFFERENCE
        and parity["pixels_off"] <= MOST_PIXELS_OFF
    )


def parser(description, photos):
    """The arguments that all exporters take.

    Args:
        description: str, for --help.
        photos: Path, the default folder of photos to compare with Keras on.

    Returns:
        argparse.ArgumentParser.
    """
    arguments = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("run", help="run folder of training/train.py")
    arguments.add_argument("--out", help="model folder to write to; default: export/ in the run folder")
    arguments.add_argument("--image-size", type=int, help="pixels, a multiple of 2**depth; default: the training's")
    arguments.add_argument("--shift-map", action="store_true", help="a second output: where each hole part came from")
    arguments.add_argument("--photos", default=photos, help="photos to compare with Keras on; default: the samples")
    return arguments


def export(options, file_format, suffix, convert, packages, batch=None):
    """The body of an exporter: open the run, convert, prove the file, put it in place with its entry in spec.json.

    Args:
        options: what `parser` parsed.
        file_format: str, `"onnx"`, `"tflite"` or `"saved_model"`.
        suffix: str, of the file name, `""` for a folder.
        convert: function (generator, path, with_shift_map) -> dict of details; writes the file or folder `path`.
        packages: list of str, whose versions are noted.
        batch: int, what the file takes, or None for any.

    Raises:
        InputError: the run, the photos, the size or the folder cannot be used.
        ExportError: the conversion fails, or its file is not within the limits of parity; nothing is left then.
    """
    run = Run.open(options.run)
    generator = run.load_generator(options.image_size)
    if options.shift_map and not generator.shift_layers:
        raise InputError(f"--shift-map: the network of {options.run} has no shift connection")
    pairs = sample_pairs(options.photos, generator.image_size)
    size = "" if generator.image_size == run.config.model.image_size else f"-{generator.image_size}"
    name = f"{'saved_model' if file_format == 'saved_model' else 'model'}{size}{suffix}"
    out = Path(options.out or run.path / "export")
    spec = artifact.ArtifactSpec(
        image_size=run.config.model.image_size,
        masks=run.config.masks.weights,
        weights_sha256=artifact.sha256(run.generator_weights),
        versions=versions_of(packages),
    )
    spec.merged_into(out, name, None)  # refuses a folder of other weights before the work, not after it
    with _temporary(out) as folder:
        print(f"converting {options.run} ({generator.count_params():,} weights) to {out / name}", flush=True)
        details = convert(generator, folder / name, options.shift_map) or {}
        print(f"comparing with Keras on {len(pairs[0])} photos", flush=True)
        outputs, parity = _prove(generator, file_format, folder / name, convert, pairs)
        digest = artifact.sha256(folder / name)
        entry = artifact.FileEntry(file_format, generator.image_size, batch, outputs, digest, parity, details=details)
        with locked(out):
            _replace(folder / name, out / name)
            spec.merged_into(out, name, entry).write(out)
    print(f"{out / name}: {_megabytes(out / name):.1f} MB, parity {parity}")


def _prove(generator, file_format, path, convert, pairs):
    """The outputs of a file and its parity; refuses one that is past the limits."""
    with quiet_stderr():
        backend = backends.open_file(file_format, path, cpu=True)
    parity = measure_parity(generator, backend, pairs)
    if not within_limits(parity) and parity["equal_shifts"] is None and generator.shift_layers:
        # The file does not tell whether it only decided near ties otherwise; a twin with the shift map does.
        twin = path.with_name(f"twin-{path.name}")
        convert(generator, twin, True)
        parity = measure_parity(generator, backend, pairs, backends.open_file(file_format, twin, cpu=True))
    if not within_limits(parity):
        raise ExportError(f"{path.name} does not compute what Keras computes, and was not kept: {parity}")
    return backend.outputs, parity


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


def _megabytes(path):
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
