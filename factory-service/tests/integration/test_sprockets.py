import concurrent.futures

import pytest

NUMBERS = ("teeth", "pitch_diameter", "outside_diameter", "pitch")


def sprocket_body(id_, *numbers):
    return {"sprocket": {"id": id_, **dict(zip(NUMBERS, numbers, strict=True))}}


@pytest.mark.parametrize("slash", ["", "/"])
def test_creates_and_updates_sprocket_by_path(client, slash):
    created = client.post(f"/api/sprocket/create/5/6/4/7{slash}")
    assert (created.status_code, created.headers["Location"]) == (201, "/api/sprocket/1")
    assert created.json == sprocket_body(1, 5, 6, 4, 7)
    updated = client.post(f"/api/sprocket/1/update/8/9/10/11{slash}")
    assert (updated.status_code, updated.json) == (200, sprocket_body(1, 8, 9, 10, 11))
    assert client.put(f"/api/sprocket/1/update/1/2/3/4{slash}").json == sprocket_body(1, 1, 2, 3, 4)
    assert client.get(f"/api/sprocket/1{slash}").json == sprocket_body(1, 1, 2, 3, 4)


@pytest.mark.parametrize("slash", ["", "/"])
def test_creates_updates_and_deletes_sprocket_by_json(client, slash):
    numbers = dict(zip(NUMBERS, (5, 6, 4, 7), strict=True))
    created = client.post(f"/api/sprockets{slash}", json=numbers)
    assert created.status_code == 201
    assert (created.json, created.headers["Location"]) == (sprocket_body(1, 5, 6, 4, 7), "/api/sprocket/1")
    assert client.patch(f"/api/sprocket/1{slash}", json={"pitch": 9}).json == sprocket_body(1, 5, 6, 4, 9)
    sprockets = [sprocket_body(1, 5, 6, 4, 9)["sprocket"]]
    assert client.get(f"/api/sprockets{slash}").json == {"sprockets": sprockets, "count": 1}
    assert client.delete(f"/api/sprocket/1{slash}").status_code == 204
    assert client.get(f"/api/sprocket/1{slash}").status_code == 404
    assert client.get(f"/api/sprockets{slash}").json == {"sprockets": [], "count": 0}


def test_accepts_the_smallest_and_the_largest_number(client, a_sprocket):
    for numbers in ((1, 1, 1, 1), (2**31 - 1, 2**31 - 1, 2**31 - 1, 2**31 - 1)):
        id_ = a_sprocket(*numbers)
        assert client.get(f"/api/sprocket/{id_}").json == sprocket_body(id_, *numbers)


def test_list_is_paginated_and_returns_the_total_count(client, a_sprocket):
    ids = [a_sprocket(teeth) for teeth in (1, 2, 3)]
    page = client.get("/api/sprockets?limit=1&offset=1").json
    assert [sprocket["id"] for sprocket in page["sprockets"]] == ids[1:2]
    assert page["count"] == 3


@pytest.mark.parametrize("slash", ["", "/"])
def test_get_on_create_or_update_is_rejected_and_changes_nothing(client, a_sprocket, slash):
    id_ = a_sprocket(1)
    for method in (client.get, client.head):
        create = method(f"/api/sprocket/create/5/6/4/7{slash}")
        assert (create.status_code, create.headers["Allow"]) == (405, "POST")
        update = method(f"/api/sprocket/{id_}/update/5/6/4/7{slash}")
        assert update.status_code == 405
        assert sorted(update.headers["Allow"].split(", ")) == ["POST", "PUT"]
    assert client.get("/api/sprockets").json["sprockets"] == [sprocket_body(id_, 1, 6, 7, 1)["sprocket"]]


@pytest.mark.parametrize(
    "number", ["0", "-1", "2147483648", "9" * 30, "1.0", "1e3", "0x10", "+5", "%205", "1_0", "१", "１", "abc"]
)
def test_invalid_number_in_path_is_rejected_with_the_name_of_the_field(client, a_sprocket, number):
    id_ = a_sprocket()
    for path in (f"/api/sprocket/create/5/{number}/4/7/", f"/api/sprocket/{id_}/update/5/{number}/4/7/"):
        response = client.post(path)
        assert response.status_code == 400
        assert [error["field"] for error in response.json["errors"]] == ["pitch_diameter"]
    sprockets = [sprocket_body(id_, 5, 6, 7, 1)["sprocket"]]
    assert client.get("/api/sprockets").json == {"sprockets": sprockets, "count": 1}


@pytest.mark.parametrize(
    ("body", "field"),
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
def test_invalid_body_is_rejected_with_the_name_of_the_field(client, body, field):
    response = client.post("/api/sprockets", json=body)
    assert response.status_code == 400
    assert field in [error["field"] for error in response.json["errors"]]
    assert client.get("/api/sprockets").json["count"] == 0


def test_rejects_patch_without_numbers(client, a_sprocket):
    id_ = a_sprocket()
    assert client.patch(f"/api/sprocket/{id_}", json={}).status_code == 400
    for value in (None, 0):
        response = client.patch(f"/api/sprocket/{id_}", json={"teeth": value})
        assert response.status_code == 400
        assert [error["field"] for error in response.json["errors"]] == ["teeth"]


@pytest.mark.parametrize("id_", ["0", "-1", "9" * 20, "abc", "1_0", "१"])
def test_rejects_invalid_id(client, id_):
    assert client.get(f"/api/sprocket/{id_}").status_code == 400
    assert client.get(f"/api/factory/{id_}").status_code == 400


def test_if_match_allows_only_one_update_per_etag(client, a_sprocket):
    id_ = a_sprocket()
    tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]
    assert client.get(f"/api/sprocket/{id_}", headers={"If-None-Match": tag}).status_code == 304
    # The gateway sends a weak ETag when it compresses the response.
    updated = client.patch(f"/api/sprocket/{id_}", json={"teeth": 9}, headers={"If-Match": f"W/{tag}"})
    assert updated.status_code == 200
    new_tag = updated.headers["ETag"]
    assert new_tag == client.get(f"/api/sprocket/{id_}").headers["ETag"] != tag
    for response in (
        client.patch(f"/api/sprocket/{id_}", json={"teeth": 1}, headers={"If-Match": tag}),
        client.put(f"/api/sprocket/{id_}/update/1/1/1/1/", headers={"If-Match": tag}),
        client.delete(f"/api/sprocket/{id_}", headers={"If-Match": tag}),
    ):
        assert response.status_code == 412
    assert client.get(f"/api/sprocket/{id_}", headers={"If-None-Match": tag}).json["sprocket"]["teeth"] == 9
    assert client.delete(f"/api/sprocket/{id_}", headers={"If-Match": new_tag}).status_code == 204


def test_update_to_the_same_values_creates_a_new_version(client, a_sprocket):
    id_ = a_sprocket()
    tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]
    statuses = [
        client.put(f"/api/sprocket/{id_}/update/5/6/7/1/", headers={"If-Match": tag}).status_code for _ in range(2)
    ]
    assert statuses == [200, 412]


def test_exactly_one_of_twenty_concurrent_updates_succeeds(app, client, a_sprocket):
    for _ in range(10):
        id_ = a_sprocket()
        tag = client.get(f"/api/sprocket/{id_}").headers["ETag"]

        def update(teeth, id_=id_, tag=tag):
            response = app.test_client().patch(f"/api/sprocket/{id_}", json={"teeth": teeth}, headers={"If-Match": tag})
            return response.status_code

        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(update, range(1, 21)))
        assert sorted(statuses) == [200] + [412] * 19
        assert client.get(f"/api/sprocket/{id_}").json["sprocket"]["teeth"] == statuses.index(200) + 1


def test_each_change_publishes_an_event(client, outbox, a_sprocket):
    id_ = a_sprocket(5, 6, 7, 1)
    client.patch(f"/api/sprocket/{id_}", json={"pitch": 2})
    client.delete(f"/api/sprocket/{id_}")
    numbers = {"id": id_, "teeth": 5, "pitch_diameter": 6, "outside_diameter": 7}
    assert [(name, event["payload"]) for name, event in outbox()] == [
        ("SprocketCreated", {**numbers, "pitch": 1}),
        ("SprocketUpdated", {**numbers, "pitch": 2}),
        ("SprocketDeleted", {**numbers, "pitch": 2}),
    ]


def test_retry_with_the_same_key_creates_one_sprocket(client):
    key = {"Idempotency-Key": "once"}
    first = client.post("/api/sprocket/create/5/6/4/7/", headers=key)
    retry = client.post("/api/sprocket/create/5/6/4/7/", headers=key)
    assert (retry.json, retry.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert client.post("/api/sprocket/create/5/6/4/8/", headers=key).status_code == 422
    assert client.get("/api/sprockets").json["count"] == 1
