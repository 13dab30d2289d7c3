"""How long a training step takes beside the same step in plain PyTorch, in a table."""

import tempfile
from pathlib import Path

import numpy as np

from harness import report
from harness.measuring import MeasuringError, in_turns, median, say
from harness.runtimes import SAMPLES, random_run
from shiftnet_tf.config.model import DiscriminatorConfig, ModelConfig
from shiftnet_tf.config.run import Config, DataConfig, TrainingConfig
from shiftnet_tf.export import parity
from shiftnet_tf.photos import pixels


def compare_steps(
    *,
    filters: int,
    image_size: int,
    batch: int,
    threads: int,
    rounds: int,
    repeats: int,
    json: str | None = None,
    without_torch: bool = False,
) -> None:
    """Measure and print what benchmarks/training.py describes; the arguments are its options.

    Raises:
        MeasuringError: a step failed, or PyTorch's has other losses than ours.
    """
    settings = Config(
        model=ModelConfig(filters=filters, image_size=image_size),
        discriminator=DiscriminatorConfig(filters=filters),
        data=DataConfig(short_side=max(350, image_size)),
        training=TrainingConfig(batch_size=batch),
    )
    machine = report.machine(threads)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        run, generator, discriminator = random_run(path / "run", settings)
        image, mask = (array.astype(np.float32) for array in parity.sample_pairs(SAMPLES / "train", image_size, 1))
        arrays = {"image": pixels.to_unit(image).repeat(batch, axis=0), "mask": mask.repeat(batch, axis=0)}
        np.savez(path / "batch.npz", **arrays)
        shared = {"kind": "training_step", "threads": threads, "repeats": repeats, "run": str(run.path)}
        requests = {"ours": shared | {"inputs": str(path / "batch.npz")}}
        if not without_torch:
            from harness import plain_torch

            plain_torch.torch.save(plain_torch.TorchGenerator(generator), run.path / "generator.pt")
            plain_torch.torch.save(plain_torch.TorchDiscriminator(discriminator), run.path / "discriminator.pt")
            requests |= {name: requests["ours"] | {"memory_format": name} for name in plain_torch.MEMORY_FORMATS}
        answers = in_turns(requests, rounds)
    losses = {name: found[0]["losses"] for name, found in answers.items()}
    for name, values in losses.items():
        if not np.allclose(values, losses["ours"], rtol=0.01):
            raise MeasuringError(
                f"{name} is not the same training step: its losses are {values}, ours {losses['ours']}"
            )
    ms, memory = ({name: median(found, key) for name, found in answers.items()} for key in ("ms", "memory_mb"))
    base = min(list(requests)[1:], key=ms.get, default="ours")
    rows = [[name, ms[name], f"{ms[name] / ms[base]:.2f}", memory[name]] for name in requests]
    say("\n" + report.markdown(["a training step", "ms", f"over {base}", "memory, MB"], rows))
    if json:
        content = {"machine": machine, "filters": filters, "image_size": image_size, "batch": batch, "rounds": rounds}
        content |= {"repeats": repeats, "ms": ms, "memory_mb": memory, "over": base, "first_losses": losses}
        report.write_json(json, content)
