"""A consumer may have 10,000 leases: what a read costs must not grow with their number, or only in proportion to it."""

import pytest

from event_service.domain.offsets import MAX_LEASES
from event_service.store import leases


@pytest.fixture
def leased_count(api):
    """Lease events in pages, with statistics of the table from before them, and return their number."""
    for _ in range(2):
        api.append_events(1000)
        assert len(api.lease()) == 1000
    return 2000


@pytest.fixture
def count_rows_read(db):
    """Return a function that returns how many rows of `leases` Postgres reads for `run(tx)`."""

    def count(run):
        with db.transaction() as tx:
            run(tx)
            return tx.value(
                """
                SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables
                WHERE schemaname = current_schema() AND relname = 'leases'
                """
            )

    return count


def test_polling_reader_reads_few_of_the_leases(api, leased_count, count_rows_read):
    state = None

    def poll(tx):
        nonlocal state
        state = leases.find_lease_state(tx, api.stream, "OrderPlaced", "consumer")

    assert count_rows_read(poll) < 100
    assert state.last_leased == leased_count
    assert 3500 < state.available_seconds <= 3600


def test_claim_reads_the_leases_a_few_times_rather_than_once_for_each(
    api, db, leased_count, end_leases, count_rows_read
):
    with db.transaction() as tx:
        feed_id = tx.value("SELECT DISTINCT series_id FROM leases")

    def claim(tx):
        leases.claim_available(tx, feed_id, "consumer", 100, 60)

    assert count_rows_read(claim) < 10 * leased_count
    end_leases()
    assert count_rows_read(claim) < 10 * leased_count
    assert api.lease(limit=1000) == list(range(101, 1101))


@pytest.mark.slow
def test_consumer_leases_and_acknowledges_the_maximum(api):
    ids = [event_id for _ in range(11) for event_id in api.append_events(1000)]
    pages = [api.lease() for _ in range(11)]
    assert [sequence for page in pages for sequence in page] == list(range(1, MAX_LEASES + 1))
    assert api.acknowledge(ids[MAX_LEASES - 1]).json == "OK"
    assert api.acknowledge(ids[MAX_LEASES - 2], upTo="1").json == "OK"
    assert api.consumers()[0]["offset"] == MAX_LEASES
    assert api.lease() == list(range(MAX_LEASES + 1, MAX_LEASES + 1001))
