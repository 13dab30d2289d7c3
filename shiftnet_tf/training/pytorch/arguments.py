"""The arguments that the scripts training in PyTorch share."""

import argparse
from collections.abc import Sequence

from shiftnet_tf.errors import check


def add_arguments(parser: argparse.ArgumentParser, look_every: int) -> None:
    """Add the arguments of every script that trains in PyTorch, but for its steps; see `parse`."""
    parser.add_argument("config", help="read the recipe from this TOML file")
    parser.add_argument("--from", dest="start", metavar="DIR", required=True, help="start from this run or saved model")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as losses.hole=3 (repeatable)",
    )
    parser.add_argument(
        "--look-every", type=int, default=look_every, metavar="N", help="validate every N steps (default: %(default)s)"
    )
    parser.add_argument("--device", default="cuda", help="use this device of PyTorch (default: %(default)s)")


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments of such a script, which has `--steps` and `--falling-steps` too.

    Raises:
        InputError: a number below 1.
    """
    options = parser.parse_args(arguments)
    for name in ("steps", "falling_steps", "look_every"):
        check(f"--{name.replace('_', '-')}", getattr(options, name), getattr(options, name) >= 1, "1 or more")
    return options
