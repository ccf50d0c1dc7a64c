"""A file of charts is loaded completely and once, regardless of when its worker is killed."""

import os
import secrets
import time

import pytest

from quintet_e2e.clients import attempt_request, ok_json
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, assert_recovered, seeded_random
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

KILLS = int(os.environ.get("E2E_ROUNDS") or 3)
SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")
CHARTS, POINTS = 4, 50_000
LOAD_SECONDS = 300


def chart_data(number):
    """Return a chart that is long enough for a kill of the worker during its load."""
    return dict(zip(SERIES, ([number] * POINTS, list(range(POINTS)), list(range(POINTS))), strict=True))


def has_ended(client, load_id):
    """Return whether the load has ended; False if the service is unavailable."""
    attempt = attempt_request(lambda: client.get(f"/api/factories/load/{load_id}"))
    return attempt.is_ok and attempt.response.json()["status"] not in ("PENDING", "PROGRESS")


def kill_during_load(stack, client, random, load_id, max_kills):
    """Kill the worker at most `max_kills` times until the load has ended, and return how often."""
    kills = 0
    while kills < max_kills and not has_ended(client, load_id):
        time.sleep(random.uniform(0, 1.5))
        stack.crash("factory-worker")
        kills += not has_ended(client, load_id)
        # A worker that is killed repeatedly before it has started makes no progress.
        stack.wait_until_healthy()
    return kills


def test_load_adds_each_entry_once_when_its_worker_is_killed(stack, client):
    random, kills, charts_by_request_id = seeded_random(), 0, {}
    while kills < KILLS:
        first = int(secrets.token_hex(3), 16)
        charts = [chart_data(first + number) for number in range(CHARTS)]
        response = client.post(
            "/api/factories/load", json={"factories": [{"factory": {"chart_data": chart}} for chart in charts]}
        )
        load_id = ok_json(response)["id"]
        charts_by_request_id[response.headers["X-Request-ID"]] = charts
        kills += kill_during_load(stack, client, random, load_id, KILLS - kills)
        eventually(lambda load_id=load_id: has_ended(client, load_id), LOAD_SECONDS)
        status = ok_json(client.get(f"/api/factories/load/{load_id}"))
        assert status["status"] == "SUCCESS", status
        assert [status[name] for name in ("factories", "points", "skipped")] == [CHARTS, CHARTS * POINTS, 0]
    print(f"killed {kills} times in {len(charts_by_request_id)} loads")
    assert_recovered(stack)
    for request_id, charts in charts_by_request_id.items():
        assert_published_once(client, request_id, charts)


def assert_published_once(client, request_id, charts):
    """Assert that each factory has one event, and that the factories have the charts of the file, in its order."""

    def payloads(name):
        events = [event for event in read_events(client, "factory") if event["trigger"]["name"] == request_id]
        return [event["payload"] for event in events if event["event"]["name"] == name]

    eventually(lambda: payloads("DataLoaded"), BROKER_RECOVERY_SECONDS)
    assert [payload["factories"] for payload in payloads("DataLoaded")] == [CHARTS]
    factory_ids = [payload["id"] for payload in payloads("FactoryCreated")]
    assert len(factory_ids) == CHARTS
    assert [
        ok_json(client.get(f"/api/factory/{id_}/chart-data"))["chart_data"] for id_ in sorted(factory_ids)
    ] == charts
