"""The example of the event server's document, request by request, with the bodies as they are written there."""

import json
import re
import secrets

import pytest
import requests

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


class Stream:
    """A new one; answers are (status, text), each checked for the content type that all have."""

    def __init__(self, client):
        self.client = client
        self.name = f"webshop {secrets.token_hex(4)}"
        self.path = f"/api/v1/streams/{self.name.replace(' ', '%20')}/events"

    def _send(self, method, path, **more):
        answer = self.client.send(method, path, **more)
        assert answer.headers["Content-Type"] == JSON
        return answer.status_code, answer.text

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

    def consumers(self):
        """Below the stream, beside its events."""
        return self.path.removesuffix("events") + f"consumers/{CONSUMER}"


@pytest.fixture
def stream(client):
    return Stream(client)


@pytest.fixture
def three(stream):
    """The ids of three events that were appended to it."""
    return [json.loads(stream.append()[1]) for _ in range(3)]


def test_an_event_is_appended_read_and_acknowledged(stream):
    status, text = stream.append()
    assert status == 200 and re.fullmatch(f'"{UUID}"', text)
    event_id = json.loads(text)
    status, text = stream.read()
    assert status == 200
    (event,) = json.loads(text)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", event.pop("received_at"))
    assert event.pop("request_id").startswith(stream.client.label)
    posted = json.loads(EVENT)
    posted["event"]["id"] = event_id
    known = {
        "stream": stream.name,
        "sequence": 1,
        "position": 1,
        "producer": PRODUCER,
        "user": stream.client.credentials[0],
    }
    assert event == posted | known
    assert stream.read()[1] == text, "reading moves nothing"
    assert stream.acknowledge(event_id) == (200, '"OK"')
    assert stream.acknowledge(event_id) == (200, '"OK"')
    assert stream.read() == (200, "[]")
    assert json.loads(stream.read(consumer="another one")[1])[0]["event"]["id"] == event_id


def test_second_writers_are_locked_out(stream, three):
    assert stream.append(producer="somebody else") == (423, '"Locked - Second writers not allowed"')
    assert stream.append(producer="somebody else", body="{}")[0] == 400
    assert stream.sequences() == [1, 2, 3]


def test_without_credentials_it_is_unauthorized(stack, stream):
    answer = requests.post(stack.url + stream.path, data=EVENT, headers={"X-Producer-ID": PRODUCER}, timeout=10)
    assert (answer.status_code, answer.text) == (401, '"Unauthorized"')
    assert answer.headers["Content-Type"] == JSON
    assert answer.headers["WWW-Authenticate"].startswith("Basic")


def test_acknowledging_goes_in_order(stream, three):
    first, second, third = three
    assert stream.acknowledge(first) == (200, '"OK"')
    assert stream.acknowledge(third) == (400, '"Bad Request - Consumer offset mismatch: 1->3"')
    assert stream.sequences() == [2, 3]
    assert stream.acknowledge(third, "action=ACK&upTo=1") == (200, '"OK"')
    assert stream.sequences() == []
    assert stream.acknowledge(second) == (200, '"OK"')
    assert stream.sequences() == []


def test_the_fifth_refusal_parks_an_event_until_it_is_replayed(stream, three):
    first, _, third = three
    for _ in range(4):
        assert stream.acknowledge(first, "action=NACK&reason=no+such+order") == (200, '"OK"')
        assert stream.sequences() == [1, 2, 3]
    assert stream.acknowledge(first, "action=NACK&reason=still+none") == (200, '"OK"')
    assert stream.sequences() == [2, 3]
    parked = stream.client.get(f"{stream.consumers()}/parked").json()
    assert parked["total"] == 1
    assert [(event["event"]["id"], event["nacks"], event["reason"]) for event in parked["parked"]] == [
        (first, 5, "still none")
    ]
    replayed = stream.client.post(f"{stream.consumers()}/parked/{first}/replay")
    assert (replayed.status_code, replayed.text) == (200, '"OK"')
    assert stream.sequences() == [1, 2, 3]
    assert stream.acknowledge(first) == (200, '"OK"')
    assert stream.acknowledge(third, "action=ACK&upTo=1") == (200, '"OK"')
    assert stream.sequences() == []


def test_a_consumer_goes_back_or_ahead_on_purpose(stream, three):
    def move(offset):
        answer = stream.client.put(f"{stream.consumers()}/offset", json={"eventName": "OrderPlaced", "offset": offset})
        return answer.status_code, answer.text

    stream.acknowledge(three[0])
    assert move(0) == (200, '"OK"')
    assert stream.sequences() == [1, 2, 3]
    assert move(2) == (200, '"OK"')
    assert stream.sequences() == [3]
    assert move(4)[0] == 400
    (consumer,) = stream.client.get(stream.consumers().rsplit("/", 1)[0]).json()["consumers"]
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
)
def test_what_is_malformed_is_refused_and_named(stream, body, field):
    status, text = stream.append(body)
    assert status == 400
    assert json.loads(text).startswith("Bad Request - ") and field in text
    assert stream.read()[0] == 404


def test_what_is_missing_is_said(stream, three):
    unknown = Stream(stream.client)
    assert unknown.read() == (404, f'"Not Found - stream {unknown.name}"')
    assert stream.read("?eventName=Nothing&limit=10") == (200, "[]")
    assert stream.acknowledge("00000000-0000-4000-8000-000000000000") == (404, '"Not Found"')
    assert unknown.acknowledge(three[0]) == (404, '"Not Found"')
    assert stream.acknowledge(three[0], "action=MAYBE")[0] == 400
    for query in ("", "?eventName=OrderPlaced", "?limit=10", "?eventName=OrderPlaced&limit=0"):
        assert stream.read(query)[0] == 400
