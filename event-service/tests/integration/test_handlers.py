import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.errors import Invalid, Problem
from chassis.messaging.delivery import Delivery
from event_service.handlers import handlers_for


def delivery(body, app_id="orders", message_id=None, request_id="req-1"):
    id_ = message_id or str(uuid.uuid4())
    return Delivery("event.append", id_, "OrderImported", app_id, request_id, {}, body)


@pytest.fixture(scope="module")
def consumer(settings):
    (consumer,) = handlers_for(settings).values()
    return consumer


@pytest.fixture
def handle(db, consumer):
    def handle(message):
        with db.transaction() as tx:
            consumer.handler(tx, message)

    return handle


@pytest.fixture
def orders(api_for, app):
    return api_for(app, "orders")


def test_event_of_a_service_is_appended_to_its_stream(client, handle, orders, an_event, outbox):
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


def test_repeated_deliveries_append_once_and_leave_no_gap(client, handle, orders, an_event):
    messages = [delivery(an_event("A")) for _ in range(5)]
    for message in (*messages, *reversed(messages), messages[2]):
        handle(message)
    page = client.get("/api/v1/streams/orders/events?from=1&limit=100").json
    assert [event["event"]["id"] for event in page] == [message.message_id for message in messages]
    assert [event["position"] for event in page] == [1, 2, 3, 4, 5]


def test_concurrent_deliveries_append_once(client, handle, orders, an_event):
    for _ in range(10):
        message = delivery(an_event("A"))
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(handle, [message] * 4))
    assert orders.sequences(name="A") == list(range(1, 11))


def test_event_appended_over_http_is_ignored(client, handle, orders, an_event):
    handle(delivery(an_event("A"), app_id="event"))
    assert client.get("/api/v1/streams").json["total"] == 4
    assert orders.read("A").json == []


@pytest.mark.parametrize("app_id", ["", "unknown", "orders-service", "Orders"])
def test_event_of_an_unknown_service_is_rejected(client, handle, an_event, app_id):
    with pytest.raises(Invalid, match="app_id"):
        handle(delivery(an_event(), app_id=app_id))
    assert client.get("/api/v1/streams").json["total"] == 4


@pytest.mark.parametrize("body", [None, [], {}, "x", {"event": {}}])
def test_body_that_is_not_an_event_is_rejected(client, handle, orders, body):
    with pytest.raises(Invalid):
        handle(delivery(body))
    assert orders.read("A").json == []


def test_reason_of_a_rejection_names_the_fields_and_what_is_allowed(client, handle, an_event):
    body = an_event(version=0)
    body["system"] |= {"timezone": "localtime", "time": "now", "id": " "}
    body["trigger"]["type"] = "a\nb"
    del body["payload"]
    with pytest.raises(Invalid) as caught:
        handle(delivery(body))
    assert caught.value.detail == (
        "event.version: must be an integer between 1 and 2147483647; system.id: must not be blank; "
        "system.time: must be YYYY-MM-DD HH:MM:SS or another ISO 8601 date and time; "
        "system.timezone: must be an IANA time zone name, such as Europe/Berlin; "
        "trigger.type: must not contain control characters; payload: is required"
    )


def test_array_of_events_is_rejected(client, handle, an_event):
    with pytest.raises(Invalid):
        handle(delivery([an_event()]))


@pytest.fixture
def handle_with_shipping(settings, db):
    """Return the handler of a stack with the additional service `shipping`."""
    extended_settings = settings.model_copy(update={"reserved_streams": f"{settings.reserved_streams},shipping"})
    (consumer,) = handlers_for(extended_settings).values()
    assert "shipping.#" in consumer.bindings

    def handle(message):
        with db.transaction() as tx:
            consumer.handler(tx, message)

    return handle


def test_events_of_a_service_added_by_the_setting_are_appended(client, handle_with_shipping, api_for, app, an_event):
    """A schema that a user set before the stream was reserved does not apply."""
    shipping = api_for(app, "shipping")
    shipping.put_schema(False)
    message = delivery(an_event("Shipped"), app_id="shipping")
    for _ in range(2):
        handle_with_shipping(message)
    (event,) = shipping.read("Shipped").json
    assert (event["producer"], event["user"]) == ("shipping", None)


def test_event_of_a_service_is_rejected_if_its_stream_belongs_to_a_user(
    client, handle_with_shipping, api_for, app, an_event
):
    shipping = api_for(app, "shipping")
    shipping.append(producer="shipping")
    with pytest.raises(Problem, match="Second writers"):
        handle_with_shipping(delivery(an_event("Shipped"), app_id="shipping"))
    assert shipping.read("Shipped").json == []


def test_one_queue_receives_the_events_of_the_four_services_in_order(consumer):
    assert consumer.in_order
    assert consumer.bindings == ("factory.#", "orders.#", "sequence.#", "specstore.#")
