"""What a benchmark leaves: a table, a JSON file, a picture."""

import json
from pathlib import Path

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos import image_files
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.packages import import_optional

COLOURS = {"PyTorch": "#9a9a9a", "Keras": "#c8a96a", "TensorFlow": "#e08b2e", "ONNX": "#3f7cbf", "LiteRT": "#3f9e6a"}


def check_outputs(json_path=None, picture_path=None):
    """Refuses, before any work is done, what could not be written after it.

    Args:
        json_path, picture_path: str, or None for neither.

    Raises:
        InputError: no such folder, a folder in place of a file, no right to write, a picture that is no PNG.
    """
    if picture_path is not None and image_files.check_output(Path(picture_path)) != "PNG":
        raise InputError(f"--picture must end in .png. Received: {picture_path!r}")
    for path in (json_path, picture_path):
        if path is None:
            continue
        path = Path(path)
        if not path.parent.is_dir():
            raise InputError(f"the output folder does not exist: {path.parent}")
        if path.is_dir():
            raise InputError(f"the output must be a file, not a folder: {path}")
        write_atomically(path.with_name(f".{path.name}.try"), lambda part: part.write_text(""))
        path.with_name(f".{path.name}.try").unlink()


def warn_of_load(machine, say):
    """Says that a machine has other work: it does not slow all alike, since PyTorch's threads wait for each other.

    Args:
        machine: dict of `figures.machine`.
        say: function of a str.
    """
    if machine["load_before"] > 0.3 * machine["cores"]:
        say(
            f"warning: the machine has other work (load {machine['load_before']}): the ratios will not be those at rest"
        )


def markdown(header, rows):
    """A Markdown table.

    Args:
        header: list of str.
        rows: lists of cells; a float is shown with three digits, None as a dash.

    Returns:
        str.
    """
    lines = [header, ["---"] * len(header), *([_cell(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value).replace("|", "/")


def write_json(path, content):
    """Writes all that was measured.

    Args:
        path: str or Path.
        content: dict.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda part: part.write_text(text, encoding="utf-8"))


def draw_bars(path, bars, base, title):
    """A bar for each thing that was timed, the ratio to one of them beside it.

    Args:
        path: str or Path of the PNG.
        bars: list of (label, milliseconds, ratio); the first word of the label chooses the colour.
        base: str, the label of the one with the ratio 1.
        title: str.
    """
    matplotlib = import_optional("matplotlib", "matplotlib", "drawing the picture")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(9, 1.1 + 0.42 * len(bars)))
    labels, values, ratios = zip(*bars)
    colours = [COLOURS.get(label.split()[0].rstrip(","), "#777777") for label in labels]
    drawn = axis.barh(range(len(bars)), values, color=colours, height=0.72)
    texts = [f" {value:.0f} ms" if value >= 10 else f" {value:.2g} ms" for value in values]
    axis.bar_label(drawn, [f"{text}   ({ratio:.2f})" for text, ratio in zip(texts, ratios)], fontsize=9)
    axis.set_yticks(range(len(bars)), labels)
    axis.invert_yaxis()
    axis.set_xlim(0, 1.22 * max(values))
    axis.set_xlabel(f"milliseconds a photo (in brackets: over {base})")
    axis.set_title(title, fontsize=11)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    write_atomically(path, lambda part: figure.savefig(part, format="png", dpi=120))
    pyplot.close(figure)
