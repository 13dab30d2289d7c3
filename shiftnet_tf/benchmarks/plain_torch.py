"""The same networks in plain PyTorch, eager: the other thing that ours are measured against.

Importing this module needs torch. Images are float32 [B, 3, S, S] in [-1, 1], masks float32 [B, 1, S, S], 1 = hole; no
layer of ours is used. It is written as one would write it for speed, without leaving eager mode: all positions of the
shift in one matrix product, activations in place, no gradient of what needs none.
"""

import numpy as np

from shiftnet_tf.errors import MissingPackageError
from shiftnet_tf.system.packages import import_optional

try:
    torch = import_optional("torch", "torch==2.13.0", "comparing with PyTorch")
except MissingPackageError as error:
    raise MissingPackageError(
        f'{error} (as pip install ".[bench]" does); --without-torch goes without the comparison'
    ) from None

from torch import nn
from torch.nn import functional

MEMORY_FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


class TorchGenerator(nn.Module):
    """The paper's generator.

    Args:
        filters: int, base width.
        depth: int, number of convolutions of stride 2.
        shift_layers: list of int, encoder layers with a shift connection.
        mask_channel: bool, whether 1 - mask is a fourth input channel.
        feature_mask: str, `"convolution"` or `"nearest"`, see `ops.masking.downsample_mask`.
        epsilon: float, of the instance normalisation.
    """

    def __init__(self, filters, depth, shift_layers, mask_channel, feature_mask, epsilon):
        super().__init__()
        self.arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        self.shift_layers, self.mask_channel, self.feature_mask = shift_layers, mask_channel, feature_mask
        widths = [filters * min(2**layer, 8) for layer in range(depth)]
        inputs = [3 + mask_channel, *widths]
        self.downs = nn.ModuleList(
            nn.Conv2d(channels, width, 4, stride=2, padding=1) for channels, width in zip(inputs, widths)
        )
        parts = [3 if layer in shift_layers else 2 for layer in range(1, depth)] + [1]
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(part * width, output, 4, stride=2, padding=1)
            for part, width, output in zip(parts, widths, [3, *widths])
        )
        self.down_norms = nn.ModuleList(nn.InstanceNorm2d(width, epsilon, affine=True) for width in widths[1:-1])
        self.up_norms = nn.ModuleList(nn.InstanceNorm2d(width, epsilon, affine=True) for width in widths[:-1])

    def forward(self, image, mask, return_features=False):
        x = image.masked_fill(mask > 0.5, 0.0)
        *skips, x = self._encode(x, mask, len(self.downs))
        x = functional.relu(x)
        features = {}
        for i in reversed(range(1, len(self.ups))):
            decoder = functional.relu_(self.up_norms[i - 1](self.ups[i](x)))
            encoder = functional.relu(skips[i - 1])
            if i in self.shift_layers:
                hole = downsample_mask(mask, i, self.feature_mask)
                shifted, shift_map = shift(decoder, encoder, hole)
                x = torch.cat([decoder, encoder, shifted], dim=1)
                features[i] = (decoder, hole, shift_map)
            else:
                x = torch.cat([decoder, encoder], dim=1)
        predicted_image = torch.tanh(self.ups[0](x))
        if not return_features:
            return predicted_image
        return predicted_image, [features[layer] for layer in self.shift_layers]

    def encode(self, image, mask):
        """Encoder features of an image as it is at each shift connection, list of [B, C, h, w], after the ReLU."""
        if not self.shift_layers:
            return []
        features = self._encode(image, mask, max(self.shift_layers))
        return [functional.relu(features[layer - 1]) for layer in self.shift_layers]

    def _encode(self, image, mask, count):
        x = torch.cat([image, 1.0 - mask], dim=1) if self.mask_channel else image
        features = []
        for i in range(count):
            x = self.downs[i](x)
            if 0 < i < len(self.downs) - 1:
                x = self.down_norms[i - 1](x)
            if i < len(self.downs) - 1:
                x = functional.leaky_relu_(x, 0.2)
            features.append(x)
        return features


class TorchDiscriminator(nn.Module):
    """The paper's discriminator: image [B, 3, H, W] to logits [B, 1, h, w].

    Args:
        filters: int, base width.
        depth: int, convolutions of stride 2.
        epsilon: float, of the instance normalisation.
    """

    def __init__(self, filters, depth, epsilon):
        super().__init__()
        self.arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__")}
        widths = [filters * min(2**layer, 8) for layer in range(depth + 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(channels, width, 4, stride=2 if i < depth else 1, padding=1)
            for i, (channels, width) in enumerate(zip([3, *widths], [*widths, 1]))
        )
        self.norms = nn.ModuleList(nn.InstanceNorm2d(width, epsilon, affine=True) for width in widths[1:])

    def forward(self, x):
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if 0 < i <= len(self.norms):
                x = self.norms[i - 1](x)
            if i <= len(self.norms):
                x = functional.leaky_relu_(x, 0.2)
        return x


def shift(decoder, encoder, hole):
    """The shift connection's third part.

    Args:
        decoder, encoder: float [B, C, h, w].
        hole: bool [B, 1, h, w].

    Returns:
        (shifted features float [B, C, h, w], shift map int64 [B, h * w]: -1 where nothing was filled).
    """
    missing = hole.flatten(1)  # [B, N]
    sources = encoder.flatten(2).transpose(1, 2)  # [B, N, C]
    with torch.no_grad():
        similarity = decoder.flatten(2).transpose(1, 2) @ functional.normalize(sources, dim=2).transpose(1, 2)
        nearest = similarity.masked_fill_(missing[:, None, :], -torch.inf).argmax(dim=2)  # [B, N]
        filled = missing & ~missing.all(dim=1, keepdim=True)
        index = nearest[:, :, None].expand_as(sources)
    shifted = sources.gather(1, index) * filled[:, :, None]
    shifted = shifted.transpose(1, 2).unflatten(2, encoder.shape[2:])
    channels_last = encoder.is_contiguous(memory_format=torch.channels_last)
    memory_format = torch.channels_last if channels_last else torch.contiguous_format
    return shifted.contiguous(memory_format=memory_format), torch.where(filled, nearest, -1)


def downsample_mask(mask, layers, method):
    """`ops.masking.downsample_mask`: float [B, 1, H, W] -> bool [B, 1, h, w]."""
    if method == "nearest":
        return mask[:, :, :: 2**layers, :: 2**layers] > 0.5
    for _ in range(layers):
        mask = functional.avg_pool2d(mask, 4, stride=2, padding=1)
    return mask >= 5 / 16


def generator_of(generator):
    """The plain network with the weights of ours.

    Args:
        generator: Generator of the paper's kind, see `plain_keras.check_plain`.

    Returns:
        TorchGenerator.
    """
    from shiftnet_tf.benchmarks.plain_keras import transposed_kernel

    names = ("filters", "depth", "mask_channel", "feature_mask")
    arguments = {name: getattr(generator, name) for name in names}
    arguments["shift_layers"] = list(generator.shift_layers)
    plain = TorchGenerator(epsilon=generator.decoder_norms[0].epsilon, **arguments)
    _copy(plain.downs, generator.encoder_convolutions, lambda kernel: kernel.transpose(3, 2, 0, 1))
    _copy(plain.ups, generator.decoder_ups, lambda kernel: transposed_kernel(kernel).transpose(3, 2, 0, 1))
    _copy(plain.down_norms, generator.encoder_norms)
    _copy(plain.up_norms, generator.decoder_norms)
    return plain


def discriminator_of(discriminator):
    """The plain network with the weights of ours.

    Args:
        discriminator: Discriminator with instance normalisation and without spectral norm.

    Returns:
        TorchDiscriminator.
    """
    plain = TorchDiscriminator(discriminator.filters, discriminator.depth, discriminator.norms[0].epsilon)
    _copy(plain.convolutions, discriminator.convolutions, lambda kernel: kernel.transpose(3, 2, 0, 1))
    _copy(plain.norms, discriminator.norms)
    return plain


def _copy(plain_layers, layers, convert=np.asarray):
    with torch.no_grad():
        for plain, layer in zip(plain_layers, layers, strict=True):
            weight, bias = layer.get_weights()  # kernel and bias, or gamma and beta
            plain.weight.copy_(torch.from_numpy(np.ascontiguousarray(convert(weight))))
            plain.bias.copy_(torch.from_numpy(bias))


def save(network, path):
    """Keeps a plain network in a file that `load` reads in weights-only mode.

    Args:
        network: TorchGenerator or TorchDiscriminator.
        path: str or Path.
    """
    torch.save({"arguments": network.arguments, "state": network.state_dict()}, path)


def load(kind, path):
    """Reads a plain network.

    Args:
        kind: TorchGenerator or TorchDiscriminator.
        path: str or Path.

    Returns:
        One of `kind`.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    network = kind(**content["arguments"])
    network.load_state_dict(content["state"])
    return network


def answer(network, inputs):
    """What a generator gives, in the layout of ours.

    Args:
        network: TorchGenerator.
        inputs: dict of `image` float32 [B, S, S, 3] and `mask` float32 [B, S, S, 1].

    Returns:
        (predicted image, numpy float32 [B, S, S, 3]; list of shift maps, numpy int64 [B, h * w]).
    """
    with torch.inference_mode():
        image, features = network(to_torch(inputs["image"]), to_torch(inputs["mask"]), return_features=True)
    return np.moveaxis(image.numpy(), 1, -1), [shift_map.numpy() for _, _, shift_map in features]


def to_torch(array):
    """An array [B, H, W, C] as a tensor [B, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
