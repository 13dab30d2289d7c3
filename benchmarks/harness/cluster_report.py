"""The tables of benchmarks/cluster_model.py, in Markdown."""

import math
from collections.abc import Sequence
from statistics import fmean, median

from harness.cluster import Cluster, Photo, Prices, all_reduce_seconds, saturation, simulate
from shiftnet_tf.config import toml_file
from shiftnet_tf.system.bundled import find_config
from shiftnet_tf.training.shiftnet import ShiftNet

DEVICES = (2, 4, 8, 16, 32, 64, 128, 256)
GIGABITS = (25, 50, 100, 200, 400)


def gradient_bytes(name: str) -> int:
    """Return the bytes of the gradients of one step of a config: generator and discriminator, float32."""
    model = ShiftNet(toml_file.read(find_config(name), ["losses.perceptual=0"]))  # its features have no gradient
    weights = model.generator.trainable_weights + model.discriminator.trainable_weights
    return 4 * sum(math.prod(weight.shape) for weight in weights)


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table in Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def gradients_table(names: Sequence[str] = ("paper_paris", "compact")) -> str:
    """Return how long the gradients of a step take, in ms, by devices and bandwidth."""
    parts = []
    for name in names:
        size = gradient_bytes(name)
        rows = [
            [devices, *(f"{1000 * all_reduce_seconds(size, devices, gigabits):.1f}" for gigabits in GIGABITS)]
            for devices in DEVICES
        ]
        title = f"{name}: {size / 1e6:.1f} MB of gradients per step; ms of an all-reduce, computed"
        parts.append(title + "\n\n" + table(["GPUs", *(f"{gigabits} Gb/s" for gigabits in GIGABITS)], rows))
    return "\n\n".join(parts)


def bulk_table(photos: Sequence[Photo], number: int, clusters: Sequence[Cluster], prices: Prices) -> str:
    """Return what the numbers of actors give."""
    seconds = [photo.seconds for photo in photos]
    title = (
        f"{len(photos)} photos measured: mean {fmean(seconds):.2f} s of one core, median {median(seconds):.2f}, "
        f"longest {max(seconds):.2f}; {number:,} photos simulated"
    )
    rows = []
    for cluster in clusters:
        outcome = simulate(photos, number, cluster)
        everything = cluster.actors * outcome.seconds
        rows.append(
            [
                f"{cluster.actors:,}",
                f"{outcome.seconds / 3600:.2f}",
                f"{3600 * number / outcome.seconds:,.0f}",
                f"{prices.of_million(cluster.actors, outcome):,.0f}",
                f"{100 * outcome.computing / everything:.1f}",
                f"{100 * outcome.waiting / everything:.1f}",
                f"{100 * outcome.lost / everything:.1f}",
                f"{outcome.tail:.1f}",
                f"{outcome.attempts - number:,}",
                f"{outcome.kills:,}",
            ]
        )
    heads = ["actors", "hours", "photos/hour", "dollars per million", "% computing", "% waiting", "% lost", "tail, s"]
    return f"{title}\n\n{table([*heads, 'attempts again', 'killed'], rows)}"


def saturation_table(photos: Sequence[Photo], cluster: Cluster) -> str:
    """Return what is full at how many actors, the first one first."""
    rows = [[name, f"{rate:,.0f}", f"{actors:,.0f}"] for name, (rate, actors) in saturation(photos, cluster).items()]
    return table(["what is full", "at photos per second", "at actors"], rows)
