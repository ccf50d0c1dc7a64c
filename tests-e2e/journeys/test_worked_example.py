"""The worked example of the event server's specification, with the bodies exactly as it shows them."""

import json
import re
import secrets

import pytest
import requests

from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = ON_ONE_STACK

JSON = "application/json; charset=utf-8"
FORM = "application/x-www-form-urlencoded"
EVENT = """
{
	"event": {
		"name" : "OrderPlaced",
		"version" : 1
	},
	"system" : {
		"id" : "alv123",
		"name" :"codello alvine",
		"time": "2017-09-06 13:58:12",
		"timezone" : "Europe/Berlin"
	},
	"trigger" : {
		"type": "system",
		"name": "/path/to/script.php"
	},
	"payload" : {}
}
"""
UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
PRODUCER, CONSUMER = "0a1e7a54-7a2b-4f0c-9f3c-8b4d2c3e5f60", "5d0a3e0c-2b44-4b8e-8e63-7f1d2b1c9a10"


class ExampleStream:
    """A stream with a unique name. Its methods return (status, text) and check the content type of each response."""

    def __init__(self, client):
        self.client = client
        self.name = f"webshop {secrets.token_hex(4)}"
        self.path = f"/api/v1/streams/{self.name.replace(' ', '%20')}/events"

    def _send(self, method, path, **options):
        response = self.client.send(method, path, **options)
        assert response.headers["Content-Type"] == JSON
        assert response.text.endswith("\n"), "a response must end in a newline, for terminals"
        return response.status_code, response.text.removesuffix("\n")

    def append(self, body=EVENT, producer=PRODUCER):
        headers = {"Accept": JSON, "Content-Type": JSON, "X-Producer-ID": producer}
        return self._send("POST", self.path, data=body, headers=headers)

    def read(self, query="?eventName=OrderPlaced&limit=10", consumer=CONSUMER):
        headers = {"Accept": JSON, "Content-Type": JSON, "X-Consumer-ID": consumer}
        return self._send("GET", self.path + query, headers=headers)

    def sequences(self):
        return [event["sequence"] for event in json.loads(self.read()[1])]

    def acknowledge(self, event_id, body="action=ACK", consumer=CONSUMER):
        headers = {"Accept": JSON, "Content-Type": FORM, "X-Consumer-ID": consumer}
        return self._send("POST", f"{self.path}/{event_id}", data=body, headers=headers)

    def consumer_path(self):
        return self.path.removesuffix("events") + f"consumers/{CONSUMER}"


@pytest.fixture
def stream(client):
    return ExampleStream(client)


@pytest.fixture
def event_ids(stream):
    """Append three events to the stream and return their IDs."""
    return [json.loads(stream.append()[1]) for _ in range(3)]


def test_event_is_appended_read_and_acknowledged(stream):
    status, text = stream.append()
    assert status == 200 and re.fullmatch(f'"{UUID}"', text)
    event_id = json.loads(text)
    status, text = stream.read()
    assert status == 200
    (event,) = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event.pop("received_at"))
    assert event.pop("request_id").startswith(stream.client.request_id_prefix)
    posted = json.loads(EVENT)
    posted["event"]["id"] = event_id
    assigned = {
        "stream": stream.name,
        "sequence": 1,
        "position": 1,
        "producer": PRODUCER,
        "user": stream.client.credentials[0],
    }
    assert event == posted | assigned
    assert stream.read()[1] == text, "reading must not advance the offset"
    assert stream.acknowledge(event_id) == (200, '"OK"')
    assert stream.acknowledge(event_id) == (200, '"OK"')
    assert stream.read() == (200, "[]")
    assert json.loads(stream.read(consumer="another consumer")[1])[0]["event"]["id"] == event_id


def test_second_writers_are_locked_out(stream, event_ids):
    assert stream.append(producer="another producer") == (423, '"Locked - Second writers not allowed"')
    assert stream.append(producer="another producer", body="{}")[0] == 400
    assert stream.sequences() == [1, 2, 3]


def test_request_without_credentials_is_unauthorized(stack, stream):
    response = requests.post(stack.url + stream.path, data=EVENT, headers={"X-Producer-ID": PRODUCER}, timeout=60)
    assert (response.status_code, response.text) == (401, '"Unauthorized"\n')
    assert response.headers["Content-Type"] == JSON
    assert response.headers["WWW-Authenticate"].startswith("Basic")


def test_events_must_be_acknowledged_in_order(stream, event_ids):
    first, second, third = event_ids
    assert stream.acknowledge(first) == (200, '"OK"')
    assert stream.acknowledge(third) == (400, '"Bad Request - Consumer offset mismatch: 1->3"')
    assert stream.sequences() == [2, 3]
    assert stream.acknowledge(third, "action=ACK&upTo=1") == (200, '"OK"')
    assert stream.sequences() == []
    assert stream.acknowledge(second) == (200, '"OK"')
    assert stream.sequences() == []


def test_fifth_nack_parks_event_until_replay(stream, event_ids):
    first, _, third = event_ids
    for _ in range(4):
        assert stream.acknowledge(first, "action=NACK&delay=0&reason=no+such+order") == (200, '"OK"')
        assert stream.sequences() == [1, 2, 3]
    assert stream.acknowledge(first, "action=NACK&reason=order+unknown") == (200, '"OK"')
    assert stream.sequences() == [2, 3]
    parked = stream.client.get(f"{stream.consumer_path()}/parked").json()
    assert parked["total"] == 1
    assert [(event["event"]["id"], event["nacks"], event["reason"]) for event in parked["parked"]] == [
        (first, 5, "order unknown")
    ]
    replayed = stream.client.post(f"{stream.consumer_path()}/parked/{first}/replay")
    assert (replayed.status_code, replayed.text) == (200, '"OK"\n')
    assert stream.sequences() == [1, 2, 3]
    assert stream.acknowledge(first) == (200, '"OK"')
    assert stream.acknowledge(third, "action=ACK&upTo=1") == (200, '"OK"')
    assert stream.sequences() == []


def test_offset_can_be_moved_back_and_forward(stream, event_ids):
    def set_offset(offset):
        response = stream.client.put(
            f"{stream.consumer_path()}/offset", json={"eventName": "OrderPlaced", "offset": offset}
        )
        return response.status_code, response.text.removesuffix("\n")

    stream.acknowledge(event_ids[0])
    assert set_offset(0) == (200, '"OK"')
    assert stream.sequences() == [1, 2, 3]
    assert set_offset(2) == (200, '"OK"')
    assert stream.sequences() == [3]
    assert set_offset(4)[0] == 400
    (consumer,) = stream.client.get(stream.consumer_path().rsplit("/", 1)[0]).json()["consumers"]
    assert (consumer["offset"], consumer["lag"], consumer["stuck"]) == (2, 1, None)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ("", "body"),
        ('{"event": {', "body"),
        (EVENT.replace('"version" : 1', '"version" : "one"'), "event.version"),
        (EVENT.replace('"Europe/Berlin"', '"Berlin"'), "system.timezone"),
        (EVENT.replace('"payload" : {}', '"payload" : []'), "payload"),
        (EVENT.replace('"payload"', '"extra": 1, "payload"'), "extra"),
    ],
    ids=["empty", "incomplete JSON", "version", "time zone", "payload", "unknown field"],
)
def test_invalid_event_is_rejected_with_name_of_field(stream, body, field):
    status, text = stream.append(body)
    assert status == 400
    assert json.loads(text).startswith("Bad Request - ") and field in text
    assert stream.read()[0] == 404


def test_unknown_streams_events_and_parameters_are_rejected(stream, event_ids):
    unknown_stream = ExampleStream(stream.client)
    assert unknown_stream.read() == (404, f'"Not Found - stream {unknown_stream.name}"')
    assert stream.read("?eventName=Nothing&limit=10") == (200, "[]")
    assert stream.acknowledge("00000000-0000-4000-8000-000000000000") == (404, '"Not Found"')
    assert unknown_stream.acknowledge(event_ids[0]) == (404, '"Not Found"')
    assert stream.acknowledge(event_ids[0], "action=MAYBE")[0] == 400
    for query in ("", "?eventName=OrderPlaced", "?limit=10", "?eventName=OrderPlaced&limit=0"):
        assert stream.read(query)[0] == 400
