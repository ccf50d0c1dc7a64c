import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from event_service.app import create_app
from quintet_testing.waiting import eventually


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


def timed(act):
    began = time.monotonic()
    response = act()
    return response, time.monotonic() - began


def waiting(app):
    return sum(len(waiters) for waiters in app.extensions["event"].poller._waiters.values())


def test_what_is_there_is_given_at_once(api):
    api.appended()
    response, seconds = timed(lambda: api.read(wait=30))
    assert len(response.json) == 1 and seconds < 10


def test_when_the_time_is_up_the_page_is_empty(api, app):
    (id_,) = api.appended()
    api.settle(id_)
    response, seconds = timed(lambda: api.read(wait=0.3))
    assert (response.status_code, response.json) == (200, [])
    assert 0.3 <= seconds < 5
    assert waiting(app) == 0


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_append_wakes_who_waits(api, api_of, app, settings, stream, pool, elsewhere):
    api.appended()
    writer = api_of(create_app(settings) if elsewhere else app, stream)
    readers = [pool.submit(lambda: (api.read("New", wait=30), time.monotonic())) for _ in range(4)]
    eventually(lambda: waiting(app) == 4)
    ids = writer.appended(2, "New")
    done_at = time.monotonic()
    for reader in readers:
        response, at = reader.result(timeout=5)
        assert [event["event"]["id"] for event in response.json] == ids
        assert at - done_at < 3


def test_an_event_of_another_name_wakes_nobody(api, app, pool):
    api.appended(1, "Other")
    reader = pool.submit(lambda: timed(lambda: api.read("New", wait=0.5)))
    eventually(lambda: waiting(app) == 1)
    api.appended(1, "Other")
    response, seconds = reader.result(timeout=5)
    assert response.json == [] and seconds >= 0.5


def test_the_process_asks_nothing_while_nobody_waits(api, app):
    api.appended()
    api.read("New", wait=0.1)
    eventually(lambda: not app.extensions["event"].poller._is_polling)
    assert api.read("New", wait=0.1).json == []


def test_a_process_that_ends_lets_its_readers_go(api, settings, api_of, stream, pool):
    api.appended()
    app = create_app(settings)
    stopping = []
    app.is_stopping = lambda: bool(stopping)
    reader = pool.submit(lambda: timed(lambda: api_of(app, stream).read("New", wait=30)))
    eventually(lambda: waiting(app) == 1)
    stopping.append(True)
    response, seconds = reader.result(timeout=5)
    assert response.json == [] and seconds < 5
