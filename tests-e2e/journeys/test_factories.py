"""Charts and sprockets stay correct and are never stale while processes are killed and frozen."""

import io
import json
import os
import secrets
import time

import pytest

from quintet import Quintet
from quintet_e2e.clients import background_threads, ok_json, run_concurrently
from quintet_e2e.factories import OUTCOME_SECONDS, CountingSprocket, ProducingFactory, production_events
from quintet_e2e.faults import BROKER_RECOVERY_SECONDS, assert_recovered, seeded_random
from quintet_e2e.stacks import ALSO_ON_REPLICAS, ON_ONE_STACK
from quintet_testing.waiting import eventually

# Faults with a long recovery are injected less often, unless E2E_ROUNDS sets one count for all.
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 0)
QUICK_ROUNDS, SLOW_ROUNDS, SLOWEST_ROUNDS = (ROUNDS or rounds for rounds in (10, 3, 1))
SPROCKETS, FACTORIES = 3, 2


@ALSO_ON_REPLICAS
def test_production_is_added_to_chart_and_published(client):
    factory_id = ok_json(client.post("/api/factories", json={"name": "Journey"}))["id"]
    response = client.post(
        f"/api/factory/{factory_id}/production",
        json=[{"time": 1611204878, "actual": 28, "goal": 33}, {"time": 1611204818, "actual": 32, "goal": 31}],
    )
    assert (response.status_code, response.json()) == (202, {"accepted": 2})
    chart = {
        "sprocket_production_actual": [32, 28],
        "sprocket_production_goal": [31, 33],
        "time": [1611204818, 1611204878],
    }
    eventually(lambda: ok_json(client.get(f"/api/factory/{factory_id}/chart-data"))["chart_data"] == chart)
    eventually(lambda: production_events(client, factory_id), BROKER_RECOVERY_SECONDS)
    (event,) = production_events(client, factory_id)
    assert event["payload"] == {"id": factory_id, "points": 2, "from": 1611204818, "to": 1611204878}
    assert event["trigger"] == {"type": "request", "name": response.headers["X-Request-ID"]}
    assert (event["producer"], event["user"]) == ("factory", None)


@ALSO_ON_REPLICAS
def test_etag_of_compressed_response_is_valid_in_conditional_requests(client):
    chart = {name: list(range(300)) for name in ("sprocket_production_actual", "sprocket_production_goal", "time")}
    factory_id = ok_json(client.post("/api/factories", json={"name": "Compressed", "chart_data": chart}))["id"]
    path = f"/api/factory/{factory_id}"
    etag = client.get(path, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert etag.startswith("W/")
    assert client.get(path, headers={"If-None-Match": etag, "Accept-Encoding": "gzip"}).status_code == 304
    assert client.send("DELETE", path, headers={"If-Match": '"1-other"'}).status_code == 412
    assert client.send("DELETE", path, headers={"If-Match": etag}).status_code == 204


@ALSO_ON_REPLICAS
@pytest.mark.slow
def test_one_of_twenty_concurrent_changes_succeeds(client):
    for _ in range(5):
        sprocket_id = ok_json(client.post("/api/sprocket/create/1/1/1/1/"))["sprocket"]["id"]
        path = f"/api/sprocket/{sprocket_id}"
        etag = client.get(path).headers["ETag"]
        statuses = run_concurrently(
            20,
            lambda number, path=path, etag=etag: (
                client.send("PATCH", path, json={"teeth": number + 1}, headers={"If-Match": etag}).status_code
            ),
        )
        assert sorted(statuses) == [200] + [412] * 19
        assert ok_json(client.get(path))["sprocket"]["teeth"] == statuses.index(200) + 1


def file_with_duplicate_factory():
    """Return a file with two entries for the same unique factory."""
    chart = {
        "sprocket_production_actual": [int(secrets.token_hex(3), 16)] * 30_000,
        "sprocket_production_goal": [1] * 30_000,
        "time": list(range(30_000)),
    }
    return json.dumps({"factories": [{"factory": {"chart_data": chart}}] * 2}).encode()


def load_completely(stack, file):
    """Load the file and return how many entries were processed, and how many of them were added."""
    with Quintet(stack.client_url(), retry_seconds=OUTCOME_SECONDS) as quintet:
        status = quintet.factories.load(io.BytesIO(file)).wait(timeout_seconds=180)
    return status.factories + status.skipped, status.factories


def faults_on(stack, random):
    def kill(program):
        return lambda: stack.kill(program)

    def freeze(program, max_seconds):
        def freeze_and_thaw():
            stack.freeze(program)
            time.sleep(random.uniform(0.1, max_seconds))
            stack.thaw(program)

        return freeze_and_thaw

    def kill_web_worker():
        eventually(lambda: stack.gunicorn_master("factory-web").children())
        stack.kill_gunicorn_worker("factory-web", random)

    def kill_postgres():
        stack.kill("postgres")
        eventually(stack.is_database_reachable, 60)

    quick = {
        "a web process is killed": kill_web_worker,
        "redis is killed": kill("redis"),
        "redis is frozen": freeze("redis", 1.5),
        "postgres is frozen": freeze("postgres", 1.5),
        "the worker is frozen": freeze("factory-worker", 1.5),
    }
    slow = {"the worker is killed": kill("factory-worker"), "postgres is killed": kill_postgres}
    slowest = {
        "rabbitmq is killed": kill("rabbitmq"),
        "the web master is killed": lambda: stack.kill_gunicorn_master("factory-web"),
    }
    rounds = [*quick.items()] * QUICK_ROUNDS + [*slow.items()] * SLOW_ROUNDS + [*slowest.items()] * SLOWEST_ROUNDS
    random.shuffle(rounds)
    return rounds


@pytest.mark.fault
@ON_ONE_STACK
def test_no_data_is_lost_duplicated_or_stale_while_processes_are_killed_and_frozen(stack, client):
    random = seeded_random()
    sprockets = [CountingSprocket(client) for _ in range(SPROCKETS)]
    factories = [ProducingFactory(client, random) for _ in range(FACTORIES)]
    file, loads, started_at = file_with_duplicate_factory(), [], time.monotonic()

    def work(number):
        if number < SPROCKETS:
            sprockets[number].write()
        elif number < SPROCKETS + FACTORIES:
            factories[number - SPROCKETS].send()
        elif number == SPROCKETS + FACTORIES:
            loads.append(load_completely(stack, file))
        else:
            sprockets[number % SPROCKETS].read()
        time.sleep(0.02)

    with background_threads(SPROCKETS + FACTORIES + 1 + 2 * SPROCKETS, work):
        for name, inject in faults_on(stack, random):
            time.sleep(random.uniform(0.05, 0.6))
            writes = sum(sprocket.last_confirmed for sprocket in sprockets)
            reads = sum(sprocket.read_count for sprocket in sprockets)
            print(f"{time.monotonic() - started_at:.1f} s: {name} after {writes} writes, {reads} reads")
            inject()
    assert_recovered(stack)
    for factory in factories:
        eventually(factory.is_chart_complete, 60)
        eventually(lambda factory=factory: len(factory.events()) >= factory.batch_count, BROKER_RECOVERY_SECONDS)
        assert len(factory.events()) == factory.batch_count
    assert all(entries == 2 for entries, _ in loads)
    assert sum(added for _, added in loads) == 2
    for sprocket in sprockets:
        sprocket.read()
        assert sprocket.read_count > 10
