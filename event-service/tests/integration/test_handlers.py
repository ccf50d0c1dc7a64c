import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.errors import Invalid, Problem
from chassis.messaging.message_processor import Delivery
from event_service.handlers import handlers_for


def delivery(body, app_id="orders", message_id=None, request_id="req-1"):
    id_ = message_id or str(uuid.uuid4())
    return Delivery("event.append", id_, "OrderImported", app_id, request_id, {}, body)


@pytest.fixture(scope="module")
def consumption(settings):
    (consumption,) = handlers_for(settings).values()
    return consumption


@pytest.fixture
def handle(db, consumption):
    def handle(message):
        with db.transaction() as tx:
            consumption.handler(tx, message)

    return handle


@pytest.fixture
def orders(api_of, app):
    return api_of(app, "orders")


def test_what_a_service_publishes_is_appended_to_its_stream(client, handle, orders, an_event, outbox):
    message = delivery(an_event("OrderImported", payload={"n": 1.0}))
    handle(message)
    (event,) = orders.read("OrderImported").json
    assert event.pop("received_at")
    assert event == {
        **message.body,
        "event": {**message.body["event"], "id": message.message_id},
        "stream": "orders",
        "sequence": 1,
        "position": 1,
        "producer": "orders",
        "user": None,
        "request_id": "req-1",
    }
    assert outbox() == []


def test_however_often_it_is_delivered_it_is_there_once_and_leaves_no_gap(client, handle, orders, an_event):
    messages = [delivery(an_event("A")) for _ in range(5)]
    for message in (*messages, *reversed(messages), messages[2]):
        handle(message)
    page = client.get("/api/v1/streams/orders/events?from=1&limit=100").json
    assert [event["event"]["id"] for event in page] == [message.message_id for message in messages]
    assert [event["position"] for event in page] == [1, 2, 3, 4, 5]


def test_two_deliveries_at_once_have_one_effect(client, handle, orders, an_event):
    for _ in range(10):
        message = delivery(an_event("A"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(handle, [message] * 4))
    assert orders.sequences(name="A") == list(range(1, 11))


def test_what_came_in_over_http_is_passed_over(client, handle, orders, an_event):
    handle(delivery(an_event("A"), app_id="event"))
    assert client.get("/api/v1/streams").json["total"] == 4
    assert orders.read("A").json == []


@pytest.mark.parametrize("app_id", ["", "stranger", "orders-service", "Orders"])
def test_a_stranger_is_refused(client, handle, an_event, app_id):
    with pytest.raises(Invalid, match="app_id"):
        handle(delivery(an_event(), app_id=app_id))
    assert client.get("/api/v1/streams").json["total"] == 4


@pytest.mark.parametrize("body", [None, [], {}, "x", {"event": {}}])
def test_a_body_that_is_no_event_is_refused(client, handle, orders, body):
    with pytest.raises(Invalid):
        handle(delivery(body))
    assert orders.read("A").json == []


def test_an_array_is_no_message(client, handle, an_event):
    with pytest.raises(Invalid):
        handle(delivery([an_event()]))


@pytest.mark.parametrize("request_id", ["", "a\nb", "é", "x" * 200])
def test_a_request_id_that_is_none_does_no_harm(client, handle, orders, an_event, request_id):
    handle(delivery(an_event("A"), request_id=request_id))
    assert orders.read("A").json[0]["request_id"] == ""


@pytest.fixture
def handle_sixth(settings, db):
    """The handler of a stack with a service `shipping`."""
    more = settings.model_copy(update={"reserved_streams": f"{settings.reserved_streams},shipping"})
    (consumption,) = handlers_for(more).values()
    assert "shipping.#" in consumption.bindings

    def handle(message):
        with db.transaction() as tx:
            consumption.handler(tx, message)

    return handle


def test_the_setting_adds_a_service(client, handle_sixth, api_of, app, an_event):
    """A schema that a user set while the stream was not reserved yet does not apply."""
    shipping = api_of(app, "shipping")
    shipping.put_schema(False)
    message = delivery(an_event("Shipped"), app_id="shipping")
    for _ in range(2):
        handle_sixth(message)
    (event,) = shipping.read("Shipped").json
    assert (event["producer"], event["user"]) == ("shipping", None)


def test_an_event_whose_stream_belongs_to_a_user_is_not_lost_silently(client, handle_sixth, api_of, app, an_event):
    shipping = api_of(app, "shipping")
    shipping.append(producer="shipping")
    with pytest.raises(Problem, match="Second writers"):
        handle_sixth(delivery(an_event("Shipped"), app_id="shipping"))
    assert shipping.read("Shipped").json == []


def test_one_queue_keeps_the_order_of_the_four_services(consumption):
    assert consumption.in_order
    assert consumption.bindings == ("factory.#", "orders.#", "sequence.#", "specstore.#")
