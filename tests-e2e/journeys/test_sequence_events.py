"""Changes in sequence-service are published once, as events in the stream `sequence`."""

import pytest

from quintet_e2e.clients import ok_json
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_testing.waiting import eventually

pytestmark = ALSO_ON_REPLICAS


def published_events(sequence, count):
    """Return the events of the sequence, and assert that there are exactly `count`.

    Wait for a later event of the same service, which follows them in order, so that none is still in transit.
    """
    later_sequence = UniqueSequence(sequence.client)
    later_sequence.wrap_around()
    eventually(later_sequence.events)
    events = sequence.events()
    assert len(events) == count, events
    return events


def test_wrap_around_is_published_once_with_request_id(client):
    sequence = UniqueSequence(client)
    assert sequence.issue(9) == list(range(1, 10))
    assert published_events(sequence, 0) == []
    request_id = f"{client.request_id_prefix}-wraps"
    assert sequence.issue(2, **{"X-Request-ID": request_id}) == [10, 1]
    (event,) = published_events(sequence, 1)
    assert event["event"]["name"] == "SequenceWrapped"
    assert event["payload"] == {"name": sequence.name, "cycles": 1}
    assert (event["stream"], event["producer"], event["request_id"]) == ("sequence", "sequence", request_id)
    assert event["system"]["id"] == "sequence" and event["system"]["timezone"] == "UTC"
    assert event["trigger"] == {"type": "request", "name": request_id}


@pytest.mark.slow
def test_wrap_arounds_are_published_in_order(client):
    sequence = UniqueSequence(client)
    for _ in range(5):
        sequence.wrap_around()
    assert [event["payload"]["cycles"] for event in published_events(sequence, 5)] == [1, 2, 3, 4, 5]


@pytest.mark.slow
def test_nearly_exhausted_sequence_is_published_once(client):
    sequence = UniqueSequence(client, maximum=100, cycle=False)
    sequence.issue(89)
    assert published_events(sequence, 0) == []
    sequence.issue(2)
    sequence.issue(5)
    (event,) = published_events(sequence, 1)
    assert event["event"]["name"] == "SequenceNearlyExhausted"
    assert event["payload"] == {"name": sequence.name, "remaining": 9}


@pytest.mark.slow
def test_wrap_around_of_predefined_sequence_is_published(client):
    state = ok_json(client.get("/sequences/batch-sequence"))
    ok_json(client.get(f"/batch-sequence?n={state['remaining']}"))

    def events():
        payload = {"name": "batch-sequence", "cycles": state["cycles"] + 1}
        return [event for event in read_events(client, "sequence") if event["payload"] == payload]

    eventually(events)
    assert len(events()) == 1


def test_clients_cannot_write_to_streams_of_services(client):
    for stream in ("sequence", "event", "orders", "specstore", "factory"):
        for producer in ("sequence", "orders", "admin"):
            headers = {"X-Producer-ID": producer}
            response = client.post(f"{stream_path(stream)}/events", json=event_body(), headers=headers)
            assert (response.status_code, response.json()) == (423, "Locked - Second writers not allowed")
