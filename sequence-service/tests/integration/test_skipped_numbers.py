"""Skipping numbers of all sequences, as after a restore."""

from datetime import UTC, datetime

import pytest

from sequence_service.domain.sequences import BUILT_IN_RANGES
from sequence_service.operations.sequences import skip_in_all


@pytest.fixture
def skip(app):
    def skip(count, now=None):
        with app.database.transaction() as tx:
            return skip_in_all(tx, count, now or datetime.now(UTC))

    return skip


def put(client, name, **definition):
    response = client.put(f"/sequences/{name}", json={"minimum": 1, "maximum": 5000, **definition})
    assert response.status_code in (200, 201)


def issue(client, name, n=1):
    return client.post(f"/sequences/{name}/next", json={"n": n}).json.get("sequence_list")


def test_each_sequence_continues_after_the_skipped_numbers(client, skip):
    put(client, "invoice")
    put(client, "unused")
    issue(client, "invoice", 2)
    before = issue(client, "image-sequence")[0]
    assert skip(1000) == 2 + len(BUILT_IN_RANGES)
    assert (issue(client, "invoice"), issue(client, "unused")) == ([1003], [1001])
    assert issue(client, "image-sequence") == [before + 1001]


def test_non_cyclic_sequence_is_exhausted_at_most(client, skip):
    put(client, "small", maximum=10)
    put(client, "cyclic", maximum=10, cycle=True)
    skip(1003)
    assert client.get("/sequences/small").json["remaining"] == 0
    assert issue(client, "cyclic") == [4]


def test_deleted_sequence_skips_the_numbers_too(client, skip):
    put(client, "invoice")
    issue(client, "invoice")
    client.delete("/sequences/invoice")
    skip(10)
    put(client, "invoice")
    assert issue(client, "invoice") == [12]


def test_numbers_of_the_period_that_began_after_the_backup_are_skipped(client, app, skip):
    put(client, "receipt", format="{year}-{:04d}", reset="year")
    issue(client, "receipt", 7)
    with app.database.transaction() as tx:
        tx.run("UPDATE sequences SET period = '2020' WHERE name = 'receipt'")
    skip(10)
    assert issue(client, "receipt") == [11]


def test_skipped_numbers_are_published_and_keep_the_invariants(client, skip, outbox):
    put(client, "invoice", maximum=100, audit=True)
    issue(client, "invoice")
    skip(95)
    names = [type_ for type_, body in outbox() if body["payload"]["name"] == "invoice"]
    assert names == ["SequenceAdvanced", "SequenceNearlyExhausted"]
    assert client.get("/invariants").json["status"] == "OK"
