import threading

import pytest

SPEC = {"minimum": 1, "maximum": 10, "cycle": False, "format": "INV-{:05d}"}


def put(client, name="inv", **spec):
    return client.put(f"/sequences/{name}", json=spec or SPEC)


def take(client, n=1, name="inv", **headers):
    return client.post(f"/sequences/{name}/next", json={"n": n}, headers=headers)


def test_a_sequence_is_made_once_and_the_same_again_is_fine(client):
    assert put(client).status_code == 201
    assert put(client).status_code == 200
    assert put(client, **{**SPEC, "maximum": 11}).status_code == 409
    take(client)
    assert put(client).status_code == 200


def test_cycle_and_format_may_be_left_out(client):
    response = put(client, minimum=1, maximum=2)
    assert response.json == {
        "name": "inv", "minimum": 1, "maximum": 2, "cycle": False, "format": "{}",
        "last": None, "next": 1, "remaining": 2, "cycles": 0,
    }  # fmt: skip


def test_twenty_who_make_the_same_at_once_make_one(app, client):
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.append(put(app.test_client()).status_code)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] * 19 + [201]


@pytest.mark.parametrize("name", ["A", "1a", "-a", "a_b", "a" * 64, "a.b", "ä", "a%20b", "a%2Fb"])
def test_a_name_that_is_none_is_refused(client, name):
    assert put(client, name).status_code == 400


def test_the_longest_name_is_taken(client):
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
def test_a_wrong_field_is_named(client, change, field):
    response = put(client, **{**SPEC, **change})
    assert response.status_code == 400
    assert [error["field"] for error in response.json["errors"]] == [field]
    assert client.get("/sequences/inv").status_code == 404


def test_all_wrong_fields_are_named_at_once(client):
    response = client.put("/sequences/inv", json={"maximum": "x", "cycle": "no", "extra": 1})
    assert {error["field"] for error in response.json["errors"]} == {"minimum", "maximum", "cycle", "extra"}


def test_the_widest_range_works(client):
    assert put(client, minimum=-(2**63), maximum=2**63 - 1, cycle=True).status_code == 201
    assert take(client, 2).json["sequence_list"] == [-(2**63), -(2**63) + 1]
    assert client.get("/sequences/inv").json["remaining"] == 2**64 - 2


def test_numbers_come_formatted(client):
    put(client)
    assert take(client, 3).json == {
        "sequence_list": [1, 2, 3],
        "formatted": ["INV-00001", "INV-00002", "INV-00003"],
    }


def test_one_is_taken_where_n_is_left_out(client):
    put(client)
    assert client.post("/sequences/inv/next", json={}).json["sequence_list"] == [1]
    assert client.post("/sequences/inv/next").json["sequence_list"] == [2]


def test_an_exhausted_sequence_gives_nothing_and_takes_nothing(client):
    put(client)
    take(client, 8)
    assert take(client, 3).status_code == 409
    assert take(client, 2).json["sequence_list"] == [9, 10]
    assert take(client).status_code == 409
    state = client.get("/sequences/inv").json
    assert (state["last"], state["next"], state["remaining"]) == (10, None, 0)


def test_more_than_the_range_holds_is_a_wrong_request(client):
    put(client)
    assert take(client, 11).status_code == 400
    assert take(client, 0).status_code == 400
    assert take(client, 10_001).status_code == 400


def test_those_of_the_contract_can_be_drawn_from_like_ones_own(client):
    assert take(client, 2, name="sequence").json == {
        "sequence_list": [1000, 1001],
        "formatted": ["1000", "1001"],
    }


def test_an_unknown_sequence_is_404(client):
    assert take(client).status_code == 404
    assert client.get("/sequences/inv").status_code == 404
    assert client.delete("/sequences/inv").status_code == 404


def test_a_deleted_sequence_is_gone_and_those_of_the_contract_stay(client):
    put(client)
    assert client.delete("/sequences/inv").status_code == 204
    assert client.get("/sequences/inv").status_code == 404
    assert client.delete("/sequences/batch-sequence").status_code == 409


def test_the_list_says_how_many_there_are(client):
    put(client)
    everything = client.get("/sequences").json
    assert everything["total"] == 5
    names = ["batch-sequence", "image-sequence", "inv", "json-sequence", "sequence"]
    assert [sequence["name"] for sequence in everything["sequences"]] == names
    page = client.get("/sequences?limit=1&offset=2").json
    assert ([sequence["name"] for sequence in page["sequences"]], page["total"]) == (["inv"], 5)
    assert client.get("/sequences?limit=0").status_code == 400
    assert client.get("/sequences?offset=-1").status_code == 400


def test_a_retry_with_the_same_key_gets_the_same_numbers(client):
    put(client)
    first = take(client, 2, **{"Idempotency-Key": "k"})
    again = take(client, 2, **{"Idempotency-Key": "k"})
    assert again.json == first.json
    assert again.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert take(client, 3, **{"Idempotency-Key": "k"}).status_code == 422
    assert take(client).json["sequence_list"] == [3]


def test_fifty_with_the_same_key_at_once_draw_once(app, client):
    put(client)
    answers = []

    def draw():
        answers.append(take(app.test_client(), 2, **{"Idempotency-Key": "k"}))

    threads = [threading.Thread(target=draw) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {200, 409, 503}
    assert {tuple(answer.json["sequence_list"]) for answer in answers if answer.status_code == 200} == {(1, 2)}
    assert client.get("/sequences/inv").json["last"] == 2


def test_near_exhaustion_is_told_once(client, outbox):
    put(client)
    take(client, 8)
    assert outbox() == []
    take(client)
    take(client)
    ((type_, body),) = outbox()
    assert (type_, body["payload"]) == ("SequenceNearlyExhausted", {"name": "inv", "remaining": 1})


def test_a_sequence_that_begins_again_tells_each_wrap(client, outbox):
    put(client, minimum=1, maximum=2, cycle=True)
    for _ in range(5):
        take(client)
    assert [(type_, body["payload"]["cycles"]) for type_, body in outbox()] == [
        ("SequenceWrapped", 1),
        ("SequenceWrapped", 2),
    ]


def test_a_body_that_is_no_json_object_is_refused(client):
    put(client)
    for body in (b"", b"null", b"[]", b'{"n":1', b'{"n":1,"n":2}', b'{"n":NaN}', b'\xef\xbb\xbf{"n":1}'):
        response = client.post("/sequences/inv/next", data=body, content_type="application/json")
        assert (response.status_code, body) == (400, body)
    assert client.post("/sequences/inv/next", data="n=1", content_type="text/plain").status_code == 415
    assert take(client).json["sequence_list"] == [1]
