"""What the built-in runner asks for: an attempt of its own, and to be listened to only while it is the newest."""

import threading
from datetime import UTC, datetime

import pytest

from chassis.errors import NotFound, Unavailable
from specstore_service.operations import updates
from specstore_service.operations.updates import Trigger, Update
from specstore_service.store import jobs
from specstore_service.store.jobs import Attempt


@pytest.fixture
def flow(api):
    return api.uploaded()


@pytest.fixture
def take(db):
    def take(pipeline):
        with db.transaction() as tx:
            return updates.begin_attempt(tx, pipeline, 30, datetime.now(UTC), Trigger("r-1"))

    return take


@pytest.fixture
def say(db):
    def say(pipeline, event, **more):
        with db.transaction() as tx:
            return updates.apply(tx, Update(pipeline, event, **more), datetime.now(UTC), Trigger("r-1"))

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


@pytest.fixture
def extend(db):
    def extend(pipeline, number):
        with db.transaction() as tx:
            job = jobs.get_job(tx, pipeline)
            return jobs.extend_lease(tx, Attempt(job["flow"], job["position"], number), 30)

    return extend


def test_the_newest_attempt_may_continue_after_its_lease_has_ended(flow, take, extend, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    assert extend(f"{flow}/reds", 1)


def test_an_attempt_that_was_taken_over_loses_its_lease(flow, take, extend, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    take(f"{flow}/reds")
    assert (extend(f"{flow}/reds", 1), extend(f"{flow}/reds", 2)) == (False, True)


def test_there_is_nothing_to_take_where_nothing_is_to_be_done(api, flow, take, say):
    assert take(f"{flow}/wines_zip") is None
    say(f"{flow}/reds", "finish", success=True)
    assert take(f"{flow}/reds") is None
    say(f"{flow}/validation_report", "finish", success=False)
    assert take(f"{flow}/wines_zip") is None
    with pytest.raises(NotFound):
        take(f"{flow}/other")


def test_an_attempt_whose_pipeline_is_cancelled_loses_its_lease(api, flow, take, extend):
    take(f"{flow}/reds_csv")
    api.post(f"{flow}/cancel")
    assert not extend(f"{flow}/reds_csv", 1)
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
