import json
import threading

import pytest

from event_service.app import create_app


class LiveReader:
    """A reader of server-sent events that, like a browser, remembers the last ID."""

    def __init__(self, response):
        assert response.status_code == 200, response.text
        self._response, self._blocks, self.last_id = response, iter(response.response), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()

    def next_block(self):
        return next(self._blocks).decode()

    def read_events(self, count):
        events = []
        while len(events) < count:
            fields = dict(line.split(": ", 1) for line in self.next_block().splitlines() if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                events.append(json.loads(fields["data"]))
        return events


def follow(api, name="*", last_id=None):
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    return LiveReader(api.client.get(f"{api.path}/live", query_string={"eventName": name}, headers=headers))


def test_events_are_sent_as_they_are_appended(api, an_event):
    api.append_events(2, "Before")
    with follow(api) as live:
        assert live.next_block() == "retry: 1000\nid: 2\n\n"
        ids = api.append([an_event("A"), an_event("B")]).json
        events = live.read_events(2)
        assert [event["event"]["id"] for event in events] == ids
        assert live.last_id == "4"
        assert events[1] == api.client.get(f"{api.path}/events/{ids[1]}").json
        timer = threading.Timer(0.1, api.append_events)
        timer.start()
        assert live.read_events(1)[0]["position"] == 5
        timer.join()


def test_only_events_of_the_requested_name_are_sent(api, an_event):
    api.append([an_event("A"), an_event("B"), an_event("A")])
    with follow(api, "A", last_id=1) as live:
        api.append([an_event("B"), an_event("A")])
        assert [event["position"] for event in live.read_events(2)] == [3, 5]
        assert live.last_id == "5"


@pytest.mark.parametrize("name", ["A", "*"])
@pytest.mark.parametrize("names", ["AB", "AAAAAAAAAB", "A" * 200 + "B" * 10])
def test_stream_resumes_without_gaps_or_duplicates(api, an_event, name, names):
    appended_names = [names[number % len(names)] for number in range(250)]
    api.append([an_event(appended) for appended in appended_names])
    expected = [position for position, appended in enumerate(appended_names, 1) if name in ("*", appended)]
    received, last_id = [], 0
    while len(received) < len(expected):
        with follow(api, name, last_id) as live:
            events = live.read_events(min(60, len(expected) - len(received)))
            received += [event["position"] for event in events]
            last_id = live.last_id
    assert received == expected


def test_client_that_received_no_event_resumes_from_its_start(api):
    api.append_events(3)
    with follow(api) as live:
        live.next_block()
    api.append_events(2)
    with follow(api, last_id=3) as live:
        assert [event["position"] for event in live.read_events(2)] == [4, 5]


def test_idle_stream_sends_comments_until_the_process_stops(api_for, settings, api, stream):
    app = create_app(settings.model_copy(update={"live_heartbeat_seconds": 0.1}))
    api.append_events()
    with follow(api_for(app, stream)) as live:
        assert [live.next_block() for _ in range(3)][1:] == [":\n\n", ":\n\n"]
        app.is_stopping = lambda: True
        assert list(live._blocks) in ([], [b":\n\n"])


@pytest.mark.parametrize("last_id", ["2", "-1", "x", "1.0", "１", "1,1", "9" * 30])
def test_invalid_last_event_id_returns_400_that_names_the_header(api, last_id):
    api.append_events()
    header = last_id.encode().decode("latin-1")
    response = api.client.get(f"{api.path}/live?eventName=*", headers={"Last-Event-ID": header})
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - Last-Event-ID: ")


def test_response_has_event_stream_headers(api):
    api.append_events()
    response = api.client.get(f"{api.path}/live?eventName=*")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["X-Accel-Buffering"] == "no"
    response.close()


def test_event_name_is_required(api):
    assert api.client.get(f"{api.path}/live").status_code == 400


@pytest.mark.parametrize("name", ["OrderPlaced", "*"])
def test_stream_without_events_is_followed_from_its_first_one(api, db, name):
    with follow(api, name) as live, follow(api, name, last_id=0) as resumed:
        assert live.next_block() == resumed.next_block() == "retry: 1000\nid: 0\n\n"
        with db.transaction() as tx:
            assert tx.value("SELECT count(*) FROM streams WHERE position > 0 OR name = %(name)s", name=api.stream) == 0
        timer = threading.Timer(0.1, lambda: api.append_events(2))
        timer.start()
        assert [event["position"] for event in live.read_events(2) + resumed.read_events(2)] == [1, 2, 1, 2]
        timer.join()


def test_follower_of_a_stream_without_events_receives_comments(api_for, settings, stream):
    app = create_app(settings.model_copy(update={"live_heartbeat_seconds": 0.1}))
    with follow(api_for(app, stream)) as live:
        assert [live.next_block() for _ in range(3)][1:] == [":\n\n", ":\n\n"]


def test_schema_that_was_set_before_the_first_event_does_not_make_a_stream(api):
    api.put_schema({})
    with follow(api) as live:
        live.next_block()
        api.append_events()
        assert live.read_events(1)[0]["position"] == 1


def follow_with(api, query="", header=None):
    headers = {} if header is None else {"Last-Event-ID": header}
    return LiveReader(api.client.get(f"{api.path}/live?eventName=*{query}", headers=headers))


@pytest.mark.parametrize(
    ("query", "header", "first"),
    [
        ("&lastEventId=1", None, 2),
        ("&lastEventId=1", "", 2),
        ("&lastEventId=", "1", 2),
        ("&lastEventId=1", "2", 3),
        ("&lastEventId=2", "1", 3),
        ("&lastEventId=0", "0", 1),
        ("&_=1764190000&lastEventId=2&withCredentials=&_=2", None, 3),
        ("", "", 4),
        ("&lastEventId=", "", 4),
        ("&_=1", None, 4),
    ],
)
def test_stream_resumes_after_the_greater_of_both_last_event_ids(api, query, header, first):
    api.append_events(3)
    with follow_with(api, query, header) as live:
        assert live.next_block() == f"retry: 1000\nid: {first - 1}\n\n"
        api.append_events()
        assert [event["position"] for event in live.read_events(5 - first)] == list(range(first, 5))


@pytest.mark.parametrize("last_id", ["4", "-1", "x", "1.0", "1,1", "%20"])
def test_invalid_last_event_id_in_the_query_returns_400_that_names_it(api, last_id):
    api.append_events(3)
    response = api.client.get(f"{api.path}/live?eventName=*&lastEventId={last_id}")
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - lastEventId: ")


def test_other_routes_reject_unknown_parameters(api):
    api.append_events()
    for path in (f"{api.path}/events?from=1&limit=1&_=1", f"{api.path}?_=1", "/api/v1/streams?_=1"):
        response = api.client.get(path)
        assert (response.status_code, response.json) == (400, "Bad Request - _: is not a known parameter")
