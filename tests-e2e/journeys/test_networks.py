"""Each container can connect only to the programs that it needs; no request waits long for an interrupted network."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from quintet_e2e.clients import attempt_request
from quintet_e2e.streams import event_body, stream_path
from quintet_testing.waiting import eventually

# Without the settings of the gateway's network, the reader would wait until the long poll ends.
POLL_SECONDS, MAX_SECONDS = 30, 12
IS_POLLING = 'quintet_live_readers{kind="long_poll"} 1.0'

SERVICES = ["event", "factory", "orders", "sequence", "specstore"]
WEB_PROGRAMS = {f"{service}-web" for service in SERVICES}
WORKERS = {f"{service}-worker" for service in SERVICES}
PORTS = dict.fromkeys(WEB_PROGRAMS, 8000) | {"console": 8000, "rabbitmq": 5672, "redis": 6379}
PORTS |= dict.fromkeys(WORKERS, 9100)
REACHABLE = {
    "gateway": WEB_PROGRAMS | {"console"},
    "console": WEB_PROGRAMS | {"console"},
    **{f"{service}-web": {f"{service}-web", "console"} for service in SERVICES},
    "factory-web": {"factory-web", "console", "redis", "factory-worker"},
    "orders-web": {"orders-web", "console", "sequence-web", "orders-worker"},
    "sequence-web": {"sequence-web", "console", "orders-web", "orders-worker"},
    "specstore-web": {"specstore-web", "console", "specstore-worker"},
    "event-worker": {"rabbitmq"} | WORKERS,
    "factory-worker": {"rabbitmq", "redis", "factory-web"} | WORKERS,
    "orders-worker": {"rabbitmq", "sequence-web", "orders-web"} | WORKERS,
    "sequence-worker": {"rabbitmq"} | WORKERS,
    "specstore-worker": {"rabbitmq", "specstore-web"} | WORKERS,
    "postgres": set(),
}


pytestmark = [pytest.mark.slow, pytest.mark.parametrize("stack", ["compose"], indirect=True)]


@pytest.mark.parametrize("program", sorted(REACHABLE))
def test_container_reaches_only_programs_that_it_needs(stack, program):
    assert stack.reachable_from(program, PORTS) == REACHABLE[program]


@pytest.mark.fault
def test_request_ends_soon_after_the_network_to_its_service_is_interrupted(stack, client):
    path = f"{stream_path('interrupted')}/events"
    client.post(path, json=event_body(number=1), headers={"X-Producer-ID": "networks"}).raise_for_status()
    params = {"eventName": "Absent", "limit": 1, "wait": POLL_SECONDS}
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(
            attempt_request, lambda: client.get(path, params=params, headers={"X-Consumer-ID": "networks"})
        )
        eventually(lambda: IS_POLLING in requests.get(f"{stack.monitoring_url('event-web')}/metrics").text)
        with stack.disconnected("event-web"):
            attempt = poll.result()
    assert attempt.is_unavailable and attempt.seconds < MAX_SECONDS, attempt.description
