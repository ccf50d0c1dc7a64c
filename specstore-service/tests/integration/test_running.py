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
    return api.create_flow()


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


def test_first_attempt_starts_the_flow(api, flow, take, outbox_bodies):
    assert take(f"{flow}/reds_csv") == 1
    assert api.get(flow).json["state"] == "INPROGRESS"
    assert len(outbox_bodies("FlowStarted")) == 1


def test_leased_pipeline_is_unavailable_to_other_workers(flow, take, lose_lease):
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


def test_newest_attempt_can_renew_an_expired_lease(flow, take, extend, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    assert extend(f"{flow}/reds", 1)


def test_superseded_attempt_loses_its_lease(flow, take, extend, lose_lease):
    take(f"{flow}/reds")
    lose_lease(f"{flow}/reds")
    take(f"{flow}/reds")
    assert (extend(f"{flow}/reds", 1), extend(f"{flow}/reds", 2)) == (False, True)


def test_pipeline_that_is_not_runnable_gets_no_attempt(api, flow, take, say):
    assert take(f"{flow}/wines_zip") is None
    say(f"{flow}/reds", "finish", success=True)
    assert take(f"{flow}/reds") is None
    say(f"{flow}/validation_report", "finish", success=False)
    assert take(f"{flow}/wines_zip") is None
    with pytest.raises(NotFound):
        take(f"{flow}/other")


def test_attempt_of_a_canceled_pipeline_loses_its_lease(api, flow, take, extend):
    take(f"{flow}/reds_csv")
    api.post(f"{flow}/cancel")
    assert not extend(f"{flow}/reds_csv", 1)
    assert take(f"{flow}/reds_json") is None


def test_concurrent_workers_begin_one_attempt(api, flow, take):
    for _ in range(10):
        pipeline, got = f"{api.create_flow()}/reds", []
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
