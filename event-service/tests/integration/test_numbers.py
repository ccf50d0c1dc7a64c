"""A JSON number is read back exactly as it was posted, or rejected; wherever it comes from."""

import json
import re

import pytest

from chassis.errors import Invalid
from chassis.messaging.broker import Properties
from chassis.messaging.delivery import Received, parse_delivery
from event_service.handlers import on_event_published

PROPERTIES = Properties(message_id="0ab6e9c3-6c3f-4f6c-9b5e-2d8f4b5a7c11", app_id="orders")
INEXACT = [
    "123456789012345678.99", "9007199254740993.0", "1e-400", "-1e-400", "1e400", "0.1000000000000000055511151231257827",
    "2.2250738585072011e-309", "1E+309", "1.7976931348623159e308", "0.30000000000000001", "1e999999999999999999999",
]  # fmt: skip
EXACT = [
    "0", "-1", "9007199254740993", "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    "123456789012345678901234567890", "1.0", "0.1", "1e300", "5e-324", "123456789.125", "9007199254740992.0", "1.50",
]  # fmt: skip


def bodies(an_event, number):
    """Return a single event, an array, and an event with the number deep in its payload."""
    single = json.dumps(an_event(payload={"n": "@"}))
    nested = json.dumps(an_event(payload={"a": [{"b": ["@", 1]}]}))
    return [text.replace('"@"', number) for text in (single, f"[{json.dumps(an_event())},{single}]", nested)]


def post(api, body):
    headers = {**api.identity, "X-Producer-ID": "producer", "Content-Type": "application/json"}
    return api.client.post(f"{api.path}/events", data=body.encode(), headers=headers)


@pytest.mark.parametrize("number", INEXACT)
def test_number_that_would_change_is_rejected(api, an_event, number):
    for body in bodies(an_event, number):
        response = post(api, body)
        assert response.status_code == 400
        assert "64-bit float" in response.json
    assert api.read().status_code == 404


@pytest.mark.parametrize("number", EXACT)
def test_number_is_read_back_exactly(api, an_event, number, outbox):
    for body in bodies(an_event, number):
        assert post(api, body).status_code == 200
    page = api.read().text
    texts = re.findall(r'(?:"n":|\[\{"b":\[)([^,}]+)[,}]', page)
    assert len(texts) == 3
    for text in texts:
        # The type and all digits; an exponent and trailing zeros may be written differently.
        assert json.loads(text) == json.loads(number)
        assert type(json.loads(text)) is type(json.loads(number))
    assert [body["payload"] for _, body in outbox()] == [event["payload"] for event in json.loads(page)]


@pytest.mark.parametrize("number", INEXACT)
def test_number_that_would_change_is_rejected_in_a_message(an_event, number):
    for body in bodies(an_event, number):
        with pytest.raises(Invalid, match="64-bit float"):
            parse_delivery("event.append", Received(PROPERTIES, body.encode()))


@pytest.mark.parametrize("number", EXACT)
def test_number_in_a_message_is_read_back_exactly(api_for, app, db, an_event, number):
    body = bodies(an_event, number)[0]
    delivery = parse_delivery("event.append", Received(PROPERTIES, body.encode()))
    with db.transaction() as tx:
        on_event_published(tx, delivery, services=frozenset({"orders"}))
    (event,) = api_for(app, "orders").read().json
    assert event["payload"] == json.loads(body)["payload"]


@pytest.mark.parametrize("number", INEXACT)
def test_number_that_would_change_is_rejected_in_a_schema(api, number):
    response = api.client.put(
        f"{api.path}/schemas/A/1", data=f'{{"const":{number}}}', content_type="application/json", headers=api.identity
    )
    assert response.status_code == 400
    assert "64-bit float" in response.json


@pytest.mark.parametrize(
    "number", ["9007199254740993", "18446744073709551616", "123456789012345678901234567890", "0.1"]
)
def test_schema_compares_numbers_exactly(api, an_event, number):
    api.put_schema({"properties": {"n": {"const": json.loads(number)}}})
    single = bodies(an_event, number)[0]
    assert post(api, single).status_code == 200
    other = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert post(api, bodies(an_event, other)[0]).status_code == 400
