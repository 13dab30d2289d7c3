"""The throughput of many machines on paper: formulas for training, and a simulation of actors that fill photos.

Nothing here runs on a cluster. What goes in is measured on one machine (`measure_photos`) or published by others (rates
and prices of object stores), and each of it is an option of benchmarks/cluster_model.py.
"""

import heapq
import math
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from shiftnet_tf.errors import check
from shiftnet_tf.photos import finding
from shiftnet_tf.runtime import Inpainter, inpaint_photo


@dataclass(frozen=True)
class Photo:
    """A filled photo.

    Attributes:
        seconds: of one core, from the bytes of the photo and its mask to those of the result.
        bytes_in: of the photo and its mask.
        bytes_out: of the result.
    """

    seconds: float
    bytes_in: int
    bytes_out: int


def measure_photos(photos: str | Path, masks: Sequence[bytes], most: int) -> list[Photo]:
    """Fill photos of a folder with the bundled model on one thread, and measure each.

    Args:
        photos: the folder.
        masks: masks as JSON of shapes, which the photos take in turns.
        most: how many photos.
    """
    measured = []
    with Inpainter.load(threads=1) as inpainter:
        contents = [path.read_bytes() for path in finding.find_photos(Path(photos))[:most]]
        inpaint_photo(inpainter, contents[0], [masks[0]]).encoded()  # what only the first one takes
        for i, content in enumerate(contents):
            mask = masks[i % len(masks)]
            start = time.process_time()
            result = inpaint_photo(inpainter, content, [mask]).encoded()
            measured.append(Photo(time.process_time() - start, len(content) + len(mask), len(result)))
    return measured


def all_reduce_seconds(size: int, devices: int, gigabits: float, latency: float = 20e-6) -> float:
    """Return how long a ring all-reduce takes: 2 (n - 1) / n of the bytes, in 2 (n - 1) steps.

    Source: Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009.

    Args:
        size: bytes of the gradients.
        devices: n, each with a network connection of its own.
        gigabits: of a connection, a second.
        latency: seconds of a step.
    """
    return 2 * (devices - 1) / devices * size / (gigabits * 1e9 / 8) + 2 * (devices - 1) * latency


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Actors that fill photos from and to an object store, each on one core.

    Attributes:
        actors: how many.
        start: seconds until an actor has loaded its model, also after it was killed.
        dispatch: photos that the driver hands out a second.
        store_reads, store_writes: requests that the object store answers per second; a photo takes two reads (photo and
            mask) and one write.
        store_latency: seconds of a request.
        gigabits: of the connection to the store, shared by all, a second.
        slow_share, slow_factor: the share of actors that are slower, and how many times.
        failures: share of attempts that fail at a random moment, such as by a dropped connection; they are made again.
        kills_an_hour: how often an actor is killed, as spot machines are; its photo is begun again.
        seed: of all that is random.

    Raises:
        InputError: a number out of its range.
    """

    actors: int
    start: float = 10.0
    dispatch: float = 2000.0
    store_reads: float = 5500.0
    store_writes: float = 3500.0
    store_latency: float = 0.03
    gigabits: float = 100.0
    slow_share: float = 0.05
    slow_factor: float = 2.0
    failures: float = 0.001
    kills_an_hour: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check("--actors", self.actors, self.actors >= 1, "1 or more")
        check("--failures", self.failures, 0 <= self.failures < 1, "at least 0 and below 1")
        for name in ("dispatch", "store_reads", "store_writes", "gigabits", "slow_factor"):
            check(f"--{name.replace('_', '-')}", getattr(self, name), getattr(self, name) > 0, "above 0")


@dataclass
class Outcome:
    """What a simulation gave, in seconds and numbers.

    Attributes:
        seconds: until the last photo was written.
        tail: of them, since the last photo was handed out.
        filled: photos.
        attempts: of filling a photo.
        kills: of actors.
        computing: seconds of all actors together, for the results.
        lost: likewise, by attempts that failed and by actors that were killed and started again.
        waiting: likewise, for the driver and the object store.
    """

    seconds: float = 0.0
    tail: float = 0.0
    filled: int = 0
    attempts: int = 0
    kills: int = 0
    computing: float = 0.0
    lost: float = 0.0
    waiting: float = 0.0


class _Shared:
    """What answers one request after the other, at a constant rate."""

    def __init__(self, rate: float) -> None:
        self._each, self._free = 1 / rate, 0.0

    def take(self, now: float, number: float = 1) -> float:
        """Return when a request that comes now is answered."""
        self._free = max(now, self._free) + number * self._each
        return self._free


def simulate(photos: Sequence[Photo], number: int, cluster: Cluster) -> Outcome:
    """Fill photos in a simulation: an actor that is free takes the next one, and ends where there is none.

    Args:
        photos: what was measured; each photo of the simulation is one of them, drawn at random.
        number: of photos.
        cluster: the actors and what they share.
    """
    return _Simulation(photos, number, cluster).run()


class _Simulation:
    """Events in the order of their times: (time, actor, what it did, photo)."""

    def __init__(self, photos: Sequence[Photo], number: int, cluster: Cluster) -> None:
        self._rng, self._cluster, self._outcome = random.Random(cluster.seed), cluster, Outcome()
        self._photos = self._rng.choices(photos, k=number)
        self._todo = deque(range(number))
        self._events = [(cluster.start, actor, "free", 0) for actor in range(cluster.actors)]
        self._driver, self._reads = _Shared(cluster.dispatch), _Shared(cluster.store_reads)
        self._writes, self._network = _Shared(cluster.store_writes), _Shared(cluster.gigabits * 1e9 / 8)
        self._slow = round(cluster.slow_share * cluster.actors)
        self._handed_out = 0.0

    def run(self) -> Outcome:
        while self._events:
            now, actor, what, photo = heapq.heappop(self._events)
            if what == "filled":
                now = self._write(now, photo)
            elif what == "failed":
                self._todo.append(photo)
            if what == "filled":
                heapq.heappush(self._events, (now, actor, "free", 0))
            elif self._todo:
                heapq.heappush(self._events, self._fill(now, actor, self._todo.popleft()))
        self._outcome.tail = self._outcome.seconds - self._handed_out
        return self._outcome

    def _write(self, now: float, photo: int) -> float:
        """Return when a result is in the store."""
        size = self._photos[photo].bytes_out
        done = max(self._writes.take(now), self._network.take(now, size)) + self._cluster.store_latency
        self._outcome.filled += 1
        self._outcome.waiting += done - now
        self._outcome.seconds = max(self._outcome.seconds, done)
        return done

    def _fill(self, now: float, actor: int, photo: int) -> tuple[float, int, str, int]:
        """Return how an attempt ends."""
        cluster, outcome, rng = self._cluster, self._outcome, self._rng
        self._handed_out = now
        read = max(self._reads.take(now, 2), self._network.take(now, self._photos[photo].bytes_in))
        begin = max(self._driver.take(now), read) + cluster.store_latency
        seconds = self._photos[photo].seconds * (cluster.slow_factor if actor < self._slow else 1.0)
        killed = rng.expovariate(cluster.kills_an_hour / 3600) if cluster.kills_an_hour else math.inf
        outcome.waiting += begin - now
        outcome.attempts += 1
        if killed < seconds:
            outcome.kills += 1
            spent = killed + cluster.start
        elif rng.random() < cluster.failures:
            spent = seconds * rng.random()
        else:
            outcome.computing += seconds
            return begin + seconds, actor, "filled", photo
        outcome.lost += spent
        return begin + spent, actor, "failed", photo


def saturation(photos: Sequence[Photo], cluster: Cluster) -> dict[str, tuple[float, float]]:
    """Return for each shared thing the photos per second that it lets through, and the actors that ask for as many."""
    bytes_of_one = fmean(photo.bytes_in + photo.bytes_out for photo in photos)
    rates = {
        "reads of the object store": cluster.store_reads / 2,
        "writes of the object store": cluster.store_writes,
        "the connection to the store": cluster.gigabits * 1e9 / 8 / bytes_of_one,
        "the driver": cluster.dispatch,
    }
    seconds = fmean(photo.seconds for photo in photos) + 2 * cluster.store_latency
    return {name: (rate, rate * seconds) for name, rate in sorted(rates.items(), key=lambda item: item[1])}


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Dollars; replace them by your own.

    Attributes:
        core_hour: of a core for an hour.
        million_reads, million_writes: of requests to the object store.
    """

    core_hour: float = 0.04
    million_reads: float = 0.4
    million_writes: float = 5.0

    def of_million(self, actors: int, outcome: Outcome) -> float:
        """Return what a million photos cost at the rate of a simulation."""
        share = 1e6 / outcome.filled
        machines = actors * outcome.seconds / 3600 * self.core_hour * share
        return machines + 2 * outcome.attempts * share / 1e6 * self.million_reads + self.million_writes
