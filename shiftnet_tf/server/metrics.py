"""The server's metrics, for Prometheus."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)


class Metrics:
    """The metrics of one application and its process.

    Attributes:
        requests: by path and status, which is 499 if the client disconnected.
        seconds: durations of the answered requests, by path.
        in_flight: number of requests being answered.
        group: number of windows per run of the model.
        content_type: the content type of `text()`.
    """

    content_type: str = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        registry = self._registry
        ProcessCollector(registry=registry)
        self.requests = Counter("shiftnet_requests", "Requests answered", ["path", "status"], registry=registry)
        self.seconds = Histogram(
            "shiftnet_request_seconds",
            "From the first byte of a request to its answer",
            ["path"],
            buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
            registry=registry,
        )
        self.in_flight = Gauge("shiftnet_requests_in_flight", "Requests that are being answered", registry=registry)
        self.group = Histogram(
            "shiftnet_group_windows", "Windows in a group", buckets=(1, 2, 4, 8, 16, 32), registry=registry
        )

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
