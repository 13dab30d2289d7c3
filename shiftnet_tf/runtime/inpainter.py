"""Fill the holes of photos of any size: the one path for the command, Python, the server and the page."""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime import backends, batching, filling, refine, strategies
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.system.progress import Progress, part, silent

_Task = tuple[filling.Filling, filling.Look, filling.Pair]
_Waiting = tuple[filling.ArrayCanvas, filling.Filling, list[_Task]]

_ABSENT = object()


@dataclass(frozen=True)
class ModelFile:
    """The model that a backend runs.

    Attributes:
        path: the model file, or a run folder.
        image_size: S in pixels, the size at which the network works.
        batch: images that it takes at a time; None for any number.
        spec: the spec of its model folder; None without one.
        entry: the file's entry in the spec; None without one.
    """

    path: Path
    image_size: int
    batch: int | None = None
    spec: model_folder.ModelSpec | None = None
    entry: model_folder.FileEntry | None = None

    @property
    def name(self) -> str:
        """A short name: folder and file, such as `"compact/model-int8.onnx"`."""
        path = self.path.absolute()
        return f"{path.parent.name}/{path.name}"


@dataclass(frozen=True)
class Inpainted:
    """A filled photo.

    Attributes:
        image: uint8 [H, W, 3]; known pixels are bit for bit those of the photo.
        plan: the windows that the model saw, and the holes filled with copied pixels.
        shift_maps: (Window, int32 [h, w]) for each window that the hole was filled from; empty unless requested. A
            value is row * w + column of the known position that filled a hole position, plus h * w if its mirror image
            did, and -1 elsewhere. The network's maps cover the window at the model's size, those of copied pixels the
            window at the photo's own size.
    """

    image: np.ndarray
    plan: strategies.Plan
    shift_maps: list[tuple[Window, np.ndarray]]


class Inpainter:
    """Fills the holes of photos with a model. Threads may share one.

    `Inpainter.load` opens an exported model; `inpainter(image, mask)` fills a photo. A loaded Inpainter can be pickled
    and deep-copied, for example to send it to a process that was started with "spawn": the copy reopens the model file
    by its absolute path, with the same options. A `with` statement closes it.

    Args:
        backend: runs the model, see `runtime.backends`.
        model: the model's file and spec.
        reopen: reopens the model; None for an Inpainter that cannot be pickled.

    Attributes:
        backend: what runs the model.
        model: the model's file and spec.
        runtime: name of the runtime, such as `"onnxruntime"`.
        provider: what it actually runs on, as the runtime reports it, such as `"CPUExecutionProvider"`.

    Examples:

    >>> inpainter = Inpainter.load()                               # doctest: +SKIP
    >>> inpainted = inpainter(photo, mask)
    """

    def __init__(
        self, backend: backends.Backend, model: ModelFile, reopen: "functools.partial[Inpainter] | None" = None
    ) -> None:
        self.backend = backend
        self.model = model
        self.runtime, self.provider = backend.name, backend.provider
        self._reopen = reopen

    @property
    def description(self) -> str:
        """The model's short name and what runs it, such as `"compact/model-int8.onnx on onnxruntime (CPU...)"`."""
        return f"{self.model.name} on {self.runtime} ({self.provider})"

    def __repr__(self) -> str:
        size, kind = self.model.image_size, self.model.entry.precision if self.model.entry else "Keras"
        return f"<Inpainter {self.model.path} ({kind}, {size}x{size}) on {self.runtime} ({self.provider})>"

    def __enter__(self) -> "Inpainter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., "Inpainter"], tuple[object, ...]]:
        if self._reopen is None:
            raise InputError(
                f"{self!r} cannot be pickled or copied: only what Inpainter.load returns can, by reopening its file"
            )
        return _open_pickled, (self._reopen,)

    @classmethod
    def load(
        cls,
        path: str | Path | None = None,
        *,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        provider: str = "auto",
        require_gpu: bool = False,
    ) -> "Inpainter":
        """Open an exported model.

        Args:
            path: a model folder (with its spec.json), or one model file in it; None: the bundled model.
            runtime: `"onnxruntime"`, `"litert"` or `"tensorflow"`; None: the first of the first two that is installed
                and has a file in the folder. TensorFlow runs only if it is named, because a SavedModel is a program.
            precision: such as `"float32"`; None: that of the most precise file.
            threads: from 1 to 256; None: one per core that the process may use, with LiteRT at most 4.
            provider: where to run: `"auto"` uses a GPU if the runtime can load it, else the CPU, with a warning (by
                `logging`) if the GPU's provider does not load. ONNX Runtime also takes `"cpu"`, `"cuda"`, `"tensorrt"`
                and whatever else the installed package was built with, LiteRT `"cpu"`, TensorFlow `"cpu"` and `"gpu"`.
            require_gpu: whether to refuse to run on the CPU.

        Raises:
            InputError: no such model, or a file that is not the exported one.
            MissingPackageError: no runtime that fits is installed.
            MissingGpuError: a GPU, or a provider for one, was requested and does not load.
        """
        if threads is not None and not 1 <= threads <= 256:
            raise InputError(f"`threads` must be from 1 to 256. Received: {threads}")
        check("provider", provider, isinstance(provider, str) and provider, 'a name such as "auto" or "cpu"')
        folder, name = model_folder.locate(path)
        spec = model_folder.ModelSpec.read(folder)
        runtime, name = backends.choose_file(folder / model_folder.SPEC_NAME, spec, name, runtime, precision)
        file, entry = folder / name, spec.files[name]
        model_folder.verify_file(file, entry)
        backend = backends.RUNTIMES[runtime].backend(
            file, threads=threads, provider=provider, require_gpu=require_gpu, image_size=entry.image_size
        )
        if absent := sorted(set(entry.outputs) - set(backend.outputs)):
            raise InputError(f"{file} has no output {', '.join(absent)}, which its spec lists: export the model again")
        again: dict[str, Any] = {"threads": threads, "provider": provider, "require_gpu": require_gpu}
        reopen = functools.partial(cls.load, file.absolute(), runtime=runtime, **again)
        return cls(backend, ModelFile(file, entry.image_size, entry.batch, spec, entry), reopen)

    @property
    def warm_up_sizes(self) -> tuple[int, ...]:
        """The sizes of batches that are worth running once before the first request."""
        return self.backend.batch_sizes or (1,)

    def grouped(self, most: int | None = None, watch: Callable[[int], object] | None = None) -> "Inpainter":
        """Return an Inpainter for many threads, which runs their windows in groups; close it after use.

        Args:
            most: maximum number of windows in a group; None: by the available memory, see `batching.batch_size`.
            watch: called with the number of windows of each group, see `batching.GroupedBackend`.

        Raises:
            InputError: `most` needs more memory than is available.
        """
        most = batching.batch_size(most, self.model.image_size)
        return Inpainter(batching.GroupedBackend(self.backend, most, watch), self.model)

    def close(self) -> None:
        """Release the model: a fill afterwards raises ShiftNetError."""
        self.backend.close()

    def __call__(self, image: np.ndarray, mask: np.ndarray, options: FillOptions = DEFAULTS) -> np.ndarray:
        """Fill the holes of a photo.

        Args:
            image: uint8 [H, W, 3], RGB, any H and W.
            mask: [H, W], bool or numbers; pixels lighter than the middle of its range are the hole, see
                `masks.holes.find_hole`.
            options: see `FillOptions`; `mask_from` has no effect, because there is no alpha.

        Returns:
            uint8 [H, W, 3]: known pixels bit for bit those of `image`.

        Raises:
            InputError: an array of the wrong shape or dtype, a mask of another size than the photo, or one that covers
                all of it.
        """
        return self.inpaint(image, mask, options).image

    def inpaint(
        self, image: np.ndarray, mask: np.ndarray, options: FillOptions = DEFAULTS, *, shift_maps: bool = False
    ) -> Inpainted:
        """Fill the holes of a photo, and report how.

        Args:
            image, mask, options: as for a call.
            shift_maps: whether to return where each part of the hole was copied from.

        Raises:
            InputError: as for a call; or shift maps are requested of a model file without them.
        """
        image, mask = filling.check_pair(image, mask, options)
        canvas = filling.ArrayCanvas(image.copy())
        plan, found = self.fill(canvas, mask, options, shift_maps=shift_maps)
        return Inpainted(canvas.image, plan, found)

    def fill(
        self,
        canvas: filling.Canvas,
        mask: np.ndarray,
        options: FillOptions = DEFAULTS,
        *,
        shift_maps: bool = False,
        progress: Progress = silent,
    ) -> tuple[strategies.Plan, list[tuple[Window, np.ndarray]]]:
        """Fill the holes of a canvas in place; `inpaint` and the functions for files call it.

        Args:
            canvas: see `runtime.filling`, such as a `photo.Photo`.
            mask: bool [H, W], of the canvas's size; not all True.
            options: see `FillOptions`.
            shift_maps: whether to return them.
            progress: called before each step, see `system.progress`.

        Returns:
            The plan, and the shift maps as in `Inpainted`.
        """
        work = self._work(canvas, mask, options)
        plan, copied = work.plan, work.plan.copied or ()
        found: list[tuple[Window, np.ndarray]] = []
        of_model = shift_maps and "shift_map" in self.backend.outputs
        if shift_maps and not of_model and copied != plan.holes:
            raise InputError(
                f"{self.model.path} has no shift map: export the model with --shift-map, or pass --detail shift-map"
            )
        of_network = len(plan.holes) / max(1, len(plan.holes) + len(copied))  # share of the time, roughly

        def looks() -> Iterator[_Task]:
            for done, look in enumerate(work.looks):
                progress(of_network * done / len(work.looks))
                yield work, look, work.read(look)

        for _, look, outputs in self._answer(looks(), self._batch_size(None)):
            work.put(look, outputs["inpainted_image"])
            if of_model and look[1] is None and copied != plan.holes:
                found.append((look[0], outputs["shift_map"]))
        copying = part(progress, of_network, 1)
        return plan, found + refine.refine(canvas, mask, copied, copying, return_shift_maps=shift_maps)

    def batch(
        self,
        images: Iterable[np.ndarray],
        masks: Iterable[np.ndarray],
        options: FillOptions = DEFAULTS,
        *,
        batch_size: int | None = None,
    ) -> Iterator[np.ndarray]:
        """Fill a stream of photos, each of any size, in batches.

        Photos are returned in order, each once its batch is full, so that a stream of any length works. A photo without
        a hole is returned unchanged, without a run. A file of batch size 1 (TFLite) runs one window at a time; on a
        GPU, an incomplete batch is padded to 1, 2, 4 or 8 windows.

        Args:
            images: uint8 [H, W, 3] each.
            masks: as many masks [H, W], as for a call.
            options: see `FillOptions`.
            batch_size: windows at a time; None: one on a CPU, where larger batches gain nothing and may round
                differently, and on a GPU as many as the available memory allows, see `batching.batch_size`.

        Returns:
            A generator of uint8 [H, W, 3]. If a pair is invalid, or one of the two iterables is shorter, it raises
            InputError with the index of the pair (from 0), after the photos before it.

        Raises:
            InputError: an invalid batch size, or one that needs more memory than is available.

        Examples:

        >>> for inpainted in inpainter.batch(photos, masks):        # doctest: +SKIP
        ...     show(inpainted)
        """
        return self._stream(images, masks, options, self._batch_size(batch_size))

    def _batch_size(self, wanted: int | None) -> int:
        if wanted is None and not self.backend.batch_sizes:
            return 1
        size = batching.batch_size(wanted, self.model.image_size)
        return 1 if self.model.batch == 1 else size

    def _stream(
        self, images: Iterable[np.ndarray], masks: Iterable[np.ndarray], options: FillOptions, size: int
    ) -> Iterator[np.ndarray]:
        waiting: list[_Waiting] = []
        for index, (image, mask) in enumerate(itertools.zip_longest(images, masks, fillvalue=_ABSENT)):
            try:
                if image is _ABSENT or mask is _ABSENT:
                    more, fewer = ("masks", "photos") if image is _ABSENT else ("photos", "masks")
                    raise InputError(f"fewer {fewer} than {more}")
                image, mask = filling.check_pair(image, mask, options)
                canvas = filling.ArrayCanvas(image.copy())
                work = self._work(canvas, mask, options)
                waiting.append((canvas, work, [(work, look, work.read(look)) for look in work.looks]))
            except InputError as error:
                yield from self._finish(waiting, size)
                raise InputError(f"pair {index}: {error}") from error
            if sum(len(looks) for *_, looks in waiting) >= size:
                yield from self._finish(waiting, size)
                waiting = []
        yield from self._finish(waiting, size)

    def _finish(self, waiting: list[_Waiting], size: int) -> Iterator[np.ndarray]:
        for work, look, outputs in self._answer((look for *_, looks in waiting for look in looks), size):
            work.put(look, outputs["inpainted_image"])
        for canvas, work, _ in waiting:
            refine.refine(canvas, work.mask, work.plan.copied or ())
            yield canvas.image

    def _work(self, canvas: filling.Canvas, mask: np.ndarray, options: FillOptions) -> filling.Filling:
        plan = strategies.plan(mask, self.model.image_size, options.strategy)
        copied = tuple(box for box in plan.holes if refine.copies(mask, box, options.detail))
        return filling.Filling(canvas, mask, replace(plan, copied=copied), self.model.image_size)

    def _answer(
        self, looks: Iterable[_Task], size: int
    ) -> Iterator[tuple[filling.Filling, filling.Look, dict[str, np.ndarray]]]:
        """Run the model on looks, `size` at a time; yield each with its output arrays by name."""
        looks = iter(looks)
        while some := list(itertools.islice(looks, size)):
            images, masks = zip(*(pair for *_, pair in some))
            outputs = batching.run(self.backend, np.stack(images), np.stack(masks))
            for i, (work, look, _) in enumerate(some):
                yield work, look, {name: values[i] for name, values in outputs.items()}


def _open_pickled(reopen: functools.partial[Inpainter]) -> Inpainter:
    """Open the model of a pickled Inpainter.

    Raises:
        InputError: the file no longer exists; or see `Inpainter.load`.
    """
    path: Path = reopen.args[0]
    if not path.exists():
        raise InputError(
            f"the model of this pickled Inpainter does not exist: {path}; restore it, or pickle another Inpainter"
        )
    return reopen()
