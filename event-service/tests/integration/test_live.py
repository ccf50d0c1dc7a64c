import json
import threading

import pytest

from event_service.app import create_app


class Live:
    """Reads server-sent events as a browser does: data by id, the last id."""

    def __init__(self, response):
        assert response.status_code == 200, response.text
        self._response, self._blocks, self.last_id = response, iter(response.response), None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._response.close()

    def next_block(self):
        return next(self._blocks).decode()

    def take(self, count):
        found = []
        while len(found) < count:
            fields = dict(line.split(": ", 1) for line in self.next_block().splitlines() if ": " in line)
            self.last_id = fields.get("id", self.last_id)
            if "data" in fields:
                found.append(json.loads(fields["data"]))
        return found


def follow(api, name="*", last_id=None):
    headers = {} if last_id is None else {"Last-Event-ID": str(last_id)}
    return Live(api.client.get(f"{api.path}/live", query_string={"eventName": name}, headers=headers))


def test_events_come_as_they_are_appended(api, an_event):
    api.appended(2, "Before")
    with follow(api) as live:
        assert live.next_block() == "retry: 1000\nid: 2\n\n"
        ids = api.append([an_event("A"), an_event("B")]).json
        events = live.take(2)
        assert [event["event"]["id"] for event in events] == ids
        assert live.last_id == "4"
        assert events[1] == api.client.get(f"{api.path}/events/{ids[1]}").json
        later = threading.Timer(0.1, api.appended)
        later.start()
        assert live.take(1)[0]["position"] == 5
        later.join()


def test_a_name_is_followed_alone(api, an_event):
    api.append([an_event("A"), an_event("B"), an_event("A")])
    with follow(api, "A", last_id=1) as live:
        api.append([an_event("B"), an_event("A")])
        assert [event["position"] for event in live.take(2)] == [3, 5]
        assert live.last_id == "5"


@pytest.mark.parametrize("name", ["A", "*"])
@pytest.mark.parametrize("names", ["AB", "AAAAAAAAAB", "A" * 200 + "B" * 10])
def test_it_goes_on_without_a_gap_or_a_repeat(api, an_event, name, names):
    came = [names[number % len(names)] for number in range(250)]
    api.append([an_event(each) for each in came])
    wanted = [place + 1 for place, each in enumerate(came) if name in ("*", each)]
    seen, last_id = [], 0
    while len(seen) < len(wanted):
        with follow(api, name, last_id) as live:
            seen += [event["position"] for event in live.take(min(60, len(wanted) - len(seen)))]
            last_id = live.last_id
    assert seen == wanted


def test_who_saw_nothing_yet_goes_on_from_where_it_began(api):
    api.appended(3)
    with follow(api) as live:
        live.next_block()
    api.appended(2)
    with follow(api, last_id=3) as live:
        assert [event["position"] for event in live.take(2)] == [4, 5]


def test_silence_is_broken_by_comments_and_ended_by_the_process(api_of, settings, api, stream):
    app = create_app(settings.model_copy(update={"live_heartbeat_seconds": 0.1}))
    api.appended()
    with follow(api_of(app, stream)) as live:
        assert [live.next_block() for _ in range(3)][1:] == [":\n\n", ":\n\n"]
        app.is_stopping = lambda: True
        assert list(live._blocks) in ([], [b":\n\n"])


@pytest.mark.parametrize("last_id", ["2", "-1", "x", "1.0", "１", "1,1", "9" * 30])
def test_a_wrong_last_id_is_told(api, last_id):
    api.appended()
    header = last_id.encode().decode("latin-1")
    response = api.client.get(f"{api.path}/live?eventName=*", headers={"Last-Event-ID": header})
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - Last-Event-ID: ")


def test_the_headers_say_what_it_is(api):
    api.appended()
    response = api.client.get(f"{api.path}/live?eventName=*")
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response.headers["X-Accel-Buffering"] == "no"
    response.close()


def test_an_unknown_stream_is_not_found_and_a_name_is_required(api, stream):
    response = api.client.get(f"{api.path}/live?eventName=*")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")
    assert api.client.get(f"{api.path}/live").status_code == 400
