import concurrent.futures

import pytest

NUMBERS = ("teeth", "pitch_diameter", "outside_diameter", "pitch")


def body(id_, *numbers):
    return {"sprocket": {"id": id_, **dict(zip(NUMBERS, numbers, strict=True))}}


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_seeds_paths_make_and_change_a_sprocket(client, slash):
    made = client.post(f"/api/sprocket/create/5/6/4/7{slash}")
    assert (made.status_code, made.headers["Location"]) == (201, "/api/sprocket/1")
    assert made.json == body(1, 5, 6, 4, 7)
    changed = client.post(f"/api/sprocket/1/update/8/9/10/11{slash}")
    assert (changed.status_code, changed.json) == (200, body(1, 8, 9, 10, 11))
    assert client.put(f"/api/sprocket/1/update/1/2/3/4{slash}").json == body(1, 1, 2, 3, 4)
    assert client.get(f"/api/sprocket/1{slash}").json == body(1, 1, 2, 3, 4)


@pytest.mark.parametrize("slash", ["", "/"])
def test_json_makes_changes_and_removes_a_sprocket(client, slash):
    numbers = dict(zip(NUMBERS, (5, 6, 4, 7), strict=True))
    made = client.post(f"/api/sprockets{slash}", json=numbers)
    assert (made.status_code, made.json, made.headers["Location"]) == (201, body(1, 5, 6, 4, 7), "/api/sprocket/1")
    assert client.patch(f"/api/sprocket/1{slash}", json={"pitch": 9}).json == body(1, 5, 6, 4, 9)
    assert client.get(f"/api/sprockets{slash}").json == {"sprockets": [body(1, 5, 6, 4, 9)["sprocket"]], "count": 1}
    assert client.delete(f"/api/sprocket/1{slash}").status_code == 204
    assert client.get(f"/api/sprocket/1{slash}").status_code == 404
    assert client.get(f"/api/sprockets{slash}").json == {"sprockets": [], "count": 0}


def test_the_list_is_paged_and_counts_all(client, a_sprocket):
    ids = [a_sprocket(teeth) for teeth in (1, 2, 3)]
    page = client.get("/api/sprockets?limit=1&offset=1").json
    assert [sprocket["id"] for sprocket in page["sprockets"]] == ids[1:2]
    assert page["count"] == 3


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_get_on_create_or_update_changes_nothing(client, a_sprocket, slash):
    id_ = a_sprocket(1)
    for method in (client.get, client.head):
        create = method(f"/api/sprocket/create/5/6/4/7{slash}")
        assert (create.status_code, create.headers["Allow"]) == (405, "POST")
        update = method(f"/api/sprocket/{id_}/update/5/6/4/7{slash}")
        assert update.status_code == 405
        assert sorted(update.headers["Allow"].split(", ")) == ["POST", "PUT"]
    assert client.get("/api/sprockets").json["sprockets"] == [body(id_, 1, 6, 7, 1)["sprocket"]]


@pytest.mark.parametrize(
    "number", ["0", "-1", "2147483648", "9" * 30, "1.0", "1e3", "0x10", "+5", "%205", "1_0", "१", "１", "abc"]
)
def test_a_wrong_number_in_a_path_is_named_and_changes_nothing(client, a_sprocket, number):
    id_ = a_sprocket()
    for path in (f"/api/sprocket/create/5/{number}/4/7/", f"/api/sprocket/{id_}/update/5/{number}/4/7/"):
        answer = client.post(path)
        assert answer.status_code == 400
        assert [error["field"] for error in answer.json["errors"]] == ["pitch_diameter"]
    assert client.get("/api/sprockets").json == {"sprockets": [body(id_, 5, 6, 7, 1)["sprocket"]], "count": 1}


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"teeth": 5}, "pitch_diameter"),
        ({"teeth": "5", "pitch_diameter": 6, "outside_diameter": 4, "pitch": 7}, "teeth"),
        ({"teeth": True, "pitch_diameter": 6, "outside_diameter": 4, "pitch": 7}, "teeth"),
        ({"teeth": 1.5, "pitch_diameter": 6, "outside_diameter": 4, "pitch": 7}, "teeth"),
        ({"teeth": 5, "pitch_diameter": 6, "outside_diameter": 4, "pitch": 2**31}, "pitch"),
        ({"teeth": 5, "pitch_diameter": 6, "outside_diameter": 4, "pitch": 7, "id": 9}, "id"),
        ([], "body"),
    ],
)
def test_a_wrong_body_is_named_and_changes_nothing(client, sent, field):
    answer = client.post("/api/sprockets", json=sent)
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json["errors"]]
    assert client.get("/api/sprockets").json["count"] == 0


def test_a_change_of_nothing_is_refused(client, a_sprocket):
    id_ = a_sprocket()
    assert client.patch(f"/api/sprocket/{id_}", json={}).status_code == 400
    assert client.patch(f"/api/sprocket/{id_}", json={"teeth": None}).status_code == 400


@pytest.mark.parametrize("id_", ["0", "-1", "9" * 20, "abc", "1_0", "१"])
def test_what_cannot_be_an_id_is_refused(client, id_):
    assert client.get(f"/api/sprocket/{id_}").status_code == 400
    assert client.get(f"/api/factory/{id_}").status_code == 400


def test_an_etag_lets_a_change_through_once(client, a_sprocket):
    id_ = a_sprocket()
    tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]
    assert client.get(f"/api/sprocket/{id_}", headers={"If-None-Match": tag}).status_code == 304
    # As the gateway makes it where it compresses.
    changed = client.patch(f"/api/sprocket/{id_}", json={"teeth": 9}, headers={"If-Match": f"W/{tag}"})
    assert changed.status_code == 200
    newer = changed.headers["ETag"]
    assert newer == client.get(f"/api/sprocket/{id_}").headers["ETag"] != tag
    for late in (
        client.patch(f"/api/sprocket/{id_}", json={"teeth": 1}, headers={"If-Match": tag}),
        client.put(f"/api/sprocket/{id_}/update/1/1/1/1/", headers={"If-Match": tag}),
        client.delete(f"/api/sprocket/{id_}", headers={"If-Match": tag}),
    ):
        assert late.status_code == 412
    assert client.get(f"/api/sprocket/{id_}", headers={"If-None-Match": tag}).json["sprocket"]["teeth"] == 9
    assert client.delete(f"/api/sprocket/{id_}", headers={"If-Match": newer}).status_code == 204


def test_the_same_values_again_are_a_change_too(client, a_sprocket):
    id_ = a_sprocket()
    tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]
    outcomes = [
        client.put(f"/api/sprocket/{id_}/update/5/6/7/1/", headers={"If-Match": tag}).status_code for _ in range(2)
    ]
    assert outcomes == [200, 412]


def test_of_twenty_changes_at_once_one_wins(app, client, a_sprocket):
    for _ in range(10):
        id_ = a_sprocket()
        tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]

        def change(teeth, id_=id_, tag=tag):
            sent = {"teeth": teeth}
            return app.test_client().patch(f"/api/sprocket/{id_}", json=sent, headers={"If-Match": tag}).status_code

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            outcomes = list(pool.map(change, range(1, 21)))
        assert sorted(outcomes) == [200] + [412] * 19
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == outcomes.index(200) + 1


def test_each_change_is_told(client, outbox, a_sprocket):
    id_ = a_sprocket(5, 6, 7, 1)
    client.patch(f"/api/sprocket/{id_}", json={"pitch": 2})
    client.delete(f"/api/sprocket/{id_}")
    numbers = {"id": id_, "teeth": 5, "pitch_diameter": 6, "outside_diameter": 7}
    assert [(name, told["payload"]) for name, told in outbox()] == [
        ("SprocketCreated", {**numbers, "pitch": 1}),
        ("SprocketUpdated", {**numbers, "pitch": 2}),
        ("SprocketDeleted", {**numbers, "pitch": 2}),
    ]


def test_a_retry_with_the_same_key_makes_one(client):
    key = {"Idempotency-Key": "once"}
    first = client.post("/api/sprocket/create/5/6/4/7/", headers=key)
    again = client.post("/api/sprocket/create/5/6/4/7/", headers=key)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert client.post("/api/sprocket/create/5/6/4/8/", headers=key).status_code == 422
    assert client.get("/api/sprockets").json["count"] == 1
