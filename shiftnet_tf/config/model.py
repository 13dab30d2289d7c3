"""The sections model, discriminator and losses of a config: the networks, and their training objective.

The defaults are the paper's settings; section and table numbers are those of arXiv 1801.09392.
"""

from dataclasses import dataclass
from typing import Literal

from shiftnet_tf.errors import check, check_choices

Normalization = Literal["instance", "batch", "switchable"]
Shift = Literal["hard", "soft", "soft_fused", "mirrored", "random"]
FeatureMask = Literal["convolution", "nearest"]
LOSSES = (
    "reconstruction",
    "hole",
    "hole_squared",
    "total_variation",
    "texture",
    "style",
    "content",
    "perceptual",
    "guidance",
    "adversarial",
    "feature_matching",
)
MOST_FILTERS = 1024  # the paper's network has 64; with 1,024 it would have 14 billion weights
MOST_PIXELS = 8192  # maximum side of the network's image


@dataclass(frozen=True)
class ModelConfig:
    """The generator (Table 2).

    Attributes:
        image_size: pixels; a multiple of 2 ** `depth`.
        filters: base width: the filters of the first convolution (paper: 64).
        depth: encoder convolutions of stride 2 (paper: 8).
        shift_layers: encoder layers l with a shift connection, each in [1, depth - 1]; layer l has 1 / 2**l of the
            image size (paper: 3, which is 32x32 for 256x256). Empty: a plain U-Net.
        shift: what a shift connection copies. `"hard"` (paper): the nearest known position; `"mirrored"`: the nearest
            one of the image or of its mirror image; `"soft"` and `"soft_fused"`: weighted 3x3 patches, without and with
            score fusion; `"random"`: a random known position (ablation).
        skips: whether the decoder also gets the encoder features; without them and without `shift_layers` the network
            is a context encoder.
        normalization: `"instance"` (paper), `"batch"` or `"switchable"`.
        third_kernel_size: kernel side of the third encoder convolution: 4 (paper) or 6 (the authors' network for
            faces).
        feature_mask: `"convolution"` (paper: three averaging convolutions, threshold 5/16)
            or `"nearest"` (the authors' PyTorch code).
        mask_channel: whether 1 - mask is a fourth input channel.
        seamless: whether to correct the prediction in the hole by its error at the surrounding known pixels, extended
            smoothly into the hole (paper: no). It has no weights.
        patches: whether the network sees the hole filled with patches of the known part instead of empty, and decides
            for each pixel how much of their fine detail to add to its prediction (paper: no).
        blend_patches: whether to blend patches and prediction instead; needs `patches` (paper: no).
        smooth_upsampling: whether the decoder blurs after upsampling, so that it cannot use regular patterns as texture
            (paper: no).
    """

    image_size: int = 256
    filters: int = 64
    depth: int = 8
    shift_layers: tuple[int, ...] = (3,)
    shift: Shift = "hard"
    skips: bool = True
    normalization: Normalization = "instance"
    third_kernel_size: int = 4
    feature_mask: FeatureMask = "convolution"
    mask_channel: bool = True
    seamless: bool = False
    patches: bool = False
    blend_patches: bool = False
    smooth_upsampling: bool = False

    def __post_init__(self) -> None:
        check_choices(self, "model.")
        check("model.depth", self.depth, 2 <= self.depth <= 12, "from 2 to 12")
        most = MOST_FILTERS
        check("model.filters", self.filters, 1 <= self.filters <= most, f"from 1 to {most}")
        check("model.image_size", self.image_size, self.image_size <= MOST_PIXELS, f"at most {MOST_PIXELS}")
        multiple = 2**self.depth
        check(
            "model.image_size",
            self.image_size,
            self.image_size >= multiple and self.image_size % multiple == 0,
            f"a multiple of {multiple} (2 to the `depth` of {self.depth})",
        )
        check(
            "model.shift_layers",
            list(self.shift_layers),
            len(set(self.shift_layers)) == len(self.shift_layers)
            and all(1 <= layer < self.depth for layer in self.shift_layers),
            f"distinct whole numbers from 1 to {self.depth - 1}",
        )
        fitting = self.skips or not self.shift_layers
        check("model.shift_layers", list(self.shift_layers), fitting, "empty if `skips` is false")
        fitting = not self.patches or (self.image_size % 16 == 0 and self.image_size >= 64)
        check("model.image_size", self.image_size, fitting, "a multiple of 16 and at least 64 if `patches` is true")
        fitting = self.patches or not self.blend_patches
        check("model.blend_patches", self.blend_patches, fitting, "false if `patches` is false")
        check("model.third_kernel_size", self.third_kernel_size, self.third_kernel_size in (4, 6), "4 or 6")


@dataclass(frozen=True)
class DiscriminatorConfig:
    """The discriminator (Table 3).

    Attributes:
        filters: base width (paper: 64).
        depth: convolutions of stride 2 (paper: 3).
        input: the generator's image that it sees, `"predicted_image"` (paper) or `"inpainted_image"` (the prediction in
            the hole, the photo elsewhere).
        window: `"image"` (paper), or a square of half the image size, inside the image, around the centre of the hole's
            bounding box (`"hole"`) or around a random pixel of the hole (`"random"`), which takes a quarter of the
            time.
        spectral_norm: whether its convolutions are spectrally normalised (arXiv 1802.05957).
        normalization: `"instance"` (paper), `"batch"` or `"switchable"`.
        mask_channel: whether the mask is a fourth input channel, which shows the part to judge (paper: no).
    """

    filters: int = 64
    depth: int = 3
    input: Literal["predicted_image", "inpainted_image"] = "predicted_image"
    window: Literal["image", "hole", "random"] = "image"
    spectral_norm: bool = False
    normalization: Normalization = "instance"
    mask_channel: bool = False

    def __post_init__(self) -> None:
        check_choices(self, "discriminator.")
        most = MOST_FILTERS
        check("discriminator.filters", self.filters, 1 <= self.filters <= most, f"from 1 to {most}")
        check("discriminator.depth", self.depth, 1 <= self.depth <= 6, "from 1 to 6")


@dataclass(frozen=True)
class LossConfig:
    """Weights of the losses, each of which is a mean; the defaults are the paper's ratios.

    Attributes:
        reconstruction: l1 on the whole image.
        hole: l1 on the hole's pixels, in addition.
        hole_squared: the mean squared difference on the hole's pixels, which is what PSNR measures.
        discount: in (0, 1], factor on the weight in `hole` per pixel of depth in the hole (the authors' PyTorch code:
            0.9). 1: all pixels equal.
        total_variation: roughness of the prediction.
        texture: sliced Wasserstein distance of small patches of the hole.
        style, content: Gram matrices and features, prediction against photo (the authors' PyTorch code, with
            VGG16: 10 and 1).
        perceptual: l1 distance of features, each stage scaled by the size of its features.
        features: the network whose features `style`, `content` and `perceptual` compare: `"vgg16"` (of the predicted
            image, as in the authors' PyTorch code) or `"efficientnet_lite0"` (of the inpainted image; needs the extra
            `perceptual`).
        vgg16_weights: path of the weights of VGG16 without its top layers; nothing is downloaded. A relative path
            starts at the config file's folder.
        guidance: decoder features against the encoder features of the complete image, in the hole.
        adversarial: the GAN loss; 0 trains without a discriminator.
        feature_matching: l1 distance of the discriminator's own features, generated against real, each layer
            scaled by the size of its features; needs `adversarial`.
        adversarial_region: which of the discriminator's patches count: `"image"` (all; paper) or `"hole"` (those that
            see part of the hole).
        r1: weight of R1: half of it multiplies the squared gradient of the discriminator at real photos (arXiv
            1801.04406).
        r1_every: n: compute R1 only at every n-th step, with n times the weight.
        gan: `"vanilla"` (cross-entropy), `"lsgan"` (least squares), `"hinge"`, `"wgan_gp"`, `"relativistic"` or
            `"relativistic_average"`.
        gradient_penalty: weight of the gradient penalty of wgan_gp.
    """

    reconstruction: float = 100.0
    hole: float = 0.0
    hole_squared: float = 0.0
    discount: float = 1.0
    total_variation: float = 0.0
    texture: float = 0.0
    style: float = 0.0
    content: float = 0.0
    perceptual: float = 0.0
    features: Literal["vgg16", "efficientnet_lite0"] = "vgg16"
    vgg16_weights: str = ""
    guidance: float = 1.0
    adversarial: float = 0.2
    feature_matching: float = 0.0
    adversarial_region: Literal["image", "hole"] = "image"
    r1: float = 0.0
    r1_every: int = 16
    gan: Literal["vanilla", "lsgan", "hinge", "wgan_gp", "relativistic", "relativistic_average"] = "vanilla"
    gradient_penalty: float = 10.0

    def __post_init__(self) -> None:
        check_choices(self, "losses.")
        for name in (*LOSSES, "gradient_penalty", "r1"):
            check(f"losses.{name}", getattr(self, name), 0 <= getattr(self, name) <= 1e9, "from 0 to 1e9")
        check("losses.discount", self.discount, 0 < self.discount <= 1, "above 0 and at most 1")
        given = self.vgg16_weights or self.features != "vgg16" or not self.uses_features
        check(
            "losses.vgg16_weights",
            self.vgg16_weights,
            given,
            "a path if `style`, `content` or `perceptual` is above 0 and `losses.features` is vgg16",
        )
        together = self.reconstruction + self.hole + self.hole_squared
        check(
            "losses.reconstruction",
            self.reconstruction,
            together > 0,
            "above 0 if `losses.hole` and `losses.hole_squared` are 0",
        )
        check("losses.r1_every", self.r1_every, 1 <= self.r1_every <= 10**6, "from 1 to 10**6")
        for name in ("feature_matching", "r1"):
            value = getattr(self, name)
            check(f"losses.{name}", value, value == 0 or self.adversarial > 0, "0 if `losses.adversarial` is 0")

    @property
    def uses_features(self) -> bool:
        """Whether some loss compares the features of a pretrained network."""
        return self.style > 0 or self.content > 0 or self.perceptual > 0
