"""How long a training step takes beside the same step in plain PyTorch, and where its time goes, in tables."""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from harness import report
from harness.measuring import MeasuringError, in_turns, median, say
from harness.subjects import SAMPLES, random_run
from shiftnet_tf.config.model import DiscriminatorConfig, ModelConfig
from shiftnet_tf.config.run import Config, DataConfig, TrainingConfig
from shiftnet_tf.export import parity
from shiftnet_tf.photos import pixels
from shiftnet_tf.training import dataset

PHOTOS = SAMPLES / "train"
PARTS = ("backward", "forward", "photos")  # of our step, see `steps.tensorflow_step`


def compare_steps(options: argparse.Namespace) -> None:
    """Measure and print all that benchmarks/training.py describes; the options are those of its --help."""
    machine = report.machine(options.threads)
    kinds = {"ours": {"part": "step"}}
    if not options.without_torch:
        from harness import plain_torch

        kinds |= {name: {"memory_format": name} for name in plain_torch.MEMORY_FORMATS}
    whole = list(kinds)
    kinds |= {part: {"part": part} for part in PARTS}
    with tempfile.TemporaryDirectory() as folder:
        shared = make_run(options, Path(folder))
        say("comparing the losses of the first steps")
        losses = compare_losses({name: shared | kinds[name] | {"repeats": 0} for name in whole})
        requests = {name: shared | kind | {"repeats": options.repeats} for name, kind in kinds.items()}
        answers = in_turns(requests, options.rounds)
    ms = {name: median(answers[name], "ms") for name in kinds}
    base = min(whole[1:], key=ms.get, default="ours")
    goes = {
        "forward and losses": ms["forward"],
        "gradients": ms["backward"] - ms["forward"],
        "optimizers": ms["ours"] - ms["backward"],
        "waiting for the input pipeline": ms["photos"] - ms["ours"],
        "(the input pipeline alone, beside the step)": float(
            np.mean([answer["input_ms"] for answer in answers["photos"]])
        ),
    }
    memory = {name: median(answers[name], "memory_mb") for name in whole}
    rows = [[name, ms[name], f"{ms[name] / ms[base]:.2f}", memory[name]] for name in whole]
    say("\n" + report.markdown(["a training step", "ms", f"over {base}", "memory, MB"], rows))
    shares = [[name, value, f"{100 * value / ms['ours']:.0f} %"] for name, value in goes.items()]
    say("\n" + report.markdown(["where our step's time goes", "ms", "of the step"], shares))
    if options.json:
        content = {"machine": machine, "ms": {name: ms[name] for name in whole}, "memory_mb": memory}
        content |= {"ratio": ms["ours"] / ms[base], "over": base, "first_losses": losses, "parts_ms": goes}
        content["settings"] = vars(options)
        report.write_json(options.json, content)


def compare_losses(requests: dict[str, dict]) -> dict[str, list[float]]:
    """Return the generator's losses at the first steps of each; refuse a step that differs from `"ours"`."""
    losses = {name: answers[0]["losses"] for name, answers in in_turns(requests, 1).items()}
    for name, values in losses.items():
        if not np.allclose(values, losses["ours"], rtol=0.01):
            raise MeasuringError(f"{name} is not the same training step: {values}, ours {losses['ours']}")
    return losses


def make_run(options: argparse.Namespace, path: Path) -> dict:
    """Write to `path` what all requests share; return them, see `steps.measure_step`."""
    settings = Config(
        model=ModelConfig(filters=options.filters, image_size=options.image_size),
        discriminator=DiscriminatorConfig(filters=options.filters),
        data=DataConfig(photos=(str(options.photos or PHOTOS),), short_side=max(350, options.image_size)),
        training=TrainingConfig(batch_size=options.batch),
    )
    dataset.open_photos(settings)  # reports bad photos now
    run, generator, discriminator = random_run(path / "run", settings)
    if not options.without_torch:
        from harness import plain_torch

        plain_torch.torch.save(plain_torch.TorchGenerator(generator), run.path / "generator.pt")
        plain_torch.torch.save(plain_torch.TorchDiscriminator(discriminator), run.path / "discriminator.pt")
    image, mask = (array.astype(np.float32) for array in parity.sample_pairs(PHOTOS, options.image_size, 1))
    batch = {"image": pixels.to_unit(image), "mask": mask}
    np.savez(path / "batch.npz", **{name: np.repeat(array, options.batch, axis=0) for name, array in batch.items()})
    shared = {"kind": "training_step", "threads": options.threads}
    return shared | {"run": str(run.path), "inputs": str(path / "batch.npz")}
