"""A training step of ours and of the same networks in plain PyTorch, as worker.py times them.

Both start from the weights of one run folder and take the same batch: the paper's losses, both networks updated from
one forward pass, Adam.
"""

import numpy as np

from harness.measuring import limit_tensorflow, peak_memory, time_calls
from shiftnet_tf.run_folder import Run

LOSSES = 3  # steps that warm up, and whose losses are compared


def measure_step(request: dict) -> dict:
    """Time one kind of training step.

    Args:
        request: has also `run`, path of a run folder, and for PyTorch `memory_format`, a key of
            `plain_torch.MEMORY_FORMATS`; its inputs are `image` float32 [B, S, S, 3] in [-1, 1] and `mask` float32
            [B, S, S, 1].

    Returns:
        `losses`, the generator's at the first steps; `ms` of each step; `memory_mb`, the peak.
    """
    run = Run.open(request["run"])
    with np.load(request["inputs"]) as arrays:
        batch = {name: arrays[name] for name in ("image", "mask")}
    if "memory_format" in request:
        step = _torch_step(run, batch, request["memory_format"], request["threads"])
    else:
        step = _tensorflow_step(run, batch, request["threads"])
    answer = {"losses": [step() for _ in range(LOSSES)]}
    return answer | {"ms": time_calls(step, request["repeats"]), "memory_mb": peak_memory()}


def _tensorflow_step(run, batch, threads):
    """Build `ShiftNet` as train.py does; return a function that does a step and returns the loss."""
    tf = limit_tensorflow(threads)
    from shiftnet_tf.training import building

    model = building.build(run.config)
    model.generator.load_weights(run.generator_weights)
    model.discriminator.load_weights(run.discriminator_weights)
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    model.make_train_function()

    def step():
        model.reset_metrics()
        return float(model.train_function(batches)["loss"])

    return step


def _torch_step(run, batch, memory_format, threads):
    """Build the same step in eager PyTorch, see `ShiftNet.train_step`; return a function that does one."""
    from harness import plain_torch

    torch, functional = plain_torch.torch, plain_torch.functional
    torch.set_num_threads(threads)
    memory_format = plain_torch.MEMORY_FORMATS[memory_format]
    names, weights, training = ("generator", "discriminator"), run.config.losses, run.config.training
    networks = [plain_torch.load(run.path / f"{name}.pt").to(memory_format=memory_format) for name in names]
    generator, discriminator = networks
    parameters = [list(network.parameters()) for network in networks]
    adam = {"lr": training.learning_rate, "betas": (training.beta_1, 0.999), "eps": 1e-7, "fused": True}
    optimizers = [torch.optim.Adam(part, **adam) for part in parameters]
    tensors = (plain_torch.to_torch(batch[name]) for name in ("image", "mask"))
    image, mask = (tensor.contiguous(memory_format=memory_format) for tensor in tensors)

    def step():
        with torch.no_grad():
            targets = generator.encode(image, mask)
        predicted_image, features = generator(image, mask, return_features=True)
        loss = weights.reconstruction * functional.l1_loss(predicted_image, image)
        for (decoder, hole, _), target in zip(features, targets):
            loss = loss + weights.guidance * ((decoder - target) * hole).square().mean()
        real, generated = discriminator(torch.cat([image, predicted_image])).chunk(2)
        loss = loss + weights.adversarial * functional.softplus(-generated).mean()
        discriminator_loss = 0.5 * (functional.softplus(-real).mean() + functional.softplus(generated).mean())
        gradients = [torch.autograd.grad(loss, parameters[0], retain_graph=True)]
        gradients.append(torch.autograd.grad(discriminator_loss, parameters[1]))
        for i, optimizer in enumerate(optimizers):
            for parameter, gradient in zip(parameters[i], gradients[i]):
                parameter.grad = gradient
            optimizer.step()
        return float(loss.detach())

    return step
