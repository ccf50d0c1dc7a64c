"""The Python client appends, reads, follows and consumes events, and administers streams."""

import secrets
from datetime import UTC, datetime, timedelta

import pytest

from quintet import Conflict, Forbidden, InvalidInput, Locked, NewEvent, NotFound, Quintet
from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = ON_ONE_STACK


@pytest.fixture
def stream(quintet):
    return quintet.streams(f"client-{secrets.token_hex(4)}", producer="läden-1")


def consumers(stream):
    return {(state.consumer, state.event_name): state for state in stream.consumers()}


def test_appended_event_is_read_back(quintet, stream):
    before = datetime.now(UTC) - timedelta(seconds=1)
    payload = {"order": 2**80, "price": 1.0, "text": "\u2028 ü", "none": None}
    event_id = stream.append("Order placed", payload, version=3, trigger={"name": "cron"})
    event = stream.event(event_id)
    assert (event.id, event.name, event.version, event.payload) == (event_id, "Order placed", 3, payload)
    assert (event.stream, event.producer, event.position) == (stream.name, "läden-1", 1)
    assert (event.trigger.name, event.system.id) == ("cron", "läden-1")
    assert before <= event.received_at <= datetime.now(UTC) + timedelta(seconds=1)
    state = stream.get()
    assert (state.position, state.events, state.event_count) == (1, {"Order placed": 1}, 1)
    assert stream.name in [state.stream for state in quintet.streams.list(prefix="client-")]


def test_repeated_call_with_the_same_key_appends_nothing(stream):
    content = {"system": {"time": "2026-11-27 10:00:00"}, "idempotency_key": secrets.token_hex(8)}
    assert stream.append("A", {"n": 1}, **content) == stream.append("A", {"n": 1}, **content)
    assert stream.get().position == 1


def test_many_events_are_appended_in_order_at_the_expected_position(stream):
    assert len(stream.append_many([NewEvent("A", {"n": 0}, version=2)], expected_position=0)) == 1
    ids = stream.append_many((("A", {"n": n}) for n in range(1, 2500)), expected_position=1)
    events = list(stream.events())
    assert [event.payload["n"] for event in events] == list(range(2500))
    assert [event.id for event in events[1:]] == ids
    with pytest.raises(Conflict, match="stream is at 2500"):
        stream.append("A", {}, expected_position=1)
    assert stream.append_many([]) == []


def test_events_are_read_by_position_name_and_time_in_both_directions(stream):
    names = ["A", "B"] * 4
    stream.append_many((name, {}) for name in names)

    def positions(**options):
        return [event.position for event in stream.events(**options)]

    assert positions(start=3, name="A") == [3, 5, 7]
    assert positions(newest_first=True, start=5) == [8, 7, 6, 5]
    assert positions(newest_first=True, name="B") == [8, 6, 4, 2]
    assert positions(newest_first=True, limit=3) == [8, 7, 6]
    assert (positions(start=2, limit=2), positions(limit=0)) == ([2, 3], [])
    received_at = stream.event(next(iter(stream.events())).id).received_at
    assert positions(since=received_at) == positions(since=received_at.isoformat()) == [*range(1, 9)]
    assert positions(since=datetime.now(UTC) + timedelta(days=1)) == []


def test_second_producer_is_locked_out(quintet, stream):
    stream.append("A", {})
    with pytest.raises(Locked, match="Second writers not allowed"):
        quintet.streams(stream.name, producer="other").append("A", {})
    with pytest.raises(NotFound):
        quintet.streams(f"{stream.name}-unknown").get()


def test_following_begins_after_a_position_and_filters_by_name(stream):
    stream.append_many((name, {"n": n}) for n, name in enumerate("ABAB"))
    followed = stream.follow("A", after=1)
    assert next(followed).payload == {"n": 2}
    stream.append("B", {})
    stream.append("A", {"n": 5})
    assert next(followed).payload == {"n": 5}
    followed.close()


def test_next_iteration_acknowledges_the_previous_event(stream):
    stream.append_many(("A", {"n": n}) for n in range(3))
    seen = []
    for event in stream.consume("reader", "A", stop_when_empty=True):
        offset = consumers(stream)["reader", "A"].offset if seen else 0
        assert offset == len(seen)
        seen.append(event.sequence)
    assert seen == [1, 2, 3]
    assert consumers(stream)["reader", "A"].lag == 0


def test_consumer_waits_for_a_stream_that_does_not_exist_yet(quintet, stream):
    with stream.consume("early") as events:
        assert list(quintet.streams(stream.name).consume("other", stop_when_empty=True)) == []
        stream.append("A", {"n": 1})
        assert next(events).payload == {"n": 1}


def test_exception_in_the_block_refuses_the_event_and_propagates(stream):
    stream.append("A", {})
    with pytest.raises(ZeroDivisionError), stream.consume("failing", "A") as events:
        for _ in events:
            1 / 0  # noqa: B018
    stuck = consumers(stream)["failing", "A"].stuck
    assert (stuck.nacks, stuck.reason) == (1, "division by zero")


@pytest.mark.parametrize("ending", [KeyboardInterrupt, None])
def test_block_that_ends_in_another_way_neither_acknowledges_nor_refuses(stream, ending):
    stream.append("A", {})
    try:
        with stream.consume("stopped", "A") as events:
            first = next(events)
            if ending:
                raise ending
    except KeyboardInterrupt:
        pass
    assert consumers(stream) == {}
    assert next(iter(stream.consume("stopped", "A"))).id == first.id


def test_bare_loop_that_is_left_refuses_the_event_unless_it_was_acknowledged(stream):
    stream.append_many([("A", {}), ("A", {})])
    for event in stream.consume("bare", "A"):
        event.acknowledge()
        break
    assert (consumers(stream)["bare", "A"].offset, consumers(stream)["bare", "A"].stuck) == (1, None)
    for _ in stream.consume("bare", "A"):
        break
    assert consumers(stream)["bare", "A"].stuck.reason == "the loop ended"


def test_exception_in_a_bare_loop_refuses_the_event_before_it_propagates(stream):
    stream.append("A", {})
    reason = None
    try:
        for _ in stream.consume("bare", "A"):
            1 / 0  # noqa: B018
    except ZeroDivisionError:
        reason = consumers(stream)["bare", "A"].stuck.reason
    assert reason == "the loop ended"


def test_refused_event_is_delivered_again_then_parked_and_replayed(stream):
    first_id, _ = stream.append_many([("A", {"n": 1}), ("A", {"n": 2})])
    attempts = []
    for event in stream.consume("picky", "A", stop_when_empty=True):
        attempts.append(event.payload["n"])
        if event.payload["n"] == 1:
            event.refuse("not yet\n", delay_seconds=0)
    assert attempts == [1, 1, 1, 1, 1, 2]
    consumer = stream.consumer("picky")
    (parked,) = consumer.parked()
    assert (parked.id, parked.name, parked.reason, parked.nacks) == (first_id, "A", "not yet", 5)
    consumer.replay(first_id)
    assert [event.payload["n"] for event in stream.consume("picky", "A", stop_when_empty=True)] == [1]
    consumer.replay()


@pytest.mark.parametrize("delay_seconds", [-1, 86_401, float("nan")])
def test_event_is_not_refused_with_an_invalid_delay(stream, delay_seconds):
    stream.append("A", {})
    with stream.consume("hasty", "A") as events:
        event = next(events)
        with pytest.raises(ValueError, match="delay_seconds"):
            event.refuse("later", delay_seconds=delay_seconds)
        event.acknowledge()
    state = consumers(stream)["hasty", "A"]
    assert (state.lag, state.stuck) == (0, None)


def test_readers_with_leases_divide_the_events(stream):
    stream.append_many(("A", {"n": n}) for n in range(4))
    with stream.consume("team", "A", lease_seconds=60) as one, stream.consume("team", "A", lease_seconds=60) as two:
        assert [next(events).payload["n"] for events in (one, two, two, one)] == [0, 1, 2, 3]
    with pytest.raises(Conflict, match="leases"):
        next(iter(stream.consume("team", "A", stop_when_empty=True)))


def test_offset_that_is_moved_during_consumption_is_followed(stream):
    stream.append_many(("A", {"n": n}) for n in range(5))
    consumer, seen = stream.consumer("moved"), []
    for event in stream.consume("moved", "A", stop_when_empty=True):
        seen.append(event.payload["n"])
        if len(seen) == 3:
            consumer.offset("A", 0)
    assert seen == [0, 1, 2, 0, 1, 2, 3, 4]
    consumer.offset("A", stream.event(next(iter(stream.events())).id).received_at)
    assert consumers(stream)["moved", "A"].offset == 0
    consumer.offset("A", "end")
    assert consumers(stream)["moved", "A"].lag == 0
    consumer.delete()
    assert consumers(stream) == {}


def test_consumer_of_another_user_is_forbidden(stack, quintet, stream):
    stream.append("A", {})
    for _ in stream.consume("mine", "A", stop_when_empty=True):
        pass
    name = f"writer-{secrets.token_hex(4)}"
    with Quintet(stack.client_url(name, stack.add_user(name, "writer"))) as other:
        stream.append("A", {})
        with pytest.raises(Forbidden):
            list(other.streams(stream.name).consume("mine", "A", stop_when_empty=True))


def test_schemas_retention_and_erasure(stream):
    event_id = stream.append("A", {"name": "Ann"})
    stream.set_schema("A", 1, {"type": "object", "required": ["name"]})
    assert [(key.event_name, key.version) for key in stream.schemas()] == [("A", 1)]
    assert stream.schema("A")["required"] == ["name"]
    with pytest.raises(InvalidInput, match="name"):
        stream.append("A", {})
    stream.delete_schema("A")
    stream.set_retention(max_age_days=30, max_events=100)
    assert (stream.retention().max_age_days, stream.retention().max_events) == (30, 100)
    stream.delete_retention()
    assert stream.retention().max_events is None
    stream.erase(event_id)
    erased = stream.event(event_id)
    assert (erased.payload, erased.name, erased.is_erased) == ({}, "A", True)
