"""Progress of a long call: a function that takes the share of the work done, and may raise to cancel it."""

from collections.abc import Callable

Progress = Callable[[float], None]


def silent(share: float) -> None:
    """Report nothing."""


def part(progress: Progress, start: float, stop: float) -> Progress:
    """Return the progress function for a part of the work, from `start` to `stop` of the whole, both in [0, 1]."""
    return lambda share: progress(start + (stop - start) * share)
