"""Draw the curves of a run: each loss over the epochs, and the PSNR of the validation photos.

python training/plot_run.py runs/mine
python training/plot_run.py runs/mine --out curves.png
"""

import argparse
import csv
import math
from pathlib import Path

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import file_formats
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import make_folder, write_atomically
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import import_optional


def read_metrics(path):
    """dict of column to list of float of a metrics.csv; the epochs are counted from 1."""
    if not path.is_file():
        raise InputError(f"the run has no {path.name} yet: {path.parent}")
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns = {name: [float(row[name]) for row in rows] for name in (rows[0] if rows else {})}
    except (TypeError, ValueError, csv.Error) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    if columns and not {"epoch", "loss"} <= set(columns):
        raise InputError(f"{path} is damaged: it must have the columns epoch and loss")
    if not columns:
        raise InputError(f"no epoch of this run is complete yet: {path.parent}")
    columns["epoch"] = [epoch + 1 for epoch in columns["epoch"]]
    return columns


def draw(columns, title, path):
    """One small diagram a column, in a PNG."""
    matplotlib = import_optional("matplotlib", "matplotlib", "drawing curves")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = [name for name in columns if name != "epoch"]
    figure, axes = pyplot.subplots(math.ceil(len(names) / 3), 3, figsize=(15, 3.2 * math.ceil(len(names) / 3)))
    for name, axis in zip(names, axes.flat):
        axis.plot(columns["epoch"], columns[name], marker="o" if len(columns["epoch"]) < 3 else None)
        axis.set_title(f"{name} (dB)" if name.endswith("psnr") else name)
        axis.set_xlabel("epoch")
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(names) :]:
        axis.axis("off")
    figure.suptitle(title)
    figure.tight_layout()
    make_folder(Path(path).parent)
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=100))
    pyplot.close(figure)


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="read this run folder of training/train.py")
    parser.add_argument("--out", help="write this PNG (default: curves.png in the run folder)")
    options = parser.parse_args(arguments)
    run = Run.open(options.run)
    path = Path(options.out or run.path / "curves.png")
    if file_formats.check_output(path) != "PNG":
        raise InputError(f"--out must end in .png. Received: {path.name!r}")
    draw(read_metrics(run.metrics), run.path.name, path)
    print(path)


if __name__ == "__main__":
    raise SystemExit(main())
