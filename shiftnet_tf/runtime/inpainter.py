"""From a photo of any size and its mask to the inpainted photo: the one path that every door takes."""

import numpy as np

from shiftnet_tf import artifact, images
from shiftnet_tf.errors import InputError
from shiftnet_tf.runtime import backends


class Inpainter:
    """Fills the holes of photos with an exported model.

    Args:
        path: str or Path of a model folder (with its spec.json), or of one model file in it; None takes the model
            that comes with shiftnet_tf.
        runtime: `"onnxruntime"`, `"litert"` or `"tensorflow"`; None takes the first of them that is installed and
            for which the folder has a file.
        precision: str, such as `"float32"`; None takes the most precise file.
        threads: int; None leaves it to the runtime.

    Attributes:
        spec: ArtifactSpec of the folder.
        entry: FileEntry of the file that runs.
        path: Path of that file.
        image_size: int, the size S in pixels that it works at.
        runtime: str, what runs it.
        device: str, where it runs, as the runtime says.

    Call arguments:
        image: numpy uint8 [H, W, 3], RGB, any H and W.
        mask: numpy [H, W], bool or numbers, nonzero = hole.
        return_shift_map: bool, default False.

    Returns:
        numpy uint8 [H, W, 3]: known pixels bit for bit those of `image`. With `return_shift_map` also int32 [h, w],
        for the photo scaled to the model's size: row * w + column of the known position that filled a hole position,
        plus h * w where its mirror image did, -1 elsewhere.

    Raises:
        InputError: no such model, a file that is not the one exported, arrays of another kind, a mask of another
            size or one that covers everything.
        MissingPackageError: no runtime that fits is installed.

    Example:

    >>> inpainter = Inpainter()                                    # doctest: +SKIP
    >>> inpainted = inpainter(photo, mask)
    """

    def __init__(self, path=None, runtime=None, precision=None, threads=None):
        if threads is not None and not 1 <= threads <= 256:
            raise InputError(f"`threads` must be from 1 to 256. Received: {threads}")
        folder, name = artifact.locate(path)
        self.spec = artifact.ArtifactSpec.read(folder)
        entries = {n: e for n, e in self.spec.files.items() if name in (None, n) and precision in (None, e.precision)}
        if not entries:
            wanted = name or f"file of precision {precision}"
            raise InputError(f"{folder / artifact.SPEC_NAME} lists no {wanted}, only {', '.join(self.spec.files)}")
        self.runtime = backends.choose({entry.format for entry in entries.values()}, runtime)
        file_format, _, _, backend = backends.RUNTIMES[self.runtime]
        name = min((n for n, e in entries.items() if e.format == file_format), key=lambda n: self._rank(entries[n]))
        self.entry = entries[name]
        artifact.check(folder / name, self.entry)
        self._take(backend(folder / name, threads), folder / name, self.entry.image_size)

    @classmethod
    def from_backend(cls, backend, path, image_size):
        """An Inpainter on a backend of one's own, such as `serving.GeneratorBackend`; it has no spec and no entry.

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

    def _take(self, backend, path, image_size):
        self._backend, self.path, self.image_size = backend, path, image_size
        self.device = backend.device

    def _rank(self, entry):
        return entry.image_size != self.spec.image_size, artifact.PRECISIONS.index(entry.precision)

    def __call__(self, image, mask, return_shift_map=False):
        image, mask = _checked(image, mask)
        if return_shift_map and "shift_map" not in self._backend.outputs:
            raise InputError(f"{self.path} has no shift map: export the model with --shift-map")
        if mask.all():
            raise InputError("the mask covers the whole photo: nothing is known to fill it from")
        if not mask.any() and not return_shift_map:
            return image.copy()
        size = self.image_size
        small_image, small_mask = images.resize_pair(image, mask, size, size)
        if small_mask.all():
            raise InputError(
                f"scaled to the model's {size}x{size}, the mask touches every pixel: nothing is known to fill it from"
            )
        outputs = self._backend(small_image[np.newaxis], small_mask[np.newaxis, ..., np.newaxis])
        filled = images.resize_image(outputs["inpainted_image"][0], *image.shape[:2])
        inpainted = images.composite(image, filled, mask)
        return (inpainted, outputs["shift_map"][0]) if return_shift_map else inpainted


def _checked(image, mask):
    image, mask = np.asarray(image), np.asarray(mask)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise InputError(f"`image` must be uint8 [H, W, 3]. Received: {image.dtype} {list(image.shape)}")
    if mask.ndim != 2 or mask.dtype.kind not in "buif":
        raise InputError(f"`mask` must be numbers [H, W]. Received: {mask.dtype} {list(mask.shape)}")
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"the mask must have the photo's size, {image.shape[1]}x{image.shape[0]}. "
            f"Received: {mask.shape[1]}x{mask.shape[0]}"
        )
    return image, mask != 0
