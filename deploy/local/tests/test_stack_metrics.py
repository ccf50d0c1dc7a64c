"""The metrics of all processes of a running stack, on the port that is meant for Prometheus."""

import pytest
import requests

from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow


def test_every_process_is_scraped_on_one_loopback_port(stack):
    url = f"http://127.0.0.1:{stack.settings['METRICS_PORT']}"
    for service in stack.service_names:
        for process in ("web", "worker"):
            text = requests.get(f"{url}/{service}-{process}/metrics").text
            assert 'quintet_build_info{python="3.' in text and f'service="{service}"' in text
        assert requests.get(f"{url}/{service}-worker/livez").json() == {"status": "OK"}
        assert (
            requests.get(f"{stack.url}/{service}-worker/metrics", auth=(stack.user, stack.password)).status_code == 404
        )


def test_killed_worker_is_scraped_again(stack):
    url = f"http://127.0.0.1:{stack.settings['METRICS_PORT']}/orders-worker/livez"
    stack.kill("orders-worker")
    eventually(lambda: requests.get(url).status_code == 200)
