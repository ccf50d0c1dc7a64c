"""A file of charts is loaded whole and once, whenever the worker that loads it is killed."""

import os
import secrets
import time

from quintet_e2e.clients import attempt, done
from quintet_e2e.faults import BROKER_BACK_WITHIN, assert_healed, chosen_random
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

KILLS = int(os.environ.get("E2E_ROUNDS") or 3)
NAMES = ("sprocket_production_actual", "sprocket_production_goal", "time")
CHARTS, POINTS = 4, 50_000
LOADED_WITHIN = 300


def a_chart(number):
    """That no other file has; so long that a load of it can be met."""
    return dict(zip(NAMES, ([number] * POINTS, list(range(POINTS)), list(range(POINTS))), strict=True))


def has_ended(client, load):
    """Also false where nobody could be asked."""
    tried = attempt(lambda: client.get(f"/api/factories/load/{load}"))
    return tried.is_ok and tried.answer.json()["status"] not in ("PENDING", "PROGRESS")


def kill_within(stack, client, random, load, most):
    """How often the worker was killed before the load had ended."""
    kills = 0
    while kills < most and not has_ended(client, load):
        time.sleep(random.uniform(0, 1.5))
        stack.crash("factory-worker")
        kills += not has_ended(client, load)
        # One that is killed over and over before it has begun gets nowhere.
        stack.wait_until_healthy()
    return kills


def test_a_load_whose_worker_is_killed_adds_everything_once(stack, client):
    random, kills, sent = chosen_random(), 0, {}
    while kills < KILLS:
        first = int(secrets.token_hex(3), 16)
        charts = [a_chart(first + number) for number in range(CHARTS)]
        answer = client.post(
            "/api/factories/load", json={"factories": [{"factory": {"chart_data": c}} for c in charts]}
        )
        load = done(answer)["id"]
        sent[answer.headers["X-Request-ID"]] = charts
        kills += kill_within(stack, client, random, load, KILLS - kills)
        eventually(lambda load=load: has_ended(client, load), LOADED_WITHIN)
        status = done(client.get(f"/api/factories/load/{load}"))
        assert status["status"] == "SUCCESS", status
        assert [status[name] for name in ("factories", "points", "skipped")] == [CHARTS, CHARTS * POINTS, 0]
    print(f"killed {kills} times in {len(sent)} loads")
    assert_healed(stack)
    for request_id, charts in sent.items():
        assert_is_told_once(client, request_id, charts)


def assert_is_told_once(client, request_id, charts):
    """Each factory in the order of the file, as it was there."""

    def told(name):
        events = [event for event in events_of(client, "factory") if event["trigger"]["name"] == request_id]
        return [event["payload"] for event in events if event["event"]["name"] == name]

    eventually(lambda: told("DataLoaded"), BROKER_BACK_WITHIN)
    assert [payload["factories"] for payload in told("DataLoaded")] == [CHARTS]
    made = [payload["id"] for payload in told("FactoryCreated")]
    assert len(made) == CHARTS
    assert [done(client.get(f"/api/factory/{id_}/chart-data"))["chart_data"] for id_ in sorted(made)] == charts
