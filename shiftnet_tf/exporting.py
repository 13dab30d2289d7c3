"""What every exporter does around its conversion: open the run, convert, prove the file, list it in spec.json.

The file is run in its own runtime on real photos and compared with Keras; a file that differs is not left behind.
"""

import argparse
import importlib.metadata
import secrets
import shutil
from pathlib import Path

import numpy as np

from shiftnet_tf import __version__, artifact, images, masks, serving
from shiftnet_tf.errors import ExportError, InputError
from shiftnet_tf.runs import Run
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
    paths = images.find_photos(folder)[:count]
    if not paths:
        raise InputError(f"no photo (JPEG, PNG, WebP) to compare on below {folder}")
    photos, holes = [], []
    for i, path in enumerate(paths):
        photo = images.read_image(path)
        side = min(photo.shape[:2])
        top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
        photos.append(images.resize_image(photo[top : top + side, left : left + side], image_size, image_size))
        kind = ("center", "rectangle", "freeform")[i % 3]
        holes.append(masks.MaskSampler(image_size, {kind: 1.0})(np.random.default_rng(i))[..., np.newaxis])
    return np.stack(photos), np.stack(holes)


def measure_parity(generator, backend, pairs):
    """How far a model file is from its Keras model, over the hole's pixels.

    Args:
        generator: Generator.
        backend: of `runtime.backends`, running the file.
        pairs: (images, masks), see `sample_pairs`.

    Returns:
        dict: `pairs`, their number; `equal_shifts`, the share of hole positions whose shift map is equal (None where
        the file gives no shift map); `compared_pairs`, those whose shift map is equal throughout; and of them the
        largest `mean_difference` and `max_difference` in grey levels and the largest share `pixels_off` of pixels
        that differ by more than 1.
    """
    with_shift_map = "shift_map" in backend.outputs
    equal = positions = compared = 0
    means, largest, off = [0.0], [0], [0.0]
    for image, mask in zip(*pairs):
        expected = serving.serve(generator, image[np.newaxis], mask[np.newaxis], with_shift_map)
        expected = {name: value.numpy() for name, value in expected.items()}
        given = backend(image[np.newaxis], mask[np.newaxis])
        known = mask[..., 0] == 0
        if not np.array_equal(given["inpainted_image"][0][known], image[known]):
            raise ExportError("the file changes known pixels")
        if with_shift_map:
            filled = (expected["shift_map"] >= 0) | (given["shift_map"] >= 0)
            same = (expected["shift_map"] == given["shift_map"])[filled]
            equal, positions = equal + int(same.sum()), positions + same.size
            if not same.all():
                continue
        compared += 1
        difference = np.abs(expected["inpainted_image"][0].astype(int) - given["inpainted_image"][0])[~known]
        means.append(float(difference.mean()))
        largest.append(int(difference.max()))
        off.append(float((difference > 1).mean()))
    return {
        "pairs": len(pairs[0]),
        "equal_shifts": equal / positions if positions else None,
        "compared_pairs": compared,
        "mean_difference": max(means),
        "max_difference": max(largest),
        "pixels_off": max(off),
    }


def check_parity(parity, name):
    """Refuses a file that is not the Keras model.

    Args:
        parity: dict of `measure_parity`.
        name: str, of the file, for the message.

    Raises:
        ExportError: past a tolerance.
    """
    shifts = parity["equal_shifts"]
    if (
        (shifts is not None and shifts < LEAST_EQUAL_SHIFTS)
        or parity["compared_pairs"] == 0
        or not parity["mean_difference"] <= MOST_MEAN_DIFFERENCE
        or not parity["pixels_off"] <= MOST_PIXELS_OFF
    ):
        hint = "" if shifts is not None else "; --shift-map would tell near ties of the shift from errors"
        raise ExportError(f"{name} does not compute what Keras computes, and was not kept: {parity}{hint}")


def export(arguments, description, file_format, suffix, convert, packages, batch=None):
    """The body of an exporter's `main`.

    Args:
        arguments: list of str, or None for the command line's.
        description: str, for --help.
        file_format: str, `"onnx"`, `"tflite"` or `"saved_model"`.
        suffix: str, of the file name, `""` for a folder.
        convert: function (generator, path, with_shift_map) -> dict of details; writes the file or folder `path`.
        packages: list of str, whose versions are noted.
        batch: int, what the file takes, or None for any.
    """
    options = _parse(arguments, description)
    run = Run.open(options.run)
    generator = run.load_generator(options.image_size)
    if options.shift_map and not generator.shift_layers:
        raise InputError(f"--shift-map: the network of {options.run} has no shift connection")
    out = Path(options.out or run.path / "export")
    spec = artifact.ArtifactSpec(
        image_size=run.config.model.image_size,
        masks=run.config.masks.weights,
        weights_sha256=run.weights_sha256(),
        versions={"shiftnet_tf": __version__} | {name: importlib.metadata.version(name) for name in packages},
    )
    stem = "saved_model" if file_format == "saved_model" else "model"
    size = "" if generator.image_size == spec.image_size else f"-{generator.image_size}"
    name = f"{stem}{size}{suffix}"
    spec.merged_into(out, name, None)  # refuses a folder of other weights before the work, not after it
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {out}: {error.strerror}") from error

    part = out / f".{secrets.token_hex(4)}-{name}"
    try:
        print(f"converting {options.run} ({generator.count_params():,} weights) to {out / name}", flush=True)
        details = convert(generator, part, options.shift_map) or {}
        backend = backends.open_file(file_format, part)
        print("comparing with Keras on real photos", flush=True)
        parity = measure_parity(generator, backend, sample_pairs(options.photos, generator.image_size))
        check_parity(parity, name)
        entry = artifact.FileEntry(
            file_format, generator.image_size, batch, backend.outputs, artifact.sha256(part), parity, details=details
        )
        _replace(part, out / name)
        spec.merged_into(out, name, entry).write(out)
    finally:
        _remove(part)
    print(f"{out / name}: {_megabytes(out / name):.1f} MB, parity {parity}")


def _parse(arguments, description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of training/train.py")
    parser.add_argument("--out", help="model folder to write to; default: export/ in the run folder")
    parser.add_argument("--image-size", type=int, help="pixels, a multiple of 2 to the depth; default: the training's")
    parser.add_argument("--shift-map", action="store_true", help="a second output: where each hole position came from")
    default = Path(__file__).resolve().parent.parent / "training" / "sample_photos" / "train"
    parser.add_argument("--photos", default=default, help="photos to compare with Keras on; default: the sample photos")
    return parser.parse_args(arguments)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(part, path):
    if path.is_dir():
        shutil.rmtree(path)  # a folder is not replaced by a rename
    part.rename(path)


def _megabytes(path):
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6
