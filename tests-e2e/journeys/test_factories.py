"""Charts and sprockets stay right and are never stale, whatever is killed or frozen meanwhile."""

import os
import secrets
import time

from quintet_e2e.clients import all_at_once, attempt, crowd, done
from quintet_e2e.factories import Counted, Producing, recorded_of, until_known
from quintet_e2e.faults import BROKER_BACK_WITHIN, assert_healed, chosen_random
from quintet_testing.waiting import eventually

# What takes long to come back is done less often, unless E2E_ROUNDS says how often each.
ROUNDS = int(os.environ.get("E2E_ROUNDS") or 0)
QUICK, SLOW, SLOWEST = (ROUNDS or rounds for rounds in (10, 3, 1))
COUNTED, PRODUCING = 3, 2
WITHIN_A_SECOND = 10  # on a machine that does something else, too


def test_production_gets_into_the_chart_and_into_the_stream(client):
    factory = done(client.post("/api/factories", json={"name": "Journey"}))["id"]
    sent = client.post(
        f"/api/factory/{factory}/production",
        json=[{"time": 1611204878, "actual": 28, "goal": 33}, {"time": 1611204818, "actual": 32, "goal": 31}],
    )
    assert (sent.status_code, sent.json()) == (202, {"accepted": 2})
    chart = {
        "sprocket_production_actual": [32, 28],
        "sprocket_production_goal": [31, 33],
        "time": [1611204818, 1611204878],
    }
    eventually(lambda: done(client.get(f"/api/factory/{factory}/chart-data"))["chart_data"] == chart, WITHIN_A_SECOND)
    eventually(lambda: recorded_of(client, factory), BROKER_BACK_WITHIN)
    (event,) = recorded_of(client, factory)
    assert event["payload"] == {"id": factory, "points": 2, "from": 1611204818, "to": 1611204878}
    assert event["trigger"] == {"type": "request", "name": sent.headers["X-Request-ID"]}
    assert (event["producer"], event["user"]) == ("factory", None)


def test_an_etag_works_as_the_client_got_it(client):
    chart = {name: list(range(300)) for name in ("sprocket_production_actual", "sprocket_production_goal", "time")}
    factory = done(client.post("/api/factories", json={"name": "Compressed", "chart_data": chart}))["id"]
    path = f"/api/factory/{factory}"
    tag = client.get(path, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert tag.startswith("W/")
    assert client.get(path, headers={"If-None-Match": tag, "Accept-Encoding": "gzip"}).status_code == 304
    assert client.send("DELETE", path, headers={"If-Match": '"1-other"'}).status_code == 412
    assert client.send("DELETE", path, headers={"If-Match": tag}).status_code == 204


def test_of_twenty_changes_at_once_one_wins(client):
    for _ in range(5):
        sprocket = done(client.post("/api/sprocket/create/1/1/1/1/"))["sprocket"]["id"]
        path = f"/api/sprocket/{sprocket}"
        tag = client.get(path).headers["ETag"]
        outcomes = all_at_once(
            20,
            lambda number, path=path, tag=tag: (
                client.send("PATCH", path, json={"teeth": number + 1}, headers={"If-Match": tag}).status_code
            ),
        )
        assert sorted(outcomes) == [200] + [412] * 19
        assert done(client.get(path))["sprocket"]["teeth"] == outcomes.index(200) + 1


def a_file():
    """Of one factory that no other file has."""
    chart = {
        "sprocket_production_actual": [int(secrets.token_hex(3), 16)] * 30_000,
        "sprocket_production_goal": [1] * 30_000,
        "time": list(range(30_000)),
    }
    return {"factories": [{"factory": {"chart_data": chart}}] * 2}


def load(client, file):
    place = until_known(client, "POST", "/api/factories/load", json=file)["id"]
    status = {}

    def has_ended():
        tried = attempt(lambda: client.get(f"/api/factories/load/{place}"))
        if tried.is_ok:
            status.update(tried.answer.json())
        return status.get("status") in ("SUCCESS", "FAILURE")

    eventually(has_ended, 180)
    assert status["status"] == "SUCCESS", status
    return status["factories"] + status["skipped"], status["factories"]


def faults_on(stack, random):
    def kill(program):
        return lambda: stack.kill(program)

    def freeze(program, most_seconds):
        def stand_still():
            stack.freeze(program)
            time.sleep(random.uniform(0.1, most_seconds))
            stack.thaw(program)

        return stand_still

    def kill_a_web_process():
        eventually(lambda: stack.gunicorn("factory-web").children(), 30)
        stack.kill_a_gunicorn_worker("factory-web", random)

    def kill_postgres():
        stack.kill("postgres")
        eventually(stack.database_answers, 60)

    quick = {
        "a web process is killed": kill_a_web_process,
        "redis is killed": kill("redis"),
        "redis is frozen": freeze("redis", 1.5),
        "postgres is frozen": freeze("postgres", 1.5),
        "the worker is frozen": freeze("factory-worker", 1.5),
    }
    slow = {"the worker is killed": kill("factory-worker"), "postgres is killed": kill_postgres}
    slowest = {
        "rabbitmq is killed": kill("rabbitmq"),
        "the master is killed": lambda: stack.kill_gunicorn("factory-web"),
    }
    rounds = [*quick.items()] * QUICK + [*slow.items()] * SLOW + [*slowest.items()] * SLOWEST
    random.shuffle(rounds)
    return rounds


def test_nothing_is_lost_doubled_or_stale_while_processes_are_killed_and_frozen(stack, client):
    random = chosen_random()
    counted = [Counted(client) for _ in range(COUNTED)]
    producing = [Producing(client, random) for _ in range(PRODUCING)]
    file, loads, began = a_file(), [], time.monotonic()

    def work(number):
        if number < COUNTED:
            counted[number].write()
        elif number < COUNTED + PRODUCING:
            producing[number - COUNTED].send()
        elif number == COUNTED + PRODUCING:
            loads.append(load(client, file))
        else:
            counted[number % COUNTED].read()
        time.sleep(0.02)

    with crowd(COUNTED + PRODUCING + 1 + 2 * COUNTED, work):
        for what, fault in faults_on(stack, random):
            time.sleep(random.uniform(0.05, 0.6))
            writes, reads = sum(each.answered for each in counted), sum(each.reads for each in counted)
            print(f"{time.monotonic() - began:.1f} s: {what} after {writes} writes, {reads} reads")
            fault()
    assert_healed(stack)
    for each in producing:
        eventually(each.is_whole, 60)
        eventually(lambda each=each: len(each.recorded()) >= each.batches, BROKER_BACK_WITHIN)
        assert len(each.recorded()) == each.batches
    assert all(entries == 2 for entries, _ in loads)
    assert sum(new for _, new in loads) == 2
    for each in counted:
        each.read()
        assert each.reads > 10
