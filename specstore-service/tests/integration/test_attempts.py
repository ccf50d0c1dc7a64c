"""The built-in runner claims attempts with a lease, and only the newest attempt of a pipeline counts."""

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
def begin_attempt(db):
    def begin_attempt(pipeline):
        with db.transaction() as tx:
            return updates.begin_attempt(tx, pipeline, 30, datetime.now(UTC), Trigger("r-1"))

    return begin_attempt


@pytest.fixture
def update(db):
    def update(pipeline, event, **fields):
        with db.transaction() as tx:
            return updates.apply(tx, Update(pipeline, event, **fields), datetime.now(UTC), Trigger("r-1"))

    return update


@pytest.fixture
def expire_lease(db):
    """Expire the lease of a pipeline, as when its worker has not renewed it in time."""

    def expire_lease(pipeline):
        with db.transaction() as tx:
            tx.run("UPDATE pipelines SET leased_until = now() - interval '1 s' WHERE name = %(name)s", name=pipeline)

    return expire_lease


def test_first_attempt_starts_the_flow(api, flow, begin_attempt, outbox_bodies):
    assert begin_attempt(f"{flow}/reds_csv") == 1
    assert api.get(flow).json["state"] == "INPROGRESS"
    assert len(outbox_bodies("FlowStarted")) == 1


def test_leased_pipeline_is_unavailable_to_other_workers(flow, begin_attempt, expire_lease):
    assert begin_attempt(f"{flow}/reds") == 1
    with pytest.raises(Unavailable):
        begin_attempt(f"{flow}/reds")
    expire_lease(f"{flow}/reds")
    assert begin_attempt(f"{flow}/reds") == 2


@pytest.fixture
def renew_lease(db):
    def renew_lease(pipeline, number):
        with db.transaction() as tx:
            job = jobs.get_job(tx, pipeline)
            return jobs.renew_lease(tx, Attempt(job["flow"], job["position"], number), 30)

    return renew_lease


def test_newest_attempt_can_renew_an_expired_lease(flow, begin_attempt, renew_lease, expire_lease):
    begin_attempt(f"{flow}/reds")
    expire_lease(f"{flow}/reds")
    assert renew_lease(f"{flow}/reds", 1)


def test_superseded_attempt_loses_its_lease(flow, begin_attempt, renew_lease, expire_lease):
    begin_attempt(f"{flow}/reds")
    expire_lease(f"{flow}/reds")
    begin_attempt(f"{flow}/reds")
    assert (renew_lease(f"{flow}/reds", 1), renew_lease(f"{flow}/reds", 2)) == (False, True)


def test_pipeline_that_is_not_runnable_gets_no_attempt(api, flow, begin_attempt, update):
    assert begin_attempt(f"{flow}/wines_zip") is None
    update(f"{flow}/reds", "finish", success=True)
    assert begin_attempt(f"{flow}/reds") is None
    update(f"{flow}/validation_report", "finish", success=False)
    assert begin_attempt(f"{flow}/wines_zip") is None
    with pytest.raises(NotFound):
        begin_attempt(f"{flow}/other")


def test_attempt_of_a_canceled_pipeline_loses_its_lease(api, flow, begin_attempt, renew_lease):
    begin_attempt(f"{flow}/reds_csv")
    api.post(f"{flow}/cancel")
    assert not renew_lease(f"{flow}/reds_csv", 1)
    assert begin_attempt(f"{flow}/reds_json") is None


def test_concurrent_workers_begin_one_attempt(api, flow, begin_attempt):
    for _ in range(10):
        pipeline, results = f"{api.create_flow()}/reds", []
        barrier = threading.Barrier(4)

        def begin(pipeline=pipeline, results=results, barrier=barrier):
            barrier.wait()
            try:
                results.append(begin_attempt(pipeline))
            except Unavailable:
                results.append("busy")

        threads = [threading.Thread(target=begin) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(map(str, results)) == ["1", "busy", "busy", "busy"]
