"""The record of who received which numbers."""

import threading

import pytest

from sequence_service.store import issued

AUDITED = {"minimum": 1, "maximum": 1_000_000, "audit": True}


@pytest.fixture
def put(client):
    return lambda **change: client.put("/sequences/inv", json={**AUDITED, **change})


@pytest.fixture
def issue(client):
    def issue(n=1, user="ann", **headers):
        headers = {"X-Authenticated-User": user, **headers}
        return client.post("/sequences/inv/next", json={"n": n}, headers=headers)

    return issue


@pytest.fixture
def list_issued(client):
    return lambda query="": client.get(f"/sequences/inv/issued{query}")


def ranges(response):
    return [(record["first"], record["last"]) for record in response.json["issued"]]


def test_numbers_are_recorded_with_their_user_and_request_newest_first(put, issue, list_issued):
    put()
    issue(3, **{"X-Request-ID": "r-1"})
    issue(1, "bob", **{"X-Request-ID": "r-2"})
    listing = list_issued().json
    assert listing["total"] == 2
    for record in listing["issued"]:
        assert record.pop("issued_at").endswith("Z")
        assert record.pop("id") > 0
    assert listing["issued"] == [
        {"first": 4, "last": 4, "period": None, "user": "bob", "request_id": "r-2"},
        {"first": 1, "last": 3, "period": None, "user": "ann", "request_id": "r-1"},
    ]


def test_record_of_a_number_is_found(put, issue, list_issued):
    put()
    issue(10_000)
    issue(1)
    issue(7)
    assert ranges(list_issued("?number=1")) == ranges(list_issued("?number=10000")) == [(1, 10_000)]
    assert ranges(list_issued("?number=10001")) == [(10_001, 10_001)]
    assert ranges(list_issued("?number=10005")) == [(10_002, 10_008)]
    assert list_issued("?number=10009").json == {"issued": [], "total": 0}
    assert list_issued("?number=-1").json["total"] == 0


def insert_records(tx, count):
    """Insert records with chosen IDs: invariants are verified from the first one, so later ones stay small."""
    tx.run(
        """
        INSERT INTO issued_numbers (id, sequence, position, period, first_ticket, first, last, username, request_id)
        OVERRIDING SYSTEM VALUE
        SELECT n, 'inv', n, '', n - 1, n, n, 'ann', 'r' FROM generate_series(1, %(count)s) AS n
        """,
        count=count,
    )
    tx.run("UPDATE sequences SET issued = %(count)s WHERE name = 'inv'", count=count)
    tx.run("ANALYZE issued_numbers")


def read_rows(tx):
    return tx.value(
        "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'issued_numbers'"
    )


@pytest.mark.parametrize("number", [70_000, -(2**63), 2**63 - 1])
def test_number_is_found_without_reading_all_records(db, put, number):
    put()
    with db.transaction() as tx:
        insert_records(tx, 80_000)
        before = read_rows(tx)
        records = issued.list_issued(tx, "inv", number, None, 100)
        count = issued.count_issued(tx, "inv", number)
        # A range that contains the number begins at most 9,999 numbers before it.
        assert read_rows(tx) - before <= 2 * 10_000
    assert [record["first"] for record in records] == [number][:count]
    assert count == (1 <= number <= 80_000)


def test_records_are_listed_in_pages(put, issue, list_issued):
    put()
    for _ in range(5):
        issue()
    page = list_issued("?limit=2")
    assert (ranges(page), page.json["total"]) == ([(5, 5), (4, 4)], 5)
    next_page = list_issued(f"?limit=2&before={page.json['issued'][-1]['id']}")
    assert ranges(next_page) == [(3, 3), (2, 2)]


@pytest.mark.parametrize("before_id", [None, 3000])
def test_page_and_total_are_returned_without_reading_other_records(db, put, before_id):
    put()
    with db.transaction() as tx:
        insert_records(tx, 5000)
        before = read_rows(tx)
        records = issued.list_issued(tx, "inv", None, before_id, 100)
        assert issued.count_issued(tx, "inv", None) == 5000
        assert read_rows(tx) - before <= 110
    assert [record["id"] for record in records][:2] == ([5000, 4999] if before_id is None else [2999, 2998])


def test_positions_count_the_records_of_each_sequence(client, put, issue, list_issued):
    client.put("/sequences/other", json={**AUDITED, "maximum": 10, "cycle": True})
    put()
    for _ in range(3):
        issue()
        client.post("/sequences/other/next", json={"n": 9})
    for listing, positions in ((list_issued(), [3, 2, 1]), (client.get("/sequences/other/issued"), [5, 4, 3, 2, 1])):
        assert [record["id"] for record in listing.json["issued"]] == positions
        assert listing.json["total"] == len(positions)


def test_response_that_wraps_around_has_two_records(put, issue, list_issued):
    put(maximum=10, cycle=True)
    issue(8)
    issue(4)
    assert ranges(list_issued()) == [(1, 2), (9, 10), (1, 8)]
    assert ranges(list_issued("?number=2")) == [(1, 2), (1, 8)]


def test_record_names_the_period(put, issue, list_issued, db):
    put(reset="year", format="{year}-{}")
    period = issue(2).json["period"]
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET period = '2025' WHERE name = 'inv'")
        tx.run("UPDATE issued_numbers SET period = '2025'")
    issue(1)
    assert [record["period"] for record in list_issued("?number=1").json["issued"]] == [period, "2025"]


def test_replayed_response_is_recorded_once(put, issue, list_issued):
    put()
    for _ in range(3):
        issue(2, **{"Idempotency-Key": "k"})
    assert list_issued().json["total"] == 1


def test_rejected_request_is_not_recorded(put, issue, list_issued):
    put(maximum=5)
    issue(4)
    assert issue(3).status_code == 409
    assert issue(6).status_code == 400
    assert ranges(list_issued()) == [(1, 4)]


def test_concurrent_requests_are_recorded_completely(app, put, list_issued):
    put()
    received = []

    def draw(number):
        for _ in range(10):
            headers = {"X-Authenticated-User": f"user-{number}"}
            response = app.test_client().post("/sequences/inv/next", json={"n": 3}, headers=headers)
            received.append((f"user-{number}", response.json["sequence_list"]))

    threads = [threading.Thread(target=draw, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = list_issued().json["issued"]
    recorded = [(record["user"], [*range(record["first"], record["last"] + 1)]) for record in records]
    assert sorted(recorded) == sorted(received)


def test_sequence_without_audit_returns_409_and_an_unknown_one_404(client, put, list_issued):
    assert list_issued().status_code == 404
    put(audit=False)
    assert list_issued().status_code == 409
    assert client.get("/sequences/sequence/issued").status_code == 409


def test_audit_is_part_of_the_definition_and_survives_deletion(client, put, issue, list_issued):
    put()
    issue(2)
    assert put(audit=False).status_code == 409
    client.delete("/sequences/inv")
    assert list_issued().status_code == 404
    assert put(audit=False).status_code == 409
    put()
    assert ranges(list_issued()) == [(1, 2)]


@pytest.mark.parametrize(
    "query", ["number=x", "number=9223372036854775808", "number=+5", "before=0", "limit=0", "limit=1001", "x=1"]
)
def test_invalid_query_is_rejected_and_its_field_named(put, list_issued, query):
    put()
    response = list_issued(f"?{query}")
    assert (response.status_code, response.json["errors"][0]["field"]) == (400, query.split("=")[0])


@pytest.mark.parametrize(
    ("fault", "check"),
    [
        ("UPDATE issued_numbers SET last = last + 1 WHERE first = 1", "no number was issued twice"),
        ("DELETE FROM issued_numbers WHERE first = 1", "no number was issued twice"),
        ("UPDATE sequences SET issued = 3 WHERE name = 'inv'", "every recorded number was counted"),
    ],
)
def test_contradiction_between_record_and_counter_is_reported(app, db, fault, check):
    client = app.test_client()
    client.put("/sequences/inv", json=AUDITED)
    for _ in range(2):
        client.post("/sequences/inv/next", json={"n": 2})
    with db.transaction() as tx:
        tx.run(fault)
    broken = [entry["name"] for entry in client.get("/invariants").json["checks"] if entry["status"] == "BROKEN"]
    assert len(broken) == 1 and broken[0].startswith(check)
