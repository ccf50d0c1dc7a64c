"""Each process exports the metrics that docs/how-to/scrape-metrics.md describes, in both deployment modes."""

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from quintet_e2e.checkout import CHECKOUT, all_services, code_spans, table_rows
from quintet_testing.waiting import eventually

DOCUMENT = (CHECKOUT / "docs" / "how-to" / "scrape-metrics.md").read_text(encoding="utf-8")
SERVICES = [service.name for service in all_services()]
# Requires a read replica.
ABSENT = "quintet_follower_lag_seconds"


def described_metrics(service, process):
    """Return the type and the labels of each metric that the document describes for this process."""
    described = {}
    for metric, type_, labels, exporters, _ in table_rows(
        DOCUMENT, "metric", "type", "labels", "exported by", "meaning"
    ):
        if set(exporters.split(", ")) & {process, f"{process} of {service}"}:
            described[code_spans(metric)[0]] = (type_, set(code_spans(labels)))
    described.pop(ABSENT, None)
    return described


def scrape(stack, program):
    """Return the type of each metric, and the labels of each metric that has samples."""
    text = requests.get(f"{stack.monitoring_url(program)}/metrics").text
    types, labels = {}, {}
    for family in text_string_to_metric_families(text):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        types[name] = family.type
        if family.samples:
            labels[name] = set().union(*(sample.labels for sample in family.samples)) - {"le"}
    return types, labels


@pytest.mark.parametrize("process", ["web", "worker"])
@pytest.mark.parametrize("service", SERVICES)
def test_process_exports_exactly_the_documented_metrics(stack, service, process):
    program, described = f"{service}-{process}", described_metrics(service, process)
    assert "quintet_build_info" in described
    types = {name: type_ for name, (type_, _) in described.items()}
    # A worker reads the state of its service every few seconds.
    eventually(lambda: scrape(stack, program)[0] == types)
    labels = scrape(stack, program)[1]
    assert {name: described[name][1] for name in labels} == labels


def test_public_port_serves_no_metrics(stack):
    for path in ("/metrics", "/orders-web/metrics", "/orders-worker/metrics", "/orders-worker/livez"):
        assert requests.get(stack.url + path, auth=(stack.user, stack.password)).status_code == 404


def test_killed_worker_is_live_again(stack):
    url = f"{stack.monitoring_url('orders-worker')}/livez"
    assert requests.get(url).json() == {"status": "OK"}
    stack.kill("orders-worker")
    eventually(lambda: requests.get(f"{stack.monitoring_url('orders-worker')}/livez").json() == {"status": "OK"})
    stack.wait_until_healthy()


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_containers_of_workers_are_healthy(stack):
    def states():
        containers = {
            container["Config"]["Labels"]["com.docker.compose.service"]: container["State"]
            for container in stack.inspect_containers()
        }
        return {containers[f"{service}-worker"]["Health"]["Status"] for service in SERVICES}

    eventually(lambda: states() == {"healthy"}, within_seconds=120)
