import concurrent.futures
import random

import pytest

TIME = 1611194818


def sent(client, id_, *points):
    several = [{"time": time, "actual": actual, "goal": goal} for time, actual, goal in points]
    answer = client.post(f"/api/factory/{id_}/production", json=several if len(several) > 1 else several[0])
    assert answer.status_code == 202, answer.text
    return answer.json


def chart_of(client, id_):
    chart = client.get(f"/api/factory/{id_}/chart-data").json["chart_data"]
    return list(zip(chart["time"], chart["sprocket_production_actual"], chart["sprocket_production_goal"], strict=True))


def test_production_gets_into_the_chart(client, a_factory, work, outbox):
    id_ = a_factory(0)
    assert chart_of(client, id_) == []
    assert sent(client, id_, (TIME + 60, 3, 4), (TIME, 1, 2)) == {"accepted": 2}
    assert chart_of(client, id_) == []
    work()
    assert chart_of(client, id_) == [(TIME, 1, 2), (TIME + 60, 3, 4)]
    recorded = [body["payload"] for name, body in outbox() if name == "ProductionRecorded"]
    assert recorded == [{"id": id_, "points": 2, "from": TIME, "to": TIME + 60}]


def test_the_value_sent_last_wins_in_whatever_order_it_is_worked_on(client, a_factory, work):
    chosen = random.Random(3)
    for order in (list, lambda rows: rows[::-1], lambda rows: chosen.sample(rows, len(rows))):
        id_ = a_factory(0)
        expected = {}
        for number in range(30):
            points = {TIME + chosen.randint(0, 20): (TIME + 0, number, -number) for _ in range(5)}
            batch = [(time, number, -number) for time in points]
            sent(client, id_, *batch)
            expected |= {time: (time, number, -number) for time, _, _ in batch}
        work(order)
        assert chart_of(client, id_) == [expected[time] for time in sorted(expected)]


def test_of_equal_times_in_a_batch_the_last_wins(client, a_factory, work):
    id_ = a_factory(0)
    assert sent(client, id_, (TIME, 1, 1), (TIME + 1, 5, 5), (TIME, 2, 2)) == {"accepted": 2}
    work()
    assert chart_of(client, id_) == [(TIME, 2, 2), (TIME + 1, 5, 5)]


def test_a_message_that_comes_again_changes_nothing(client, db, a_factory, delivered, outbox):
    id_ = a_factory(0)
    sent(client, id_, (TIME, 1, 1))
    with db.transaction() as tx:
        ((message_id, queue, body),) = tx.rows(
            "SELECT message_id::text, routing_key, body FROM outbox WHERE exchange = ''"
        )
    for _ in range(3):
        delivered(db, queue, message_id, body)
    assert chart_of(client, id_) == [(TIME, 1, 1)]
    assert [name for name, _ in outbox()].count("ProductionRecorded") == 1
    # Of another id, as after the inbox has forgotten.
    delivered(db, queue, "11111111-2222-3333-4444-555555555555", body)
    assert chart_of(client, id_) == [(TIME, 1, 1)]


def test_batches_at_once_leave_no_gap_and_no_wrong_count(client, db, settings, a_factory, delivered):
    id_ = a_factory(0)
    for batch in range(40):
        sent(client, id_, *((TIME + (batch * 7 + n) % 100, batch, batch) for n in range(20)))
    with db.transaction() as tx:
        rows = tx.rows("SELECT message_id::text, routing_key, body FROM outbox WHERE exchange = ''")
    random.Random(1).shuffle(rows)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda row: delivered(db, row[1], row[0], row[2]), rows))
    expected = {}
    for batch in range(40):
        expected |= {TIME + (batch * 7 + n) % 100: batch for n in range(20)}
    assert chart_of(client, id_) == [(time, expected[time], expected[time]) for time in sorted(expected)]


def test_production_of_a_factory_that_is_gone_is_dropped(client, db, a_factory, work, outbox):
    id_ = a_factory(0)
    sent(client, id_, (TIME, 1, 1))
    client.delete(f"/api/factory/{id_}")
    work()
    assert "ProductionRecorded" not in [name for name, _ in outbox()]
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM points") == 0


def test_production_of_no_factory_is_not_taken(client, outbox):
    answer = client.post("/api/factory/7/production", json={"time": 1, "actual": 1, "goal": 1})
    assert answer.status_code == 404
    assert outbox() == []


@pytest.mark.parametrize(
    ("wrong", "field"),
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
def test_wrong_production_is_refused_at_its_place(client, a_factory, outbox, wrong, field):
    id_ = a_factory(0)
    answer = client.post(f"/api/factory/{id_}/production", json=wrong)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json["errors"]]
    assert [name for name, _ in outbox()] == ["FactoryCreated"]


def test_a_message_that_nobody_can_understand_is_refused(db, delivered):
    from chassis.errors import Invalid

    for body in ("{}", "[]", '{"factory": 1, "sent": 1, "time": [1], "actual": ["x"], "goal": [1]}'):
        with pytest.raises(Invalid):
            delivered(db, "factory.production", "11111111-2222-3333-4444-555555555555", body)
