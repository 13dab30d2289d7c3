"""From a photo of any size and its mask to the inpainted photo: the one path that every door takes."""

import copy
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.runtime import backends, batching, filling, refine, strategies
from shiftnet_tf.system.progress import Progress, part, silent

_ABSENT = object()


class Inpainter:
    """Fills the holes of photos with an exported model. Threads may share one.

    Args:
        path: str or Path of a model folder (with its spec.json), or of one model file in it; None takes the model
            that comes with shiftnet_tf.
        runtime: `"onnxruntime"`, `"litert"` or `"tensorflow"`; None takes the first of them that is installed and
            for which the folder has a file.
        precision: str, such as `"float32"`; None takes the most precise file.
        threads: int; None leaves it to the runtime.
        provider: str, what to run on: `"auto"` (default) takes a GPU where the runtime can load it, and says so (by
            `logging`) where it cannot and runs on the CPU; ONNX Runtime also takes `"cpu"`, `"cuda"`, `"tensorrt"` and
            what else the installed package was built with, LiteRT `"cpu"`, TensorFlow `"cpu"` and `"gpu"`.
        require_gpu: bool, whether to refuse to run on the CPU. Defaults to False.

    Attributes:
        spec: ModelSpec of the folder.
        entry: FileEntry of the file that runs.
        path: Path of that file.
        image_size: int, the size S in pixels that it works at.
        runtime: str, what runs it.
        provider: str, what it really runs on, such as `"CPUExecutionProvider"`, as the runtime says.

    Call arguments:
        image: numpy uint8 [H, W, 3], RGB, any H and W.
        mask: numpy [H, W], bool or numbers, nonzero = hole.
        strategy: str, how a photo of another size than the model's is looked at: `"resize"`, `"crop"`, `"tile"`, or
            `"auto"` (default), see `strategies`.
        detail: str, where the detail of the filled region comes from: `"model"`, the network's answer; `"shift-map"`,
            pixels of the photo, copied at its own resolution with the network's answer as the guide; or `"auto"`
            (default), the shift map for wide holes and the network for narrow ones, see `refine`.
        return_shift_map: bool, default False.

    Returns:
        numpy uint8 [H, W, 3]: known pixels bit for bit those of `image`. With `return_shift_map` also a list with
        (Window, int32 [h, w]) for each window that the hole was filled from (none without a hole). Of the network: the
        window scaled to the model's size, row * w + column of the known position that filled a hole position, plus
        h * w where its mirror image did, -1 elsewhere. Of copied pixels: the window at the photo's own size, likewise.

    Raises:
        InputError: no such model, a file that is not the one exported, arrays of another kind, a mask of another
            size or one that covers everything.
        MissingPackageError: no runtime that fits is installed.
        MissingGpuError: a GPU, or the provider of one, was asked for and does not load.

    Example:

    >>> inpainter = Inpainter()                                    # doctest: +SKIP
    >>> inpainted = inpainter(photo, mask)
    """

    def __init__(
        self,
        path: str | Path | None = None,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        provider: str = "auto",
        require_gpu: bool = False,
    ):
        if threads is not None and not 1 <= threads <= 256:
            raise InputError(f"`threads` must be from 1 to 256. Received: {threads}")
        check("provider", provider, isinstance(provider, str) and provider, 'a name such as "auto" or "cpu"')
        folder, name = model_folder.locate(path)
        self.spec = model_folder.ModelSpec.read(folder)
        self.runtime, name = backends.choose_file(folder / model_folder.SPEC_NAME, self.spec, name, runtime, precision)
        self.entry = self.spec.files[name]
        model_folder.verify_file(folder / name, self.entry)
        backend, size = backends.RUNTIMES[self.runtime][-1], self.entry.image_size
        self._take(backend(folder / name, threads, provider, require_gpu, size), folder / name, size, self.entry.batch)

    @classmethod
    def from_backend(cls, backend, path, image_size):
        """An Inpainter on a backend of one's own, such as `export.graph.GeneratorBackend`; it has no spec and no entry.

        Args:
            backend: see `runtime.backends`.
            path: Path, what it came from.
            image_size: int, S in pixels.

        Returns:
            Inpainter.
        """
        inpainter = cls.__new__(cls)
        inpainter.runtime = backend.name
        inpainter._take(backend, path, image_size)
        return inpainter

    @property
    def warm_up_sizes(self):
        """The sizes of batches that are worth running once before the first request: tuple of int."""
        return self._backend.batch_sizes or (1,)

    def grouped(self, most: int | None = None, watch: Callable | None = None) -> "Inpainter":
        """An Inpainter for many threads at a time, whose windows are run in groups, see `batching.GroupedBackend`.

        Args:
            most: int, windows in a group; None chooses by the available memory, see `batching.batch_size`.
            watch: function of the number of windows of each group; None for none.

        Returns:
            Inpainter; its `close()` ends the thread that runs the groups.

        Raises:
            InputError: `most` needs more memory than there is.
        """
        most = batching.batch_size(most, self.image_size)
        inpainter = copy.copy(self)
        inpainter._backend = batching.GroupedBackend(self._backend, most, watch)
        inpainter.close = inpainter._backend.close
        return inpainter

    def _take(self, backend, path, image_size, batch=None):
        self._backend, self.path, self.image_size, self._batch = backend, path, image_size, batch
        self.provider = backend.provider

    def __call__(
        self,
        image: np.ndarray,
        mask: np.ndarray,
        strategy: str = "auto",
        return_shift_map: bool = False,
        detail: str = "auto",
    ) -> np.ndarray | tuple:
        image, mask = filling.checked(image, mask)
        canvas = filling.ArrayCanvas(image.copy())
        _, shift_maps = self.fill(canvas, mask, strategy, return_shift_map, detail=detail)
        return (canvas.image, shift_maps) if return_shift_map else canvas.image

    def fill(
        self,
        canvas: Any,
        mask: np.ndarray,
        strategy: str = "auto",
        return_shift_map: bool = False,
        progress: Progress = silent,
        detail: str = "auto",
    ) -> tuple[strategies.Plan, list]:
        """Fills the holes of a canvas in place: what every other way comes down to.

        Args:
            canvas: see `runtime.filling`, such as a `photo.Photo`.
            mask: bool [H, W], of the canvas's size; not all of it hole.
            strategy: str, see above.
            return_shift_map: bool, see above.
            progress: called before each step, see `shiftnet_tf.system.progress`.
            detail: str, see above.

        Returns:
            (strategies.Plan, list of (Window, int32 [h, w]), empty without `return_shift_map`).
        """
        plan = self._plan(mask, strategy, detail)
        of_model = return_shift_map and "shift_map" in self._backend.outputs
        if return_shift_map and not of_model and plan.copied != plan.holes:
            raise InputError(
                f"{self.path} has no shift map: export the model with --shift-map, or take the detail shift-map"
            )
        size = self._batch_size(None)
        work, shift_maps = filling.Filling(canvas, mask, plan, self.image_size), []
        of_network = len(plan.holes) / max(1, len(plan.holes) + len(plan.copied))  # share of the time, roughly
        for first in range(0, len(work.looks), size):
            progress(of_network * first / len(work.looks))
            some = work.looks[first : first + size]
            outputs = self._run([work.read(look) for look in some])
            for i, look in enumerate(some):
                work.put(look, outputs["inpainted_image"][i])
                if of_model and look[1] is None and plan.copied != plan.holes:
                    shift_maps.append((look[0], outputs["shift_map"][i]))
        copying = part(progress, of_network, 1)
        return plan, shift_maps + refine.refine(canvas, mask, plan.copied, copying, return_shift_maps=return_shift_map)

    def _plan(self, mask, strategy, detail):
        plan = strategies.plan(mask, self.image_size, strategy)
        return replace(plan, copied=tuple(box for box in plan.holes if refine.copies(mask, box, detail)))

    def batch(
        self,
        images: Iterable[np.ndarray],
        masks: Iterable[np.ndarray],
        batch_size: int | None = None,
        strategy: str = "auto",
        detail: str = "auto",
    ) -> Iterator[np.ndarray]:
        """Fills many photos, of any size each, a few at a time through the one session.

        A photo comes back once its batch is full, in the order in which it came, so that a stream of any length works.
        A photo without a hole comes back unchanged and is not run. A file that takes one picture at a time (TFLite)
        is given one at a time; on a GPU an incomplete batch is filled up to 1, 2, 4 or 8 windows.

        Args:
            images: iterable of uint8 [H, W, 3].
            masks: iterable of as many [H, W], nonzero = hole.
            batch_size: int, windows at a time; None (default) takes one on a CPU, where more gain nothing and may
                change a rounding, and on a GPU as many as the available memory is for, see `batching.batch_size`.
            strategy, detail: str, see above.

        Returns:
            A generator of uint8 [H, W, 3]. Where a pair is bad, or one of the two ends before the other, it raises
            InputError with the index of the pair (from 0), after the photos before it.

        Raises:
            InputError: a batch size that is none, or that needs more memory than there is.

        Example:

        >>> for inpainted in inpainter.batch(photos, masks):        # doctest: +SKIP
        ...     show(inpainted)
        """
        return self._stream(images, masks, strategy, detail, self._batch_size(batch_size))

    def _batch_size(self, wanted):
        if wanted is None and not self._backend.batch_sizes:
            return 1
        size = batching.batch_size(wanted, self.image_size)
        return 1 if self._batch == 1 else size

    def _stream(self, photos, masks, strategy, detail, size):
        waiting = []
        for index, (image, mask) in enumerate(itertools.zip_longest(photos, masks, fillvalue=_ABSENT)):
            try:
                if image is _ABSENT or mask is _ABSENT:
                    raise InputError(f"there is no {'photo' if image is _ABSENT else 'mask'} any more")
                waiting.append(self._prepared(*filling.checked(image, mask), strategy, detail))
            except InputError as error:
                yield from self._filled(waiting, size)
                raise InputError(f"pair {index}: {error}") from error
            if sum(len(pairs) for _, pairs in waiting) >= size:
                yield from self._filled(waiting, size)
                waiting = []
        yield from self._filled(waiting, size)

    def _prepared(self, image, mask, strategy, detail):
        """(Filling, its pairs for the model) of a photo."""
        plan = self._plan(mask, strategy, detail)
        work = filling.Filling(filling.ArrayCanvas(image.copy()), mask, plan, self.image_size)
        return work, [work.read(look) for look in work.looks]

    def _filled(self, waiting, size):
        pairs = [pair for _, its_pairs in waiting for pair in its_pairs]
        runs = (self._run(pairs[i : i + size])["inpainted_image"] for i in range(0, len(pairs), size))
        answers = itertools.chain.from_iterable(runs)
        for work, _ in waiting:
            for look in work.looks:
                work.put(look, next(answers))
            refine.refine(work.canvas, work.mask, work.plan.copied)
            yield work.canvas.image

    def _run(self, pairs):
        return batching.run(self._backend, *(np.stack(arrays) for arrays in zip(*pairs)))
