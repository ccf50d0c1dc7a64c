"""A plain append is answered before Flask: word for word as Flask would."""

import json

import pytest
from werkzeug.test import Client

EVENT = {
    "event": {"name": "Sold", "version": 1},
    "system": {"id": "till", "name": "till 7", "time": "2017-09-06 13:58:12", "timezone": "Europe/Berlin"},
    "trigger": {"type": "user", "name": "ann"},
    "payload": {"order": 4711, "note": "für"},
}
PATH = "/api/v1/streams/shortcut/events"
NAMED = "application/json"
BAD = {
    "no JSON": b"{",
    "nothing": b"",
    "no UTF-8": b'{"event": "\xff"}',
    "NaN": b'{"event": NaN}',
    "no event": b"{}",
    "no events": b"[]",
    "a text": b'"text"',
    "two wrong fields": json.dumps({**EVENT, "event": {"name": "", "version": 0}}).encode(),
    "one of two is wrong": json.dumps([EVENT, {**EVENT, "more": 1}]).encode(),
    "too large": json.dumps({**EVENT, "payload": {"text": "x" * 262144}}).encode(),
    "too many": json.dumps([EVENT] * 1001).encode(),
}


@pytest.fixture
def ways(db, app):
    """The whole app, and Flask alone."""
    return Client(app.wsgi_app), Client(app.wsgi_app._app)


def ask(way, path=PATH, body=b"", **headers):
    given = {"X-Producer-ID": "till", "X-Request-ID": "r-1", **headers}
    answer = way.post(path, data=body, content_type=NAMED, headers=given)
    return answer.status, sorted(answer.headers), answer.text


def listed(one_or_more):
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


@pytest.mark.parametrize("body", BAD.values(), ids=BAD)
def test_bad_bodies_are_refused_alike(ways, body):
    short, flask = (ask(way, body=body) for way in ways)
    assert short == flask
    assert short[0][0] == "4"


@pytest.mark.parametrize("producer", ["", "a,b", " ", "a\tb", "x" * 256, ".."])
def test_bad_producers_are_refused_alike(ways, producer):
    short, flask = (ask(way, body=json.dumps(EVENT), **{"X-Producer-ID": producer}) for way in ways)
    assert short == flask
    assert short[0][:3] == "400"


@pytest.mark.parametrize("path", [f"{PATH}?x=1", f"{PATH}/", "/api/v1/streams/../events", "/api/v1/streams/%00/events"])
def test_other_paths_are_answered_alike(ways, path):
    short, flask = (ask(way, path, json.dumps(EVENT)) for way in ways)
    assert short == flask
    assert short[0][0] == "4"


@pytest.mark.parametrize("body", [EVENT, [EVENT, EVENT]])
def test_good_ones_get_their_ids_alike(ways, body):
    answers = [ask(way, body=json.dumps(body)) for way in ways]
    assert [answer[:2] for answer in answers] == [("200 OK", answers[1][1])] * 2
    ids = [id_ for answer in answers for id_ in listed(json.loads(answer[2]))]
    seen = ways[0].get(f"{PATH}?from=1&limit=9").json
    assert [event["event"]["id"] for event in seen] == ids
    assert {event["request_id"] for event in seen} == {"r-1"}


def test_who_is_second_is_told_alike(ways):
    assert ask(ways[0], body=json.dumps(EVENT))[0] == "200 OK"
    short, flask = (ask(way, body=json.dumps(EVENT), **{"X-Producer-ID": "other"}) for way in ways)
    assert short == flask == ("423 LOCKED", short[1], '"Locked - Second writers not allowed"')


@pytest.mark.parametrize("service", ["sequence", "orders"])
def test_the_streams_of_services_are_nobody_elses(ways, service):
    short, flask = (ask(way, f"/api/v1/streams/{service}/events", json.dumps(EVENT)) for way in ways)
    assert short == flask
    assert short[0][:3] == "423"
