import json
from pathlib import Path

import pytest

from factory_service.domain import charts
from factory_service.routes import factories
from factory_service.store.factories import delete_points_of_deleted_factory

SAMPLES = Path(__file__).parents[2] / "samples"
SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")


def chart(actual, goal, time):
    return {"chart_data": dict(zip(SERIES, (actual, goal, time), strict=True))}


@pytest.mark.parametrize("slash", ["", "/"])
def test_creates_reads_and_deletes_factory(client, slash):
    created = client.post(f"/api/factories{slash}", json={"name": "Köln 🏭", **chart([3, 4], [5, 4], [60, 120])})
    assert (created.status_code, created.headers["Location"]) == (201, "/api/factory/1")
    factory = {"id": 1, "name": "Köln 🏭", "factory": chart([3, 4], [5, 4], [60, 120])}
    assert created.json == factory
    for _ in range(2):
        assert client.get(f"/api/factory/1{slash}").json == factory
        assert client.get(f"/api/factory/1/chart-data{slash}").json == factory["factory"]
        assert client.get(f"/api/factory/1/production-actual{slash}").json == {SERIES[0]: [3, 4]}
        assert client.get(f"/api/factory/1/production-goal{slash}").json == {SERIES[1]: [5, 4]}
        assert client.get(f"/api/factory/1/time{slash}").json == {SERIES[2]: [60, 120]}
        assert client.get(f"/api/factories{slash}").json == {"factories": [factory], "count": 1}
    assert client.delete(f"/api/factory/1{slash}").status_code == 204
    assert client.get(f"/api/factory/1{slash}").status_code == 404
    assert client.get("/api/factory/1/attainment").status_code == 404
    assert client.get(f"/api/factories{slash}").json == {"factories": [], "count": 0}


def test_factory_created_without_chart_has_empty_chart(client):
    created = client.post("/api/factories", json={"name": "New"})
    assert created.json == {"id": 1, "name": "New", "factory": chart([], [], [])}
    assert client.get("/api/factory/1/attainment").json == {"buckets": []}
    assert client.get("/api/factory/1/chart-data?points=10").json == chart([], [], [])


def test_sorts_chart_and_keeps_the_last_of_equal_times(client):
    created = client.post("/api/factories", json={"name": "X", **chart([1, 2, 3, 4], [5, 6, 7, 8], [30, 10, 30, 20])})
    assert created.json["factory"] == chart([2, 4, 3], [6, 8, 7], [10, 20, 30])


def test_accepts_integers_with_decimal_point(client):
    created = client.post("/api/factories", json={"name": "X", **chart([1.0], [-(2**31)], [7258118400])})
    assert created.json["factory"] == chart([1], [-(2**31)], [7258118400])


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (chart([1, 2], [1, 2], [1]), "chart_data.time.1"),
        (chart([1, 2], [], [1, 2]), "chart_data.sprocket_production_goal.0"),
        (chart([1, 2.5], [1, 2], [1, 2]), "chart_data.sprocket_production_actual.1"),
        (chart([1, 2], ["1", 2], [1, 2]), "chart_data.sprocket_production_goal.0"),
        (chart([True], [1], [1]), "chart_data.sprocket_production_actual.0"),
        (chart([2**31 + 1], [1], [1]), "chart_data.sprocket_production_actual.0"),
        (chart([1], [-(2**31) - 1], [1]), "chart_data.sprocket_production_goal.0"),
        (chart([1, 1], [1, 1], [1, -1]), "chart_data.time.1"),
        (chart([1], [1], [2**53 + 1]), "chart_data.time.0"),
        (chart([None], [1], [1]), "chart_data.sprocket_production_actual.0"),
        ({"chart_data": {SERIES[0]: [], SERIES[1]: []}}, "chart_data.time"),
        ({"chart_data": {**chart([], [], [])["chart_data"], "unknown": []}}, "chart_data.unknown"),
        ({"chart_data": []}, "chart_data"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": 5}, "name"),
        ({"id": 5}, "id"),
    ],
)
def test_invalid_factory_is_rejected_with_the_name_of_the_field(client, body, field):
    response = client.post("/api/factories", json={"name": "X", **body})
    assert response.status_code == 400
    assert field in [error["field"] for error in response.json["errors"]]
    assert client.get("/api/factories").json["count"] == 0


def test_first_error_of_a_chart_is_reported_first(client):
    body = {"name": "X", **chart([1, "x", 2.5, None], [1, 1, 1, 1], [1, 2, 3, -1])}
    response = client.post("/api/factories", json=body)
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == "chart_data.sprocket_production_actual.1"


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b'{"name": "X"', b'{"name": "X"} {}', b'\xef\xbb\xbf{"name": "X"}', b'{"name": "\xff"}',
     b'{"name": "X", "name": "Y"}', b'{"name": NaN}', b'{"name": "\\u0000"}', b'{"name": "\\ud800"}',
     b"[" * 100_000, b'{"chart_data": {"time": [1e400]}}', b'{"name": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_rejects_invalid_json(client, raw):
    response = client.post("/api/factories", data=raw, content_type="application/json")
    assert response.status_code == 400 and response.json["status"] == 400
    assert client.get("/api/factories").json["count"] == 0


def test_rejects_other_content_types_and_compressed_bodies(client):
    assert client.post("/api/factories", data=b"{}", content_type="text/plain").status_code == 415
    headers = {"Content-Encoding": "gzip"}
    assert client.post("/api/factories", json={"name": "X"}, headers=headers).status_code == 415


def test_from_and_to_are_inclusive(client, a_factory):
    id_ = a_factory(10)
    times = [1611194818 + 60 * n for n in range(10)]
    for path, expected in (
        (f"time?from={times[3]}&to={times[5]}", times[3:6]),
        (f"time/?from={times[7]}", times[7:]),
        (f"time?to={times[1]}", times[:2]),
        (f"time?from={times[9] + 1}", []),
        ("time?from=0", times),
    ):
        assert client.get(f"/api/factory/{id_}/{path}").json == {"time": expected}


@pytest.mark.parametrize(
    "query",
    ["from=-1", "to=x", "from=9007199254740993", "points=5", "points=0", "points=1e3", "points=100001", "from=2&to=1",
     "from=1&from=2", "limit=5", "points="],
)  # fmt: skip
def test_rejects_invalid_chart_parameters(client, a_factory, query):
    assert client.get(f"/api/factory/{a_factory(1)}/chart-data?{query}").status_code == 400


def test_range_that_ends_before_it_begins_is_an_error_of_its_end(client, a_factory):
    response = client.get(f"/api/factory/{a_factory(1)}/chart-data?from=2&to=1")
    assert response.json["errors"] == [{"field": "to", "message": "must not be before from"}]


def test_response_of_too_many_points_is_rejected_with_the_parameters_that_narrow_it(
    client, redis, a_factory, monkeypatch
):
    id_ = a_factory(11)
    # The creation cached the responses.
    redis.client().flushall()
    for module in (charts, factories):
        monkeypatch.setattr(module, "MAX_POINTS", 10)
    path = f"/api/factory/{id_}"
    for rejected in (path, f"{path}/chart-data", f"{path}/time?from=1", "/api/factories"):
        response = client.get(rejected)
        assert (response.status_code, response.json["errors"][0]["field"]) == (400, "points")
        assert "must be at most 10 in one response, not 11: narrow" in response.json["errors"][0]["message"]
    for accepted in (f"{path}/chart-data?points=10", f"{path}/time?from={1611194818 + 1}", "/api/factories?offset=1"):
        assert client.get(accepted).status_code == 200


def test_list_is_paginated_and_returns_the_total_count(client, a_factory):
    ids = [a_factory(2, name) for name in ("A", "B", "C")]
    page = client.get("/api/factories?limit=2&offset=1").json
    assert [factory["id"] for factory in page["factories"]] == ids[1:]
    assert page["count"] == 3
    for query in ("limit=0", "limit=1001", "offset=-1", "x=1", "newest=0", "newest=1001"):
        assert client.get(f"/api/factories?{query}").status_code == 400


def test_list_can_be_limited_to_the_newest_points(client, redis, a_factory, monkeypatch):
    long, short, empty = a_factory(10, "Long"), a_factory(2, "Short"), a_factory(0, "Empty")
    monkeypatch.setattr(factories, "MAX_POINTS", 5)  # counts what is returned, not what is stored
    page = client.get("/api/factories?newest=3").json
    assert page["count"] == 3
    times = {factory["id"]: factory["factory"]["chart_data"]["time"] for factory in page["factories"]}
    assert times == {long: [1611194818 + 60 * n for n in (7, 8, 9)], short: [1611194818, 1611194878], empty: []}
    assert [factory["id"] for factory in client.get("/api/factories?newest=1&offset=2").json["factories"]] == [empty]


def test_each_change_publishes_an_event(client, outbox, a_factory):
    id_ = a_factory(1)
    tag = client.get(f"/api/factory/{id_}").headers["ETag"]
    assert client.delete(f"/api/factory/{id_}", headers={"If-Match": '"other"'}).status_code == 412
    assert client.delete(f"/api/factory/{id_}", headers={"If-Match": tag}).status_code == 204
    assert [(name, event["payload"]) for name, event in outbox()] == [
        ("FactoryCreated", {"id": id_}),
        ("FactoryDeleted", {"id": id_}),
    ]


def test_points_of_deleted_factory_are_deleted_in_batches(client, db, a_factory):
    a_factory(25)
    client.delete("/api/factory/1")
    with db.transaction() as tx:
        assert [delete_points_of_deleted_factory(tx, 10) for _ in range(4)] == [10, 10, 5, None]
        assert tx.value("SELECT count(*) FROM points") == 0


def test_loads_the_sample_factories_unchanged(client, run_jobs):
    client.post("/api/factories/load", data=(SAMPLES / "seed_factory_data.json").read_bytes(),
                content_type="application/json")  # fmt: skip
    run_jobs()
    sample = json.loads((SAMPLES / "seed_factory_data.json").read_text())["factories"]
    for id_, entry in enumerate(sample, 1):
        assert client.get(f"/api/factory/{id_}").json == {"id": id_, "name": f"Factory {id_}", **entry}
    third = client.get("/api/factory/3/chart-data").json["chart_data"]
    assert (third[SERIES[0]][0], third[SERIES[1]][0], third["time"][0]) == (
        sample[2]["factory"]["chart_data"][SERIES[0]][0],
        sample[2]["factory"]["chart_data"][SERIES[1]][0],
        sample[2]["factory"]["chart_data"]["time"][0],
    )
