"""Appends that arrive while a process waits for Postgres are sent as one batch."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from event_service.batcher import AppendFailed
from event_service.domain.events import Append
from quintet_testing.waiting import eventually


@pytest.fixture
def pool():
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def gather_appends(app, api, db, pool):
    """Return a context manager: `count` appends that start in its block are sent as one batch when it ends."""
    batcher = app.extensions["event"].append_batcher

    @contextmanager
    def gather(count):
        api.append()
        with db.transaction() as tx:
            tx.rows("SELECT 1 FROM streams WHERE name = %(name)s FOR UPDATE", name=api.stream)
            first_writer = pool.submit(api.append)
            eventually(lambda: batcher._has_leader and not batcher._waiting)
            yield
            eventually(lambda: len(batcher._waiting) == count)
        assert first_writer.result(60).status_code == 200

    return gather


def test_batched_appends_share_a_commit_and_get_separate_responses(gather_appends, api_for, app, api, pool, db):
    streams = [f"{api.stream} {number}" for number in range(3)]
    with gather_appends(5):
        accepted = [pool.submit(api_for(app, stream).append) for stream in streams]
        second_writer = pool.submit(api.as_user("bob").append)
        conflict = pool.submit(api.append, X_Expected_Position="9")
    assert [response.result(60).status_code for response in accepted] == [200] * 3
    assert second_writer.result(60).status_code == 423
    assert conflict.result(60).json == "Conflict - stream is at 2"
    ids = [response.result(60).json for response in accepted]
    with db.transaction() as tx:
        rows = tx.rows("SELECT xmin::text FROM events WHERE id = ANY (%(ids)s::uuid[])", ids=ids)
    assert len(rows) == 3 and len(set(rows)) == 1


def test_append_that_postgres_cannot_parse_does_not_affect_others(gather_appends, api_for, app, api, pool, an_event):
    broken = Append("broken", "producer", "r-1", ["not a UUID"], [an_event()])
    batcher = app.extensions["event"].append_batcher
    with gather_appends(2):
        failed = pool.submit(batcher.submit, broken)
        valid = pool.submit(api_for(app, f"{api.stream} valid").append)
    with pytest.raises(AppendFailed):
        failed.result(60)
    assert valid.result(60).status_code == 200
    assert api_for(app, f"{api.stream} valid").sequences() == [1]
    assert api_for(app, "broken").read().status_code == 404
