"""Training on several devices and machines, with `tf.distribute`.

Several GPUs of one machine train with MirroredStrategy. If TF_CONFIG lists several workers, as Kubeflow's TFJob, Vertex
AI and Ray Train set it, they train with MultiWorkerMirroredStrategy. Each replica sees its part of each batch;
gradients, losses and random draws are those of one device with the whole batch. One worker is the chief, which alone
logs, validates, draws and saves.
"""

import contextlib
import dataclasses
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator

import tensorflow as tf

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, ShiftNetError, check

_PATIENCE = 60  # seconds in which all workers must start
_LOST = (tf.errors.UnavailableError, tf.errors.DeadlineExceededError, tf.errors.AbortedError, tf.errors.CancelledError)


@dataclasses.dataclass(frozen=True)
class Workers:
    """The processes that train together.

    Attributes:
        addresses: `host:port` of each; empty for a single process.
        index: the index of this process.
    """

    addresses: tuple[str, ...] = ()
    index: int = 0

    @property
    def is_chief(self) -> bool:
        """Whether this process logs, validates, draws and saves."""
        return self.index == 0

    @classmethod
    def from_environment(cls) -> "Workers":
        """Read TF_CONFIG.

        Raises:
            InputError: it is not JSON, lists other tasks than a chief and workers, or its own task is not listed.
        """
        text = os.environ.get("TF_CONFIG", "")
        try:
            config = json.loads(text or "{}")
            cluster, task = config.get("cluster", {}), config.get("task", {})
            tasks = {kind: list(addresses) for kind, addresses in cluster.items()}
            kind, index = task.get("type", "worker"), int(task.get("index", 0))
        except (ValueError, TypeError, AttributeError) as error:
            raise InputError(f"TF_CONFIG must be JSON with `cluster` and `task`. Received: {text[:200]!r}") from error
        if sum(map(len, tasks.values())) < 2:
            return cls()
        others = sorted(tasks.keys() - {"chief", "worker"})
        if others:
            text = "list only a chief and workers (parameter servers and evaluators are not supported)"
            raise InputError(f"TF_CONFIG must {text}. Received: {', '.join(others)}")
        if not (kind in tasks and 0 <= index < len(tasks[kind])):
            listed = ", ".join(f"{len(addresses)} {name}" for name, addresses in tasks.items())
            raise InputError(f"the task of TF_CONFIG must be one that its cluster lists ({listed}). Received: {task!r}")
        chief = tasks.get("chief", [])
        place = index if kind == "chief" else len(chief) + index
        return cls((*chief, *tasks.get("worker", [])), place)


@dataclasses.dataclass(frozen=True)
class Team:
    """The devices that train together.

    Attributes:
        strategy: TensorFlow's distribution strategy.
        workers: the processes.
    """

    strategy: tf.distribute.Strategy
    workers: Workers

    @property
    def is_alone(self) -> bool:
        """Whether a single device sees the whole batch."""
        return bool(self.strategy.num_replicas_in_sync == 1)

    def check(self, settings: Config) -> None:
        """Refuse a config whose results would depend on the number of replicas.

        Raises:
            InputError: the replicas cannot share the batch evenly, or the config uses statistics of the batch.
        """
        number = self.strategy.num_replicas_in_sync
        if number == 1:
            return
        batch = settings.training.batch_size
        check("training.batch_size", batch, batch % number == 0, f"a multiple of the {number} devices that share it")
        kinds = {"model": settings.model.normalization, "discriminator": settings.discriminator.normalization}
        for section, kind in kinds.items():
            fits = kind not in ("batch", "switchable")
            check(f"{section}.normalization", kind, fits, "one without batch statistics if devices share the batch")
        gan = settings.losses.gan
        fits = gan != "relativistic_average"
        check("losses.gan", gan, fits, "one without a mean over the batch if devices share it")

    def distribute(self, make: Callable[..., tf.data.Dataset]) -> tf.data.Dataset:
        """Return a dataset of which each worker reads its share.

        Args:
            make: function of `context` that returns the dataset, see `dataset.training_dataset`.
        """
        if self.is_alone:
            return make()
        return self.strategy.distribute_datasets_from_function(lambda context: make(context=context))

    def wait(self) -> None:
        """Wait until all workers get here."""
        self.total(0.0)

    def total(self, value: float) -> float:
        """Return the sum of a value over all workers, each of which must call this."""
        if not self.workers.addresses:
            return value
        local = len(self.strategy.extended.worker_devices)

        def add() -> tf.Tensor:
            return self.strategy.reduce("SUM", self.strategy.run(lambda: tf.constant(value / local)), axis=None)

        return float(tf.function(add)())

    def check_folder(self, holds: bool, folder: str | os.PathLike[str]) -> None:
        """Refuse a run folder that some worker cannot see; each worker must call this.

        Args:
            holds: whether this worker sees it.
            folder: the folder's name, for the message.
        """
        absent = round(self.total(float(not holds)))
        if absent:
            raise InputError(
                f"{absent} of {len(self.workers.addresses)} workers cannot see {folder}: use a shared folder"
            )


def gather(devices: int | str | None = None) -> Team:
    """Choose the devices to train on, before TensorFlow computes anything.

    Args:
        devices: how many devices of this machine, or `"auto"` for all of its GPUs; None for one, or all with TF_CONFIG.
            On a machine without a GPU they are parts of its CPU, which gains no speed.

    Raises:
        InputError: TF_CONFIG or the number of devices is invalid.
        ShiftNetError: a worker did not start within a minute.
    """
    workers = Workers.from_environment()
    gpus = tf.config.list_physical_devices("GPU")
    if workers.addresses:
        check("--devices", devices, devices in (None, "auto"), "left out if TF_CONFIG lists workers")
        wait_for_partners(workers)
        return Team(tf.distribute.MultiWorkerMirroredStrategy(), workers)
    number = {None: 1, "auto": len(gpus) or 1}.get(devices, devices)  # type: ignore[arg-type]
    if not isinstance(number, int) or number < 1:
        raise InputError(f"`--devices` must be a whole number, at least 1, or auto. Received: {devices!r}")
    if number == 1:
        return Team(tf.distribute.get_strategy(), workers)
    if gpus:
        check(
            "--devices", devices, number <= len(gpus), f"at most {len(gpus)}, the number of GPUs that TensorFlow finds"
        )
    else:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * number)
    kind = "GPU" if gpus else "CPU"
    return Team(tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(number)]), workers)


def wait_for_partners(workers: Workers, patience: float = _PATIENCE) -> None:
    """Wait until all other workers accept connections: TensorFlow itself would wait forever for a missing one.

    Raises:
        InputError: an invalid address, or one that this worker cannot listen on.
        ShiftNetError: a worker did not start in time.
    """
    places = [_host_and_port(address) for address in workers.addresses]
    end = time.monotonic() + patience
    with _listening(places[workers.index][1]):
        for i, place in enumerate(places):
            while i != workers.index and not _answers(*place):
                if time.monotonic() > end:
                    text = f"worker {i} ({workers.addresses[i]}) did not start within {patience:g} seconds"
                    raise ShiftNetError(text)
                time.sleep(0.2)


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    check(
        "TF_CONFIG", address, host and port.isdecimal() and int(port) < 65536, "a list of addresses such as host:2222"
    )
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def _listening(port: int) -> Iterator[None]:
    """Accept connections and close them at once, until TensorFlow listens."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("", port))
    except OSError as error:
        listening.close()
        raise InputError(f"TF_CONFIG: cannot listen on port {port} ({error.strerror})") from error
    listening.listen()

    def take() -> None:
        with contextlib.suppress(OSError):  # it was shut down
            while True:
                listening.accept()[0].close()

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        taking.join()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def lost_workers_named(team: Team) -> Iterator[None]:
    """Report in one sentence that another worker has ended.

    Raises:
        ShiftNetError: instead of TensorFlow's error.
    """
    try:
        yield
    except _LOST as error:
        if not team.workers.addresses:
            raise
        text = "another worker has ended or cannot be reached: restart all of them with --resume"
        raise ShiftNetError(text) from error
