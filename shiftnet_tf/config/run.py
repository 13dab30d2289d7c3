"""The configuration of a run: frozen dataclasses that check their values when created; `toml_file` reads them.

Each section of a config file is a class. The defaults are the paper's settings; section and table numbers are those of
arXiv 1801.09392.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from shiftnet_tf.config.model import DiscriminatorConfig, LossConfig, ModelConfig
from shiftnet_tf.errors import check, check_choices

Switch = Literal["auto", "on", "off"]
_CLASS = re.compile(r"\w+(\.\w+)*:\w+")
_MOST = 10**9  # steps, epochs: refuse a typing error instead of starting the run
MASK_KINDS = ("center", "rectangle", "freeform", "objects", "folder")  # see `masks.sampling`


@dataclass(frozen=True)
class DataConfig:
    """Photos.

    Attributes:
        photos: folders of training photos; a relative path starts at the config file's folder.
        validation_photos: folders of validation photos, which are not trained on. Empty: every tenth training photo is
            held out, unless there are `validation_sets`.
        held_out: a text file that lists photos in those folders not to train on, see `photo_lists`; a relative path
            starts at the config file's folder.
        validation_sets: headings in `held_out`: these photos are used for validation too, and reported separately.
        short_side: pixels; larger photos are scaled down to it before the random crop (paper: 350).
        largest_crop: at least 1; a crop's side is 1 to `largest_crop` times `image_size`, limited by the photo, and the
            crop is scaled down to `image_size`.
        colour: in [0, 1), maximum share by which contrast, saturation and brightness change at random.
        flip: whether half the samples are mirrored left to right.
        cache_megabytes: memory for scaled photos, in megabytes.
    """

    photos: tuple[str, ...] = ()
    validation_photos: tuple[str, ...] = ()
    held_out: str = ""
    validation_sets: tuple[str, ...] = ()
    short_side: int = 350
    largest_crop: float = 1.0
    colour: float = 0.0
    flip: bool = True
    cache_megabytes: int = 1024

    def __post_init__(self) -> None:
        given = self.held_out or not self.validation_sets
        check("data.held_out", self.held_out, given, "a file if `data.validation_sets` names sets in it")
        distinct = len({"val", *self.validation_sets}) == 1 + len(self.validation_sets)
        check("data.validation_sets", list(self.validation_sets), distinct, "distinct names, none of them val")
        check("data.short_side", self.short_side, 1 <= self.short_side <= 10**5, "from 1 to 10**5")
        check("data.largest_crop", self.largest_crop, 1 <= self.largest_crop <= 16, "from 1 to 16")
        check("data.colour", self.colour, 0 <= self.colour < 1, "at least 0 and below 1")
        check("data.cache_megabytes", self.cache_megabytes, 0 <= self.cache_megabytes <= _MOST, "from 0 to 10**9")


@dataclass(frozen=True)
class MaskConfig:
    """The mix of training masks: weights of the kinds, and their settings.

    A network trained only on the centre hole works only on that hole; for holes of any shape, set weights for
    `rectangle`, `freeform` and `objects`.

    Attributes:
        center, rectangle, freeform, objects, folder: weights of the paper's centre square, one random rectangle, random
            strokes, outlines of real objects, mask files; see `masks`.
        overlap: pixels by which the centre hole is smaller than half the image at each side (paper: 4).
        folder_path: folder of mask files for `folder`; a relative path starts at the config file's folder.
        validation: the kind used for validation: one of those five, or `"mix"`, the training mix.
    """

    center: float = 1.0
    rectangle: float = 0.0
    freeform: float = 0.0
    objects: float = 0.0
    folder: float = 0.0
    overlap: int = 4
    folder_path: str = ""
    validation: Literal["center", "rectangle", "freeform", "objects", "folder", "mix"] = "center"

    def __post_init__(self) -> None:
        check_choices(self, "masks.")
        for kind in MASK_KINDS:
            check(f"masks.{kind}", getattr(self, kind), 0 <= getattr(self, kind) <= 1e9, "from 0 to 1e9")
        check("masks", self.weights, sum(self.weights.values()) > 0, "a mix with at least one weight above 0")
        check("masks.overlap", self.overlap, self.overlap >= 0, "0 or more")
        uses_folder = self.folder > 0 or self.validation == "folder"
        check(
            "masks.folder_path",
            self.folder_path,
            self.folder_path or not uses_folder,
            "a folder if masks of the kind folder are used",
        )

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each kind of `MASK_KINDS`."""
        return {kind: getattr(self, kind) for kind in MASK_KINDS}


@dataclass(frozen=True)
class TrainingConfig:
    """The run.

    Attributes:
        seed: seed of the random numbers for weights, order of photos, crops, flips and masks.
        batch_size: samples per training step (paper: 1).
        epochs: number of epochs (paper: 30); after each one the run validates, draws pictures and writes a checkpoint.
        steps_per_epoch: training steps per epoch; 0: once through the photos.
        learning_rate: Adam's learning rate for both networks (paper: 2e-4).
        discriminator_learning_rate: learning rate of the discriminator; 0: the same (paper).
        schedule: `"constant"` (paper), or `"cosine"`: the learning rate rises over the first hundredth of the run and
            falls to 0 at its end, as half a period of a cosine.
        beta_1: Adam's beta_1 (paper: 0.5).
        average: in [0, 1), decay of the moving average of the generator's weights, such as 0.999; validation, pictures
            and exports use the average. 0: no average (paper).
        best: which epoch's weights are kept: `"hole_psnr"`, the highest PSNR in the hole, or `"deep_distance"`, the
            lowest distance of deep features (needs the extra `perceptual`), which is then logged too; the mean over the
            validation sets counts.
        jit_compile: `"auto"` (XLA on a GPU, not on a CPU), `"on"` or `"off"`.
        mixed_precision: `"auto"` (bfloat16 on a GPU of compute capability 8 or more, which has units for it; not on a
            CPU, where it is slower), `"on"` or `"off"`. Weights, losses and updates stay in float32.
        deterministic: `"auto"` (on a CPU, where it costs nothing; not on a GPU or with `jit_compile` on, because Keras
            does not compile such operations), `"on"` or `"off"`: whether to use only operations that give the same bits
            each time.
        callbacks: your own Keras callbacks, each as `"package.module:Class"`, created without arguments, for example to
            log to W&B or MLflow. Importing the module runs its code.
    """

    seed: int = 0
    batch_size: int = 1
    epochs: int = 30
    steps_per_epoch: int = 0
    learning_rate: float = 2e-4
    discriminator_learning_rate: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    beta_1: float = 0.5
    average: float = 0.0
    best: Literal["hole_psnr", "deep_distance"] = "hole_psnr"
    jit_compile: Switch = "auto"
    mixed_precision: Switch = "auto"
    deterministic: Switch = "auto"
    callbacks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_choices(self, "training.")
        for name in self.callbacks:
            check("training.callbacks", name, _CLASS.fullmatch(name), 'a list of "package.module:Class"')
        check("training.seed", self.seed, 0 <= self.seed < 2**31, "from 0 to 2**31 - 1")
        check("training.batch_size", self.batch_size, 1 <= self.batch_size <= 4096, "from 1 to 4096")
        check("training.epochs", self.epochs, 1 <= self.epochs <= _MOST, "from 1 to 10**9")
        check("training.steps_per_epoch", self.steps_per_epoch, 0 <= self.steps_per_epoch <= _MOST, "from 0 to 10**9")
        check("training.learning_rate", self.learning_rate, 0 < self.learning_rate < 1, "between 0 and 1")
        rate = self.discriminator_learning_rate
        check("training.discriminator_learning_rate", rate, 0 <= rate < 1, "at least 0 and below 1")
        for name in ("beta_1", "average"):
            check(f"training.{name}", getattr(self, name), 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        both = self.jit_compile == self.deterministic == "on"
        check("training.jit_compile", self.jit_compile, not both, '"auto" or "off" if `deterministic` is "on"')


@dataclass(frozen=True)
class Config:
    """All sections of a config file."""

    model: ModelConfig = field(default_factory=ModelConfig)
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)
    losses: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    masks: MaskConfig = field(default_factory=MaskConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        size, overlap = self.model.image_size, self.masks.overlap
        check("masks.overlap", overlap, 2 * overlap < size // 2, f"below a quarter of `image_size`, {size}")
        smallest = 3 * 2**self.discriminator.depth * (1 if self.discriminator.window == "image" else 2)
        check("model.image_size", size, size >= smallest, f"at least {smallest} for this discriminator")
        check("data.short_side", self.data.short_side, self.data.short_side >= size, f"at least `image_size`, {size}")

    @property
    def validation_short_side(self) -> int:
        """Short side in pixels to which validation photos are scaled down; the paper's if crops vary in size."""
        if self.data.largest_crop == 1:
            return self.data.short_side
        return min(self.data.short_side, round(self.model.image_size * 350 / 256))

    @property
    def discriminator_learning_rate(self) -> float:
        """The learning rate of the discriminator: its own if set, else the generator's."""
        return self.training.discriminator_learning_rate or self.training.learning_rate
