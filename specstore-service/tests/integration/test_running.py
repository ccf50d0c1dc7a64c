"""What the built-in runner asks for: an attempt of its own, and to be listened to only while it is the newest."""

import threading
from datetime import UTC, datetime

import pytest

from chassis.errors import NotFound, Unavailable
from specstore_service.operations import updates
from specstore_service.operations.updates import Cause, Update


@pytest.fixture
def flow(api):
    return api.uploaded()


@pytest.fixture
def take(db):
    def take(pipeline):
        with db.transaction() as tx:
            return updates.take(tx, pipeline, datetime.now(UTC), Cause("r-1"))

    return take


@pytest.fixture
def say(db):
    def say(pipeline, event, **more):
        with db.transaction() as tx:
            return updates.apply(tx, Update(pipeline, event, **more), datetime.now(UTC), Cause("r-1"))

    return say


@pytest.fixture
def lose_lease(db):
    """As if the worker had been silent for so long."""

    def lose(pipeline):
        with db.transaction() as tx:
            tx.run("UPDATE pipelines SET leased_until = now() - interval '1 s' WHERE name = %(name)s", name=pipeline)

    return lose


def test_an_attempt_begins_the_pipeline(api, flow, take, outbox_of):
    assert take(f"{flow}/reds_csv") == 1
    assert api.status(flow).json["state"] == "INPROGRESS"
    assert len(outbox_of("FlowStarted")) == 1


def test_while_one_worker_has_it_others_wait(flow, take, lose_lease):
    assert take(f"{flow}/reds") == 1
    with pytest.raises(Unavailable):
        take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    assert take(f"{flow}/reds") == 2


def test_the_newest_attempt_is_heard(flow, take, say, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    assert not say(f"{flow}/reds", "progress", attempt=1).is_over


def test_an_attempt_that_was_taken_over_is_not_heard(api, flow, take, say, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    take(f"{flow}/reds")
    for event in ("progress", "finish"):
        outcome = say(f"{flow}/reds", event, success=False, errors=["late"], log=["late"], attempt=1)
        assert outcome.is_over
    told = api.status(flow).json
    assert told["pipelines"][f"{flow}/reds"]["status"] == "INPROGRESS" and "late" not in str(told)
    assert say(f"{flow}/reds", "finish", success=True, attempt=2).is_over
    assert api.status(flow).json["pipelines"][f"{flow}/reds"]["status"] == "SUCCEEDED"


def test_there_is_nothing_to_take_where_nothing_is_to_be_done(api, flow, take, say):
    assert take(f"{flow}/wines_zip") is None
    say(f"{flow}/reds", "finish", success=True)
    assert take(f"{flow}/reds") is None
    say(f"{flow}/validation_report", "finish", success=False)
    assert take(f"{flow}/wines_zip") is None
    with pytest.raises(NotFound):
        take(f"{flow}/other")


def test_who_is_cancelled_is_told_to_stop(api, flow, take, say):
    take(f"{flow}/reds_csv")
    api.post(f"{flow}/cancel")
    assert say(f"{flow}/reds_csv", "progress", attempt=1).is_over
    assert take(f"{flow}/reds_json") is None


def test_of_ten_who_take_at_once_one_gets_it(api, flow, take):
    for _ in range(10):
        pipeline, got = f"{api.uploaded()}/reds", []
        barrier = threading.Barrier(4)

        def one(pipeline=pipeline, got=got, barrier=barrier):
            barrier.wait()
            try:
                got.append(take(pipeline))
            except Unavailable:
                got.append("busy")

        threads = [threading.Thread(target=one) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, got)) == ["1", "busy", "busy", "busy"]
