"""Generator and discriminator as functions of weights by name, see `weights.read_weights`, and images [B, C, H, W]."""

import torch
import torch.nn.functional as F

from shiftnet_tf.training.pytorch.ops import NEVER, composite, downsample_mask, gather, membrane
from shiftnet_tf.training.pytorch.patch_filling import fill_from_patches
from shiftnet_tf.training.pytorch.weights import Weights


def encode(weights: Weights, image: torch.Tensor, mask: torch.Tensor, count: int = 8) -> list[torch.Tensor]:
    x = torch.cat([image, 1.0 - mask], 1)
    features = []
    for i in range(count):
        name = _numbered("encoder_convolutions/conv2d", i)
        x = F.conv2d(x, weights[f"{name}/vars/0"], weights[f"{name}/vars/1"], 2, 1)
        if 0 < i < 7:
            x = _instance_norm(weights, _numbered("encoder_norms/instance_normalization", i - 1), x)
        if i < 7:
            x = F.leaky_relu(x, 0.2)
        features.append(x)
    return features


def generate(
    weights: Weights, image: torch.Tensor, mask: torch.Tensor, training: bool = False
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """Return the prediction [B, 3, S, S] and (decoder features, feature mask) of the shift."""
    masked = composite(torch.zeros_like(image), image, mask)
    seen = fill_from_patches(masked, mask)
    *skips, bottleneck = encode(weights, seen, mask)
    x = F.relu(bottleneck)
    for i in reversed(range(1, 8)):
        x = _up(weights, _numbered("decoder_ups/subpixel_upsampling", i), x, smooth=True)
        x = _instance_norm(weights, _numbered("decoder_norms/instance_normalization", i - 1), x)
        decoder, encoder = F.relu(x), F.relu(skips[i - 1])
        if i == 3:
            feature_mask = downsample_mask(mask, 3)
            x = _shift(decoder, encoder, feature_mask)
            guided = decoder, feature_mask
        else:
            x = torch.cat([decoder, encoder], 1)
    predicted = torch.tanh(_up(weights, "decoder_ups/subpixel_upsampling", x, smooth=False).float())
    predicted = composite(predicted + membrane(masked - predicted, mask), predicted, mask)
    logits = _up(weights, "detail_gate", x, smooth=False).float()
    cells = F.avg_pool2d(F.avg_pool2d(mask, 8), 7, 1, 3, count_include_pad=False)
    around = F.interpolate(cells, scale_factor=8, mode="bilinear")
    share = torch.sigmoid(logits + weights["detail_gate/vars/2"] * around)
    predicted = composite(predicted + share * (seen - predicted), predicted, mask)
    return predicted if training else predicted.clamp(-1.0, 1.0), guided


def judge(weights: Weights, images: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Return logits and features."""
    x, features = images, []
    for i in range(5):
        name = _numbered("convolutions/spectral_normalization", i) + "/layer"
        x = F.conv2d(x, weights[f"{name}/vars/0"], weights[f"{name}/vars/1"], 2 if i < 3 else 1, 1)
        if 0 < i <= 3:
            x = _instance_norm(weights, _numbered("layers/instance_normalization", i - 1), x)
        if i <= 3:
            x = F.leaky_relu(x, 0.2)
            features.append(x)
    return x.float(), features


@torch.no_grad()
def normalize_spectrum(weights: Weights) -> None:
    """Run one power iteration on each convolution of the discriminator, and divide its kernel by the norm."""
    for i in range(5):
        name = _numbered("convolutions/spectral_normalization", i)
        kernel, u = weights[f"{name}/layer/vars/0"], weights[f"{name}/vars/1"]
        matrix = kernel.flatten(1).t()  # [C k k, F]
        v = F.normalize(u @ matrix.t(), dim=1)
        u.copy_(F.normalize(v @ matrix, dim=1))
        kernel.div_(v @ matrix @ u.t())
        weights[f"{name}/vars/0"].copy_(kernel)  # Keras writes it twice


def trainable(discriminator: Weights) -> Weights:
    """Return the trainable weights of a discriminator: all except the vectors of spectral normalisation."""
    return {name: x for name, x in discriminator.items() if "spectral" not in name or "/layer/" in name}


def _shift(decoder: torch.Tensor, encoder: torch.Tensor, feature_mask: torch.Tensor) -> torch.Tensor:
    """Return decoder, encoder and shifted features, [B, 3C, H, W]."""
    batch, channels, height, width = decoder.shape
    hole = feature_mask.flatten(1)  # [B, N]
    queries = decoder.flatten(2).transpose(1, 2).float()
    sources = encoder.flatten(2).transpose(1, 2)
    unit = sources.float()
    unit = unit * torch.rsqrt(unit.square().sum(-1, keepdim=True).clamp(min=1e-12))
    with torch.autocast(decoder.device.type, enabled=False):
        scores = torch.bmm(queries.detach(), unit.detach().transpose(1, 2)) + NEVER * hole[:, None]
    nearest = scores.argmax(-1)
    filled = hole * (1.0 - hole).amax(1, keepdim=True)
    shifted = gather(sources, nearest) * filled[..., None].to(sources.dtype)
    shifted = shifted.transpose(1, 2).reshape(batch, channels, height, width)
    return torch.cat([decoder, encoder, shifted], 1)


def _numbered(name: str, i: int) -> str:
    return name if i == 0 else f"{name}_{i}"


def _instance_norm(weights: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    scale, offset = weights[f"{name}/vars/0"], weights[f"{name}/vars/1"]
    y = x.float()
    mean = y.mean((2, 3), keepdim=True)
    variance = (y - mean).square().mean((2, 3), keepdim=True)
    factor = torch.rsqrt(variance + 1e-5) * scale[None, :, None, None]
    return (y * factor + (offset[None, :, None, None] - mean * factor)).to(x.dtype)


def _up(weights: Weights, name: str, x: torch.Tensor, smooth: bool) -> torch.Tensor:
    kernel, bias = weights[f"{name}/vars/0"], weights[f"{name}/vars/1"]
    if not smooth:
        return F.conv_transpose2d(x, kernel, bias, 2, 1)
    framed = F.conv_transpose2d(x, kernel, bias, 2)
    rows = 0.25 * framed[:, :, :-2] + 0.5 * framed[:, :, 1:-1] + 0.25 * framed[:, :, 2:]
    return 0.25 * rows[..., :-2] + 0.5 * rows[..., 1:-1] + 0.25 * rows[..., 2:]
