"""The server on a Ray cluster: `serve run shiftnet_tf.cluster.serve:app model=models/mine max_replicas=8`.

Each replica is the application of `server.app` with its own model; Ray Serve starts as many as the load needs. The
token comes from the replicas' environment variable SHIFTNET_TOKEN, so that it is in no configuration.
"""

import os
from typing import Any

from pydantic import BaseModel, ConfigDict

from shiftnet_tf.runtime import Inpainter
from shiftnet_tf.server.limits import SECONDS_TO_END, Limits
from shiftnet_tf.system.packages import import_optional

_health: list[Any] = []  # functions that check whether this process's model responds; one per replica


class Options(BaseModel):
    """The options of `app`, as KEY=VALUE on the command line or as `args` in a file.

    Attributes:
        model: a model folder that each node has, or one model file in it; None: the bundled model.
        model_name: its name in the Open Inference Protocol.
        runtime, precision, provider: see `Inpainter.load`.
        hosts: accepted host names, separated by commas, see `server.access.Access`.
        timeout, max_bytes, max_pixels: limits of a request, in seconds, megabytes and megapixels.
        in_flight: requests that a replica handles at a time; others wait in the proxies.
        min_replicas, max_replicas: range of the number of replicas.
        cpus, gpus: resources of a replica; may be fractions.
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
        """Return the limits of a replica; requests of disconnected clients count until the model is done."""
        return Limits(
            bytes=round(self.max_bytes * 1e6),
            pixels=round(self.max_pixels * 1e6),
            seconds=self.timeout,
            in_flight=2 * self.in_flight,
        )


def app(options: Options) -> Any:
    """Return the application that `serve run` and `serve deploy` run.

    Args:
        options: the settings.

    Raises:
        MissingPackageError: Ray is not installed.
        InputError: a limit is out of range.
    """
    serve = import_optional("ray.serve", '"shiftnet-tf[cluster]"', "serving on a cluster")
    options.limits()  # refuses invalid limits here, not in each replica
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
    """One replica of the application."""

    def check_health(self) -> None:
        """Raise if the model does not respond: Ray Serve then starts another replica."""
        for health in _health:
            health()


def build(options: Options) -> Any:
    """Return the application of a replica, with its model loaded and warmed up."""
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
