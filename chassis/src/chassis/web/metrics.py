"""Metrics of the requests to an app, correct across several web processes."""

from prometheus_client import Histogram

from chassis.runtime.metrics import BUCKETS, Metrics
from chassis.web.recent_requests import RecentRequests


class WebMetrics(Metrics):
    """Metrics of one app. Requests are labeled with the route, not the path, which bounds the number of time series."""

    def __init__(self, service: str, directory: str | None = None) -> None:
        super().__init__(service, directory)
        self._latency = self.histogram(
            "http_request_duration_seconds",
            "Time between the arrival of a request at the service and its response",
            ["method", "route", "status"],
        )
        self.unexpected_errors = self.counter(
            "unexpected_errors_total", "Responses with status 500; the log has a traceback of each"
        )
        self.recent_requests = RecentRequests(directory, BUCKETS)
        self._children: dict[tuple[str, str, int], Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        key = (method, route, status)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._latency.labels(method, route, str(status))
        child.observe(seconds)
