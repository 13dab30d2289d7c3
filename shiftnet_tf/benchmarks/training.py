"""A training step of ours and of the same networks in plain PyTorch, as subjects for worker.py.

Both begin with the weights of one run folder and take the same batch: the paper's losses, both networks updated from
one forward pass, Adam.
"""

from pathlib import Path

import numpy as np

from shiftnet_tf.benchmarks.measuring import Subject, tensorflow, timed
from shiftnet_tf.run_folder import Run


class TrainingStep(Subject):
    """One step. Settings: `run`, path of a run folder; `inputs`, of an .npz with `image` float32 [B, S, S, 3] in
    [-1, 1] and `mask` float32 [B, S, S, 1].
    """

    def open(self):
        self.run = Run.open(self.settings["run"])
        with np.load(self.settings["inputs"]) as arrays:
            self.batch = {name: arrays[name] for name in ("image", "mask")}
        self.load()

    def losses(self, count):
        """The generator's loss at the first steps; each of those to come is done now: list of float."""
        return [self.first_loss, *(self.step() for _ in range(count - 1))]

    def call(self):
        loss = self.step()
        self.first_loss = getattr(self, "first_loss", loss)


class TensorFlowStep(TrainingStep):
    """`ShiftNet` as train.py builds it, by Keras's own training function.

    Further setting: `part`, `"step"`; `"backward"`, without the optimizers; `"forward"`, without the gradients; or
    `"photos"`, a step on what the input pipeline gives instead of the one batch.
    """

    def load(self):
        tf = tensorflow(self.threads)
        from shiftnet_tf.training import building, dataset

        part = self.settings["part"]
        self.model = building.build(self.run.config)
        self.model.generator.load_weights(self.run.generator_weights)
        self.model.discriminator.load_weights(self.run.discriminator_weights)
        if part in ("backward", "forward"):
            optimizers = (_idle_optimizer(uses_gradients=part == "backward") for _ in range(2))
            self.model.compile(*optimizers, jit_compile=self.run.config.training.jit_compile)
        batches = tf.data.Dataset.from_tensors(self.batch).repeat()
        if part == "photos":
            photos, _ = dataset.open_photos(self.run.config)
            batches = dataset.training_dataset(photos, self.run.config)
        self.batches = iter(batches)
        self.model.make_train_function()

    def step(self):
        self.model.reset_metrics()
        return float(self.model.train_function(self.batches)["loss"])

    def input_times(self, repeats):
        """Milliseconds of each batch that the input pipeline gives, with nothing else at work."""
        return timed(lambda: next(self.batches), repeats)


def _idle_optimizer(uses_gradients):
    """An optimizer that changes no weight.

    One that does not use the gradients either has TensorFlow leave out of the graph all that computes them.
    """
    import keras
    import tensorflow as tf

    class Idle(keras.optimizers.SGD):
        def build(self, variables):
            super().build(variables)
            self.sink = tf.Variable(0.0)

        def apply_gradients(self, grads_and_vars):
            if uses_gradients:
                self.sink.assign(tf.add_n([tf.reduce_sum(gradient[..., :1]) for gradient, _ in grads_and_vars]))

    return Idle()


class TorchStep(TrainingStep):
    """The same networks, losses and optimizer in eager PyTorch.

    Further setting: `memory_format`, a key of `plain_torch.MEMORY_FORMATS`.
    """

    def load(self):
        from shiftnet_tf.benchmarks import plain_torch

        torch = self.torch = plain_torch.torch
        torch.set_num_threads(self.threads)
        memory_format = plain_torch.MEMORY_FORMATS[self.settings["memory_format"]]
        config = self.run.config
        self.weights, rate = config.losses, config.training.learning_rate
        kinds = {"generator": plain_torch.TorchGenerator, "discriminator": plain_torch.TorchDiscriminator}
        self.networks, self.optimizers = {}, {}
        for name, kind in kinds.items():
            network = plain_torch.load(kind, plain_file(self.run, name)).to(memory_format=memory_format)
            self.networks[name], betas = network, (config.training.beta_1, 0.999)
            self.optimizers[name] = torch.optim.Adam(network.parameters(), rate, betas, eps=1e-7, fused=True)
        arrays = (self.batch["image"], self.batch["mask"])
        tensors = (plain_torch.to_torch(array) for array in arrays)
        self.inputs = [tensor.contiguous(memory_format=memory_format) for tensor in tensors]

    def step(self):
        loss, discriminator_loss = self.forward(*self.inputs)
        parameters = {name: list(network.parameters()) for name, network in self.networks.items()}
        grad = self.torch.autograd.grad
        gradients = {"generator": grad(loss, parameters["generator"], retain_graph=True)}
        gradients["discriminator"] = grad(discriminator_loss, parameters["discriminator"])
        for name, optimizer in self.optimizers.items():
            for parameter, gradient in zip(parameters[name], gradients[name]):
                parameter.grad = gradient
            optimizer.step()
        return float(loss.detach())

    def forward(self, image, mask):
        """(loss of the generator, of the discriminator), see `ShiftNet.train_step`."""
        functional, generator = self.torch.nn.functional, self.networks["generator"]
        with self.torch.no_grad():
            targets = generator.encode(image, mask)
        predicted_image, features = generator(image, mask, return_features=True)
        loss = self.weights.reconstruction * functional.l1_loss(predicted_image, image)
        for (decoder, hole, _), target in zip(features, targets):
            loss = loss + self.weights.guidance * ((decoder - target) * hole).square().mean()
        real, generated = self.networks["discriminator"](self.torch.cat([image, predicted_image])).chunk(2)
        loss = loss + self.weights.adversarial * functional.softplus(-generated).mean()
        return loss, 0.5 * (functional.softplus(-real).mean() + functional.softplus(generated).mean())


def plain_file(run, name):
    """Where the plain PyTorch network of a run is kept: Path."""
    return Path(run.path) / f"{name}.pt"


SUBJECTS = {"train_tensorflow": TensorFlowStep, "train_torch": TorchStep}
