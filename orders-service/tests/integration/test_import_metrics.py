"""The metrics of imports, which a worker counts once an import has ended."""

from dataclasses import replace

import pytest

from chassis.messaging.delivery import Delivery
from chassis.runtime.metrics import Metrics
from orders_service.handlers import on_import_requested
from orders_service.operations.import_metrics import ImportMetrics


@pytest.fixture
def metrics():
    return Metrics("orders")


@pytest.fixture
def deliver(job_context, metrics):
    """Return a function that processes the job of an import's first slice, as the worker does."""
    context = replace(job_context, metrics=ImportMetrics(metrics))

    def process(task):
        body = {"task_id": task, "turn": 1}
        on_import_requested(context, Delivery("orders.import", "", "orders.import", "orders", "r", {}, body))

    return process


def test_import_and_its_rows_are_counted_once(api, build_csv, build_row, deliver, metrics):
    def rows(result):
        return metrics.registry.get_sample_value("quintet_import_rows_total", {"result": result})

    content = build_csv(build_row(1), build_row(2), build_row(2), "not an order")
    task = api.start_import(content)
    deliver(task)
    # The broker may deliver a job twice.
    deliver(task)
    assert (rows("stored"), rows("duplicate"), rows("rejected")) == (2, 1, 1)
    deliver(api.start_import(content, "?dry_run=1"))
    deliver(api.start_import(b"id|name|email|state|plz|birthday\n"))
    assert (rows("stored"), rows("duplicate"), rows("rejected")) == (2, 1, 1)
    imports = {
        status: metrics.registry.get_sample_value("quintet_imports_total", {"status": status})
        for status in ("SUCCESS", "FAILURE")
    }
    assert imports == {"SUCCESS": 2, "FAILURE": 1}
