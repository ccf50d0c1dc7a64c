"""Prometheus metrics that are correct across several web processes."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from chassis.web.recent_requests import RecentRequests

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Metrics of one app. Requests are labeled with the route, not the path, which bounds the number of time series."""

    def __init__(self, directory: str | None = None) -> None:
        """Create the metrics; the service's web processes share `directory`, None means that there is only this one."""
        registry = CollectorRegistry()
        self._directory = directory
        self._latency = Histogram(
            "http_request_duration_seconds",
            "Time between the arrival of a request at the service and its response",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=registry,
        )
        self.unexpected_errors = Counter(
            "unexpected_errors_total", "Responses with status 500; the log has a traceback of each", registry=registry
        )
        self.recent_requests = RecentRequests(directory, _BUCKETS)
        self._registry = registry
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._latency.labels(method, route, str(status))
        child.observe(seconds)

    def exposition(self, gauges: dict[str, float]) -> bytes:
        """Return the metrics of all processes in Prometheus' text format; `gauges` were just read from the database."""
        registry = self._registry
        if self._directory:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, path=self._directory)  # type: ignore[no-untyped-call]
        gauge_registry = CollectorRegistry()
        gauge_registry.register(_Gauges(gauges))
        return generate_latest(registry) + generate_latest(gauge_registry)


class _Gauges(Collector):
    def __init__(self, values: dict[str, float]) -> None:
        self._values = values

    def collect(self) -> Iterator[Metric]:
        for name, value in self._values.items():
            family = GaugeMetricFamily(name, name.replace("_", " "))
            family.add_metric([], value)
            yield family
