"""What becomes true in sequence-service is told in the stream `sequence`, once."""

from quintet_e2e.clients import done
from quintet_e2e.sequences import Own
from quintet_e2e.streams import body, events_of, path_of
from quintet_testing.waiting import eventually

TOLD_WITHIN = 15


def told(own, count):
    """After another fact of the same service, which goes the same way behind it: so nothing is still on its way."""
    behind = Own(own.client)
    behind.wrap()
    eventually(behind.facts, TOLD_WITHIN)
    facts = own.facts()
    assert len(facts) == count, facts
    return facts


def test_a_sequence_that_wraps_is_told_once_with_the_id_of_the_request(client):
    own = Own(client)
    assert own.draw(9) == list(range(1, 10))
    assert told(own, 0) == []
    request_id = f"{client.label}-wraps"
    assert own.draw(2, **{"X-Request-ID": request_id}) == [10, 1]
    (fact,) = told(own, 1)
    assert fact["event"]["name"] == "SequenceWrapped"
    assert fact["payload"] == {"name": own.name, "cycles": 1}
    assert (fact["stream"], fact["producer"], fact["request_id"]) == ("sequence", "sequence", request_id)
    assert fact["system"]["id"] == "sequence" and fact["system"]["timezone"] == "UTC"
    assert fact["trigger"] == {"type": "request", "name": request_id}


def test_each_end_of_a_cycle_is_told_in_order(client):
    own = Own(client)
    for _ in range(5):
        own.wrap()
    assert [fact["payload"]["cycles"] for fact in told(own, 5)] == [1, 2, 3, 4, 5]


def test_a_sequence_near_its_end_is_told_once(client):
    own = Own(client, maximum=100, cycle=False)
    own.draw(89)
    assert told(own, 0) == []
    own.draw(2)
    own.draw(5)
    (fact,) = told(own, 1)
    assert fact["event"]["name"] == "SequenceNearlyExhausted"
    assert fact["payload"] == {"name": own.name, "remaining": 9}


def test_one_of_the_four_tells_too(client):
    state = done(client.get("/sequences/batch-sequence"))
    done(client.get(f"/batch-sequence?n={state['remaining']}"))

    def told():
        payload = {"name": "batch-sequence", "cycles": state["cycles"] + 1}
        return [event for event in events_of(client, "sequence") if event["payload"] == payload]

    eventually(told, TOLD_WITHIN)
    assert len(told()) == 1


def test_nobody_else_writes_to_the_streams_of_the_services(client):
    for stream in ("sequence", "event", "orders", "specstore", "factory"):
        for producer in ("sequence", "orders", "admin"):
            headers = {"X-Producer-ID": producer}
            answer = client.post(f"{path_of(stream)}/events", json=body(), headers=headers)
            assert (answer.status_code, answer.json()) == (423, "Locked - Second writers not allowed")
