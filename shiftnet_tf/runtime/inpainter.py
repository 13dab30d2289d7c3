"""Fill the holes of photos of any size: the one path for the command, Python, the server and the page."""

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shiftnet_tf.errors import InputError
from shiftnet_tf.photos.windows import Window
from shiftnet_tf.runtime import backends, batching, filling, refine, strategies
from shiftnet_tf.runtime.model_file import ModelFile, open_model
from shiftnet_tf.runtime.options import DEFAULTS, FillOptions
from shiftnet_tf.runtime.predicting import Task, fill_stream, plan_filling, predict
from shiftnet_tf.system.progress import Progress, part, silent


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
        more: dict[str, Any] = {"threads": threads, "provider": provider, "require_gpu": require_gpu}
        backend, model, runtime = open_model(path, runtime, precision, **more)
        return cls(backend, model, functools.partial(cls.load, model.path.absolute(), runtime=runtime, **more))

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
        work = plan_filling(canvas, mask, options, self.model.image_size)
        plan, copied = work.plan, work.plan.copied or ()
        found: list[tuple[Window, np.ndarray]] = []
        of_model = shift_maps and "shift_map" in self.backend.outputs
        if shift_maps and not of_model and copied != plan.holes:
            raise InputError(
                f"{self.model.path} has no shift map: export the model with --shift-map, or pass --detail shift-map"
            )
        of_network = len(plan.holes) / max(1, len(plan.holes) + len(copied))  # share of the time, roughly

        def looks() -> Iterator[Task]:
            for done, look in enumerate(work.looks):
                progress(of_network * done / len(work.looks))
                yield work, look, work.read(look)

        for _, look, outputs in predict(self.backend, looks(), self._batch_size(None)):
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
        return fill_stream(self.backend, self.model.image_size, images, masks, options, self._batch_size(batch_size))

    def _batch_size(self, wanted: int | None) -> int:
        if wanted is None and not self.backend.batch_sizes:
            return 1
        size = batching.batch_size(wanted, self.model.image_size)
        return 1 if self.model.batch == 1 else size


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
