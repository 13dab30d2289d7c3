"""The losses of a training step, unweighted: `losses`."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from shiftnet_tf.training.pytorch.networks import encode, generate, judge
from shiftnet_tf.training.pytorch.ops import composite
from shiftnet_tf.training.pytorch.pretrained import STAGES, EfficientNetLite
from shiftnet_tf.training.pytorch.weights import Weights

LOSSES = ("reconstruction", "hole", "perceptual", "guidance", "adversarial", "feature_matching")


def losses(
    generator: Weights,
    discriminator: Weights,
    features: EfficientNetLite,
    image: torch.Tensor,
    mask: torch.Tensor,
    middles: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """Return the losses of a step, unweighted, as in `ShiftNet.train_step`.

    Args:
        generator, discriminator: weights by name; the discriminator's spectra must be normalised, see
            `networks.normalize_spectrum`.
        features: `pretrained.EfficientNetLite` number 0.
        image: float32 [B, 3, S, S] in [-1, 1].
        mask: float32 [B, 1, S, S], 1 = hole.
        middles: int64 [B, 2], row and column of the centre of the discriminator's window.

    Returns:
        dict of scalars: LOSSES, whose gradients reach only the generator, and `discriminator`, whose gradient reaches
        only the discriminator, so that one backward pass of a weighted sum serves both.
    """
    frozen = {name: x.detach() for name, x in discriminator.items()}
    with torch.no_grad():
        target = F.relu(encode(generator, image, mask, 3)[2])
        true_features = [features(image)[i] for i in STAGES]
    predicted, (decoder, feature_mask) = generate(generator, image, mask, training=True)
    inpainted = composite(predicted, image, mask)
    difference = (predicted - image).abs()
    shown_features = features(inpainted)
    real, generated, shown_mask = window([image, inpainted, mask], middles, image.shape[2] // 2)
    patches = hole_patches(shown_mask)
    logits, generated_features = judge(frozen, generated)
    with torch.no_grad():
        real_features = judge(frozen, real)[1]
    real_logits, generated_logits = judge(discriminator, real)[0], judge(discriminator, generated.detach())[0]
    return {
        "reconstruction": difference.mean(),
        "hole": (difference * mask).sum() / (3 * mask.sum()).clamp(min=1e-12),
        "perceptual": _relative([shown_features[i] for i in STAGES], true_features, mask),
        "guidance": ((decoder.float() - target.float()) * feature_mask).square().mean(),
        "adversarial": -_mean(logits, patches),
        "feature_matching": _relative(generated_features, real_features, shown_mask),
        "discriminator": 0.5 * _mean(F.relu(1.0 - real_logits) + F.relu(1.0 + generated_logits), patches),
    }


def window(images: Sequence[torch.Tensor], middles: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Return squares of `size` around `middles` int64 [B, 2], moved inside, of each of `images` [B, C, S, S]."""
    start = (middles - size // 2).clamp(0, images[0].shape[2] - size)  # [B, 2]
    steps = torch.arange(size, device=start.device)
    rows, columns = start[:, 0, None] + steps, start[:, 1, None] + steps
    batch = torch.arange(len(start), device=start.device)[:, None, None]
    return [x[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2) for x in images]


def hole_patches(mask: torch.Tensor) -> torch.Tensor:
    border, width, stride = 23, 70, 8
    padded = F.pad(mask, [border] * 4)
    return F.max_pool2d(F.max_pool2d(padded, (width, 1), (stride, 1)), (1, width), (1, stride))


def _mean(values: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (values * weights).sum() / weights.sum().clamp(min=1e-12)


def _relative(features: Sequence[torch.Tensor], targets: Sequence[torch.Tensor], mask: torch.Tensor) -> torch.Tensor:
    share = mask.mean()
    ratios = []
    for feature, target in zip(features, targets):
        target = target.detach().float()
        ratios.append((feature.float() - target).abs().sum() / (share * target.abs().sum()).clamp(min=1e-12))
    return torch.stack(ratios).sum() / len(ratios)
