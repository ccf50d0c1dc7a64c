"""Production as CSV files, in and out."""

import contextlib
import random

import pytest

MAX_TIME = 7_258_118_400
LATE = "must be at most 7258118400, the year 2200: times are in seconds, not in milliseconds"


def submit_file(client, id_, content, **headers):
    if not isinstance(content, bytes):
        content = "".join(["time,actual,goal\n", *(f"{','.join(map(str, row))}\n" for row in content)]).encode()
    return client.post(f"/api/factory/{id_}/production", data=content, content_type="text/csv", headers=headers)


def get_status(client, accepted):
    assert accepted.status_code == 202, accepted.text
    return client.get(accepted.headers["Location"]).json


def download(client, id_, query=""):
    response = client.get(f"/api/factory/{id_}/chart-data.csv{query}")
    assert (response.status_code, response.content_type) == (200, "text/csv; charset=utf-8")
    header, *lines = response.text.splitlines()
    assert header == "time,actual,goal"
    return [tuple(map(int, line.split(","))) for line in lines]


def test_file_is_recorded_as_a_load_with_a_status(client, a_factory, run_jobs, outbox):
    id_ = a_factory(0)
    accepted = submit_file(client, id_, b"time,actual,goal\n1970-01-01T00:00:20Z,3,4\n10,1,2\n")
    assert accepted.json["status"] == "PENDING"
    run_jobs()
    status = get_status(client, accepted)
    assert (status["status"], status["points"], status["error"]) == ("SUCCESS", 2, None)
    assert download(client, id_) == [(10, 1, 2), (20, 3, 4)]
    payloads = [body["payload"] for name, body in outbox() if name == "ProductionRecorded"]
    assert payloads == [{"id": id_, "points": 2, "from": 10, "to": 20}]


def test_file_with_an_error_records_nothing_and_its_status_names_the_line(client, a_factory, run_jobs):
    id_ = a_factory(0)
    rows = [(time, 1, 1) for time in range(15_000)]
    accepted = submit_file(client, id_, [*rows, (1, "x", 2)])
    run_jobs()
    status = get_status(client, accepted)
    assert (status["status"], status["points"]) == ("FAILURE", 0)
    assert status["error"].startswith("line 15002.actual: must be an integer")
    assert download(client, id_) == []


def test_value_sent_last_wins_between_files_and_json(client, a_factory, run_jobs):
    for order in (list, lambda jobs: jobs[::-1]):
        id_ = a_factory(0)
        submit_file(client, id_, [(10, 1, 1), (20, 1, 1), (30, 1, 1)])
        client.post(f"/api/factory/{id_}/production", json={"time": 20, "actual": 2, "goal": 2})
        submit_file(client, id_, [(30, 3, 3), (30, 4, 4)])
        run_jobs(order)
        assert download(client, id_) == [(10, 1, 1), (20, 2, 2), (30, 4, 4)]


def test_last_of_equal_times_wins_across_batches(client, a_factory, run_jobs):
    id_ = a_factory(0)
    rows = [(random.Random(4).randint(0, 9000), 0, 0)] + [(n * 7 % 9000, n, -n) for n in range(25_000)]
    submit_file(client, id_, rows)
    run_jobs()
    expected = {time: (actual, goal) for time, actual, goal in rows}
    assert download(client, id_) == [(time, *expected[time]) for time in sorted(expected)]


def test_repeated_key_loads_once_and_is_replayed_after_the_factory_is_deleted(client, a_factory, run_jobs):
    id_ = a_factory(0)
    first = submit_file(client, id_, [(1, 1, 1)], **{"Idempotency-Key": "k"})
    client.delete(f"/api/factory/{id_}")
    repeated = submit_file(client, id_, [(1, 1, 1)], **{"Idempotency-Key": "k"})
    assert (repeated.status_code, repeated.headers["Location"]) == (202, first.headers["Location"])
    assert submit_file(client, id_, [(2, 1, 1)], **{"Idempotency-Key": "k"}).status_code == 422
    run_jobs()
    status = get_status(client, first)
    assert (status["status"], status["points"]) == ("FAILURE", 0)
    assert status["error"] == "the factory was deleted before all its production was recorded"


def test_file_for_an_unknown_factory_or_without_content_is_rejected(client, a_factory, outbox):
    assert submit_file(client, 7, [(1, 1, 1)]).status_code == 404
    assert submit_file(client, 7, [(1, 1, 1)], **{"Idempotency-Key": "k"}).status_code == 404
    assert submit_file(client, a_factory(0), b"").status_code == 400
    response = client.post("/api/factory/1/production", data=b"a", content_type="text/plain")
    assert response.status_code == 415
    assert [name for name, _ in outbox() if "." in name] == []


@pytest.mark.fault
def test_load_restarted_after_a_crash_records_each_batch_once(
    client, db, a_factory, deliver_message, outbox, crashing_database
):
    rows = [(n % 30_000, n, n) for n in range(45_000)]
    expected = {time: (actual, goal) for time, actual, goal in rows}
    for transactions in range(12):
        id_ = a_factory(0)
        accepted = submit_file(client, id_, rows)
        with db.transaction() as tx:
            ((queue, message_id, body),) = tx.rows(
                "DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body"
            )
        with pytest.raises(SystemExit):
            deliver_message(crashing_database(db, transactions), queue, message_id, body)
        assert get_status(client, accepted)["status"] == ("PROGRESS" if transactions else "PENDING")
        deliver_message(db, queue, message_id, body)
        deliver_message(db, queue, message_id, body)
        status = get_status(client, accepted)
        assert (status["status"], status["points"]) == ("SUCCESS", 45_000)
        assert download(client, id_) == [(time, *expected[time]) for time in sorted(expected)]
    assert [name for name, _ in outbox()].count("ProductionRecorded") == 12 * 5


def test_no_read_between_the_batches_of_a_file_is_stale(
    client, second_app, db, a_factory, deliver_message, crashing_database
):
    id_, clients, counts = a_factory(20), [client, second_app.test_client()], set()
    submit_file(client, id_, [(n, n, n) for n in range(25_000)])
    with db.transaction() as tx:
        (job,) = tx.rows("DELETE FROM outbox WHERE exchange = '' RETURNING routing_key, message_id::text, body")
    # The worker commits one transaction more each time, so that it ends before and after each batch.
    for transactions in range(16):
        with contextlib.suppress(SystemExit):
            deliver_message(crashing_database(db, transactions), *job)
        with db.transaction() as tx:
            counts.add(count := tx.value("SELECT count(*) FROM points"))
        for reader in clients * 2:
            assert len(reader.get(f"/api/factory/{id_}/time").json["time"]) == count
            assert sum(bucket["goal"] > 0 for bucket in attainment(reader, id_)) == (1 if count == 20 else 2)
            (factory,) = reader.get("/api/factories").json["factories"]
            assert len(factory["factory"]["chart_data"]["time"]) == count
    assert counts == {20, 10_020, 20_020, 25_020}


def attainment(client, id_):
    return client.get(f"/api/factory/{id_}/attainment?bucket=366d").json["buckets"]


def test_all_points_are_downloaded_in_pages(client, a_factory, run_jobs):
    id_ = a_factory(0)
    rows = [(n * 2, n, -n) for n in range(25_000)]
    submit_file(client, id_, rows)
    run_jobs()
    assert download(client, id_) == rows
    assert download(client, id_, "?from=10&to=20") == [row for row in rows if 10 <= row[0] <= 20]
    assert download(client, id_, "?from=50000") == []
    response = client.get(f"/api/factory/{id_}/chart-data.csv/")
    assert response.headers["Content-Disposition"] == f'attachment; filename="factory-{id_}.csv"'


def test_download_of_an_unknown_factory_or_an_invalid_range_is_rejected(client, a_factory):
    assert client.get("/api/factory/7/chart-data.csv").status_code == 404
    response = client.get(f"/api/factory/{a_factory(0)}/chart-data.csv?from=2&to=1")
    assert response.status_code == 400


def test_download_breaks_off_if_the_factory_is_deleted(client, a_factory, run_jobs):
    id_ = a_factory(0)
    submit_file(client, id_, [(n, 1, 1) for n in range(1, 20_002)])
    run_jobs()
    response = client.get(f"/api/factory/{id_}/chart-data.csv", buffered=False)
    pages = response.iter_encoded()
    assert next(pages).startswith(b"time,actual,goal\n1,1,1\n")
    client.delete(f"/api/factory/{id_}")
    with pytest.raises(Exception, match="does not exist"):
        list(pages)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("production", {"time": 1611204818000, "actual": 1, "goal": 1}, "time"),
        ("production", [{"time": 1, "actual": 1, "goal": 1}, {"time": MAX_TIME + 1, "actual": 1, "goal": 1}], "1.time"),
        ("production", [{"time": 1, "actual": 1, "goal": 1}, {"time": 2.0**40, "actual": 1, "goal": 1}], "1.time"),
    ],
)
def test_time_beyond_the_year_2200_is_rejected_with_a_hint(client, a_factory, path, body, field):
    response = client.post(f"/api/factory/{a_factory(0)}/{path}", json=body)
    assert (response.status_code, response.json["errors"]) == (400, [{"field": field, "message": LATE}])


def test_chart_with_a_time_beyond_the_year_2200_is_rejected_with_a_hint(client, run_jobs):
    chart = {"sprocket_production_actual": [1, 2], "sprocket_production_goal": [1, 2], "time": [1, MAX_TIME + 1]}
    response = client.post("/api/factories", json={"name": "A", "chart_data": chart})
    assert response.json["errors"] == [{"field": "chart_data.time.1", "message": LATE}]
    content = {"factories": [{"factory": {"chart_data": chart}}]}
    accepted = client.post("/api/factories/load", json=content)
    run_jobs()
    assert get_status(client, accepted)["error"] == f"factories.0.factory.chart_data.time.1: {LATE}"
    chart["time"][1] = MAX_TIME
    assert client.post("/api/factories", json={"name": "A", "chart_data": chart}).status_code == 201
