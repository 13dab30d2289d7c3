"""The model folder: model files, and spec.json, which contains everything that a caller needs to know about them.

Every model file takes `image`, uint8 [B, S, S, 3] RGB, and `mask`, uint8 [B, S, S, 1], nonzero = hole, and outputs
`inpainted_image`, uint8 [B, S, S, 3], and optionally `shift_map`, int32 [B, h, w]: row * w + column of the known
position that filled a hole position, plus h * w if its mirror image did, -1 elsewhere. The exporters write the spec;
the runtime takes its constants from it and refuses a file that is not listed or does not match.

A model folder may be untrusted: names, numbers and sizes are checked before they are used.
"""

import dataclasses
import hashlib
import json
import os
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.bundled import BUNDLED_MODEL, find_bundled
from shiftnet_tf.system.regular_files import check_regular

FORMAT_VERSION = 1
MOST_SPEC_BYTES = 2**20
MOST_FILE_BYTES = 2**32
MOST_PIXELS = 8192  # maximum side of the model's image
MOST_BATCH = 1024
PRECISIONS = ("float32", "float16", "dynamic", "int8")  # most precise first
PROFILES = ("default", "mobile-gpu")
SPEC_NAME = "spec.json"


@dataclass(frozen=True)
class FileFormat:
    """The properties of a model file format.

    Attributes:
        suffix: suffix of the file name; "" for a folder.
        precisions, profiles: those that can be exported.
        batch: images per batch; None for any number.
    """

    suffix: str = ""
    precisions: tuple[str, ...] = ("float32",)
    profiles: tuple[str, ...] = ("default",)
    batch: int | None = None


FORMATS = {
    "onnx": FileFormat(".onnx", ("float32", "float16", "int8")),
    "tflite": FileFormat(".tflite", PRECISIONS, PROFILES, batch=1),
    "saved_model": FileFormat(),
}

INPUTS: dict[str, dict[str, Any]] = {
    "image": {"shape": ["batch", "image_size", "image_size", 3], "dtype": "uint8", "meaning": "RGB"},
    "mask": {"shape": ["batch", "image_size", "image_size", 1], "dtype": "uint8", "meaning": "nonzero = hole"},
}
OUTPUTS: dict[str, dict[str, Any]] = {
    "inpainted_image": {
        "shape": ["batch", "image_size", "image_size", 3],
        "dtype": "uint8",
        "meaning": "RGB; known pixels equal to the input",
    },
    "shift_map": {
        "shape": ["batch", "height", "width"],
        "dtype": "int32",
        "meaning": "row * width + column of the known position that filled a hole position (of a soft shift: of the "
        "middle of the strongest patch), plus height * width where its mirror image did; -1 elsewhere; only in files "
        "that list it",
    },
}


@dataclass(frozen=True)
class FileEntry:
    """One model file of a folder.

    Attributes:
        format: `"onnx"`, `"tflite"` or `"saved_model"`.
        image_size: S in pixels.
        batch: images per batch; None for any number.
        outputs: names of the outputs.
        sha256: see the function `sha256`.
        parity: the measured difference from Keras, see `export.parity.measure` and `export.parity.measure_loss`.
        precision: one of PRECISIONS.
        profile: one of PROFILES, the kind of device that the file is for.
        details: properties specific to the format, such as the ONNX opset.
    """

    format: str
    image_size: int
    batch: int | None
    outputs: list[str]
    sha256: str
    parity: dict[str, Any]
    precision: str = "float32"
    profile: str = "default"
    details: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = ("pairs", "mean_difference", "max_difference")
        right = (
            self.format in FORMATS,
            _is_count(self.image_size, MOST_PIXELS),
            self.batch is None or _is_count(self.batch, MOST_BATCH),
            isinstance(self.outputs, list) and "inpainted_image" in self.outputs and set(self.outputs) <= set(OUTPUTS),
            isinstance(self.sha256, str),
            isinstance(self.parity, dict) and all(_is_measure(self.parity.get(name)) for name in numbers),
            self.precision in PRECISIONS,
            self.profile in PROFILES,
        )
        if not all(right):
            raise InputError(f"invalid file entry in {SPEC_NAME}: {dataclasses.asdict(self)!s:.500}")


def _is_count(value: object, most: int) -> bool:
    return type(value) is int and 0 < value <= most


def _is_measure(value: object) -> bool:
    return type(value) in (int, float) and 0 <= typing.cast(float, value) < 1e9  # false for NaN


@dataclass(frozen=True)
class ModelSpec:
    """The content of spec.json.

    Attributes:
        image_size: side of the training images in pixels.
        masks: weights of the kinds of training masks.
        weights_sha256: SHA-256 of the exported generator.weights.h5.
        versions: package versions at export time.
        files: the model files by name.
        format_version: version of this contract.
        inputs, outputs: shape, dtype and meaning of each, by name.
    """

    image_size: int
    masks: dict[str, float]
    weights_sha256: str
    versions: dict[str, str]
    files: dict[str, FileEntry] = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    inputs: dict[str, dict[str, Any]] = field(default_factory=lambda: INPUTS)
    outputs: dict[str, dict[str, Any]] = field(default_factory=lambda: OUTPUTS)

    def __post_init__(self) -> None:
        right = (
            _is_count(self.image_size, MOST_PIXELS),
            isinstance(self.masks, dict) and all(map(_is_measure, self.masks.values())),
            isinstance(self.weights_sha256, str),
            isinstance(self.versions, dict),
            type(self.format_version) is int,
        )
        if not all(right):
            raise InputError("invalid image_size, masks, weights_sha256, versions or format_version")
        for name in self.files:
            if name in ("", ".", "..", SPEC_NAME) or set(name) & set("/\\:\0"):
                raise InputError(f"model files must be in the model folder itself. Received: {name!r:.200}")

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "ModelSpec":
        """Read the spec of a model folder.

        Raises:
            InputError: the folder or the spec does not exist, or the spec is damaged, newer than this version, or not a
                regular file of at most MOST_SPEC_BYTES in the folder.
        """
        path = Path(folder) / SPEC_NAME
        if not path.exists():
            raise InputError(f"not a model folder (it has no {SPEC_NAME}): {folder}")
        check_regular(path, Path(folder), MOST_SPEC_BYTES)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            newer = values["format_version"] > FORMAT_VERSION
            if not newer:
                files = {name: FileEntry(**entry) for name, entry in values.pop("files").items()}
                spec = cls(**values, files=files)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({first_line(error):.600}): export the model again") from error
        if newer:
            raise InputError(
                f"{path} has format version {values['format_version']!s:.40}, newer than {FORMAT_VERSION}, the "
                "newest that this shiftnet_tf reads: pip install --upgrade shiftnet-tf"
            )
        if not spec.files:
            raise InputError(f"{path} lists no model files: export the model again")
        return spec

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write spec.json into a folder, atomically."""
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"
        write_atomically(Path(folder) / SPEC_NAME, lambda part: part.write_text(text, encoding="utf-8"))

    def merge_into(self, folder: str | os.PathLike[str]) -> "ModelSpec":
        """Return this spec with the files that a folder already lists added; its own files take precedence.

        Args:
            folder: the model folder, with or without a spec.json.

        Raises:
            InputError: the folder contains an export of other weights.
        """
        if not (Path(folder) / SPEC_NAME).exists():
            return self
        there = ModelSpec.read(folder)
        if there.weights_sha256 != self.weights_sha256:
            raise InputError(f"{folder} holds an export of other weights: choose another --out, or delete it first")
        return dataclasses.replace(self, files=there.files | self.files, versions=there.versions | self.versions)


def default_model() -> Path:
    """Return the folder of the bundled model, saved_models/compact."""
    spec = find_bundled(f"saved_models/{BUNDLED_MODEL}/{SPEC_NAME}")
    if spec is None:
        raise InputError("no bundled model in this build: pass --model")
    return spec.parent


def locate(path: str | os.PathLike[str] | None = None) -> tuple[Path, str | None]:
    """Return the model folder and, if `path` is one model file in it, the file's name.

    Args:
        path: a model folder, or a file or a SavedModel in one; None, or `"compact"` where no such path exists:
            `default_model`.

    Raises:
        InputError: the path does not exist.
    """
    if path is None or (path == BUNDLED_MODEL and not Path(path).exists()):
        path = default_model()
    path = Path(path)
    if not path.exists():
        raise InputError(f"the model does not exist: {path}")
    if not (path / SPEC_NAME).is_file() and (path.parent / SPEC_NAME).is_file():
        return path.parent, path.name
    return path, None


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, or of a folder's sorted lines of path and SHA-256, in hexadecimal."""
    path = Path(path)
    if path.is_dir():
        files = sorted(item.relative_to(path).as_posix() for item in path.rglob("*") if item.is_file())
        lines = "".join(f"{name} {sha256(path / name)}\n" for name in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def verify_file(path: Path, entry: FileEntry) -> None:
    """Refuse a model file or folder that is not the one that was exported.

    Raises:
        InputError: it does not exist, is not of the format's kind, leads out of its folder, has more than
            MOST_FILE_BYTES, or has another SHA-256 than the entry.
    """
    if not path.exists():
        raise InputError(f"{path.parent / SPEC_NAME} lists {path.name}, which does not exist: export it again")
    check_regular(path, path.parent, MOST_FILE_BYTES)
    if path.is_dir() != (entry.format == "saved_model"):
        raise InputError(f"{path} is not a {'folder' if entry.format == 'saved_model' else 'file'}: export it again")
    found = sha256(path)
    if found != entry.sha256:
        raise InputError(
            f"{path} is not the exported file (its sha256 is {found[:12]}..., {SPEC_NAME} says "
            f"{entry.sha256[:12]}...): copy or export it again"
        )
