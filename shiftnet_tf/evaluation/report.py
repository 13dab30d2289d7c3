"""Measures models and other methods on photos with holes: the table that a paper would print.

The measures are those of `evaluation.quality` and, on request, those of `evaluation.deep`.
"""

import csv
import functools
import io
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from shiftnet_tf.errors import InputError
from shiftnet_tf.evaluation import quality
from shiftnet_tf.evaluation.baselines import Method
from shiftnet_tf.evaluation.deep import DEEP_MEASURES, DeepMeasures, load_deep_measures
from shiftnet_tf.evaluation.methods import open_methods
from shiftnet_tf.evaluation.samples import RANGES, Draw, Samples
from shiftnet_tf.networks.deep_distance import frechet_distance
from shiftnet_tf.photos import image_files, pixels, sheets
from shiftnet_tf.system.atomic import existing_parent, write_atomically
from shiftnet_tf.system.packages import import_optional

MEASURES = quality.HIGHER_IS_BETTER | DEEP_MEASURES

Row = dict[str, Any]  # of the table: photo, hole, method, and each measure
Embeddings = dict[str, tuple[np.ndarray, np.ndarray]]  # of the true and of the filled photo, by name
Shown = tuple[float, Path, Draw]  # hole PSNR in dB, photo, mask
Summary = dict[str, dict[str, dict[str, float]]]  # hole's range -> method -> mean of each measure


def evaluate(
    out: str | os.PathLike[str],
    samples: Samples,
    models: Iterable[str | os.PathLike[str]] = (),
    *,
    baselines: Iterable[str] = (),
    details: Sequence[str] = ("model",),
    deep: bool = False,
    lpips: str | os.PathLike[str] | None = None,
    fid: str | os.PathLike[str] | None = None,
    log: Callable[[str], object] = print,
) -> Summary:
    """Measure models and other methods, and write table, numbers and a contact sheet.

    Args:
        out: folder to write to: results.csv (a row a photo and method), results.json, table.md, and contact.png, the
            best, middle and worst photos of the first method.
        samples: photos and masks to measure on.
        models, baselines, details: what is measured, see `methods.open_methods`.
        deep, lpips, fid: measures by trained networks, see `deep.load_deep_measures`.
        log: called with the table.

    Returns:
        The mean of each number by the hole's range (`"all"` first) and the method.

    Raises:
        InputError: the photos, the masks, a model or the folder cannot be used.
        MissingPackageError: a package is absent; the text holds the `pip install` line.
    """
    by_networks = load_deep_measures(deep, lpips, fid)
    methods = open_methods(models, baselines, details)
    rows, embedded, shown = measure(samples, methods, by_networks)
    summary = summarize(rows, embedded, methods)
    text = table(summary, samples.masks)
    _write(Path(out), rows, summary, text, contact_sheet(shown, samples, methods))
    log(text)
    return summary


def check_inputs(out: Path, samples: Samples) -> None:
    """Refuse, before a long training, a folder of results or photos and masks that `evaluate` could not use.

    Args:
        out, samples: those of `evaluate`.

    Raises:
        InputError: the folder cannot be written to; the photos or the masks cannot be used.
        MissingPackageError: scikit-image is absent.
    """
    there = existing_parent(out)
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"--out must be a writable folder. Received: {out}")
    import_optional("skimage.metrics", "scikit-image", "measuring SSIM")
    usable = 0
    for path, draws in samples.pairs():
        image = samples.read(path)
        if image is not None:
            usable += all(draw(*image.shape[:2]).any() for draw in draws)
    if not usable:
        raise InputError(f"none of the photos in {samples.images} is large enough")


def measure(
    samples: Samples, methods: Mapping[str, Method], by_networks: DeepMeasures
) -> tuple[list[Row], list[Embeddings], list[Shown]]:
    """Return the rows of the table, embeddings for each row, and what the contact sheet shows of the first method."""
    rows: list[Row] = []
    embedded: list[Embeddings] = []
    shown: list[Shown] = []
    pairs = samples.pairs()
    paths = [path for path, _ in pairs]
    progress = tqdm(pairs, unit="photo")
    for path, draws in progress:
        image = samples.read(path)
        if image is None:
            progress.write(f"skipped: {path} is too small")
            continue
        for draw in draws:
            mask = draw(*image.shape[:2])
            answers = {name: method(image, mask) for name, method in methods.items()}
            known = {"photo": path.name, "hole": float(mask.mean())}
            new = [known | {"method": name} | quality.measure(image, answers[name], mask) for name in methods]
            true = {name: embed(image, mask) for name, embed in by_networks.embeddings.items()}
            for row, answer in zip(new, answers.values()):
                row |= {name: distance(image, answer, mask) for name, distance in by_networks.distances.items()}
                filled = {name: embed(answer, mask) for name, embed in by_networks.embeddings.items()}
                embedded.append({name: (true[name], filled[name]) for name in true})
            shown.append((new[0]["hole_psnr"], path, draw))
            rows += new
    if not rows:
        raise InputError(f"none of the {len(paths)} photos in {samples.images} is large enough")
    return rows, embedded, sorted(shown, key=lambda item: item[0])


def summarize(rows: list[Row], embedded: list[Embeddings], methods: Iterable[str]) -> Summary:
    """Return the mean of each number by the hole's range, `all` first, and the method."""
    pairs = list(zip(rows, embedded))
    groups = {"all": pairs}
    for low, high in RANGES:
        inside = [pair for pair in pairs if low <= pair[0]["hole"] < high]
        if inside and len(inside) < len(pairs):
            groups[f"{100 * low:.0f} to {100 * high:.0f} %"] = inside
    summary: Summary = {}
    for group, members in groups.items():
        summary[group] = {}
        for method in methods:
            own = [row for row, _ in members if row["method"] == method]
            values = {name: float(np.mean([row[name] for row in own])) for name in own[0] if name in MEASURES}
            own_embedded = [embeddings for row, embeddings in members if row["method"] == method]
            if len(own) > 1:
                for name in own_embedded[0]:
                    sides = zip(*(embeddings[name] for embeddings in own_embedded))
                    values[name] = frechet_distance(*map(np.stack, sides))
            summary[group][method] = {"photos": len(own), **values}
    return summary


def table(summary: Summary, masks: str) -> str:
    """Return the summary as a Markdown table, with the best value of each column in bold."""
    lines = [f"Masks: {masks}. PSNR in dB, l1, l2 and texture distance in grey levels.", ""]
    for group, methods in summary.items():
        names = [name for name in next(iter(methods.values())) if name in MEASURES]
        lines += [f"**Hole size: {group}**", "", "| method | photos | " + " | ".join(names) + " |"]
        lines.append("|---" * (len(names) + 2) + "|")
        columns = {name: [_round(name, values[name]) for values in methods.values()] for name in names}
        best = {name: (max if MEASURES[name] else min)(column, key=float) for name, column in columns.items()}
        for i, (method, values) in enumerate(methods.items()):
            cells = [columns[name][i] for name in names]
            cells = [f"**{cell}**" if cell == best[name] else cell for cell, name in zip(cells, names)]
            lines.append(f"| {method} | {values['photos']} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _round(name: str, value: float) -> str:
    """As it stands in the table: numbers around 1 with three decimals."""
    return f"{value:.3f}" if name.partition("_")[0] in ("lpips", "deep") or "ssim" in name else f"{value:.2f}"


def contact_sheet(shown: list[Shown], samples: Samples, methods: Mapping[str, Method]) -> np.ndarray:
    """Hole, each method's answer and truth of the best two, middle two and worst two photos of the first method."""
    middle = len(shown) // 2
    picked = dict.fromkeys([len(shown) - 1, len(shown) - 2, middle, middle - 1, 1, 0])
    rows = []
    for index in picked:
        if 0 <= index < len(shown):
            _, path, draw = shown[index]
            image = samples.read(path)
            assert image is not None  # `measure` skips those that are too small
            mask = draw(*image.shape[:2])
            hole = pixels.composite(np.full_like(image, 255), image, mask)
            row = {"hole": hole} | {name: method(image, mask) for name, method in methods.items()} | {"photo": image}
            row = {name: pixels.resize_image(picture, samples.size, samples.size) for name, picture in row.items()}
            rows.append([sheets.add_caption(name, picture) for name, picture in row.items()])
    return sheets.grid(rows)


def _write(out: Path, rows: list[Row], summary: Summary, text: str, sheet: np.ndarray) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot create the folder {out}: {error.strerror}") from error
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    content = {"results.csv": file.getvalue(), "results.json": json.dumps(summary, indent=2) + "\n", "table.md": text}
    for name, value in content.items():
        write_atomically(out / name, functools.partial(Path.write_text, data=value, encoding="utf-8"))
    image_files.write_image(out / "contact.png", sheet)
