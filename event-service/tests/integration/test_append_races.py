"""Threads on two apps, each with a pool and a batcher of its own, as two web processes have."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from event_service.app import create_app


@pytest.fixture(scope="module")
def apps(settings):
    return [create_app(settings), create_app(settings)]


def together(count, act):
    """`act(number)` in as many threads, which begin at the same moment."""
    barrier = Barrier(count)

    def one(number):
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.parametrize("round_", range(5))
def test_of_twenty_first_writers_one_wins(client, api_of, apps, stream, round_):
    answers = together(20, lambda n: api_of(apps[n % 2], stream).append(producer=f"producer {n}"))
    assert sorted(answer.status_code for answer in answers) == [200] + [423] * 19
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
    (event,) = api_of(apps[0], stream).read().json
    assert event["producer"] == f"producer {winner}"
    assert event["event"]["id"] == answers[winner].json


@pytest.mark.parametrize("how", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_of_twenty_first_writers_of_different_users_one_wins(client, api_of, apps, stream, how):
    """With the same producer ID."""
    answers = together(20, lambda n: api_of(apps[n % 2], stream).by(f"user {n}").append(**how))
    assert sorted(answer.status_code for answer in answers) == [200] + [423] * 19
    winner = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
    (event,) = api_of(apps[0], stream).read().json
    assert (event["user"], event["event"]["id"]) == (f"user {winner}", answers[winner].json)


@pytest.mark.parametrize("round_", range(3))
def test_a_stream_without_an_owner_gets_exactly_one_of_twenty_users(client, api_of, apps, stream, round_):
    api_of(apps[0], stream).by(None).append()
    answers = together(20, lambda n: api_of(apps[n % 2], stream).by(f"user {n}").append())
    assert sorted(answer.status_code for answer in answers) == [200] + [423] * 19
    assert len(api_of(apps[0], stream).read().json) == 2


def test_owner_and_admin_append_at_the_same_time(client, api_of, apps, stream):
    api = api_of(apps[0], stream)
    api.append()

    def act(number):
        own = api_of(apps[number % 2], stream)
        return (own if number % 4 < 2 else own.by("root", "admin")).append()

    assert {answer.status_code for answer in together(20, act)} == {200}
    users = [event["user"] for event in api.read().json]
    assert (users.count("ann"), users.count("root")) == (11, 10)


def test_a_schema_beside_the_first_append_of_another_user_never_binds_it(client, api_of, apps, stream, an_event):
    for round_ in range(10):
        api = api_of(apps[0], f"{stream} {round_}")
        bob = api_of(apps[1], f"{stream} {round_}").by("bob")
        answers = together(4, lambda n, api=api, bob=bob: bob.put_schema(False) if n % 2 else api.append())
        assert [answer.status_code for answer in answers[::2]] == [200, 200]
        assert {answer.status_code for answer in answers[1::2]} <= {200, 403}
        assert api.append().status_code == 200


def test_appends_at_the_same_time_leave_no_gap_and_no_twin(client, api_of, apps, stream, an_event):
    def act(number):
        api = api_of(apps[number % 2], stream)
        ids = []
        for turn in range(10):
            if turn % 3:
                ids.append(api.append(an_event("AB"[turn % 2])).json)
            else:
                ids.extend(api.append([an_event("A"), an_event("B"), an_event("A")]).json)
            # Refused ones must not use up a position.
            assert api.append(producer="another").status_code == 423
            assert api.append(an_event(version=0)).status_code == 400
        return ids

    ids = [id_ for some in together(8, act) for id_ in some]
    page = client.get(f"/api/v1/streams/{stream}/events?from=1&limit=1000").json
    assert [event["position"] for event in page] == list(range(1, len(ids) + 1))
    assert {event["event"]["id"] for event in page} == set(ids)
    for name in "AB":
        sequences = [event["sequence"] for event in page if event["event"]["name"] == name]
        assert sequences == list(range(1, len(sequences) + 1))


def test_many_streams_and_producers_in_the_same_batches(client, api_of, apps, stream):
    def act(number):
        api = api_of(apps[number % 2], f"{stream} {number % 5}")
        return [api.append(producer=f"p {number % 10}").status_code for _ in range(10)]

    answers = together(20, act)
    for wanted in range(5):
        got = [set(answers[number]) for number in range(20) if number % 5 == wanted]
        # Of two producers for each stream one owns it; four threads, two of each.
        assert sorted(got, key=sorted) == [{200}, {200}, {423}, {423}]


def test_one_of_twenty_equal_expectations_holds(client, api_of, apps, stream):
    api_of(apps[0], stream).appended(3)
    answers = together(20, lambda n: api_of(apps[n % 2], stream).append(X_Expected_Position="3"))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert api_of(apps[0], stream).sequences() == [1, 2, 3, 4]


def test_of_twenty_who_expect_a_new_stream_one_makes_it(client, api_of, apps, stream):
    answers = together(20, lambda n: api_of(apps[n % 2], stream).append(X_Expected_Position="0"))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19


def test_twenty_equal_keys_have_one_effect(client, api_of, apps, stream):
    answers = together(20, lambda n: api_of(apps[n % 2], stream).append(Idempotency_Key="key"))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.json for answer in answers if answer.status_code == 200}) == 1
    assert api_of(apps[0], stream).sequences() == [1]


@pytest.mark.parametrize("feed", ["offset", "position"])
def test_a_reader_beside_writers_never_skips(client, api_of, apps, stream, feed):
    api_of(apps[0], stream).appended(1, "A")
    done = Event()

    def read_all():
        api, seen = api_of(apps[0], stream), []
        while True:
            is_last = done.is_set()
            if feed == "offset":
                page = api.read("A", limit=7).json
            else:
                page = api.client.get(f"{api.path}/events?from={len(seen) + 1}&limit=7").json
            seen.extend(event["event"]["id"] for event in page)
            if page and feed == "offset":
                assert api.settle(page[-1]["event"]["id"], upTo="1").status_code == 200
            if is_last and not page:
                return seen

    def write(number):
        api = api_of(apps[number % 2], stream)
        return [id_ for turn in range(15) for id_ in api.appended(1 + turn % 3, "A")]

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read_all)
        written = [id_ for some in together(8, write) for id_ in some]
        done.set()
        seen = reading.result(timeout=30)
    assert len(seen) == len(written) + 1
    assert set(written) <= set(seen)


def test_twenty_acks_of_one_event_move_the_offset_by_one(client, api_of, apps, stream):
    ids = api_of(apps[0], stream).appended(3)
    answers = together(20, lambda n: api_of(apps[n % 2], stream).settle(ids[0]))
    assert {(answer.status_code, answer.json) for answer in answers} == {(200, "OK")}
    assert api_of(apps[0], stream).sequences() == [2, 3]


@pytest.mark.parametrize("name", ["OrderPlaced", "Other"])
def test_of_twenty_users_who_begin_a_consumer_one_owns_it(client, api_of, apps, stream, an_event, name):
    """Also if they begin with events of two names."""
    api = api_of(apps[0], stream)
    (one,), (other,) = api.appended(), api.appended(name=name)

    def act(number):
        own = api_of(apps[number % 2], stream).by(f"user {number}")
        return own.set_offset(1) if number % 5 == 0 else own.settle(other if number % 3 == 0 else one)

    answers = together(20, act)
    winners = {n for n, answer in enumerate(answers) if answer.status_code == 200}
    # An acknowledgement out of order claims nothing.
    assert {answer.status_code for answer in answers} <= {200, 400, 403}
    assert len(winners) == 1
    (winner,) = winners
    api = api.by(f"user {winner}")
    assert api.set_offset(0).status_code == 200
    assert all(api.by(f"user {n}").set_offset(0).status_code == 403 for n in range(20) if n != winner)


def test_of_two_users_who_acknowledge_at_the_same_time_one_becomes_the_owner_and_stays_it(client, api_of, apps, stream):
    ids = api_of(apps[0], stream).appended(10)

    def acknowledge(id_):
        answers = together(2, lambda n: api_of(apps[n], stream).by(("ann", "bob")[n]).settle(id_))
        return [answer.status_code for answer in answers]

    first = acknowledge(ids[0])
    assert sorted(first) == [200, 403]
    assert [acknowledge(id_) for id_ in ids[1:]] == [first] * 9
    (state,) = api_of(apps[0], stream).consumers()
    assert state["offset"] == 10


def test_twenty_refusals_at_once_park_one_event_once(client, api_of, apps, stream):
    ids = api_of(apps[0], stream).appended(3)
    answers = together(20, lambda n: api_of(apps[n % 2], stream).settle(ids[0], "NACK"))
    assert {answer.status_code for answer in answers} == {200}
    api = api_of(apps[0], stream)
    assert api.sequences() == [2, 3]
    parked = api.parked()
    assert [(event["event"]["id"], event["nacks"]) for event in parked["parked"]] == [(ids[0], 5)]


def test_acks_beside_a_reset_leave_an_offset_that_holds(client, api_of, apps, stream):
    ids = api_of(apps[0], stream).appended(5)

    def act(number):
        api = api_of(apps[number % 2], stream)
        return api.set_offset(0) if number % 4 == 0 else api.settle(ids[number % 5])

    assert {answer.status_code for answer in together(20, act)} <= {200, 400}
