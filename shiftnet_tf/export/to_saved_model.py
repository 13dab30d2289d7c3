"""Export to a TensorFlow SavedModel, for TensorFlow Serving."""

import os
from collections.abc import Callable
from pathlib import Path

from shiftnet_tf.export import exporter, graph, parity
from shiftnet_tf.networks import Generator


def convert(generator: Generator, path: Path, job: exporter.Job) -> None:
    """Write a SavedModel: the converter for `export_saved_model`, see `exporter.Format`."""
    graph.write_saved_model(generator, path, with_shift_map=job.shift_map)


FORMAT = exporter.Format(name="saved_model", convert=convert, packages=("tensorflow", "keras"))


def export_saved_model(
    run: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    image_size: int | None = None,
    shift_map: bool = False,
    photos: parity.Folders | None = None,
    log: Callable[[str], object] = print,
) -> Path:
    """Write a run's network as a SavedModel: uint8 in and out, any batch, signature `serving_default`.

    Args:
        run: a run folder, a folder of packed weights, or a preset such as `"compact"`.
        out: the model folder to write to; None: `export/` in the run folder (required for a preset).
        image_size: S in pixels, a multiple of 2**depth; None: the training size.
        shift_map: whether the file also outputs the shift map, int32 [B, h, w]. Defaults to False.
        photos: folder or folders of photos to compare with Keras on; None: the training photos.
        log: called with each line of progress. Defaults to `print`.

    Returns:
        The path of the folder.

    Raises:
        InputError: the run, the photos, the size or the folder cannot be used.
        ExportError: the conversion fails, or the file differs from Keras or loses too much; the file is discarded.
        MissingPackageError: a package is not installed; the message contains the `pip install` line.
    """
    return exporter.export(
        FORMAT,
        run,
        out,
        image_size=image_size,
        shift_map=shift_map,
        photos=photos,
        log=log,
    )
