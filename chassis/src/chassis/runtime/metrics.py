"""Metrics in Prometheus' text format, of one process or of several that share a directory."""

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Otherwise each counter and histogram would have a second series with the time at which it was created.
disable_created_metrics()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class PoolMetrics:
    """The use of one pool of connections."""

    in_use: Gauge
    waiting: Gauge
    wait_seconds: Histogram


class Metrics:
    """The metrics of one process. A gauge of several processes is the sum of those that run."""

    def __init__(self, service: str, directory: str | None = None) -> None:
        """Create the metrics; the service's web processes share `directory`, None means that there is only this one."""
        self.registry = CollectorRegistry()
        self._directory = directory
        build_info = self.gauge(
            "build_info", "Always 1; the labels describe the program", ["service", "version", "python"], mode="livemax"
        )
        build_info.labels(service, installed_version(service), platform.python_version()).set(1)
        self._pool_sizes = self.gauge("pool_connections", "Connections to Postgres that the pool may hold", ["pool"])
        self._pool_metrics = PoolMetrics(
            self.gauge("pool_connections_in_use", "Connections of the pool that are in use", ["pool"]),
            self.gauge("pool_waiting", "Threads and greenlets that wait for a connection", ["pool"]),
            self.histogram("pool_wait_seconds", "Time for which a connection was waited for", ["pool"]),
        )

    def gauge(self, name: str, documentation: str, labels: Sequence[str] = (), *, mode: str = "livesum") -> Gauge:
        return Gauge(f"quintet_{name}", documentation, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def counter(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
        return Counter(f"quintet_{name}", documentation, labels, registry=self.registry)

    def histogram(self, name: str, documentation: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(f"quintet_{name}", documentation, labels, registry=self.registry, buckets=BUCKETS)

    def pool(self, name: str, size: int) -> PoolMetrics:
        self._pool_sizes.labels(name).set(size)
        pools = self._pool_metrics
        return PoolMetrics(pools.in_use.labels(name), pools.waiting.labels(name), pools.wait_seconds.labels(name))

    def exposition(self) -> bytes:
        """Return the metrics of all processes that share the directory."""
        registry = self.registry
        if self._directory:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=self._directory)  # type: ignore[no-untyped-call]
        return generate_latest(registry)


def installed_version(service: str) -> str:
    """Return the version of the service's distribution; for an app that has none, that of the chassis."""
    try:
        return metadata.version(f"quintet-{service}-service")
    except metadata.PackageNotFoundError:
        return metadata.version("quintet-chassis")
