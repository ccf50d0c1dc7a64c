"""The metric of the share of numbers that are left."""

import pytest

from sequence_service.store.sequences import list_remaining_ratios


@pytest.fixture
def ratios(db):
    def read():
        with db.transaction() as tx:
            return list_remaining_ratios(tx)

    return read


def test_share_decreases_and_cyclic_and_deleted_sequences_have_none(client, ratios):
    client.put("/sequences/ends", json={"minimum": 1, "maximum": 8})
    client.put("/sequences/cycles", json={"minimum": 1, "maximum": 8, "cycle": True})
    client.put("/sequences/deleted", json={"minimum": 1, "maximum": 8})
    client.delete("/sequences/deleted")
    assert ratios() == {"ends": 1}
    client.post("/sequences/ends/next", json={"n": 6})
    assert ratios() == {"ends": 0.25}
    client.post("/sequences/ends/next", json={"n": 2})
    assert ratios() == {"ends": 0}


def test_share_is_that_of_the_current_period(client, db, ratios):
    client.put("/sequences/inv", json={"minimum": 1, "maximum": 4, "format": "{year}-{}", "reset": "year"})
    client.post("/sequences/inv/next", json={"n": 3})
    assert ratios() == {"inv": 0.25}
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET period = '2025' WHERE name = 'inv'")
    assert ratios() == {"inv": 1}


def test_only_the_twenty_sequences_that_end_first_are_listed(client, ratios):
    for number in range(25):
        client.put(f"/sequences/s{number:02}", json={"minimum": 1, "maximum": 100})
        client.post(f"/sequences/s{number:02}/next", json={"n": number + 1})
    assert ratios() == {f"s{number:02}": pytest.approx((99 - number) / 100) for number in range(5, 25)}
