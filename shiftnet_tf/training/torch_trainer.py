"""The training loop's parts in PyTorch, for one GPU: batches in its memory, a step as one CUDA graph, validation.

Networks and losses: `torch_twin`.
"""

import argparse
import functools
import math
import multiprocessing
from multiprocessing.pool import ThreadPool

import numpy as np
import torch
import torch.nn.functional as F

from shiftnet_tf.errors import InputError, check
from shiftnet_tf.masks import sampling
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.system.machine import usable_cores
from shiftnet_tf.training import torch_twin
from shiftnet_tf.training.photo_folder import mask_sampler
from shiftnet_tf.training.torch_twin import LOSSES

_WARMUP = 300  # steps in which the learning rates rise: Adam begins with no moments
_NAMES = (*LOSSES, "discriminator")
_EPSILON = 1e-7  # Keras's, of Adam


def add_arguments(parser, look_every):
    """Add the arguments of every script that trains in PyTorch, but for its steps; see `parse`."""
    parser.add_argument("config", help="read the recipe from this TOML file")
    parser.add_argument("--from", dest="start", metavar="DIR", required=True, help="start from this run or saved model")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as losses.hole=3 (repeatable)",
    )
    parser.add_argument(
        "--look-every", type=int, default=look_every, metavar="N", help="validate every N steps (default: %(default)s)"
    )
    parser.add_argument("--device", default="cuda", help="use this device of PyTorch (default: %(default)s)")


def parse(parser: argparse.ArgumentParser, arguments):
    """Parse the arguments of such a script, which has `--steps` and `--falling-steps` too.

    Raises:
        InputError: a number below 1.
    """
    options = parser.parse_args(arguments)
    for name in ("steps", "falling_steps", "look_every"):
        check(f"--{name.replace('_', '-')}", getattr(options, name), getattr(options, name) >= 1, "1 or more")
    return options


def draw_masks(config, count):
    """Draw at least `count` masks, packed bits [N, S, S / 8], on all cores; call it before the GPU is used."""
    cores = usable_cores()
    drawn = functools.partial(_draw_part, config, -(-count // (4 * cores)))
    with multiprocessing.get_context("fork").Pool(cores) as pool:
        return np.concatenate(pool.map(drawn, range(4 * cores)))


def _draw_part(config, count, part):
    draw, rng = mask_sampler(config), np.random.default_rng([config.training.seed, part])
    return np.packbits(np.stack([draw(rng) for _ in range(count)]), axis=-1)


class Batches:
    """Draws each batch into the same tensors, which a CUDA graph reads: `image`, `mask`, `middles` (of the window).

    Crops, mirroring and colours are drawn as `training.dataset` draws them, from other random numbers.
    """

    def __init__(self, photos, masks, config, device):
        size, count = config.model.image_size, config.training.batch_size
        self.photos = [photo.to(device) for photo in photos]
        self.masks = torch.from_numpy(masks).to(device)
        self.config, self.rng, self.order = config, np.random.default_rng(config.training.seed), []
        self.image = _placed(torch.zeros(count, 3, size, size), device)
        self.mask = torch.zeros(count, 1, size, size, device=device)
        self.middles = torch.zeros(count, 2, dtype=torch.int64, device=device)
        self.bits = torch.arange(7, -1, -1, device=device, dtype=torch.uint8)
        self.pixel_rng = torch.Generator(device).manual_seed(config.training.seed)

    def draw(self):
        count, _, size, _ = self.image.shape
        image = self._recolour(torch.cat([self._crop(size) for _ in range(count)]))
        self.image.copy_(image / 127.5 - 1.0)
        chosen = torch.from_numpy(self.rng.integers(len(self.masks), size=count)).to(self.image.device)
        mask = ((self.masks[chosen][..., None] >> self.bits) & 1).reshape(self.mask.shape)
        mirrored = torch.from_numpy(self.rng.random((count, 1, 1, 1)) < 0.5).to(self.image.device)
        self.mask.copy_(torch.where(mirrored, mask.flip(3), mask))
        pixel = torch.multinomial(self.mask.flatten(1), 1, generator=self.pixel_rng)[:, 0]
        self.middles.copy_(torch.stack([pixel // size, pixel % size], 1))

    def _crop(self, size):
        """A random square of the next photo, scaled down: float32 [1, 3, S, S], grey levels."""
        if not self.order:
            self.order = list(self.rng.permutation(len(self.photos)))
        photo, data = self.photos[self.order.pop()], self.config.data
        height, width = photo.shape[1:]
        most = min(data.largest_crop, min(height, width) / size)
        side = min(round(size * most ** self.rng.random()), height, width)
        top, left = self.rng.integers(height - side + 1), self.rng.integers(width - side + 1)
        crop = photo[None, :, top : top + side, left : left + side].float()
        if side != size:
            crop = F.interpolate(crop, size=(size, size), mode="bilinear", antialias=True)
        return crop.flip(3) if data.flip and self.rng.random() < 0.5 else crop

    def _recolour(self, image):
        strength = self.config.data.colour
        amount = self.rng.uniform(1 - strength, 1 + strength, (3, len(image), 1, 1, 1)).astype(np.float32)
        contrast, saturation, brightness = torch.from_numpy(amount).to(image.device)
        mean = image.mean((2, 3), keepdim=True)
        image = mean + (image - mean) * contrast
        grey = (image * image.new_tensor([0.2989, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
        return ((grey + (image - grey) * saturation) * brightness).clamp(0.0, 255.0)


def _placed(tensor, device):
    return tensor.to(device, memory_format=torch.channels_last) if tensor.ndim == 4 else tensor.to(device)


class Trainer:
    """Both networks, their optimizers and the moving average; `step` trains on the next batch."""

    def __init__(self, config, generator, discriminator, features, batches, device):
        self.config, self.features, self.batches, self.device = config, features, batches, device
        self.generator = {name: _placed(x, device).requires_grad_() for name, x in generator.items()}
        self.discriminator = {name: _placed(x, device) for name, x in discriminator.items()}
        trained = torch_twin.trainable(self.discriminator)
        self.average = {name: x.detach().clone() for name, x in self.generator.items()}
        gpu = device != "cpu"
        self.rates = [torch.tensor(0.0, device=device) for _ in range(2)]
        settings = {"betas": (config.training.beta_1, 0.999), "eps": _EPSILON, "fused": gpu, "capturable": gpu}
        parameters = (list(self.generator.values()), [x.requires_grad_() for x in trained.values()])
        self.optimizers = [torch.optim.Adam(x, lr=rate, **settings) for x, rate in zip(parameters, self.rates)]
        wanted = config.training.mixed_precision
        self.bfloat16 = wanted == "on" or (wanted == "auto" and gpu)
        weights = [getattr(config.losses, name) for name in LOSSES] + [1.0]
        self.weights = torch.tensor(weights, device=device)
        self.sums, self.summed, self.graph = torch.zeros_like(self.weights), 0, None

    def set_rates(self, step, constant, falling):
        """Set the learning rates of a step: after a warm-up those of the config, then half a period of a cosine to 0.

        Args:
            step: from 0.
            constant: the step at which the rates begin to fall.
            falling: steps until they are 0.
        """
        share = min(1.0, (step + 1) / _WARMUP) * 0.5 * (1 + math.cos(math.pi * max(0, step - constant) / falling))
        settings = self.config.training
        rates = (settings.learning_rate, settings.discriminator_learning_rate or settings.learning_rate)
        for rate, value in zip(self.rates, rates):
            rate.fill_(share * value)

    def step(self):
        """Train on what `batches` holds."""
        if self.graph:
            self.graph.replay()
        else:
            self._step()
        self.summed += 1

    def _step(self):
        torch_twin.normalize_spectrum(self.discriminator)
        batches = self.batches
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
            values = torch_twin.losses(
                self.generator, self.discriminator, self.features, batches.image, batches.mask, batches.middles
            )
        values = torch.stack([values[name].float() for name in _NAMES])
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        (values * self.weights).sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            weights = [x.detach() for x in self.generator.values()]
            torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - self.config.training.average)
            self.sums.add_(values.detach())

    def capture(self):
        """Record the step as a CUDA graph, which launches its thousands of kernels at once; runs three steps first."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.batches.draw()
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(self.graph):
            self._step()

    def save(self, template, run):
        """Write the weights into a run folder; `template` is one with files of weights of the same networks."""
        pairs = (
            (template.generator_weights, run.generator_weights, self.average),
            (template.discriminator_weights, run.discriminator_weights, self.discriminator),
        )
        for source, path, weights in pairs:
            write_atomically(path, functools.partial(torch_twin.write_weights, source, weights=weights))

    def read_losses(self):
        """Return the mean of each loss since the last call.

        Raises:
            InputError: one is not finite.
        """
        means = dict(zip(_NAMES, (self.sums / max(1, self.summed)).tolist()))
        self.sums.zero_()
        self.summed = 0
        if not all(map(math.isfinite, means.values())):
            raise InputError(f"the losses are no longer finite ({means}): lower training.learning_rate")
        return {name: round(value, 4) for name, value in means.items()}


@torch.no_grad()
def fill_center(weights, photo, config, device):
    """Fill the centre hole of a crop from the middle of a photo.

    Args:
        weights: of the generator, as `torch_twin.generate` takes them.
        photo: uint8 [3, H, W]; H and W are at least S.
        config: Config of the run.
        device: torch device.

    Returns:
        (crop, crop with the hole filled, hole): float32 [1, 3, S, S] twice, in grey levels, and [1, 1, S, S].
    """
    size = config.model.image_size
    hole = torch.from_numpy(sampling.center(size, config.masks.overlap)).to(device).float()[None, None]
    top, left = ((side - size) // 2 for side in photo.shape[1:])
    image = photo[None, :, top : top + size, left : left + size].to(device).float()
    predicted, _ = torch_twin.generate(weights, image / 127.5 - 1.0, hole)
    return image, torch_twin.composite(((predicted + 1.0) * 127.5).round(), image, hole), hole


def validate(weights, photos, network, config, device):
    """Return PSNR of the hole in dB and deep distance, as means over the centre holes of the photos' middles."""
    touched = np.flatnonzero(sampling.center(config.model.image_size, config.masks.overlap).any(axis=1))
    box = slice(int(touched[0]) - 8, int(touched[-1]) + 9)  # as networks.deep_distance has it
    found = []
    for photo in photos:
        image, filled, hole = fill_center(weights, photo, config, device)
        error = ((filled - image).square() * hole).sum() / (3 * hole.sum())
        parts = [x[:, :, box, box] / 127.5 - 1.0 for x in (image, filled)]
        with torch.no_grad():
            found.append((10 * math.log10(255.0**2 / float(error)), torch_twin.deep_distance(network, *parts)))
    return [round(float(value), 3) for value in np.mean(found, axis=0)]


def read_all(folder):
    """All photos of a PhotoFolder: list of uint8 [3, H, W]."""
    with ThreadPool(usable_cores()) as pool:
        return pool.map(lambda i: torch.from_numpy(folder.load(i).transpose(2, 0, 1).copy()), range(len(folder)))
