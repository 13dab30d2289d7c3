"""Train on a Ray cluster: run train.py on each worker, and restart and resume it after a failure.

python training/train_ray.py --workers 8 --run-dir /shared/runs/mine training/configs/compact.toml --set data.photos=...

All workers must see the run folder and the photos. Needs the extra `cluster`: pip install ".[train,cluster]"
"""

import argparse
import os
from pathlib import Path

from shiftnet_tf.cli.parsing import Subcommand
from shiftnet_tf.cli.train import TRAIN
from shiftnet_tf.cluster.connection import AUTO, connected
from shiftnet_tf.errors import InputError, ShiftNetError, check
from shiftnet_tf.system.packages import check_installed

_DESCRIPTION = """
Train on a Ray cluster: train.py on each worker, by Ray Train's TensorflowTrainer. After a failure all workers are
started again and resume the run.

  python training/train_ray.py --workers 8 --gpus-per-worker 1 --run-dir /shared/runs/mine compact --set data.photos=...

Without --address it uses the cluster that this machine belongs to, or starts one on this machine.
"""


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("cluster")
    group.add_argument("--workers", type=int, required=True, metavar="N", help="train with N processes")
    group.add_argument("--cpus-per-worker", type=float, default=1, metavar="N", help="reserve N cores (default: 1)")
    group.add_argument("--gpus-per-worker", type=int, default=0, metavar="N", help="reserve N GPUs (default: 0)")
    group.add_argument(
        "--address", default=AUTO, metavar="ADDRESS", help="use the cluster at host:port (default: this machine's)"
    )
    group.add_argument(
        "--max-failures", type=int, default=3, metavar="N", help="start again N times at most (default: 3)"
    )
    TRAIN.add_arguments(parser)


def _arguments(options: argparse.Namespace) -> list[str]:
    """Return what each worker's train.py gets, but for the folder; paths are absolute, for workers start elsewhere."""

    def absolute(name: str) -> str:
        return os.path.abspath(name) if os.path.exists(name) else name

    given = [absolute(options.config)] if options.config else []
    given += [word for item in options.set for word in ("--set", item)]
    given += ["--from", absolute(options.start)] if options.start else []
    return given + ["--require-gpu"] * options.require_gpu


def work(config: dict[str, object]) -> None:
    """Train as one worker, which Ray has told its place by TF_CONFIG; resume a run that has begun."""
    folder = str(config["folder"])
    begun = config["resume"] or (Path(folder) / "config.toml").is_file()
    code = TRAIN.main(["--run-dir", folder, *(["--resume"] if begun else config["arguments"])])
    if code:
        raise RuntimeError(f"train.py ended with exit code {code}")


def _run(options: argparse.Namespace) -> None:
    check_installed("ray", "cluster", "training on a cluster")
    check("--workers", options.workers, options.workers >= 1, "1 or more")
    check("--run-dir", options.run_dir, options.run_dir, "given: a folder that all workers see")
    folder = os.path.abspath(options.run_dir)
    if not options.resume and os.path.exists(os.path.join(folder, "config.toml")):
        raise InputError(f"{folder} is not empty: choose a new run folder, or pass --resume")
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.tensorflow import TensorflowTrainer

    once = {"RAY_TRAIN_ENABLE_PRINT_PATCH": "0"}  # else Ray shows each line of a worker twice
    resources = {
        "CPU": options.cpus_per_worker,
        **({"GPU": options.gpus_per_worker} if options.gpus_per_worker else {}),
    }
    trainer = TensorflowTrainer(
        work,
        train_loop_config={"folder": folder, "arguments": _arguments(options), "resume": options.resume},
        scaling_config=ScalingConfig(
            num_workers=options.workers, use_gpu=options.gpus_per_worker > 0, resources_per_worker=resources
        ),
        run_config=RunConfig(
            name="ray", storage_path=folder + ".ray", failure_config=FailureConfig(max_failures=options.max_failures)
        ),
    )
    with connected(options.address, runtime_env={"env_vars": once}, log_to_driver=True, configure_logging=True):
        try:
            trainer.fit()
        except Exception as error:
            raise ShiftNetError(f"the training failed {options.max_failures + 1} times, see the lines above") from error
    print(f"run folder: {folder}")


TRAIN_RAY = Subcommand("train on a Ray cluster", _DESCRIPTION, _add_arguments, _run)
main = TRAIN_RAY.main

if __name__ == "__main__":
    raise SystemExit(main())
