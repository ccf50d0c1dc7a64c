import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.attempts import Delivery
from chassis.errors import Invalid
from event_service.handlers import HANDLERS, on_event_published


def delivery(body, app_id="orders", message_id=None, request_id="req-1"):
    id_ = message_id or str(uuid.uuid4())
    return Delivery("event.append", id_, "OrderImported", app_id, request_id, {}, body)


def handle(db, message):
    with db.transaction() as tx:
        on_event_published(tx, message)


@pytest.fixture
def orders(api_of, app):
    return api_of(app, "orders")


def test_what_a_service_publishes_is_appended_to_its_stream(client, db, orders, an_event, outbox):
    message = delivery(an_event("OrderImported", payload={"n": 1.0}))
    handle(db, message)
    (event,) = orders.read("OrderImported").json
    assert event.pop("received_at")
    assert event == {
        **message.body,
        "event": {**message.body["event"], "id": message.message_id},
        "stream": "orders",
        "sequence": 1,
        "position": 1,
        "producer": "orders",
        "request_id": "req-1",
    }
    assert outbox() == []


def test_however_often_it_is_delivered_it_is_there_once_and_leaves_no_gap(client, db, orders, an_event):
    messages = [delivery(an_event("A")) for _ in range(5)]
    for message in (*messages, *reversed(messages), messages[2]):
        handle(db, message)
    page = client.get("/api/v1/streams/orders/events?from=1&limit=100").json
    assert [event["event"]["id"] for event in page] == [message.message_id for message in messages]
    assert [event["position"] for event in page] == [1, 2, 3, 4, 5]


def test_two_deliveries_at_once_have_one_effect(client, db, orders, an_event):
    for _ in range(10):
        message = delivery(an_event("A"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(handle, [db] * 4, [message] * 4))
    assert orders.sequences(name="A") == list(range(1, 11))


def test_what_came_in_over_http_is_passed_over(client, db, orders, an_event):
    handle(db, delivery(an_event("A"), app_id="event"))
    assert client.get("/api/v1/streams").json["total"] == 4
    assert orders.read("A").json == []


@pytest.mark.parametrize("app_id", ["", "stranger", "orders-service", "Orders"])
def test_a_stranger_is_refused(client, db, an_event, app_id):
    with pytest.raises(Invalid, match="app_id"):
        handle(db, delivery(an_event(), app_id=app_id))
    assert client.get("/api/v1/streams").json["total"] == 4


@pytest.mark.parametrize("body", [None, [], {}, "x", {"event": {}}])
def test_a_body_that_is_no_event_is_refused(client, db, orders, body):
    with pytest.raises(Invalid):
        handle(db, delivery(body))
    assert orders.read("A").json == []


def test_an_array_is_no_message(client, db, an_event):
    with pytest.raises(Invalid):
        handle(db, delivery([an_event()]))


@pytest.mark.parametrize("request_id", ["", "a\nb", "é", "x" * 200])
def test_a_request_id_that_is_none_does_no_harm(client, db, orders, an_event, request_id):
    handle(db, delivery(an_event("A"), request_id=request_id))
    assert orders.read("A").json[0]["request_id"] == ""


def test_one_queue_keeps_the_order_of_the_four_services():
    (consumption,) = HANDLERS.values()
    assert consumption.in_order
    assert consumption.bindings == ("factory.#", "orders.#", "sequence.#", "specstore.#")
