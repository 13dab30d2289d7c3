"""Estimate the throughput of many machines on paper: nothing here runs on a cluster or a GPU.

    python benchmarks/cluster_model.py --measure times.json  # seconds and bytes per photo, on one core of this machine
    python benchmarks/cluster_model.py --times times.json    # the estimate from them, for 1 to 10,000 actors

The first table is a formula: the size of a step's gradients and the time of their ring all-reduce. The others simulate
actors, one core each, that read photos from an object store, fill them and write the results, with slow actors, failed
attempts, killed actors, and limited rates of store, network and driver. Rates and prices are options.
"""

import argparse
import json
from dataclasses import asdict, fields
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from harness.cluster import Cluster, Photo, Prices, measure_photos
from harness.cluster_report import bulk_table, gradients_table, saturation_table
from shiftnet_tf.errors import InputError, check, first_line
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.command import command

SAMPLES = Path(__file__).resolve().parent.parent / "training" / "sample_photos"
MASKS = [b'{"boxes": [[120, 90, 260, 210]]}', b'{"strokes": [{"points": [[60, 60], [300, 220]], "width": 24}]}']
SETTINGS = [field for kind in (Cluster, Prices) for field in fields(kind) if field.name != "actors"]


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", metavar="FILE", help="measure photos on this machine, write FILE and exit")
    parser.add_argument("--times", metavar="FILE", help="read a file that --measure wrote (required without --measure)")
    parser.add_argument("--samples", type=int, default=32, help="measure this many photos (default: 32)")
    parser.add_argument("--photos", type=int, default=200_000, help="simulate this many photos (default: 200000)")
    parser.add_argument(
        "--actors",
        default="1,10,100,1000,10000",
        help="simulate these numbers of actors (default: 1,10,100,1000,10000)",
    )
    for field in SETTINGS:
        name, text = (
            f"--{field.name.replace('_', '-')}",
            f"see benchmarks/harness/cluster.py (default: {field.default})",
        )
        parser.add_argument(name, type=type(field.default), default=field.default, help=text)
    options = parser.parse_args(arguments)
    if options.measure:
        measured = [asdict(photo) for photo in measure_photos(SAMPLES, MASKS, options.samples)]
        return write_atomically(Path(options.measure), lambda part: part.write_text(json.dumps(measured, indent=1)))
    check("--photos", options.photos, options.photos >= 1, "1 or more")
    report(options, read(options.times))


def read(path):
    """The photos of a file of --measure."""
    try:
        photos = [Photo(**values) for values in json.loads(Path(path or "").read_text())]
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"--times must be a file that --measure wrote ({first_line(error)}). Received: {path}"
        ) from error
    if not photos:
        raise InputError(f"{path} lists no photos: write it again with --measure")
    return photos


def report(options, photos):
    """Print all tables."""
    actors = options.actors.split(",")
    check(
        "--actors", options.actors, all(x.strip().isdecimal() for x in actors), "a list of numbers, separated by commas"
    )
    settings = {f.name: getattr(options, f.name) for f in fields(Cluster) if f.name != "actors"}
    prices = Prices(**{f.name: getattr(options, f.name) for f in fields(Prices)})
    clusters = [Cluster(actors=int(number), **settings) for number in actors]
    print(gradients_table(), bulk_table(photos, options.photos, clusters, prices), sep="\n\n")
    print(f"\n{saturation_table(photos, clusters[0])}")


if __name__ == "__main__":
    raise SystemExit(main())
