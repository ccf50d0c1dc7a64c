import concurrent.futures
import random

import pytest

from chassis.errors import Invalid
from factory_service.domain.charts import Points
from factory_service.store import factories

TIME = 1611194818


def submit(client, id_, *points):
    batch = [{"time": time, "actual": actual, "goal": goal} for time, actual, goal in points]
    response = client.post(f"/api/factory/{id_}/production", json=batch if len(batch) > 1 else batch[0])
    assert response.status_code == 202, response.text
    return response.json


def chart_rows(client, id_):
    chart = client.get(f"/api/factory/{id_}/chart-data").json["chart_data"]
    return list(zip(chart["time"], chart["sprocket_production_actual"], chart["sprocket_production_goal"], strict=True))


def test_worker_adds_submitted_points_to_chart(client, a_factory, run_jobs, outbox):
    id_ = a_factory(0)
    assert chart_rows(client, id_) == []
    assert submit(client, id_, (TIME + 60, 3, 4), (TIME, 1, 2)) == {"accepted": 2}
    assert chart_rows(client, id_) == []
    run_jobs()
    assert chart_rows(client, id_) == [(TIME, 1, 2), (TIME + 60, 3, 4)]
    payloads = [body["payload"] for name, body in outbox() if name == "ProductionRecorded"]
    assert payloads == [{"id": id_, "points": 2, "from": TIME, "to": TIME + 60}]


def test_accepts_ten_thousand_points_at_once(client, a_factory, run_jobs):
    id_, points = a_factory(0), [(TIME + n, n, -n) for n in range(10_000)]
    assert submit(client, id_, *points) == {"accepted": 10_000}
    run_jobs()
    assert chart_rows(client, id_) == points


def test_value_sent_last_wins_in_any_processing_order(client, a_factory, run_jobs):
    rng = random.Random(3)
    for order in (list, lambda rows: rows[::-1], lambda rows: rng.sample(rows, len(rows))):
        id_ = a_factory(0)
        expected = {}
        for number in range(30):
            times = {TIME + rng.randint(0, 20) for _ in range(5)}
            batch = [(time, number, -number) for time in times]
            submit(client, id_, *batch)
            expected |= {point[0]: point for point in batch}
        run_jobs(order)
        assert chart_rows(client, id_) == [expected[time] for time in sorted(expected)]


def test_last_of_equal_times_in_a_batch_wins(client, a_factory, run_jobs):
    id_ = a_factory(0)
    assert submit(client, id_, (TIME, 1, 1), (TIME + 1, 5, 5), (TIME, 2, 2)) == {"accepted": 2}
    run_jobs()
    assert chart_rows(client, id_) == [(TIME, 2, 2), (TIME + 1, 5, 5)]


def test_repeated_message_has_no_effect(client, db, a_factory, deliver_message, outbox):
    id_ = a_factory(0)
    submit(client, id_, (TIME, 1, 1))
    with db.transaction() as tx:
        ((message_id, queue, body),) = tx.rows(
            "SELECT message_id::text, routing_key, body FROM outbox WHERE exchange = ''"
        )
    for _ in range(3):
        deliver_message(db, queue, message_id, body)
    assert chart_rows(client, id_) == [(TIME, 1, 1)]
    assert [name for name, _ in outbox()].count("ProductionRecorded") == 1
    # A different message ID is processed like a message whose inbox entry has expired.
    deliver_message(db, queue, "11111111-2222-3333-4444-555555555555", body)
    assert chart_rows(client, id_) == [(TIME, 1, 1)]


def test_concurrent_batches_keep_every_point_and_the_latest_value_of_each(
    client, db, settings, a_factory, deliver_message
):
    id_ = a_factory(0)
    for batch in range(40):
        submit(client, id_, *((TIME + (batch * 7 + n) % 100, batch, batch) for n in range(20)))
    with db.transaction() as tx:
        rows = tx.rows("SELECT message_id::text, routing_key, body FROM outbox WHERE exchange = ''")
    random.Random(1).shuffle(rows)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: deliver_message(db, row[1], row[0], row[2]), rows))
    expected = {}
    for batch in range(40):
        expected |= {TIME + (batch * 7 + n) % 100: batch for n in range(20)}
    assert chart_rows(client, id_) == [(time, expected[time], expected[time]) for time in sorted(expected)]


def test_production_of_deleted_factory_is_dropped(client, db, a_factory, run_jobs, outbox):
    id_ = a_factory(0)
    submit(client, id_, (TIME, 1, 1))
    client.delete(f"/api/factory/{id_}")
    run_jobs()
    assert "ProductionRecorded" not in [name for name, _ in outbox()]
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM points") == 0


def test_rejects_production_of_unknown_factory(client, outbox):
    response = client.post("/api/factory/7/production", json={"time": 1, "actual": 1, "goal": 1})
    assert response.status_code == 404
    assert outbox() == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "body"),
        ({"time": 1, "actual": 1}, "goal"),
        ({"time": -1, "actual": 1, "goal": 1}, "time"),
        ([{"time": 1, "actual": 1, "goal": 1}, {"time": 1, "actual": "1", "goal": 1}], "1.actual"),
        ([{"time": 1, "actual": 1, "goal": 2**31 + 1}], "0.goal"),
        ({"time": 2**53 + 1, "actual": 1, "goal": 1}, "time"),
        ({"time": 1.5, "actual": 1, "goal": 1}, "time"),
        ({"time": 1, "actual": 1, "goal": 1, "id": 1}, "id"),
        ([{"time": 1, "actual": 1, "goal": 1}] * 10_001, "body"),
        (5, "body"),
    ],
)
def test_invalid_production_is_rejected_with_the_name_of_the_field(client, a_factory, outbox, body, field):
    id_ = a_factory(0)
    response = client.post(f"/api/factory/{id_}/production", json=body)
    assert response.status_code == 400
    assert field in [error["field"] for error in response.json["errors"]]
    assert [name for name, _ in outbox()] == ["FactoryCreated"]


@pytest.mark.parametrize("body", ["{}", "[]", '{"factory": 1, "sent": 1, "time": [1], "actual": ["x"], "goal": [1]}'])
def test_handler_rejects_message_that_violates_its_contract(db, deliver_message, body):
    with pytest.raises(Invalid):
        deliver_message(db, "factory.production", "11111111-2222-3333-4444-555555555555", body)


def test_no_statement_updates_more_than_two_thousand_rollups(client, db, a_factory):
    id_, count = a_factory(0), 5001
    points = Points([900 * n for n in range(count)], [1] * count, [2] * count)
    with db.transaction() as tx:
        tx.run(
            """
            CREATE FUNCTION pg_temp.check_changed() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN ASSERT (SELECT count(*) <= 2000 FROM changed); RETURN NULL; END $$;
            CREATE TRIGGER check_changed AFTER INSERT ON points
            REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.check_changed()
            """
        )
        factories.add_to_point_count(tx, id_, factories.insert_points(tx, id_, points, 1))
        assert factories.insert_points(tx, id_, points, 2) == 0
        tx.run("DROP TRIGGER check_changed ON points; DROP FUNCTION pg_temp.check_changed()")
    assert chart_rows(client, id_) == [(900 * n, 1, 2) for n in range(count)]
    assert client.get("/invariants").json["status"] == "OK"
