"""Run a model on the windows of a photo, or of a stream of photos."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.runtime import backends, batching, filling, refine, strategies
from shiftnet_tf.runtime.options import FillOptions

Task = tuple[filling.Filling, filling.Look, filling.Pair]
_Waiting = tuple[filling.ArrayCanvas, filling.Filling, list[Task]]

_ABSENT = object()


def plan_filling(canvas: filling.Canvas, mask: np.ndarray, options: FillOptions, image_size: int) -> filling.Filling:
    """Plan the windows of a photo for a network of `image_size` pixels, and the holes filled with copied pixels."""
    plan = strategies.plan(mask, image_size, options.strategy)
    copied = tuple(box for box in plan.holes if refine.copies(mask, box, options.detail))
    return filling.Filling(canvas, mask, replace(plan, copied=copied), image_size)


def predict(
    backend: backends.Backend, looks: Iterable[Task], size: int
) -> Iterator[tuple[filling.Filling, filling.Look, dict[str, np.ndarray]]]:
    """Run the model on looks, `size` at a time; yield each with its output arrays by name."""
    looks = iter(looks)
    while some := list(itertools.islice(looks, size)):
        images, masks = zip(*(pair for *_, pair in some))
        outputs = batching.run(backend, np.stack(images), np.stack(masks))
        for i, (work, look, _) in enumerate(some):
            yield work, look, {name: values[i] for name, values in outputs.items()}


def fill_stream(
    backend: backends.Backend,
    image_size: int,
    images: Iterable[np.ndarray],
    masks: Iterable[np.ndarray],
    options: FillOptions,
    size: int,
) -> Iterator[np.ndarray]:
    """Fill a stream of photos, with `size` windows of `image_size` pixels at a time; see `Inpainter.batch`."""
    waiting: list[_Waiting] = []
    for index, (image, mask) in enumerate(itertools.zip_longest(images, masks, fillvalue=_ABSENT)):
        try:
            if image is _ABSENT or mask is _ABSENT:
                more, fewer = ("masks", "photos") if image is _ABSENT else ("photos", "masks")
                raise InputError(f"fewer {fewer} than {more}")
            image, mask = filling.check_pair(image, mask, options)
            canvas = filling.ArrayCanvas(image.copy())
            work = plan_filling(canvas, mask, options, image_size)
            waiting.append((canvas, work, [(work, look, work.read(look)) for look in work.looks]))
        except InputError as error:
            yield from _finish(backend, waiting, size)
            raise InputError(f"pair {index}: {error}") from error
        if sum(len(looks) for *_, looks in waiting) >= size:
            yield from _finish(backend, waiting, size)
            waiting = []
    yield from _finish(backend, waiting, size)


def _finish(backend: backends.Backend, waiting: list[_Waiting], size: int) -> Iterator[np.ndarray]:
    """Predict what the waiting photos need, and yield them filled."""
    for work, look, outputs in predict(backend, (look for *_, looks in waiting for look in looks), size):
        work.put(look, outputs["inpainted_image"])
    for canvas, work, _ in waiting:
        refine.refine(canvas, work.mask, work.plan.copied or ())
        yield canvas.image
