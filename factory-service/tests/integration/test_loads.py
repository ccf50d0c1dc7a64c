import concurrent.futures
import contextlib
import json
import random
import socket
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from factory_service.handlers import timers
from factory_service.routes import loads

SAMPLES = Path(__file__).parents[2] / "samples"
FACTORIES, SPROCKETS = (SAMPLES / f"seed_{name}.json" for name in ("factory_data", "sprocket_types"))
COUNTS = ("factories", "sprockets", "points", "skipped")


def load(client, content, **headers):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return client.post("/api/factories/load", data=content, content_type="application/json", headers=headers)


def status_of(client, accepted):
    assert accepted.status_code == 202, accepted.text
    return client.get(accepted.headers["Location"]).json


def counts(status):
    return tuple(status[name] for name in COUNTS)


def entry(*points):
    time, actual, goal = zip(*points, strict=True) if points else ([], [], [])
    chart = {"sprocket_production_actual": actual, "sprocket_production_goal": goal, "time": time}
    return {"factory": {"chart_data": chart}}


def test_a_file_is_loaded_once_however_often_it_comes(client, work, outbox):
    for content, expected, path in (
        (FACTORIES.read_bytes(), (3, 0, 60, 0), "/api/factories"),
        (SPROCKETS.read_bytes(), (0, 3, 0, 0), "/api/sprockets"),
    ):
        first = load(client, content)
        assert first.json["status"] == "PENDING"
        work()
        status = status_of(client, first)
        assert (status["status"], counts(status)) == ("SUCCESS", expected)
        before = client.get(path).json
        assert before["count"] == 3
        again = load(client, content)
        work()
        assert counts(status_of(client, again)) == (0, 0, 0, 3)
        assert client.get(path).json == before
    assert [name for name, _ in outbox()].count("DataLoaded") == 4


def test_equal_entries_are_as_many_as_there_are(client, work):
    same = json.loads(SPROCKETS.read_text())["sprockets"][0]
    load(client, {"sprockets": [same]}), work()
    assert client.get("/api/sprockets").json["count"] == 1
    more = load(client, {"sprockets": [same] * 5})
    work()
    assert counts(status_of(client, more)) == (0, 4, 0, 1)
    assert [sprocket["id"] for sprocket in client.get("/api/sprockets").json["sprockets"]] == [1, 2, 3, 4, 5]


def test_two_that_load_the_same_at_once_add_it_once(client, db, delivered):
    for content in (FACTORIES.read_bytes(), SPROCKETS.read_bytes()):
        accepted = [load(client, content) for _ in range(4)]
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda row: delivered(db, *row), rows))
        statuses = [status_of(client, one) for one in accepted]
        assert {status["status"] for status in statuses} == {"SUCCESS"}
        assert sum(status["skipped"] for status in statuses) == 9
    assert client.get("/api/factories").json["count"] == client.get("/api/sprockets").json["count"] == 3


def test_what_was_loaded_and_removed_is_loaded_again(client, work):
    load(client, FACTORIES.read_bytes()), work()
    client.delete("/api/factory/2")
    again = load(client, FACTORIES.read_bytes())
    work()
    assert counts(status_of(client, again)) == (1, 0, 20, 2)
    assert [factory["id"] for factory in client.get("/api/factories").json["factories"]] == [1, 3, 4]


def test_what_was_changed_since_is_not_loaded_again(client, work):
    load(client, SPROCKETS.read_bytes()), work()
    client.patch("/api/sprocket/1", json={"teeth": 99})
    load(client, SPROCKETS.read_bytes()), work()
    assert client.get("/api/sprockets").json["count"] == 3


def test_a_loaded_chart_is_sorted_and_the_last_of_equal_times_wins(client, work):
    load(client, {"factories": [entry((30, 1, 1), (10, 2, 2), (30, 3, 3), (20, 4, 4))]}), work()
    chart = client.get("/api/factory/1/chart-data").json["chart_data"]
    assert (chart["time"], chart["sprocket_production_actual"]) == ([10, 20, 30], [2, 4, 3])


def test_a_long_chart_goes_in_part_by_part(client, db, work):
    """With equal times in parts far from each other."""
    chosen = random.Random(2)
    points = [(chosen.randint(0, 200_000), chosen.randint(-99, 99), n) for n in range(120_000)]
    accepted = load(client, {"factories": [entry((1, 2, 3)), entry(*points), entry()]})
    work()
    expected = {time: (actual, goal) for time, actual, goal in points}
    status = status_of(client, accepted)
    assert (status["status"], counts(status)) == ("SUCCESS", (3, 0, 1 + len(expected), 0))
    with db.transaction() as tx:
        rows = tx.rows("SELECT time, actual, goal FROM points WHERE factory_id = 2")
    assert {time: (actual, goal) for time, actual, goal in rows} == expected
    production = {"time": points[0][0], "actual": 7, "goal": 7}
    client.post("/api/factory/2/production", json=production), work()
    path = f"/api/factory/2/production-actual?from={points[0][0]}&to={points[0][0]}"
    assert client.get(path).json == {"sprocket_production_actual": [7]}


class DyingDatabase:
    """After so many transactions the next one is never committed."""

    def __init__(self, database, transactions):
        self._database, self._left = database, transactions

    @contextlib.contextmanager
    def transaction(self):
        with self._database.transaction() as tx:
            yield tx
            if not self._left:
                raise SystemExit
            self._left -= 1


def test_a_load_whose_worker_dies_begins_again_and_adds_nothing_twice(client, db, delivered, outbox):
    chosen, factories, sprockets = random.Random(7), 0, 0
    for lives in range(1, 40, 8):
        value = lives * 1000
        points = [(time, value, time) for time in range(25_000)]
        files = [
            {"factories": [entry(*points), entry((value, 1, 1)), entry((value, 1, 1)), entry(*points)]},
            {"sprockets": [{**GOOD, "teeth": value + n // 2} for n in range(2500)]},
        ]
        accepted = [load(client, content) for content in files]
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body")
        for row in rows:
            for _ in range(3):
                with contextlib.suppress(SystemExit):
                    delivered(DyingDatabase(db, lives + chosen.randint(0, 2)), *row)
            delivered(db, *row)
            delivered(db, *row)
        factories, sprockets = factories + 4, sprockets + 2500
        assert [counts(status_of(client, one)) for one in accepted] == [(4, 0, 50_002, 0), (0, 2500, 0, 0)]
        with db.transaction() as tx:
            assert tx.rows("SELECT count(*), max(id) FROM factories") == [(factories, factories)]
            assert tx.rows("SELECT count(*), max(id) FROM sprockets") == [(sprockets, sprockets)]
    names = Counter(name for name, _ in outbox())
    assert (names["FactoryCreated"], names["SprocketCreated"], names["DataLoaded"]) == (factories, sprockets, 10)


GOOD = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b"{", "file"),
        (b"[]", "file"),
        (b"null", "file"),
        (b"\xff\xfe", "file"),
        (b"{}", "file"),
        (b'{"others": []}', "file"),
        (b'{"factories": []} x', "file"),
        (b'{"factories": [], "sprockets": []}', "file"),
        (b'{"sprockets": [' + b" " * 5000, "sprockets.0"),
        ({"sprockets": [GOOD, {**GOOD, "teeth": 0}]}, "sprockets.1.teeth"),
        ({"sprockets": [{**GOOD, "teeth": "5"}]}, "sprockets.0.teeth"),
        ({"sprockets": [{**GOOD, "more": 5}]}, "sprockets.0"),
        (b'{"sprockets": [{"teeth": 5, "teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}]}',
         "sprockets.0"),
        ({"sprockets": [5]}, "sprockets.0"),
        ({"factories": [entry((1, 1, 1)), {"factory": {}}]}, "factories.1"),
        ({"factories": [entry((1, 1, 1)), entry((1, 1, 1), (2, 2**31 + 1, 1))]},
         "factories.1.factory.chart_data.sprocket_production_actual.1"),
        ({"factories": [{"factory": {"chart_data": {"time": [1], "sprocket_production_goal": [1]}}}]},
         "factories.0.factory.chart_data.sprocket_production_actual.0"),
        ({"factories": [{"factory": {"chart_data": {
            "sprocket_production_actual": [1], "sprocket_production_goal": [1, 2], "time": [1, 2]}}}]},
         "factories.0.factory.chart_data.sprocket_production_actual.1"),
        (b'{"factories": [{"factory": {"chart_data": {"time": [1,,2]', "factories.0.factory.chart_data.time.1"),
        (b'{"factories": [{"factory": {"chart_data": {"time": [1, 2, ]', "factories.0.factory.chart_data.time.2"),
        (b'{"factories": [{"factory": {"chart_data": {"time": [[1]]', "factories.0.factory.chart_data.time.0"),
        (b'{"factories": [{"factory": {"chart_data": {"time": [' + b"1" * 5000,
         "factories.0.factory.chart_data.time.0"),
        (b'{"factories": [{"factory": {"chart_data": {"time": [1], "time": [2]', "factories.0.factory.chart_data"),
    ],
)  # fmt: skip
def test_a_wrong_file_says_where_and_loads_nothing(client, db, work, content, place):
    accepted = load(client, content)
    work()
    status = status_of(client, accepted)
    assert (status["status"], counts(status)) == ("FAILURE", (0, 0, 0, 0))
    assert status["error"].startswith(f"{place}: "), status["error"]
    assert client.get("/api/factories").json["count"] == client.get("/api/sprockets").json["count"] == 0
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM load_chunks") == 0


def test_what_cannot_be_a_file_is_not_taken(client, db):
    assert load(client, b"").status_code == 400
    assert client.post("/api/factories/load", data=b"{}", content_type="text/plain").status_code == 415
    too_large = client.post(
        "/api/factories/load",
        data=b"{}",
        content_type="application/json",
        environ_overrides={"CONTENT_LENGTH": str(2**28 + 1)},
    )
    assert too_large.status_code == 413
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM loads") == 0
    assert client.get("/api/factories/load").status_code == 405
    assert client.get("/api/factories/load/no-uuid").status_code == 400
    assert client.get("/api/factories/load/11111111-2222-3333-4444-555555555555").status_code == 404


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_file_may_be_as_large_as_is_said_and_no_larger(client, db, work, monkeypatch, is_chunked):
    monkeypatch.setattr(loads, "LARGEST_BYTES", 3 * 1024 * 1024)

    def sent(size):
        # As gunicorn gives it to the app.
        around = {"wsgi.input_terminated": True, **({"HTTP_TRANSFER_ENCODING": "chunked"} if is_chunked else {})}
        content = SPROCKETS.read_bytes().ljust(size)
        return client.post(
            "/api/factories/load", data=content, content_type="application/json", environ_overrides=around
        )

    accepted = sent(loads.LARGEST_BYTES)
    work()
    assert status_of(client, accepted)["status"] == "SUCCESS"
    assert accepted.json["size_bytes"] == loads.LARGEST_BYTES
    assert sent(loads.LARGEST_BYTES + 1).status_code == 413
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM loads") == 1


def test_a_file_that_broke_off_is_none_and_its_key_is_free(settings, db, served, eventually):
    """Though what came of it might be one."""
    web, content = served(settings), SPROCKETS.read_bytes()
    head = f"POST /api/factories/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content) + 5}\r\n"
    head += "Content-Type: application/json\r\nIdempotency-Key: broken\r\n\r\n"

    def left():
        with db.transaction() as tx:
            return tx.value("SELECT (SELECT count(*) FROM loads) + (SELECT count(*) FROM load_chunks)")

    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(head.encode() + content)
        eventually(left)
    eventually(lambda: left() == 0)
    headers = {"Idempotency-Key": "broken", "Content-Type": "application/json"}
    assert requests.post(f"{web.base}/api/factories/load", content, headers=headers, timeout=60).status_code == 202


def test_a_file_that_does_not_go_on_is_ended_and_leaves_nothing(settings, db, served, eventually):
    web = served(settings, UPLOAD_MAX_SECONDS="2")
    head = "POST /api/factories/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    head += "Content-Type: application/json\r\nIdempotency-Key: silent\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as connection:
        connection.sendall(head.encode())
        response, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["detail"].startswith("the upload takes too long")
    with db.transaction() as tx:
        assert tx.value("SELECT (SELECT count(*) FROM loads) + (SELECT count(*) FROM load_chunks)") == 0
    headers = {"Idempotency-Key": "silent", "Content-Type": "application/json"}
    answer = requests.post(f"{web.base}/api/factories/load", SPROCKETS.read_bytes(), headers=headers, timeout=60)
    assert answer.status_code == 202


def test_a_retry_with_the_same_key_is_one_load(client, db):
    first = load(client, FACTORIES.read_bytes(), **{"Idempotency-Key": "k"})
    again = load(client, FACTORIES.read_bytes(), **{"Idempotency-Key": "k"})
    assert (again.json, again.headers["Location"]) == (first.json, first.headers["Location"])
    assert load(client, SPROCKETS.read_bytes(), **{"Idempotency-Key": "k"}).status_code == 422
    with db.transaction() as tx:
        assert (
            tx.value("SELECT count(*) FROM loads") == tx.value("SELECT count(DISTINCT load_id) FROM load_chunks") == 1
        )


@pytest.mark.parametrize(("hours", "is_kept"), [(2, True), (4, False)])
def test_an_upload_is_abandoned_only_after_the_longest_time_it_may_take(db, settings, hours, is_kept):
    allowed = settings.model_copy(update={"upload_max_seconds": 3 * 3600.0})
    with db.transaction() as tx:
        id_ = tx.value(
            """
            INSERT INTO loads (id, status, created_at)
            VALUES (gen_random_uuid(), 'UPLOADING', now() - make_interval(hours => %(hours)s)) RETURNING id::text
            """,
            hours=hours,
        )
        timers(allowed)["abandoned loads"].run(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM loads WHERE id = %(id)s", id=id_) == is_kept
