"""The networks in plain eager PyTorch, with the weights of ours: the baseline of both benchmarks. Needs torch.

Images are float32 [B, 3, S, S] in [-1, 1], masks float32 [B, 1, S, S], 1 = hole. Written for speed within eager mode:
all positions of the shift in one matrix product, activations in place, no gradients where none are needed.
"""

import numpy as np

from shiftnet_tf.system.packages import import_optional

torch = import_optional("torch", '".[bench]"', "comparing with PyTorch (or else --without-torch)")

from torch import nn
from torch.nn import functional

MEMORY_FORMATS = {"PyTorch": torch.contiguous_format, "PyTorch (channels_last)": torch.channels_last}


class TorchGenerator(nn.Module):
    """The paper's generator with the weights of ours.

    Args:
        generator: Generator of the paper's kind, see `plain_keras.check_plain`.
    """

    def __init__(self, generator):
        super().__init__()
        self.shift_layers, self.mask_channel = list(generator.shift_layers), generator.mask_channel
        self.feature_mask = generator.feature_mask
        self.downs = nn.ModuleList(_convolution(layer) for layer in generator.encoder_convolutions)
        self.ups = nn.ModuleList(_transposed_convolution(layer) for layer in generator.decoder_ups)
        self.down_norms = nn.ModuleList(_norm(layer) for layer in generator.encoder_norms)
        self.up_norms = nn.ModuleList(_norm(layer) for layer in generator.decoder_norms)

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
        """Return the encoder features at each shift connection, list of [B, C, h, w] after the ReLU; no hole is cut."""
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
    """The paper's discriminator with the weights of ours: image [B, 3, H, W] to logits [B, 1, h, w].

    Args:
        discriminator: Discriminator with instance normalisation and without spectral norm.
    """

    def __init__(self, discriminator):
        super().__init__()
        self.convolutions = nn.ModuleList(_convolution(layer) for layer in discriminator.convolutions)
        self.norms = nn.ModuleList(_norm(layer) for layer in discriminator.norms)

    def forward(self, x):
        for i, convolution in enumerate(self.convolutions):
            x = convolution(x)
            if 0 < i <= len(self.norms):
                x = self.norms[i - 1](x)
            if i <= len(self.norms):
                x = functional.leaky_relu_(x, 0.2)
        return x


def shift(decoder, encoder, hole):
    """Return the third part of the shift connection.

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
    """Do what `ops.masking.downsample_mask` does: float [B, 1, H, W] -> bool [B, 1, h, w]."""
    if method == "nearest":
        return mask[:, :, :: 2**layers, :: 2**layers] > 0.5
    for _ in range(layers):
        mask = functional.avg_pool2d(mask, 4, stride=2, padding=1)
    return mask >= 5 / 16


def _convolution(layer):
    kernel, bias = layer.get_weights()
    plain = nn.Conv2d(*kernel.shape[2:], 4, layer.strides, padding=1)
    return _with_weights(plain, kernel.transpose(3, 2, 0, 1), bias)


def _transposed_convolution(layer):
    from harness.plain_keras import transposed_kernel  # imports TensorFlow, which a worker of PyTorch must not

    kernel, bias = layer.get_weights()
    kernel = transposed_kernel(kernel).transpose(3, 2, 0, 1)  # [C, F, 4, 4]
    return _with_weights(nn.ConvTranspose2d(*kernel.shape[:2], 4, stride=2, padding=1), kernel, bias)


def _norm(layer):
    gamma, beta = layer.get_weights()
    return _with_weights(nn.InstanceNorm2d(len(gamma), layer.epsilon, affine=True), gamma, beta)


def _with_weights(plain, weight, bias):
    with torch.no_grad():
        plain.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        plain.bias.copy_(torch.from_numpy(bias))
    return plain


def load(path):
    """Read a network that `torch.save` wrote in this benchmark; never a file from elsewhere, which can run code."""
    return torch.load(path, map_location="cpu", weights_only=False)


def answer(network, inputs):
    """Return the output of a generator in the layout of ours.

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
    """Convert an array [B, H, W, C] to a tensor [B, C, H, W]."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 1)))
