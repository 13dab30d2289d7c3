"""How long a training step takes on this machine, beside the same step in plain PyTorch, and where its time goes.

    python training/benchmark.py
    python training/benchmark.py --filters 32 --threads 4 --json step.json

The paper's networks and losses (l1, guidance, GAN) at batch 1 and 256x256, random weights, one photo prepared
beforehand; generator and discriminator are updated in each step. Ours is timed as train.py runs it. Each runs in a
process of its own, in turns: only the ratios of one run count. The plain PyTorch step has the same weights, computes
both networks' gradients from one forward pass too, and is checked to have the same losses.

Where the time goes is the difference of steps that leave something out: the optimizers, then the gradients too.
"""

import argparse
import contextlib
import statistics
import tempfile
from pathlib import Path

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

import numpy as np

from shiftnet_tf import run_folder
from shiftnet_tf.benchmarks import figures, reporting, training
from shiftnet_tf.benchmarks.measuring import MeasuringError, Worker, in_turns
from shiftnet_tf.config.model import DiscriminatorConfig, ModelConfig
from shiftnet_tf.config.run import Config, DataConfig, TrainingConfig
from shiftnet_tf.errors import check
from shiftnet_tf.export import parity
from shiftnet_tf.system.command import command
from shiftnet_tf.system.packages import versions_of
from shiftnet_tf.training import building, dataset

PHOTOS = Path(__file__).resolve().parent / "sample_photos" / "train"
PACKAGES = ["tensorflow", "keras", "torch", "numpy"]
PARTS = ("step", "backward", "forward", "photos")


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", metavar="FILE", help="write all that was measured, with versions and machine")
    parser.add_argument("--filters", type=int, default=64, help="base width of both networks; default: 64")
    parser.add_argument("--image-size", type=int, default=256, help="pixels; default: 256")
    parser.add_argument("--batch", type=int, default=1, help="photos a step; default: 1")
    parser.add_argument("--photos", default=PHOTOS, help="folder for the input pipeline; default: the samples")
    parser.add_argument("--threads", type=int, default=2, help="default: 2")
    parser.add_argument("--rounds", type=int, default=3, help="how often each comes round; default: 3")
    parser.add_argument("--repeats", type=int, default=5, help="steps a round; default: 5")
    parser.add_argument("--without-torch", action="store_true", help="our step alone")
    options = parser.parse_args(arguments)
    for name, most in (("threads", 256), ("rounds", 1000), ("repeats", 1000), ("batch", 64)):
        check(f"--{name}", getattr(options, name), 1 <= getattr(options, name) <= most, f"from 1 to {most}")
    reporting.check_outputs(options.json)
    return options


def say(words):
    print(words, flush=True)


def make_run(options, path):
    """A run folder with the weights that all begin with."""
    settings = Config(
        model=ModelConfig(filters=options.filters, image_size=options.image_size),
        discriminator=DiscriminatorConfig(filters=options.filters),
        data=DataConfig(photos=(str(options.photos),), short_side=max(350, options.image_size)),
        training=TrainingConfig(batch_size=options.batch),
    )
    dataset.open_photos(settings)  # what is wrong with them is said now
    run = run_folder.Run.create(path / "run", settings)
    model = building.build(settings)
    model.generator.save_weights(run.generator_weights)
    model.discriminator.save_weights(run.discriminator_weights)
    if not options.without_torch:
        from shiftnet_tf.benchmarks import plain_torch

        plain_torch.save(plain_torch.generator_of(model.generator), training.plain_file(run, "generator"))
        plain_torch.save(plain_torch.discriminator_of(model.discriminator), training.plain_file(run, "discriminator"))
    image, mask = parity.sample_pairs(PHOTOS, options.image_size, 1)
    image, mask = (np.repeat(array, options.batch, axis=0).astype(np.float32) for array in (image, mask))
    np.savez(path / "inputs.npz", image=image / np.float32(127.5) - np.float32(1), mask=mask)
    return run


def measure(subjects, options, path, prepare):
    """Median milliseconds of each subject, in turns; `prepare` gets the workers first, and what it gives comes too."""
    with contextlib.ExitStack() as stack:
        workers = {}
        for name, (kind, settings) in subjects.items():
            say(f"starting: {name}")
            settings = {"run": str(path / "run"), "inputs": str(path / "inputs.npz"), **settings}
            workers[name] = stack.enter_context(Worker(kind, options.threads, **settings))
        prepared = prepare(workers)
        times = {name: [] for name in workers}
        for turn in range(options.rounds):
            say(f"round {turn + 1} of {options.rounds}")
            timers = {name: worker.times for name, worker in workers.items()}
            for name, values in in_turns(timers, 1, options.repeats).items():
                times[name] += values
        memory = {name: worker.ask("memory") / 1e6 for name, worker in workers.items()}
    return {name: statistics.median(values) for name, values in times.items()}, memory, prepared


def compare_losses(workers):
    """The losses of the first three steps; refuses a step that is another one than ours."""
    losses = {name: worker.ask("losses", 3) for name, worker in workers.items()}
    for name, values in losses.items():
        if not np.allclose(values, losses["ours"], rtol=0.01):
            raise MeasuringError(f"{name} is not the same training step: {values}, ours {losses['ours']}")
    return losses


def where_it_goes(ms, alone):
    """The parts of our step, from the times of steps that leave something out: dict of words to milliseconds."""
    return {
        "forward and losses": ms["forward"],
        "gradients": ms["backward"] - ms["forward"],
        "optimizers": ms["step"] - ms["backward"],
        "waiting for the input pipeline": ms["photos"] - ms["step"],
        "(the input pipeline alone, beside the step)": alone,
    }


@command
def main(arguments=None):
    options = parse(arguments)
    machine = figures.machine(options.threads)
    subjects = {"ours": ("train_tensorflow", {"part": "step"})}
    if not options.without_torch:
        from shiftnet_tf.benchmarks import plain_torch

        for name in plain_torch.MEMORY_FORMATS:
            label = "PyTorch" if name == "contiguous" else f"PyTorch ({name})"
            subjects[label] = ("train_torch", {"memory_format": name})
    reporting.warn_of_load(machine, say)
    with tempfile.TemporaryDirectory() as folder:
        make_run(options, Path(folder))
        ms, memory, losses = measure(subjects, options, Path(folder), compare_losses)
        parts = {name: ("train_tensorflow", {"part": name}) for name in PARTS}
        part_ms, _, alone = measure(
            parts, options, Path(folder), lambda workers: workers["photos"].ask("input_times", 40)[8:]
        )
    base = min((name for name in ms if name != "ours"), key=ms.get, default="ours")
    goes = where_it_goes(part_ms, statistics.mean(alone))
    say(f"\n{machine['cpu']}, {options.threads} threads on {machine['cores']} cores, load {machine['load_before']}\n")
    rows = [[name, ms[name], f"{ms[name] / ms[base]:.2f}", memory[name]] for name in ms]
    say(reporting.markdown(["a training step", "ms", f"over {base}", "memory, MB"], rows))
    shares = [[name, value, f"{100 * value / part_ms['step']:.0f} %"] for name, value in goes.items()]
    say("\n" + reporting.markdown(["where our step's time goes", "ms", "of the step"], shares))
    if options.json:
        content = {"machine": machine, "versions": versions_of(PACKAGES), "ms": ms, "memory_mb": memory}
        content |= {"ratio": ms["ours"] / ms[base], "over": base, "first_losses": losses, "parts_ms": goes}
        content["settings"] = {name: str(value) for name, value in vars(options).items()}
        reporting.write_json(options.json, content)
        say(options.json)


if __name__ == "__main__":
    raise SystemExit(main())
