"""The model folder: model files, and spec.json, which says all that a caller must know of them.

Every model file takes `image`, uint8 [B, S, S, 3] RGB, and `mask`, uint8 [B, S, S, 1], nonzero = hole, and gives
`inpainted_image`, uint8 [B, S, S, 3]; on request also `shift_map`, int32 [B, h, w]: row * w + column of the known
position that filled a hole position, plus h * w where its mirror image did, -1 elsewhere. The exporters write the spec,
the runtime takes its constants from it and refuses a file that is not listed or does not match.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from shiftnet_tf.errors import InputError, first_line
from shiftnet_tf.system.atomic import write_atomically

FORMAT_VERSION = 1
FORMATS = ("onnx", "tflite", "saved_model")
PRECISIONS = ("float32", "float16", "dynamic", "int8")  # the most precise first
PROFILES = ("default", "mobile-gpu")
SPEC_NAME = "spec.json"

INPUTS = {
    "image": {"shape": ["batch", "image_size", "image_size", 3], "dtype": "uint8", "meaning": "RGB"},
    "mask": {"shape": ["batch", "image_size", "image_size", 1], "dtype": "uint8", "meaning": "nonzero = hole"},
}
OUTPUTS = {
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
        image_size: int, S in pixels.
        batch: int, or None for any.
        outputs: list of output names.
        sha256: str, of the file; of a folder, of its sorted lines of path and sha256.
        parity: dict, the measured difference from Keras, see `export.parity.measure` and `export.parity.measure_loss`.
        precision: str, one of PRECISIONS.
        profile: str, one of PROFILES: the kind of device that the file is made for.
        details: dict, of the format, such as the ONNX opset.
    """

    format: str
    image_size: int
    batch: int | None
    outputs: list
    sha256: str
    parity: dict
    precision: str = "float32"
    profile: str = "default"
    details: dict = field(default_factory=dict)

    def __post_init__(self):
        numbers = ("pairs", "mean_difference", "max_difference")
        right = (
            self.format in FORMATS,
            type(self.image_size) is int and self.image_size > 0,
            self.batch is None or type(self.batch) is int,
            isinstance(self.outputs, list) and "inpainted_image" in self.outputs,
            isinstance(self.sha256, str),
            isinstance(self.parity, dict) and all(type(self.parity.get(name)) in (int, float) for name in numbers),
            self.precision in PRECISIONS,
            self.profile in PROFILES,
        )
        if not all(right):
            raise InputError(f"a file's entry is not as it should be: {dataclasses.asdict(self)}")


@dataclass(frozen=True)
class ModelSpec:
    """What spec.json holds.

    Attributes:
        image_size: int, of the training, in pixels.
        masks: dict of kind to weight, the masks trained on.
        weights_sha256: str, of the generator.weights.h5 that was exported.
        versions: dict of package to version, at the export.
        files: dict of file name to FileEntry.
        format_version: int, of this contract.
        inputs, outputs: dict of name to shape, dtype and meaning.
    """

    image_size: int
    masks: dict
    weights_sha256: str
    versions: dict
    files: dict = field(default_factory=dict)
    format_version: int = FORMAT_VERSION
    inputs: dict = field(default_factory=lambda: INPUTS)
    outputs: dict = field(default_factory=lambda: OUTPUTS)

    def __post_init__(self):
        right = (
            type(self.image_size) is int and self.image_size > 0,
            isinstance(self.masks, dict) and all(type(weight) in (int, float) for weight in self.masks.values()),
            isinstance(self.weights_sha256, str),
            isinstance(self.versions, dict),
        )
        if not all(right):
            raise InputError("image_size, masks, weights_sha256 and versions are not as they should be")

    @classmethod
    def read(cls, folder):
        """Reads the spec of a model folder.

        Args:
            folder: str or Path.

        Returns:
            ModelSpec.

        Raises:
            InputError: no such folder, no spec, a damaged or a newer one.
        """
        path = Path(folder) / SPEC_NAME
        if not path.is_file():
            raise InputError(f"no model folder (it has no {SPEC_NAME}): {folder}")
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            newer = values["format_version"] > FORMAT_VERSION
            if not newer:
                files = {name: FileEntry(**entry) for name, entry in values.pop("files").items()}
                spec = cls(**values, files=files)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path} is damaged ({first_line(error)}): export the model again") from error
        if newer:
            raise InputError(
                f"{path} has format version {values['format_version']}, newer than the {FORMAT_VERSION} that this "
                "shiftnet_tf reads: pip install --upgrade shiftnet-tf"
            )
        if not spec.files:
            raise InputError(f"{path} lists no model file: export the model again")
        return spec

    def write(self, folder):
        """Writes spec.json whole or not at all.

        Args:
            folder: str or Path.
        """
        text = json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"
        write_atomically(Path(folder) / SPEC_NAME, lambda part: part.write_text(text, encoding="utf-8"))

    def merged_into(self, folder, name, entry):
        """This spec with the files that the folder lists already, and one more.

        Args:
            folder: str or Path, with or without a spec.json.
            name: str, of the file that is added or replaced.
            entry: FileEntry.

        Returns:
            ModelSpec.

        Raises:
            InputError: the folder holds the export of other weights.
        """
        files, versions = {}, {}
        if (Path(folder) / SPEC_NAME).exists():
            there = ModelSpec.read(folder)
            if there.weights_sha256 != self.weights_sha256:
                raise InputError(f"{folder} holds the export of other weights: name another --out, or delete it first")
            files, versions = there.files, there.versions
        return dataclasses.replace(self, files={**files, name: entry}, versions={**versions, **self.versions})


def default_model():
    """Path of the model that comes with shiftnet_tf: part of an installed package, in a checkout saved_models/."""
    package = Path(__file__).resolve().parent
    for folder in (package / "default_model", package.parent / "saved_models" / "compact"):
        if (folder / SPEC_NAME).is_file():
            return folder
    raise InputError("this build has no bundled model: pass --model")


def locate(path=None):
    """The model folder and, if `path` is one model file in it, the file's name.

    Args:
        path: str or Path of a model folder, or of a file or a SavedModel in one; None: `default_model`.

    Returns:
        (Path of the folder, str or None).

    Raises:
        InputError: there is nothing.
    """
    path = default_model() if path is None else Path(path)
    if not path.exists():
        raise InputError(f"the model does not exist: {path}")
    if not (path / SPEC_NAME).is_file() and (path.parent / SPEC_NAME).is_file():
        return path.parent, path.name
    return path, None


def sha256(path):
    """The SHA-256 of a file, or of a folder's sorted lines of path and SHA-256.

    Args:
        path: str or Path.

    Returns:
        str, hexadecimal.
    """
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


def verify_file(path, entry):
    """Refuses a model file that is not the one that was exported.

    Args:
        path: Path of the file or folder.
        entry: FileEntry.

    Raises:
        InputError: absent, or of another SHA-256.
    """
    if not path.exists():
        raise InputError(f"{path.parent / SPEC_NAME} lists {path.name}, which is not there")
    found = sha256(path)
    if found != entry.sha256:
        raise InputError(
            f"{path} is not the file that was exported (sha256 {found[:12]}..., {SPEC_NAME} says "
            f"{entry.sha256[:12]}...): copy or export it again"
        )
