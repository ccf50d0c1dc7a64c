import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from chassis.db.notifications import Notifier
from event_service import poller
from event_service.app import create_app
from quintet_testing.waiting import eventually


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def only_notified(monkeypatch):
    """Let the poller query Postgres only after a notification, and never because time has passed."""
    monkeypatch.setattr(poller, "_MAX_PAUSE_SECONDS", 600)


def timed(send):
    start = time.monotonic()
    response = send()
    return response, time.monotonic() - start


def count_waiters(app):
    return sum(len(waiters) for waiters in app.extensions["event"].poller._waiters.values())


def test_existing_events_are_returned_immediately(api):
    api.append_events()
    response, seconds = timed(lambda: api.read(wait=30))
    assert len(response.json) == 1 and seconds < 20


def test_timeout_returns_an_empty_array(api, app):
    (id_,) = api.append_events()
    api.acknowledge(id_)
    response, seconds = timed(lambda: api.read(wait=0.3))
    assert (response.status_code, response.json) == (200, [])
    assert seconds >= 0.3
    assert count_waiters(app) == 0


@pytest.mark.usefixtures("only_notified")
@pytest.mark.parametrize("has_separate_app", [False, True], ids=["same app", "separate app"])
def test_append_wakes_waiting_readers(api, api_for, app, settings, stream, pool, has_separate_app):
    api.append_events()
    writer = api_for(create_app(settings) if has_separate_app else app, stream)
    readers = [pool.submit(lambda: (api.read("New", wait=30), time.monotonic())) for _ in range(4)]
    eventually(lambda: count_waiters(app) == 4)
    ids = writer.append_events(2, "New")
    appended_at = time.monotonic()
    for reader in readers:
        response, received_at = reader.result(timeout=60)
        assert [event["event"]["id"] for event in response.json] == ids
        assert received_at - appended_at < 20


@pytest.mark.usefixtures("only_notified")
def test_event_that_is_appended_before_the_reader_waits_is_not_missed(api, app, pool, monkeypatch):
    """Without any notification, the registration of the reader must cause the query that finds the event."""
    api.append_events()
    monkeypatch.setattr(Notifier, "request", lambda _self: None)
    other = pool.submit(lambda: api.read("Other", wait=20))
    eventually(lambda: count_waiters(app) == 1)
    wait, appended = app.extensions["event"].poller.wait, []

    def append_and_wait(*arguments):
        appended.extend(api.append_events(1, "New"))
        return wait(*arguments)

    monkeypatch.setattr(app.extensions["event"].poller, "wait", append_and_wait)
    response, seconds = timed(lambda: api.read("New", wait=20))
    assert [event["event"]["id"] for event in response.json] == appended and appended
    assert seconds < 15
    assert other.result(timeout=60).json == []


def test_event_whose_notification_is_missing_is_found_within_seconds(api, app, pool, monkeypatch):
    api.append_events()
    monkeypatch.setattr(Notifier, "request", lambda _self: None)
    reader = pool.submit(lambda: timed(lambda: api.read("New", wait=30)))
    eventually(lambda: count_waiters(app) == 1)
    ids = api.append_events(1, "New")
    response, seconds = reader.result(timeout=60)
    assert [event["event"]["id"] for event in response.json] == ids and seconds < 20


def test_event_of_another_name_wakes_no_reader(api, app, pool):
    api.append_events(1, "Other")
    reader = pool.submit(lambda: timed(lambda: api.read("New", wait=3)))
    eventually(lambda: count_waiters(app) == 1)
    api.append_events(1, "Other")
    response, seconds = reader.result(timeout=60)
    assert response.json == [] and seconds >= 3


def test_process_does_not_poll_if_no_reader_has_waited_recently(api, app, monkeypatch):
    monkeypatch.setattr(poller, "_LINGER_SECONDS", 0.1)
    api.append_events()
    api.read("New", wait=0.1)
    eventually(lambda: not app.extensions["event"].poller._is_running)
    assert api.read("New", wait=0.1).json == []


def test_stopping_process_responds_to_its_waiting_readers(api, settings, api_for, stream, pool):
    api.append_events()
    app = create_app(settings)
    stopping = []
    app.is_stopping = lambda: bool(stopping)
    reader = pool.submit(lambda: timed(lambda: api_for(app, stream).read("New", wait=30)))
    eventually(lambda: count_waiters(app) == 1)
    stopping.append(True)
    response, seconds = reader.result(timeout=60)
    assert response.json == [] and seconds < 20


def test_waiter_whose_thread_cannot_start_returns_503_and_the_next_one_waits(api_for, settings, stream, monkeypatch):
    # No reader has waited in this app before, so its poller is not running.
    app = create_app(settings)
    api = api_for(app, stream)
    (id_,) = api.append_events()
    api.acknowledge(id_)
    start = threading.Thread.start

    def fail(thread):
        if thread.name == "poller":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", fail)
        response = api.read(wait=30)
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    assert count_waiters(app) == 0
    timer = threading.Timer(0.2, api.append_events)
    timer.start()
    response, seconds = timed(lambda: api.read(wait=30))
    timer.join()
    assert [event["sequence"] for event in response.json] == [2]
    assert seconds < 20
