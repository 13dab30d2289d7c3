"""Bulk inpainting with Ray Data: each actor has one Inpainter and receives photos as paths.

`runtime.folders.FolderTask` fills the photos, as without a cluster. A killed actor is restarted and its photos are
reassigned; `Ledger` knows which photos are done, and which photo kills its process.
"""

import dataclasses
import json
import logging
import os
import pickle
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shiftnet_tf import __version__
from shiftnet_tf.cluster.connection import connected
from shiftnet_tf.errors import InputError, ShiftNetError, check
from shiftnet_tf.runtime.folders import FolderTask, Outcome
from shiftnet_tf.runtime.inpainter import Inpainter
from shiftnet_tf.runtime.jobs import Job
from shiftnet_tf.system import packages
from shiftnet_tf.system.quiet import quiet_start
from shiftnet_tf.system.storage import Place, place

TRIES = 3  # for a photo that kills its process
_MOST_ROWS = 16  # photos that an actor takes at a time
_Row = dict[str, Any]
logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """The cluster that does the work.

    Attributes:
        address: `"auto"`, or the address of a Ray cluster, see `connection.connected`.
        actors: number of actors, each with its own model; None: as many as the CPUs, or the GPUs given to each, allow.
        gpus_per_actor: GPUs per actor, which may be a fraction; 0: run on CPUs.
        model: the arguments of `Inpainter.load`; `threads` is also the number of CPUs of an actor, 1 if not given.

    Raises:
        InputError: an invalid value.
    """

    address: str = "auto"
    actors: int | None = None
    gpus_per_actor: float = 0.0
    model: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        number = self.actors
        check("--actors", number, number is None or 1 <= number <= 10_000, "a whole number from 1 to 10000")
        gpus = self.gpus_per_actor
        whole = gpus in (0, 1) or (0 < gpus < 1) or float(gpus).is_integer()
        check("--gpus-per-actor", gpus, 0 <= gpus <= 64 and whole, "0, a fraction of 1, or a whole number up to 64")

    @property
    def threads(self) -> int:
        """Threads of an actor, and the number of its CPUs."""
        return int(self.model.get("threads") or 1)


def check_installed() -> None:
    """Refuse to start without Ray, before anything else is done.

    Raises:
        MissingPackageError: it is not installed.
    """
    packages.check_installed("ray", "cluster", "--cluster")


def inpaint_on_cluster(cluster: Cluster, jobs: Sequence[Job], task: FolderTask) -> Iterator[tuple[Outcome, str]]:
    """Fill photos on a cluster; closing the generator stops the work.

    Args:
        cluster: the cluster.
        jobs, task: see `runtime.folders.plan_folder`.

    Yields:
        The outcome of each photo, once, in the order in which they finish, and what ran the model on it.

    Raises:
        InputError: Ray is not installed, or the cluster does not answer.
        ShiftNetError: a machine of the cluster cannot open the model, or does not see the folders.
    """
    with connected(cluster.address) as ray:
        ledger = _start_ledger(ray)
        for row in _rows(ray, cluster, jobs, _Setup(task, cluster.model, os.getcwd(), __version__), ledger):
            answer = json.loads(row["answer"])
            ledger.forget.remote(row["job"])
            if answer["fatal"]:
                raise pickle.loads(bytes.fromhex(answer["fatal"]))
            for note in answer["notes"]:
                logger.warning("%s", note)
            values = answer["outcome"]
            yield Outcome(place(values.pop("photo")), place(values.pop("out")), **values), answer["by"]


@dataclasses.dataclass(frozen=True)
class _Setup:
    """What an actor needs to know, as sent to it."""

    task: FolderTask
    model: dict[str, Any]
    folder: str
    version: str


def _start_ledger(ray: Any) -> Any:
    """Start the ledger on the command's machine, so that it ends only with the command."""
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=True
    )
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Ledger).remote()


def _rows(ray: Any, cluster: Cluster, jobs: Sequence[Job], setup: _Setup, ledger: Any) -> Iterator[_Row]:
    """Run the actors, and yield a row for each photo."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    number = cluster.actors or _room(ray, cluster)
    blocks = max(min(len(jobs), 32 * number), -(-len(jobs) // _MOST_ROWS))
    rows = ray.data.from_items([{"job": _to_text(job)} for job in jobs], override_num_blocks=blocks)
    filled = rows.map(
        Actor,
        fn_constructor_args=(pickle.dumps(setup), ledger),
        compute=ray.data.ActorPoolStrategy(size=min(number, len(jobs))),
        num_cpus=cluster.threads,
        num_gpus=cluster.gpus_per_actor or None,
        max_restarts=-1,
        max_task_retries=-1,  # the ledger limits the tries
    )
    yield from filled.iter_rows()


def _room(ray: Any, cluster: Cluster) -> int:
    """Return how many actors the cluster has room for; at least 1."""
    have = ray.cluster_resources()
    most = have.get("CPU", 1) / cluster.threads
    if cluster.gpus_per_actor:
        most = min(most, have.get("GPU", 0) / cluster.gpus_per_actor)
    return max(1, int(most))


class Ledger:
    """Records which photos were started and their outcomes, whichever process is killed."""

    def __init__(self) -> None:
        self._tries: dict[str, int] = {}
        self._answers: dict[str, str] = {}

    def begin(self, key: str) -> tuple[int, str]:
        """Record that work on a photo starts.

        Returns:
            How often it was started before without finishing; and the answer, "" if there is none.
        """
        tries = self._tries.get(key, 0)
        self._tries[key] = tries + 1
        return tries, self._answers.get(key, "")

    def end(self, key: str, answer: str = "") -> None:
        """Record that the work finished, and the answer."""
        self._tries.pop(key, None)
        self._answers[key] = answer

    def forget(self, key: str) -> None:
        """Drop an answer that has been received."""
        self._tries.pop(key, None)
        self._answers.pop(key, None)


class Actor:
    """Fills photos with its own model.

    Args:
        setup: a pickled `_Setup`.
        ledger: the handle of a `Ledger`.
    """

    def __init__(self, setup: bytes, ledger: Any) -> None:
        import ray

        self._get, self._ledger = ray.get, ledger
        self._notes = _Notes()
        logging.getLogger("shiftnet_tf").addHandler(self._notes)
        self._fatal = ""
        key = f"actor {ray.get_runtime_context().get_actor_id()}"
        tries, _ = self._ask("begin", key)
        try:
            if tries >= TRIES:
                raise ShiftNetError(f"the process of an actor died {TRIES} times while opening the model")
            self._open(pickle.loads(setup))
        except ShiftNetError as error:
            self._fatal = pickle.dumps(error).hex()
        self._ask("end", key)

    def _ask(self, method: str, *values: str) -> Any:
        """Call a method of the ledger and return its result."""
        return self._get(getattr(self._ledger, method).remote(*values))

    def _open(self, setup: _Setup) -> None:
        """Open the model, and check that this machine matches that of the command."""
        where = platform.node()
        if setup.version != __version__:
            raise InputError(
                f"{where} has shiftnet_tf {__version__}, not {setup.version}: install one version everywhere"
            )
        folders = [one for one in (setup.task.masks, setup.task.out) if isinstance(one, Path)]
        missing = [one for one in (Path(setup.folder), *(setup.folder / one for one in folders)) if not one.exists()]
        if missing and folders:
            raise InputError(f"{where} cannot see {missing[0]}: use a folder that all machines share, or URLs")
        if Path(setup.folder).is_dir():
            os.chdir(setup.folder)  # paths are relative to the command's folder
        self._task = setup.task
        with quiet_start():
            self._inpainter = Inpainter.load(**{**setup.model, "threads": setup.model.get("threads") or 1})

    def __call__(self, row: _Row) -> _Row:
        """Fill a photo, unless it is done or has killed its process too often."""
        if self._fatal:
            return row | {"answer": json.dumps({"fatal": self._fatal})}
        key = row["job"]
        tries, answer = self._ask("begin", key)
        if not answer:
            job = _to_job(key)
            if tries >= TRIES:
                error = f"its process died {tries} times before it finished: too little memory, or a damaged file"
                outcome = Outcome(job.photo, job.out, "failed", error=error)
            else:
                outcome = self._task(self._inpainter, job)
            values = dataclasses.asdict(dataclasses.replace(outcome, failure=None)) | {
                "photo": str(outcome.photo),
                "out": str(outcome.out),
            }
            by = self._inpainter.description
            answer = json.dumps({"fatal": "", "outcome": values, "notes": self._notes.taken(), "by": by})
            self._ask("end", key, answer)
        return row | {"answer": answer}


class _Notes(logging.Handler):
    """Collects warnings, which the command shows."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._kept: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._kept.append(record.getMessage())

    def taken(self) -> list[str]:
        """Return the warnings since the last call."""
        kept, self._kept = self._kept, []
        return kept


def _to_text(job: Job) -> str:
    """Return a job as ASCII text, whatever its names contain."""
    return json.dumps([str(job.photo), [str(mask) for mask in job.masks], str(job.out)])


def _to_job(text: str) -> Job:
    photo, masks, out = json.loads(text)
    places: list[Place] = [place(mask) for mask in masks]
    return Job(place(photo), tuple(places), place(out))
