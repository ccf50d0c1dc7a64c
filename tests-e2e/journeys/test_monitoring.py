"""Prometheus scrapes a stack, evaluates the rules, and alerts: with and without containers."""

import re
import secrets

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from quintet_compose.stack import ALL_PROFILES, Compose
from quintet_e2e import orders
from quintet_e2e.clients import ok_json
from quintet_e2e.prometheus import (
    Server,
    container_image,
    dashboard_queries,
    rules,
    running_prometheus,
    used_metrics,
)
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_local import ports
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum")}
# The stack has no read replica.
UNUSED_METRICS = {"quintet_follower_lag_seconds"}


@pytest.fixture
def prometheus(stack, tmp_path):
    with running_prometheus(stack.home / "prometheus.yml", tmp_path) as server:
        yield server


@pytest.fixture
def work(client):
    """Cause every kind of work that the dashboards show."""
    task_id = orders.upload(client, orders.orders_file(orders.first_unused_id(), 100))
    orders.wait_for_end(client, task_id)
    ok_json(client.put(f"/sequences/s-{secrets.token_hex(4)}", json={"minimum": 1, "maximum": 99}))
    factory = ok_json(client.post("/api/factories", json={"name": "Monitored"}))
    ok_json(client.get(f"/api/factory/{factory['id']}"))
    owner = Owner(client)
    owner.wait_for_end(owner.upload(owner.new_dataset_name()))


def programs_of(stack):
    return {name for name in stack.programs if name.endswith(("-web", "-worker"))}


def scraped(prometheus):
    """Return the programs that respond, by the labels that the configuration adds."""
    return {f"{series['service']}-{series['process']}" for series in prometheus.query('up{process!=""} == 1')}


def exported_names(stack):
    """Return the names of the series that all programs export, or would export after the first observation."""
    for program in programs_of(stack):
        response = requests.get(f"http://127.0.0.1:{stack.settings['METRICS_PORT']}/{program}/metrics", timeout=10)
        assert response.ok, program
        for family in text_string_to_metric_families(response.text):
            yield from (family.name + suffix for suffix in SUFFIXES.get(family.type, ("",)))


@ON_ONE_STACK
def test_metrics_of_alerts_and_dashboards_exist(stack):
    assert len(used_metrics()) > 20
    assert used_metrics() - set(exported_names(stack)) == UNUSED_METRICS


@ON_ONE_STACK
@pytest.mark.usefixtures("work")
def test_prometheus_scrapes_every_program_and_evaluates_every_rule(stack, prometheus):
    eventually(lambda: scraped(prometheus) == programs_of(stack))

    def evaluated():
        return [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]]

    eventually(lambda: {rule["health"] for rule in evaluated()} == {"ok"})
    assert len(evaluated()) == len(rules())
    # Other journeys on the same stack may have left dead letters.
    assert {alert["alertname"] for alert in prometheus.firing_alerts()} <= {"DeadLetters"}


@ON_ONE_STACK
@pytest.mark.usefixtures("work")
def test_legends_of_dashboards_name_labels_of_the_series(client, prometheus):
    def is_complete():
        # Rates need requests between two scrapes.
        ok_json(client.get("/sequences"))
        return prometheus.query("service:quintet_http_requests:rate5m > 0")

    eventually(is_complete)
    results = {query: prometheus.query(query) for query in dashboard_queries()}
    missing = {
        (query, label)
        for query, legend in dashboard_queries().items()
        for label in re.findall(r"{{(\w+)}}", legend)
        for series in results[query]
        if label not in series
    }
    assert missing == set()
    assert sum(bool(series) for series in results.values()) > 20


@ON_ONE_STACK
@pytest.mark.fault
def test_alert_fires_while_a_worker_is_stopped(stack, prometheus):
    eventually(lambda: len(prometheus.query("up == 1")) == len(programs_of(stack)))
    stack.stop("orders-worker")
    try:
        alert = {"alertname": "NoWorker", "service": "orders", "severity": "critical"}
        eventually(lambda: alert in prometheus.firing_alerts(), 120)
        assert not [labels for labels in prometheus.firing_alerts() if labels["alertname"] == "NoWeb"]
    finally:
        stack.start("orders-worker")
        stack.wait_until_healthy()
    eventually(lambda: alert not in prometheus.firing_alerts())


@pytest.mark.parametrize("stack", ["compose"], indirect=True)
def test_profile_scrapes_every_container(stack, tmp_path, monkeypatch):
    """The profile is started with the program of Debian, because the image of Prometheus cannot be had everywhere."""
    port = ports.find_free_port(set())
    with container_image(tmp_path) as image:
        for name, value in {
            "STACK_DIR": str(stack.home),
            "PROMETHEUS_IMAGE": image,
            "PROMETHEUS_PORT": str(port),
        }.items():
            monkeypatch.setenv(name, value)
        compose = Compose()
        compose.run(*ALL_PROFILES, "up", "--detach", "--wait", "prometheus")
        try:
            prometheus = Server(f"http://127.0.0.1:{port}")
            eventually(lambda: scraped(prometheus) == programs_of(stack), 120)
            eventually(lambda: prometheus.query('up{job="rabbitmq"} == 1'))
            assert {rule["type"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]} == {
                "alerting",
                "recording",
            }
        finally:
            compose.run(*ALL_PROFILES, "rm", "--force", "--stop", "prometheus")
