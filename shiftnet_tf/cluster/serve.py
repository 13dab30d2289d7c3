"""The server on a Ray cluster: `serve run shiftnet_tf.cluster.serve:app model=models/mine max_replicas=8`.

Each replica is the application of `server.app` with a model of its own; Ray Serve starts as many as the load needs. The
token comes from the environment variable SHIFTNET_TOKEN of the replicas, so that no configuration has it.
"""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict

from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.limits import SECONDS_TO_END, Limits
from shiftnet_tf.system.packages import import_optional

_health: list[Any] = []  # the functions that say whether this process's model answers; one in a replica


class Options(BaseModel):
    """What `app` takes, as KEY=VALUE on the command line or as `args` in a file.

    Attributes:
        model: a model folder that each node has, or one model file in it; None: the bundled model.
        model_name: by which clients of the Open Inference Protocol ask for it.
        runtime, precision, provider: see `Inpainter.load`.
        hosts: names that clients ask by, with commas between them, see `server.access.Access`.
        timeout, max_bytes, max_pixels: of a request, in seconds, megabytes and megapixels.
        in_flight: requests that a replica answers at a time; others wait in the proxies.
        min_replicas, max_replicas: how many there are.
        cpus, gpus: of a replica; parts of one are possible.
    """

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    model: str | None = None
    model_name: str = "shiftnet"
    runtime: str | None = None
    precision: str | None = None
    provider: str = "auto"
    hosts: str = ""
    timeout: float = 60.0
    max_bytes: float = 64.0
    max_pixels: float = 50.0
    in_flight: int = 4
    min_replicas: int = 1
    max_replicas: int = 4
    cpus: float = 1.0
    gpus: float = 0.0

    def limits(self) -> Limits:
        """Return what a replica accepts; requests whose clients went away count until the model is through."""
        return Limits(
            bytes=round(self.max_bytes * 1e6),
            pixels=round(self.max_pixels * 1e6),
            seconds=self.timeout,
            in_flight=2 * self.in_flight,
        )


def app(options: Options) -> Any:
    """Return the application that `serve run` and `serve deploy` run.

    Args:
        options: how.

    Raises:
        MissingPackageError: Ray is not installed.
        InputError: a limit out of its range.
    """
    serve = import_optional("ray.serve", '"shiftnet-tf[cluster]"', "serving on a cluster")
    options.limits()  # refuses here, and not in each replica, what cannot be
    deployment = serve.deployment(
        name="Shiftnet",
        max_ongoing_requests=options.in_flight,
        graceful_shutdown_timeout_s=options.timeout + SECONDS_TO_END,
        ray_actor_options={"num_cpus": options.cpus, "num_gpus": options.gpus},
        autoscaling_config={
            "min_replicas": options.min_replicas,
            "max_replicas": options.max_replicas,
            "target_ongoing_requests": max(1.0, options.in_flight / 2),
        },
    )
    return deployment(serve.ingress(lambda: build(options))(Replica)).bind()


class Replica:
    """One replica, beside its application."""

    def check_health(self) -> None:
        """Raise where the model does not answer: Ray Serve then starts another replica."""
        for health in _health:
            health()


def build(options: Options) -> Any:
    """Return the application of a replica, whose model is loaded and warm."""
    from shiftnet_tf.server.access import Access
    from shiftnet_tf.server.app import create_app
    from shiftnet_tf.server.running import warm_up

    inpainter = Inpainter.load(
        options.model,
        runtime=options.runtime,
        precision=options.precision,
        provider=options.provider,
        threads=max(1, int(options.cpus)),
        require_gpu=options.gpus > 0,
    )
    warm_up(inpainter)
    hosts = tuple(name.strip() for name in options.hosts.split(",") if name.strip())
    access = Access(hosts=hosts, token=os.environ.get("SHIFTNET_TOKEN"))
    application = create_app(inpainter, options.limits(), access=access, model_name=options.model_name)
    _health.append(application.state.service.health)
    return application
