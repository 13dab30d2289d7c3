"""The training step and the state that it changes: `Trainer`."""

import functools
import math

import torch

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import write_atomically
from shiftnet_tf.training.pytorch.batches import Batches, placed
from shiftnet_tf.training.pytorch.losses import LOSSES, losses
from shiftnet_tf.training.pytorch.networks import normalize_spectrum, trainable
from shiftnet_tf.training.pytorch.pretrained import EfficientNetLite
from shiftnet_tf.training.pytorch.weights import read_weights, write_weights

_WARMUP = 300  # steps in which the learning rates rise: Adam begins with no moments
_NAMES = (*LOSSES, "discriminator")
_EPSILON = 1e-7  # Keras's, of Adam


class Trainer:
    """Both networks with the weights of a run `start`, their optimizers, the moving average; `step` trains them."""

    def __init__(self, config: Config, start: Run, features: EfficientNetLite, batches: Batches, device: str) -> None:
        self.start = start
        self.config, self.features, self.batches, self.device = config, features, batches, device
        self.generator = {
            name: placed(x, device).requires_grad_() for name, x in read_weights(start.generator_weights).items()
        }
        self.discriminator = {name: placed(x, device) for name, x in read_weights(start.discriminator_weights).items()}
        trained = trainable(self.discriminator)
        self.average = {name: x.detach().clone() for name, x in self.generator.items()}
        gpu = device != "cpu"
        self.rates = [torch.tensor(0.0, device=device) for _ in range(2)]
        adam = functools.partial(
            torch.optim.Adam, betas=(config.training.beta_1, 0.999), eps=_EPSILON, fused=gpu, capturable=gpu
        )
        parameters = (list(self.generator.values()), [x.requires_grad_() for x in trained.values()])
        self.optimizers = [adam(x, lr=rate) for x, rate in zip(parameters, self.rates)]
        wanted = config.training.mixed_precision
        self.bfloat16 = wanted == "on" or (wanted == "auto" and gpu)
        weights = [getattr(config.losses, name) for name in LOSSES] + [1.0]
        self.weights = torch.tensor(weights, device=device)
        self.sums, self.summed = torch.zeros_like(self.weights), 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def set_rates(self, step: int, constant: int, falling: int) -> None:
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

    def step(self) -> None:
        """Train on what `batches` holds."""
        if self.graph:
            self.graph.replay()
        else:
            self._step()
        self.summed += 1

    def _step(self) -> None:
        normalize_spectrum(self.discriminator)
        batches = self.batches
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bfloat16, cache_enabled=False):
            named = losses(
                self.generator, self.discriminator, self.features, batches.image, batches.mask, batches.middles
            )
        values = torch.stack([named[name].float() for name in _NAMES])
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        (values * self.weights).sum().backward()
        for optimizer in self.optimizers:
            optimizer.step()
        with torch.no_grad():
            weights = [x.detach() for x in self.generator.values()]
            torch._foreach_lerp_(list(self.average.values()), weights, 1.0 - self.config.training.average)
            self.sums.add_(values.detach())

    def capture(self) -> None:
        """Record the step as a CUDA graph, which launches its thousands of kernels at once; runs three steps first."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.batches.draw()
                self._step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        with torch.cuda.graph(graph):
            self._step()
        self.graph = graph

    def save(self, run: Run) -> None:
        """Write the weights into a run folder."""
        pairs = (
            (self.start.generator_weights, run.generator_weights, self.average),
            (self.start.discriminator_weights, run.discriminator_weights, self.discriminator),
        )
        for source, path, weights in pairs:
            write_atomically(path, functools.partial(write_weights, source, weights=weights))

    def read_losses(self) -> dict[str, float]:
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
