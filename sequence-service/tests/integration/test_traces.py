"""The trace of a request: the numbers that were issued to it."""

ADMIN = {"X-Authenticated-Role": "admin"}


def test_issued_numbers_are_in_the_trace_of_their_request(client, db):
    client.put("/sequences/inv", json={"minimum": 1, "maximum": 1000, "audit": True})
    for request_id, n in (("r-1", 1), ("r-1", 3), ("r-2", 5)):
        assert client.post("/sequences/inv/next", json={"n": n}, headers={"X-Request-ID": request_id}).status_code < 300
    entries = client.get("/trace/r-1", headers=ADMIN).get_json()["entries"]
    assert [(entry["kind"], entry["what"], entry["id"]) for entry in entries] == [
        ("number", "1 of inv", "inv"),
        ("number", "2 to 4 of inv", "inv"),
    ]


def test_trace_uses_an_index(db):
    from sequence_service.store.traces import TRACE

    with db.transaction() as tx:
        tx.run("SET LOCAL enable_seqscan = off")
        plan = "\n".join(row[0] for row in tx.rows(f"EXPLAIN {TRACE[0]}", request_id="r-1"))
    assert "issued_numbers_request" in plan
