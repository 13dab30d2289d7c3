"""The configuration of a run: frozen dataclasses read from TOML, each value checked when it is made.

One section of the file is one class; a key that is left out keeps its default, an unknown one is an error.
The defaults are the paper's settings (section and table numbers refer to arXiv 1801.09392).
"""

import dataclasses
import json
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path

from shiftnet_tf.errors import InputError
from shiftnet_tf.masks import KINDS


def _check(name, value, holds, must):
    if not holds:
        raise InputError(f"`{name}` must be {must}. Received: {value!r}")


@dataclass(frozen=True)
class ModelConfig:
    """The generator (Table 2).

    Attributes:
        image_size: int, pixels; a multiple of 2 ** `depth`.
        filters: int, base width: the filters of the first convolution (paper: 64).
        depth: int, encoder convolutions of stride 2 (paper: 8).
        shift_layers: encoder layers l with a shift connection, each in [1, depth - 1]; layer l has
            1 / 2**l of the image size (paper: 3, that is 32x32 of 256x256). Empty: a plain U-Net.
        feature_mask: `"convolution"` (paper: three averaging convolutions, threshold 5/16)
            or `"nearest"` (the authors' PyTorch code).
        mask_channel: bool, whether 1 - mask is a fourth input channel.
    """

    image_size: int = 256
    filters: int = 64
    depth: int = 8
    shift_layers: tuple[int, ...] = (3,)
    feature_mask: str = "convolution"
    mask_channel: bool = True

    def __post_init__(self):
        _check("model.depth", self.depth, 2 <= self.depth <= 12, "from 2 to 12")
        _check("model.filters", self.filters, self.filters >= 1, "at least 1")
        multiple = 2**self.depth
        _check(
            "model.image_size",
            self.image_size,
            self.image_size >= multiple and self.image_size % multiple == 0,
            f"a multiple of {multiple} (2 to the `depth` of {self.depth})",
        )
        _check(
            "model.shift_layers",
            list(self.shift_layers),
            len(set(self.shift_layers)) == len(self.shift_layers)
            and all(1 <= layer < self.depth for layer in self.shift_layers),
            f"different whole numbers from 1 to {self.depth - 1}",
        )
        _check(
            "model.feature_mask",
            self.feature_mask,
            self.feature_mask in ("convolution", "nearest"),
            '"convolution" or "nearest"',
        )


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator (Table 3).

    Attributes:
        filters: int, base width (paper: 64).
        depth: int, convolutions of stride 2 (paper: 3).
        input: what it sees of the generator, `"predicted_image"` (paper) or
            `"inpainted_image"` (the prediction in the hole, the photo elsewhere).
    """

    filters: int = 64
    depth: int = 3
    input: str = "predicted_image"

    def __post_init__(self):
        _check("discriminator.filters", self.filters, self.filters >= 1, "at least 1")
        _check("discriminator.depth", self.depth, 1 <= self.depth <= 6, "from 1 to 6")
        _check(
            "discriminator.input",
            self.input,
            self.input in ("predicted_image", "inpainted_image"),
            '"predicted_image" or "inpainted_image"',
        )


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, each of which is a mean; the defaults are the paper's ratios.

    Attributes:
        reconstruction: float, l1 on the whole image.
        hole: float, l1 on the hole's pixels, on top.
        guidance: float, decoder feature against the encoder feature of the complete image, in the hole.
        adversarial: float; 0 trains without a discriminator.
        gan: `"vanilla"` (cross-entropy) or `"lsgan"` (least squares).
    """

    reconstruction: float = 100.0
    hole: float = 0.0
    guidance: float = 1.0
    adversarial: float = 0.2
    gan: str = "vanilla"

    def __post_init__(self):
        for name in ("reconstruction", "hole", "guidance", "adversarial"):
            _check(f"losses.{name}", getattr(self, name), 0 <= getattr(self, name) < 1e9, "0 or more")
        _check(
            "losses.reconstruction", self.reconstruction, self.reconstruction + self.hole > 0, "above 0, or `losses.hole`"
        )
        _check("losses.gan", self.gan, self.gan in ("vanilla", "lsgan"), '"vanilla" or "lsgan"')


@dataclass(frozen=True)
class DataConfig:
    """Photos.

    Attributes:
        photos: str, folder of training photos; a relative path is taken from the config file's folder.
        validation_photos: str, likewise; none of them is trained on. Empty: every tenth training photo is held out.
        short_side: int, pixels; larger photos are scaled down to it before the random crop (paper: 350).
        flip: bool, whether half the samples are mirrored left to right.
        cache_megabytes: int, scaled photos are kept in memory up to this much.
    """

    photos: str = ""
    validation_photos: str = ""
    short_side: int = 350
    flip: bool = True
    cache_megabytes: int = 1024

    def __post_init__(self):
        _check("data.short_side", self.short_side, self.short_side >= 1, "at least 1")
        _check("data.cache_megabytes", self.cache_megabytes, self.cache_megabytes >= 0, "0 or more")


@dataclass(frozen=True)
class MaskConfig:
    """The mix of training masks: weights of the kinds, and their settings.

    A network that was trained on the centre hole alone works on just that hole; for holes of any shape
    give `rectangle` and `freeform` a weight.

    Attributes:
        center, rectangle, freeform, folder: float, weights.
        overlap: int, pixels by which the centre hole is smaller than half the image at each side (paper: 4).
        folder_path: str, folder of mask files for `folder`; a relative path is taken from the config file's folder.
        validation: str, the kind that validation uses: one of those four.
    """

    center: float = 1.0
    rectangle: float = 0.0
    freeform: float = 0.0
    folder: float = 0.0
    overlap: int = 4
    folder_path: str = ""
    validation: str = "center"

    def __post_init__(self):
        for kind in KINDS:
            _check(f"masks.{kind}", getattr(self, kind), 0 <= getattr(self, kind) < 1e9, "0 or more")
        _check("masks", self.weights, sum(self.weights.values()) > 0, "a mix in which some weight is above 0")
        _check("masks.overlap", self.overlap, self.overlap >= 0, "0 or more")
        _check("masks.validation", self.validation, self.validation in KINDS, f"one of {', '.join(KINDS)}")
        uses_folder = self.folder > 0 or self.validation == "folder"
        _check("masks.folder_path", self.folder_path, self.folder_path or not uses_folder, "given for the kind folder")

    @property
    def weights(self):
        return {kind: getattr(self, kind) for kind in KINDS}


@dataclass(frozen=True)
class TrainingConfig:
    """The run.

    Attributes:
        seed: int, of weights, order of photos, crops, flips and masks.
        batch_size: int (paper: 1).
        epochs: int (paper: 30); after each one the run validates, draws pictures and writes a checkpoint.
        steps_per_epoch: int; 0 means once through the photos.
        learning_rate: float, of Adam for both networks (paper: 2e-4).
        beta_1: float, of Adam (paper: 0.5).
        jit_compile: `"auto"` (XLA on a GPU, not on a CPU), `"on"` or `"off"`.
        deterministic: bool, whether to take only operations that give the same bits each time.
    """

    seed: int = 0
    batch_size: int = 1
    epochs: int = 30
    steps_per_epoch: int = 0
    learning_rate: float = 2e-4
    beta_1: float = 0.5
    jit_compile: str = "auto"
    deterministic: bool = True

    def __post_init__(self):
        _check("training.seed", self.seed, 0 <= self.seed < 2**31, "from 0 to 2**31 - 1")
        for name in ("batch_size", "epochs"):
            _check(f"training.{name}", getattr(self, name), getattr(self, name) >= 1, "at least 1")
        _check("training.steps_per_epoch", self.steps_per_epoch, self.steps_per_epoch >= 0, "0 or more")
        _check("training.learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "between 0 and 1")
        _check("training.beta_1", self.beta_1, 0 <= self.beta_1 < 1, "at least 0 and below 1")
        _check(
            "training.jit_compile", self.jit_compile, self.jit_compile in ("auto", "on", "off"), '"auto", "on" or "off"'
        )


@dataclass(frozen=True)
class Config:
    """All sections of a config file."""

    model: ModelConfig = field(default_factory=ModelConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self):
        size, overlap = self.model.image_size, self.masks.overlap
        _check("masks.overlap", overlap, 2 * overlap < size // 2, f"below a quarter of the `image_size` of {size}")
        smallest = 3 * 2**self.discriminator.depth
        _check("model.image_size", size, size >= smallest, f"at least {smallest} for this discriminator")
        _check("data.short_side", self.data.short_side, self.data.short_side >= size, f"at least `image_size`, {size}")


def _convert(name, value, kind):
    """A TOML value as the type of the field: whole numbers serve as floats, lists as tuples."""
    if kind is float and type(value) is int:
        return float(value)
    if kind == tuple[int, ...] and isinstance(value, list) and all(type(item) is int for item in value):
        return tuple(value)
    words = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
    _check(name, value, type(value) is kind, words.get(kind, "a list of whole numbers"))
    return value


def from_dict(values):
    """Makes a `Config`.

    Args:
        values: dict of section to dict of key to value, as `tomllib` gives it.

    Returns:
        Config.

    Raises:
        InputError: an unknown section or key, a value of the wrong type or out of range.
    """
    sections = {section.name: section.type for section in fields(Config)}
    made = {}
    for name, content in values.items():
        _check("section", name, name in sections, f"one of {', '.join(sections)}")
        _check(name, content, isinstance(content, dict), "a section of the config file")
        types = {item.name: item.type for item in fields(sections[name])}
        for key in content:
            _check(f"key in [{name}]", key, key in types, f"one of {', '.join(types)}")
        made[name] = sections[name](**{key: _convert(f"{name}.{key}", content[key], types[key]) for key in content})
    return Config(**made)


def read(path, overrides=()):
    """Reads a config file and puts its folders' paths in absolute form.

    Args:
        path: str or Path of a TOML file.
        overrides: list of str, `"section.key=value"`, value as in TOML (a bare word is taken as text).

    Returns:
        Config.

    Raises:
        InputError: the file is absent or no TOML, or see `from_dict`.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"the config is no valid TOML ({error}): {path}") from error
    except OSError as error:
        raise InputError(f"the config cannot be read ({error.strerror}): {path}") from error
    for section, keys in (("data", ("photos", "validation_photos")), ("masks", ("folder_path",))):
        for key in keys:
            _anchor(values, section, key, path.resolve().parent)
    for override in overrides:
        _override(values, override)
    for section, keys in (("data", ("photos", "validation_photos")), ("masks", ("folder_path",))):
        for key in keys:
            _anchor(values, section, key, Path.cwd())
    return from_dict(values)


def _anchor(values, section, key, folder):
    content = values.get(section)
    if isinstance(content, dict) and isinstance(content.get(key), str) and content[key]:
        content[key] = str(folder / Path(content[key]).expanduser())


def _override(values, override):
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    _check("--set", override, equals and dot and key, "of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    content = values.setdefault(section, {})
    _check(section, content, isinstance(content, dict), "a section of the config file")
    content[key] = value


def write_toml(config):
    """The config as the text of a TOML file that `read` gives back.

    Args:
        config: Config.

    Returns:
        str.
    """
    lines = []
    for section, content in dataclasses.asdict(config).items():
        lines.append(f"[{section}]")
        # A JSON text, number, list or truth value is also one of TOML.
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
        lines.append("")
    return "\n".join(lines)
