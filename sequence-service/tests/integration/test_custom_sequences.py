import threading

import pytest

DEFINITION = {"minimum": 1, "maximum": 10, "cycle": False, "format": "INV-{:05d}"}


def put(client, name="inv", **definition):
    return client.put(f"/sequences/{name}", json=definition or DEFINITION)


def issue(client, n=1, name="inv", **headers):
    return client.post(f"/sequences/{name}/next", json={"n": n}, headers=headers)


def test_identical_put_returns_200_and_different_definition_conflicts(client):
    assert put(client).status_code == 201
    assert put(client).status_code == 200
    assert put(client, **{**DEFINITION, "maximum": 11}).status_code == 409
    issue(client)
    assert put(client).status_code == 200


def test_repeated_put_with_a_key_returns_the_first_response(client):
    headers = {"Idempotency-Key": "k"}
    first = client.put("/sequences/inv", json=DEFINITION, headers=headers)
    issue(client)
    repeated = client.put("/sequences/inv", json=DEFINITION, headers=headers)
    assert (repeated.status_code, repeated.json) == (201, first.json)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert client.put("/sequences/inv", json={**DEFINITION, "maximum": 11}, headers=headers).status_code == 422


def test_sequence_keeps_a_format_that_only_an_earlier_version_accepted(client, db):
    definition = {**DEFINITION, "format": "INV-{:5}"}
    assert put(client, **definition).status_code == 400
    put(client)
    with db.transaction() as tx:
        tx.run("UPDATE sequences SET format = 'INV-{:5}' WHERE name = 'inv'")
    assert put(client, **definition).status_code == 200
    assert issue(client).json["formatted"] == ["INV-    1"]
    client.delete("/sequences/inv")
    assert put(client, **definition).status_code == 201
    assert put(client, **{**definition, "maximum": 11}).status_code == 409
    assert put(client, **{**definition, "format": "INV-{:6}"}).status_code == 400
    assert put(client, **{**definition, "reset": "year"}).status_code == 400


def test_cycle_and_format_are_optional(client):
    response = put(client, minimum=1, maximum=2)
    assert response.json == {
        "name": "inv", "minimum": 1, "maximum": 2, "cycle": False, "format": "{}", "reset": None,
        "timezone": "UTC", "audit": False, "period": None,
        "last": None, "next": 1, "remaining": 2, "cycles": 0,
    }  # fmt: skip


def test_twenty_concurrent_puts_create_one_sequence(app, client):
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(put(app.test_client()).status_code)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 19 + [201]


@pytest.mark.parametrize("name", ["A", "1a", "-a", "a_b", "a" * 64, "a.b", "ä", "a%20b", "a%2Fb"])
def test_invalid_name_is_rejected(client, name):
    assert put(client, name).status_code == 400


def test_name_of_63_characters_is_accepted(client):
    assert put(client, "a" * 63).status_code == 201


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"minimum": 11}, "body"),
        ({"minimum": "1"}, "minimum"),
        ({"minimum": True}, "minimum"),
        ({"minimum": 1.5}, "minimum"),
        ({"minimum": None}, "minimum"),
        ({"maximum": 2**63}, "maximum"),
        ({"minimum": -(2**63) - 1}, "minimum"),
        ({"cycle": 1}, "cycle"),
        ({"format": "{}{}"}, "format"),
        ({"format": 5}, "format"),
        ({"start": 1}, "start"),
    ],
)
def test_invalid_definition_is_rejected_and_its_field_named(client, change, field):
    response = put(client, **{**DEFINITION, **change})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == [field]
    assert client.get("/sequences/inv").status_code == 404


def test_all_invalid_fields_are_named_in_one_response(client):
    response = client.put("/sequences/inv", json={"maximum": "x", "cycle": "no", "extra": 1})
    assert {error["field"] for error in response.json["errors"]} == {"minimum", "maximum", "cycle", "extra"}


def test_range_may_span_all_64_bit_integers(client):
    assert put(client, minimum=-(2**63), maximum=2**63 - 1, cycle=True).status_code == 201
    assert issue(client, 2).json["sequence_list"] == [-(2**63), -(2**63) + 1]
    assert client.get("/sequences/inv").json["remaining"] == 2**64 - 2


def test_next_returns_formatted_numbers(client):
    put(client)
    assert issue(client, 3).json == {
        "sequence_list": [1, 2, 3],
        "formatted": ["INV-00001", "INV-00002", "INV-00003"],
    }


def test_next_issues_one_number_if_n_is_omitted(client):
    put(client)
    assert client.post("/sequences/inv/next", json={}).json["sequence_list"] == [1]
    assert client.post("/sequences/inv/next").json["sequence_list"] == [2]


def test_exhausted_sequence_returns_409_and_issues_nothing(client):
    put(client)
    issue(client, 8)
    assert issue(client, 3).status_code == 409
    assert issue(client, 2).json["sequence_list"] == [9, 10]
    assert issue(client).status_code == 409
    state = client.get("/sequences/inv").json
    assert (state["last"], state["next"], state["remaining"]) == (10, None, 0)


def test_n_below_1_or_above_the_range_or_the_limit_is_rejected(client):
    put(client)
    assert issue(client, 11).status_code == 400
    assert issue(client, 0).status_code == 400
    assert issue(client, 10_001).status_code == 400


@pytest.mark.parametrize(
    ("name", "minimum"), [("sequence", 1000), ("batch-sequence", 30_000), ("image-sequence", 1), ("json-sequence", 1)]
)
def test_next_works_on_built_in_sequences(client, name, minimum):
    numbers = [minimum, minimum + 1]
    assert issue(client, 2, name=name).json == {"sequence_list": numbers, "formatted": [str(n) for n in numbers]}
    assert client.get(f"/{name}").json["sequence_no"] == minimum + 2


def test_unknown_sequence_returns_404(client):
    assert issue(client).status_code == 404
    assert client.get("/sequences/inv").status_code == 404
    assert client.delete("/sequences/inv").status_code == 404


def test_custom_sequence_can_be_deleted_but_a_built_in_one_cannot(client):
    put(client)
    assert client.delete("/sequences/inv").status_code == 204
    assert client.get("/sequences/inv").status_code == 404
    assert client.delete("/sequences/batch-sequence").status_code == 409


def test_sequences_are_listed_in_pages_with_the_total(client):
    put(client)
    listing = client.get("/sequences").json
    assert listing["total"] == 5
    names = ["batch-sequence", "image-sequence", "inv", "json-sequence", "sequence"]
    assert [sequence["name"] for sequence in listing["sequences"]] == names
    page = client.get("/sequences?limit=1&offset=2").json
    assert ([sequence["name"] for sequence in page["sequences"]], page["total"]) == (["inv"], 5)
    assert client.get("/sequences?limit=0").status_code == 400
    assert client.get("/sequences?limit=1001").status_code == 400
    assert client.get("/sequences?offset=-1").status_code == 400


def test_retry_with_the_same_key_returns_the_same_numbers(client):
    put(client)
    first = issue(client, 2, **{"Idempotency-Key": "k"})
    retried = issue(client, 2, **{"Idempotency-Key": "k"})
    assert retried.json == first.json
    assert retried.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert issue(client, 3, **{"Idempotency-Key": "k"}).status_code == 422
    assert issue(client).json["sequence_list"] == [3]


def test_fifty_concurrent_requests_with_the_same_key_issue_numbers_once(app, client):
    put(client)
    responses = []

    def send():
        responses.append(issue(app.test_client(), 2, **{"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {response.status_code for response in responses} <= {200, 409, 503}
    issued = {tuple(response.json["sequence_list"]) for response in responses if response.status_code == 200}
    assert issued == {(1, 2)}
    assert client.get("/sequences/inv").json["last"] == 2


def test_nearly_exhausted_event_is_published_once(client, outbox):
    put(client)
    issue(client, 8)
    assert outbox() == []
    issue(client)
    issue(client)
    ((type_, body),) = outbox()
    assert (type_, body["payload"]) == ("SequenceNearlyExhausted", {"name": "inv", "remaining": 1})


def test_cyclic_sequence_publishes_every_wrap_around(client, outbox):
    put(client, minimum=1, maximum=2, cycle=True)
    for _ in range(5):
        issue(client)
    assert [(type_, body["payload"]["cycles"]) for type_, body in outbox()] == [
        ("SequenceWrapped", 1),
        ("SequenceWrapped", 2),
    ]


def test_body_that_is_not_a_json_object_is_rejected(client):
    put(client)
    for body in (b"", b"null", b"[]", b'{"n":1', b'{"n":1,"n":2}', b'{"n":NaN}', b'\xef\xbb\xbf{"n":1}'):
        response = client.post("/sequences/inv/next", data=body, content_type="application/json")
        assert (response.status_code, body) == (400, body)
    assert client.post("/sequences/inv/next", data="n=1", content_type="text/plain").status_code == 415
    assert issue(client).json["sequence_list"] == [1]
