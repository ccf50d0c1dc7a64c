"""The port for Prometheus, which is separate from that of the clients."""

import pytest
import requests

from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def gateway(start_gateway, port):
    # The web process of event-service stands in for the worker of sequence-service.
    gateway = start_gateway(
        lambda text: text.replace("/sequence-worker.sock", "/event.sock"), METRICS_LISTEN=f"127.0.0.1:{port}"
    )
    eventually(lambda: gateway.call("GET", "/livez").status == 200)
    return gateway


@pytest.fixture
def metrics_url(gateway, port):
    return f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "path, service, forwarded_path",
    [
        ("/sequence-web/metrics", "sequence", "/metrics"),
        ("/sequence-web/livez", "sequence", "/livez"),
        ("/sequence-worker/metrics", "event", "/metrics"),
        ("/sequence-worker/livez", "event", "/livez"),
    ],
)
def test_processes_are_scraped_without_a_password(metrics_url, path, service, forwarded_path):
    response = requests.get(metrics_url + path).json()
    assert (response["service"], response["path"]) == (service, forwarded_path)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/sequence-web",
        "/sequence-web/sequence",
        "/sequence-web/metrics/recent",
        "/sequence-web//metrics",
        "/console/metrics",
        "/unknown-web/metrics",
        "/sequence-migrate/metrics",
    ],
)
def test_nothing_else_is_reachable_without_a_password(metrics_url, path):
    assert requests.get(metrics_url + path).status_code == 404


def test_other_methods_are_denied(metrics_url):
    assert requests.post(f"{metrics_url}/sequence-web/metrics").status_code == 403


def test_worker_that_does_not_run_returns_502_without_a_line_in_the_log(gateway, metrics_url):
    assert requests.get(f"{metrics_url}/event-worker/metrics").status_code == 502
    assert "event-worker" not in (gateway.directory / "error.log").read_text()
