"""The model file that a backend runs: `open_model` finds, checks and opens it."""

from dataclasses import dataclass
from pathlib import Path

from shiftnet_tf import model_folder
from shiftnet_tf.errors import InputError, check
from shiftnet_tf.runtime import backends


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


def open_model(
    path: str | Path | None,
    runtime: str | None,
    precision: str | None,
    *,
    threads: int | None,
    provider: str,
    require_gpu: bool,
) -> tuple[backends.Backend, ModelFile, str]:
    """Open an exported model; return what runs it, its file, and the name of the runtime.

    Arguments and errors are those of `Inpainter.load`.
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
    return backend, ModelFile(file, entry.image_size, entry.batch, spec, entry), runtime
