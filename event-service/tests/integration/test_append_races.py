"""Concurrent requests to two apps that, like two web processes, each have a separate pool and batcher."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from event_service.app import create_app


@pytest.fixture(scope="module")
def apps(settings):
    return [create_app(settings), create_app(settings)]


def run_concurrently(count, act):
    """Call `act(number)` in `count` threads that start at the same moment."""
    barrier = Barrier(count)

    def start(number):
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


@pytest.mark.parametrize("round_", range(5))
def test_one_of_twenty_concurrent_first_writers_wins(client, api_for, apps, stream, round_):
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).append(producer=f"producer {n}"))
    assert sorted(response.status_code for response in responses) == [200] + [423] * 19
    winner = next(n for n, response in enumerate(responses) if response.status_code == 200)
    (event,) = api_for(apps[0], stream).read().json
    assert event["producer"] == f"producer {winner}"
    assert event["event"]["id"] == responses[winner].json


@pytest.mark.parametrize("headers", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_one_of_twenty_users_with_the_same_producer_id_wins(client, api_for, apps, stream, headers):
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).as_user(f"user {n}").append(**headers))
    assert sorted(response.status_code for response in responses) == [200] + [423] * 19
    winner = next(n for n, response in enumerate(responses) if response.status_code == 200)
    (event,) = api_for(apps[0], stream).read().json
    assert (event["user"], event["event"]["id"]) == (f"user {winner}", responses[winner].json)


@pytest.mark.parametrize("round_", range(3))
def test_one_of_twenty_users_claims_an_unowned_stream(client, api_for, apps, stream, round_):
    api_for(apps[0], stream).as_user(None).append()
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).as_user(f"user {n}").append())
    assert sorted(response.status_code for response in responses) == [200] + [423] * 19
    assert len(api_for(apps[0], stream).read().json) == 2


def test_owner_and_admin_append_concurrently(client, api_for, apps, stream):
    api = api_for(apps[0], stream)
    api.append()

    def act(number):
        api = api_for(apps[number % 2], stream)
        return (api if number % 4 < 2 else api.as_user("root", "admin")).append()

    assert {response.status_code for response in run_concurrently(20, act)} == {200}
    users = [event["user"] for event in api.read().json]
    assert (users.count("ann"), users.count("root")) == (11, 10)


def test_schema_set_during_the_first_append_of_another_user_never_binds_it(client, api_for, apps, stream, an_event):
    for round_ in range(10):
        api = api_for(apps[0], f"{stream} {round_}")
        bob = api_for(apps[1], f"{stream} {round_}").as_user("bob")
        responses = run_concurrently(4, lambda n, api=api, bob=bob: bob.put_schema(False) if n % 2 else api.append())
        assert [response.status_code for response in responses[::2]] == [200, 200]
        assert {response.status_code for response in responses[1::2]} <= {200, 403}
        assert api.append().status_code == 200


def test_concurrent_appends_leave_no_gaps_and_no_duplicates(client, api_for, apps, stream, an_event):
    def act(number):
        api = api_for(apps[number % 2], stream)
        ids = []
        for step in range(10):
            if step % 3:
                ids.append(api.append(an_event("AB"[step % 2])).json)
            else:
                ids.extend(api.append([an_event("A"), an_event("B"), an_event("A")]).json)
            # Rejected appends must not consume a position.
            assert api.append(producer="another").status_code == 423
            assert api.append(an_event(version=0)).status_code == 400
        return ids

    ids = [id_ for thread_ids in run_concurrently(8, act) for id_ in thread_ids]
    page = client.get(f"/api/v1/streams/{stream}/events?from=1&limit=1000").json
    assert [event["position"] for event in page] == list(range(1, len(ids) + 1))
    assert {event["event"]["id"] for event in page} == set(ids)
    for name in "AB":
        sequences = [event["sequence"] for event in page if event["event"]["name"] == name]
        assert sequences == list(range(1, len(sequences) + 1))


def test_batches_may_mix_streams_and_producers(client, api_for, apps, stream):
    def act(number):
        api = api_for(apps[number % 2], f"{stream} {number % 5}")
        return [api.append(producer=f"p {number % 10}").status_code for _ in range(10)]

    responses = run_concurrently(20, act)
    for stream_number in range(5):
        statuses = [set(responses[number]) for number in range(20) if number % 5 == stream_number]
        # Four threads append to each stream: two of the producer that owns it, two of the other.
        assert sorted(statuses, key=sorted) == [{200}, {200}, {423}, {423}]


def test_one_of_twenty_appends_at_the_same_expected_position_succeeds(client, api_for, apps, stream):
    api_for(apps[0], stream).append_events(3)
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).append(X_Expected_Position="3"))
    assert sorted(response.status_code for response in responses) == [200] + [409] * 19
    assert api_for(apps[0], stream).sequences() == [1, 2, 3, 4]


def test_one_of_twenty_appends_that_expect_a_new_stream_creates_it(client, api_for, apps, stream):
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).append(X_Expected_Position="0"))
    assert sorted(response.status_code for response in responses) == [200] + [409] * 19


def test_twenty_requests_with_the_same_key_append_once(client, api_for, apps, stream):
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).append(Idempotency_Key="key"))
    assert {response.status_code for response in responses} <= {200, 409}
    assert len({response.json for response in responses if response.status_code == 200}) == 1
    assert api_for(apps[0], stream).sequences() == [1]


@pytest.mark.parametrize("read_by", ["offset", "position"])
def test_reader_never_skips_an_event_during_concurrent_writes(client, api_for, apps, stream, read_by):
    api_for(apps[0], stream).append_events(1, "A")
    has_finished_writing = Event()

    def read_all():
        api, seen = api_for(apps[0], stream), []
        while True:
            is_last = has_finished_writing.is_set()
            if read_by == "offset":
                page = api.read("A", limit=7).json
            else:
                page = api.client.get(f"{api.path}/events?from={len(seen) + 1}&limit=7").json
            seen.extend(event["event"]["id"] for event in page)
            if page and read_by == "offset":
                assert api.acknowledge(page[-1]["event"]["id"], upTo="1").status_code == 200
            if is_last and not page:
                return seen

    def write(number):
        api = api_for(apps[number % 2], stream)
        return [id_ for step in range(15) for id_ in api.append_events(1 + step % 3, "A")]

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all)
        written = [id_ for thread_ids in run_concurrently(8, write) for id_ in thread_ids]
        has_finished_writing.set()
        seen = reading.result(timeout=120)
    assert len(seen) == len(written) + 1
    assert set(written) <= set(seen)


def test_twenty_acks_of_one_event_move_the_offset_by_one(client, api_for, apps, stream):
    ids = api_for(apps[0], stream).append_events(3)
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).acknowledge(ids[0]))
    assert {(response.status_code, response.json) for response in responses} == {(200, "OK")}
    assert api_for(apps[0], stream).sequences() == [2, 3]


@pytest.mark.parametrize("name", ["OrderPlaced", "Other"])
def test_one_of_twenty_users_claims_a_new_consumer(client, api_for, apps, stream, an_event, name):
    """One user wins, regardless of whether the first events have one name or two."""
    api = api_for(apps[0], stream)
    (event_id,), (other_id,) = api.append_events(), api.append_events(name=name)

    def act(number):
        api = api_for(apps[number % 2], stream).as_user(f"user {number}")
        return api.set_offset(1) if number % 5 == 0 else api.acknowledge(other_id if number % 3 == 0 else event_id)

    responses = run_concurrently(20, act)
    winners = {n for n, response in enumerate(responses) if response.status_code == 200}
    # An acknowledgement out of order claims nothing.
    assert {response.status_code for response in responses} <= {200, 400, 403}
    assert len(winners) == 1
    (winner,) = winners
    api = api.as_user(f"user {winner}")
    assert api.set_offset(0).status_code == 200
    assert all(api.as_user(f"user {n}").set_offset(0).status_code == 403 for n in range(20) if n != winner)


def test_one_of_two_concurrent_users_becomes_and_stays_the_owner(client, api_for, apps, stream):
    ids = api_for(apps[0], stream).append_events(10)

    def acknowledge(id_):
        responses = run_concurrently(2, lambda n: api_for(apps[n], stream).as_user(("ann", "bob")[n]).acknowledge(id_))
        return [response.status_code for response in responses]

    first = acknowledge(ids[0])
    assert sorted(first) == [200, 403]
    assert [acknowledge(id_) for id_ in ids[1:]] == [first] * 9
    (state,) = api_for(apps[0], stream).consumers()
    assert state["offset"] == 10


def test_twenty_concurrent_nacks_park_one_event_once(client, api_for, apps, stream):
    ids = api_for(apps[0], stream).append_events(3)
    responses = run_concurrently(20, lambda n: api_for(apps[n % 2], stream).acknowledge(ids[0], "NACK"))
    assert {response.status_code for response in responses} == {200}
    api = api_for(apps[0], stream)
    assert api.sequences() == [2, 3]
    parked = api.parked()
    assert [(event["event"]["id"], event["nacks"]) for event in parked["parked"]] == [(ids[0], 5)]


def test_concurrent_acks_and_offset_resets_keep_the_offset_valid(client, api_for, apps, stream):
    ids = api_for(apps[0], stream).append_events(5)

    def act(number):
        api = api_for(apps[number % 2], stream)
        return api.set_offset(0) if number % 4 == 0 else api.acknowledge(ids[number % 5])

    assert {response.status_code for response in run_concurrently(20, act)} <= {200, 400}
