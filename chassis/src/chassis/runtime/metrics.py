"""Metrics in Prometheus' text format, of one process or of several that share a directory."""

import platform
from importlib import metadata

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, generate_latest, multiprocess

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

# Otherwise each counter and histogram would have a second series with the time at which it was created.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """The metrics of one process, each of which is created with `registry`."""

    def __init__(self, service: str, directory: str | None = None) -> None:
        """Create the metrics; the service's web processes share `directory`, None means that there is only this one."""
        self.registry = CollectorRegistry()
        self._directory = directory
        build_info = Gauge(
            "quintet_build_info",
            "Always 1; the labels describe the program",
            ["service", "version", "python"],
            multiprocess_mode="max",
            registry=self.registry,
        )
        build_info.labels(service, installed_version(service), platform.python_version()).set(1)

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
