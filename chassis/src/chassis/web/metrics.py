"""Prometheus metrics that are right with several web processes."""

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Belongs to one app. Requests are counted by route, so a thousand names of streams are one line."""

    def __init__(self, folder: str | None = None) -> None:
        """`folder` is where the processes of one service leave their figures; None: this process is the only one."""
        registry = CollectorRegistry()
        self._folder = folder
        self._latency = Histogram(
            "http_request_duration_seconds",
            "Time from the request's arrival at the service to its answer",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.problems = Counter(
            "unexpected_errors_total", "Answers of 500: each has a traceback in the log", registry=registry
        )
        self._registry = registry
        self._children: dict[tuple[str, str, int], Any] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._latency.labels(method, route, str(status))
        child.observe(seconds)

    def exposition(self, gauges: dict[str, float]) -> bytes:
        """All processes' figures as text; `gauges` are the ones that are asked of the database at this moment."""
        registry = self._registry
        if self._folder:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=self._folder)
        return generate_latest(registry) + generate_latest(_Given(gauges))


class _Given:
    """Looks like a registry to `generate_latest`."""

    def __init__(self, gauges: dict[str, float]) -> None:
        self._gauges = gauges

    def collect(self) -> Any:
        for name, value in self._gauges.items():
            family = GaugeMetricFamily(name, name.replace("_", " "))
            family.add_metric([], value)
            yield family
