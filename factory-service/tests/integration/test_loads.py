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


def upload(client, content, **headers):
    if not isinstance(content, bytes):
        content = json.dumps(content).encode()
    return client.post("/api/factories/load", data=content, content_type="application/json", headers=headers)


def get_status(client, accepted):
    assert accepted.status_code == 202, accepted.text
    return client.get(accepted.headers["Location"]).json


def counts(status):
    return tuple(status[name] for name in COUNTS)


def entry(*points):
    time, actual, goal = zip(*points, strict=True) if points else ([], [], [])
    chart = {"sprocket_production_actual": actual, "sprocket_production_goal": goal, "time": time}
    return {"factory": {"chart_data": chart}}


def test_repeated_load_of_the_same_file_adds_nothing(client, run_jobs, outbox):
    for content, expected, list_path in (
        (FACTORIES.read_bytes(), (3, 0, 60, 0), "/api/factories"),
        (SPROCKETS.read_bytes(), (0, 3, 0, 0), "/api/sprockets"),
    ):
        first = upload(client, content)
        assert first.json["status"] == "PENDING"
        run_jobs()
        status = get_status(client, first)
        assert (status["status"], counts(status)) == ("SUCCESS", expected)
        before = client.get(list_path).json
        assert before["count"] == 3
        repeated = upload(client, content)
        run_jobs()
        assert counts(get_status(client, repeated)) == (0, 0, 0, 3)
        assert client.get(list_path).json == before
    assert [name for name, _ in outbox()].count("DataLoaded") == 4


def test_equal_entries_of_a_file_are_separate_sprockets(client, run_jobs):
    sprocket = json.loads(SPROCKETS.read_text())["sprockets"][0]
    upload(client, {"sprockets": [sprocket]})
    run_jobs()
    assert client.get("/api/sprockets").json["count"] == 1
    accepted = upload(client, {"sprockets": [sprocket] * 5})
    run_jobs()
    assert counts(get_status(client, accepted)) == (0, 4, 0, 1)
    assert [sprocket["id"] for sprocket in client.get("/api/sprockets").json["sprockets"]] == [1, 2, 3, 4, 5]


def test_concurrent_loads_of_the_same_file_add_it_once(client, db, deliver_message):
    for content in (FACTORIES.read_bytes(), SPROCKETS.read_bytes()):
        accepted = [upload(client, content) for _ in range(4)]
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body")
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda row: deliver_message(db, *row), rows))
        statuses = [get_status(client, response) for response in accepted]
        assert {status["status"] for status in statuses} == {"SUCCESS"}
        assert sum(status["skipped"] for status in statuses) == 9
    assert client.get("/api/factories").json["count"] == client.get("/api/sprockets").json["count"] == 3


def test_deleted_factory_is_loaded_again(client, run_jobs):
    upload(client, FACTORIES.read_bytes())
    run_jobs()
    client.delete("/api/factory/2")
    accepted = upload(client, FACTORIES.read_bytes())
    run_jobs()
    assert counts(get_status(client, accepted)) == (1, 0, 20, 2)
    assert [factory["id"] for factory in client.get("/api/factories").json["factories"]] == [1, 3, 4]


def test_updated_sprocket_is_not_loaded_again(client, run_jobs):
    upload(client, SPROCKETS.read_bytes())
    run_jobs()
    client.patch("/api/sprocket/1", json={"teeth": 99})
    upload(client, SPROCKETS.read_bytes())
    run_jobs()
    assert client.get("/api/sprockets").json["count"] == 3


def test_sorts_loaded_chart_and_keeps_the_last_of_equal_times(client, run_jobs):
    upload(client, {"factories": [entry((30, 1, 1), (10, 2, 2), (30, 3, 3), (20, 4, 4))]})
    run_jobs()
    chart = client.get("/api/factory/1/chart-data").json["chart_data"]
    assert (chart["time"], chart["sprocket_production_actual"]) == ([10, 20, 30], [2, 4, 3])


def test_long_chart_is_loaded_in_batches(client, db, run_jobs):
    """Equal times occur in different batches."""
    rng = random.Random(2)
    points = [(rng.randint(0, 200_000), rng.randint(-99, 99), n) for n in range(120_000)]
    accepted = upload(client, {"factories": [entry((1, 2, 3)), entry(*points), entry()]})
    run_jobs()
    expected = {time: (actual, goal) for time, actual, goal in points}
    status = get_status(client, accepted)
    assert (status["status"], counts(status)) == ("SUCCESS", (3, 0, 1 + len(expected), 0))
    with db.transaction() as tx:
        rows = tx.rows("SELECT time, actual, goal FROM points WHERE factory_id = 2")
    assert {time: (actual, goal) for time, actual, goal in rows} == expected
    production = {"time": points[0][0], "actual": 7, "goal": 7}
    client.post("/api/factory/2/production", json=production)
    run_jobs()
    path = f"/api/factory/2/production-actual?from={points[0][0]}&to={points[0][0]}"
    assert client.get(path).json == {"sprocket_production_actual": [7]}


@pytest.mark.fault
def test_load_restarted_after_worker_crashes_adds_everything_once(
    client, db, deliver_message, outbox, crashing_database
):
    rng, factories, sprockets = random.Random(7), 0, 0
    for transactions in range(1, 40, 8):
        value = transactions * 1000
        points = [(time, value, time) for time in range(25_000)]
        files = [
            {"factories": [entry(*points), entry((value, 1, 1)), entry((value, 1, 1)), entry(*points)]},
            {"sprockets": [{**SPROCKET, "teeth": value + n // 2} for n in range(2500)]},
        ]
        accepted = [upload(client, content) for content in files]
        with db.transaction() as tx:
            rows = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body")
        for row in rows:
            for _ in range(3):
                with contextlib.suppress(SystemExit):
                    deliver_message(crashing_database(db, transactions + rng.randint(0, 2)), *row)
            deliver_message(db, *row)
            deliver_message(db, *row)
        factories, sprockets = factories + 4, sprockets + 2500
        assert [counts(get_status(client, response)) for response in accepted] == [(4, 0, 50_002, 0), (0, 2500, 0, 0)]
        with db.transaction() as tx:
            assert tx.rows("SELECT count(*), max(id) FROM factories") == [(factories, factories)]
            assert tx.rows("SELECT count(*), max(id) FROM sprockets") == [(sprockets, sprockets)]
    names = Counter(name for name, _ in outbox())
    assert (names["FactoryCreated"], names["SprocketCreated"], names["DataLoaded"]) == (factories, sprockets, 10)


SPROCKET = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}


@pytest.mark.parametrize(
    ("content", "path"),
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
        ({"sprockets": [SPROCKET, {**SPROCKET, "teeth": 0}]}, "sprockets.1.teeth"),
        ({"sprockets": [{**SPROCKET, "teeth": "5"}]}, "sprockets.0.teeth"),
        ({"sprockets": [{**SPROCKET, "unknown": 5}]}, "sprockets.0"),
        (b'{"sprockets": [{"teeth": 5, "teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}]}',
         "sprockets.0"),
        ({"sprockets": [5]}, "sprockets.0"),
        ({"factories": [entry((1, 1, 1)), {"factory": {}}]}, "factories.1.factory"),
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
def test_invalid_file_reports_the_position_and_loads_nothing(client, db, run_jobs, content, path):
    accepted = upload(client, content)
    run_jobs()
    status = get_status(client, accepted)
    assert (status["status"], counts(status)) == ("FAILURE", (0, 0, 0, 0))
    assert status["error"].startswith(f"{path}: "), status["error"]
    assert client.get("/api/factories").json["count"] == client.get("/api/sprockets").json["count"] == 0
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM upload_chunks") == 0


def test_rejects_empty_wrong_type_or_too_large_upload(client, db):
    assert upload(client, b"").status_code == 400
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
        assert tx.value("SELECT count(*) FROM open_uploads") == 0
    assert client.get("/api/factories/load").status_code == 405
    assert client.get("/api/factories/load/not-a-uuid").status_code == 400
    assert client.get("/api/factories/load/11111111-2222-3333-4444-555555555555").status_code == 404


@pytest.mark.parametrize("is_chunked", [False, True])
def test_accepts_file_of_maximum_size_and_rejects_a_larger_one(client, db, run_jobs, monkeypatch, is_chunked):
    monkeypatch.setattr(loads, "MAX_UPLOAD_BYTES", 3 * 1024 * 1024)

    def upload_of_size(size):
        # As gunicorn passes it to the app.
        environ = {"wsgi.input_terminated": True, **({"HTTP_TRANSFER_ENCODING": "chunked"} if is_chunked else {})}
        content = SPROCKETS.read_bytes().ljust(size)
        return client.post(
            "/api/factories/load", data=content, content_type="application/json", environ_overrides=environ
        )

    accepted = upload_of_size(loads.MAX_UPLOAD_BYTES)
    run_jobs()
    assert get_status(client, accepted)["status"] == "SUCCESS"
    assert accepted.json["size_bytes"] == loads.MAX_UPLOAD_BYTES
    assert upload_of_size(loads.MAX_UPLOAD_BYTES + 1).status_code == 413
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM loads") == 1


def test_incomplete_upload_is_deleted_and_its_key_can_be_reused(settings, db, start_web, eventually):
    """The received part is a complete JSON document, but shorter than the declared length."""
    web, content = start_web(settings), SPROCKETS.read_bytes()
    head = f"POST /api/factories/load HTTP/1.1\r\nHost: x\r\nContent-Length: {len(content) + 5}\r\n"
    head += "Content-Type: application/json\r\nIdempotency-Key: broken\r\n\r\n"

    def count_stored_rows():
        with db.transaction() as tx:
            return tx.value("SELECT (SELECT count(*) FROM open_uploads) + (SELECT count(*) FROM upload_chunks)")

    with socket.create_connection(("127.0.0.1", web.port)) as connection:
        connection.sendall(head.encode() + content)
        eventually(count_stored_rows)
    eventually(lambda: count_stored_rows() == 0)
    headers = {"Idempotency-Key": "broken", "Content-Type": "application/json"}
    assert requests.post(f"{web.base}/api/factories/load", content, headers=headers, timeout=60).status_code == 202


def test_upload_that_exceeds_the_time_limit_is_ended_and_deleted(settings, db, start_web):
    web = start_web(settings, UPLOAD_MAX_SECONDS="2")
    head = "POST /api/factories/load HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    head += "Content-Type: application/json\r\nIdempotency-Key: silent\r\n\r\n{"
    with socket.create_connection(("127.0.0.1", web.port), timeout=60) as connection:
        connection.sendall(head.encode())
        response, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert response.startswith(b"HTTP/1.1 408 ")
    assert json.loads(body)["detail"].startswith("the upload takes too long")
    with db.transaction() as tx:
        assert tx.value("SELECT (SELECT count(*) FROM open_uploads) + (SELECT count(*) FROM upload_chunks)") == 0
    headers = {"Idempotency-Key": "silent", "Content-Type": "application/json"}
    # A response that stays referenced keeps its connection open, and the server waits 20 s for it when it stops.
    url, content = f"{web.base}/api/factories/load", SPROCKETS.read_bytes()
    assert requests.post(url, content, headers=headers, timeout=60).status_code == 202


def test_retry_with_the_same_key_creates_one_load(client, db):
    first = upload(client, FACTORIES.read_bytes(), **{"Idempotency-Key": "k"})
    retry = upload(client, FACTORIES.read_bytes(), **{"Idempotency-Key": "k"})
    assert (retry.json, retry.headers["Location"]) == (first.json, first.headers["Location"])
    assert upload(client, SPROCKETS.read_bytes(), **{"Idempotency-Key": "k"}).status_code == 422
    with db.transaction() as tx:
        assert (
            tx.value("SELECT count(*) FROM loads")
            == tx.value("SELECT count(DISTINCT upload_id) FROM upload_chunks")
            == 1
        )


def test_data_of_killed_uploads_is_deleted_but_not_that_of_loads_in_progress(client, db, settings, run_jobs):
    accepted = upload(client, SPROCKETS.read_bytes())
    with db.transaction() as tx:
        tx.run("INSERT INTO open_uploads VALUES (gen_random_uuid(), now() - interval '3 minutes')")
        tx.run("INSERT INTO upload_chunks SELECT id, 0, '{' FROM open_uploads")
        timers(settings)["stale uploads"].run(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM open_uploads") == 0
        assert tx.rows("SELECT upload_id::text FROM upload_chunks") == [(accepted.json["id"],)]
    run_jobs()
    assert get_status(client, accepted)["status"] == "SUCCESS"


@pytest.mark.parametrize(("hours", "is_kept"), [(2, True), (4, False)])
def test_upload_to_the_previous_version_is_abandoned_only_after_the_maximum_upload_time(db, settings, hours, is_kept):
    settings = settings.model_copy(update={"upload_max_seconds": 3 * 3600.0})
    with db.transaction() as tx:
        id_ = tx.value(
            """
            INSERT INTO loads (id, status, created_at)
            VALUES (gen_random_uuid(), 'UPLOADING', now() - make_interval(hours => %(hours)s)) RETURNING id::text
            """,
            hours=hours,
        )
        tx.run("INSERT INTO load_chunks (load_id, number, content) VALUES (%(id)s, 0, '{')", id=id_)
        timers(settings)["stale uploads"].run(tx, datetime.now(UTC))
        assert tx.value("SELECT count(*) FROM loads WHERE id = %(id)s", id=id_) == is_kept
        assert tx.value("SELECT count(*) FROM load_chunks WHERE load_id = %(id)s", id=id_) == is_kept
