"""Counts of the imports that a worker has ended."""

from collections.abc import Mapping
from typing import Any

from chassis.runtime.metrics import Metrics


class ImportMetrics:
    def __init__(self, metrics: Metrics) -> None:
        self._imports = metrics.counter("imports_total", "Imports that ended", ["status"])
        self._rows = metrics.counter(
            "import_rows_total", "Rows of the imports that ended, without dry runs", ["result"]
        )
        # A rate needs the value before the first import.
        for status in ("SUCCESS", "FAILURE"):
            self._imports.labels(status)
        for result in ("stored", "duplicate", "rejected"):
            self._rows.labels(result)

    def count(self, ended: Mapping[str, Any]) -> None:
        self._imports.labels(ended["status"]).inc()
        if not ended["dry_run"]:
            self._rows.labels("stored").inc(ended["valid"] + ended["invalid"])
            self._rows.labels("duplicate").inc(ended["duplicates"])
            self._rows.labels("rejected").inc(ended["rejected"])
