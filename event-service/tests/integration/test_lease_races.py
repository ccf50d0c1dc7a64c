"""Concurrent readers of one consumer, through two apps that, like two web processes, each have a separate pool."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from event_service.app import create_app
from quintet_testing.waiting import eventually

READERS = 20


@pytest.fixture(scope="module")
def apps(settings):
    # Readers queue for connections rather than for the lock of the offset: on a busy machine, that would time out.
    patient = settings.model_copy(update={"pool_size": 4})
    return [create_app(patient), create_app(patient)]


@pytest.fixture
def apis(client, api_for, apps, stream):
    return [api_for(app, stream) for app in apps]


def run_concurrently(count, act):
    """Call `act(number)` in `count` threads that start at the same moment."""
    barrier = Barrier(count)

    def start(number):
        barrier.wait()
        return act(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def test_twenty_concurrent_readers_never_receive_the_same_event(apis):
    for _ in range(4):
        apis[0].append_events(50)

    def read(number):
        pages = [apis[number % 2].read(lease=3600, limit=3) for _ in range(5)]
        assert {response.status_code for response in pages} == {200}
        return [event["sequence"] for response in pages for event in response.json]

    sequences = [sequence for thread_sequences in run_concurrently(READERS, read) for sequence in thread_sequences]
    assert sorted(sequences) == list(range(1, 201))


def test_twenty_waiting_readers_divide_the_appended_events(apis, apps):
    ids = apis[0].append_events(1)
    apis[0].set_offset(1)

    def read(number):
        response = apis[number % 2].read(lease=3600, limit=1, wait=30)
        assert response.status_code == 200
        return [event["sequence"] for event in response.json]

    with ThreadPoolExecutor(READERS) as pool:
        readers = [pool.submit(read, number) for number in range(READERS)]
        pollers = [app.extensions["event"].poller for app in apps]
        eventually(lambda: sum(len(w) for poller in pollers for w in poller._waiters.values()) == READERS)
        ids = apis[1].append_events(READERS)
        received = [sequence for reader in readers for sequence in reader.result(timeout=60)]
    assert sorted(received) == list(range(2, READERS + 2))
    assert len(ids) == READERS


def test_concurrent_readers_process_each_event_once_and_the_offset_reaches_the_end(apis):
    """Some events get a NACK first; nothing is lost, nothing is processed twice, and nothing blocks."""
    ids = apis[0].append_events(120)
    processed, rejected = [], []

    def work(number):
        api = apis[number % 2]
        while len(processed) < len(ids):
            for event in api.read(lease=3600, limit=4).json:
                sequence = event["sequence"]
                if sequence % 7 == 0 and sequence not in rejected:
                    rejected.append(sequence)
                    response = api.acknowledge(event["event"]["id"], "NACK", delay="0")
                else:
                    processed.append(sequence)
                    response = api.acknowledge(event["event"]["id"])
                assert response.json == "OK"

    run_concurrently(8, work)
    assert sorted(processed) == list(range(1, 121))
    assert [state["offset"] for state in apis[0].consumers()] == [120]
    assert apis[0].lease() == []


def test_twenty_acks_of_leased_events_in_any_order_move_the_offset_to_the_end(apis):
    ids = apis[0].append_events(READERS)
    apis[0].lease()
    responses = run_concurrently(READERS, lambda n: apis[n % 2].acknowledge(ids[n * 7 % READERS]))
    assert {(response.status_code, response.json) for response in responses} == {(200, "OK")}
    assert [state["offset"] for state in apis[0].consumers()] == [READERS]


def test_leases_acknowledgements_resets_and_deletions_at_the_same_time_keep_the_data_valid(apis):
    """The invariants are checked after the test; a deadlock returns 409."""
    ids = apis[0].append_events(10)

    def act(number):
        api = apis[number % 2]
        for step in range(number, number + 6):
            id_ = ids[step % 10]
            response = (
                lambda: api.read(lease=3600, limit=3),
                lambda id_=id_: api.acknowledge(id_, upTo="1"),
                lambda id_=id_: api.acknowledge(id_, "NACK", delay="0"),
                lambda: api.set_offset(number % 3),
                api.replay_all,
                api.delete_consumer,
            )[step % 6]()
            assert response.status_code in (200, 204, 400, 409)

    run_concurrently(12, act)


def test_one_of_twenty_users_claims_a_new_consumer_by_leasing(apis):
    apis[0].append_events(READERS)
    responses = run_concurrently(READERS, lambda n: apis[n % 2].as_user(f"user {n}").read(lease=60, limit=1))
    assert sorted(response.status_code for response in responses) == [200] + [403] * (READERS - 1)
