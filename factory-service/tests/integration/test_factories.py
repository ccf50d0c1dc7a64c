import json
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")


def chart(actual, goal, time):
    return {"chart_data": dict(zip(SERIES, (actual, goal, time), strict=True))}


@pytest.mark.parametrize("slash", ["", "/"])
def test_a_factory_is_made_read_in_parts_and_removed(client, slash):
    made = client.post(f"/api/factories{slash}", json={"name": "Köln 🏭", **chart([3, 4], [5, 4], [60, 120])})
    assert (made.status_code, made.headers["Location"]) == (201, "/api/factory/1")
    factory = {"id": 1, "name": "Köln 🏭", "factory": chart([3, 4], [5, 4], [60, 120])}
    assert made.json == factory
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


def test_a_factory_without_a_chart_has_an_empty_one(client):
    made = client.post("/api/factories", json={"name": "New"})
    assert made.json == {"id": 1, "name": "New", "factory": chart([], [], [])}
    assert client.get("/api/factory/1/attainment").json == {"buckets": []}
    assert client.get("/api/factory/1/chart-data?points=10").json == chart([], [], [])


def test_a_chart_is_sorted_and_the_last_of_equal_times_wins(client):
    made = client.post("/api/factories", json={"name": "X", **chart([1, 2, 3, 4], [5, 6, 7, 8], [30, 10, 30, 20])})
    assert made.json["factory"] == chart([2, 4, 3], [6, 8, 7], [10, 20, 30])


def test_whole_numbers_may_be_spelled_with_a_point(client):
    made = client.post("/api/factories", json={"name": "X", **chart([1.0], [-(2**31)], [2**53])})
    assert made.json["factory"] == chart([1], [-(2**31)], [2**53])


@pytest.mark.parametrize(
    ("wrong", "field"),
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
        ({"chart_data": {**chart([], [], [])["chart_data"], "more": []}}, "chart_data.more"),
        ({"chart_data": []}, "chart_data"),
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": 5}, "name"),
        ({"id": 5}, "id"),
    ],
)
def test_a_bad_chart_is_refused_at_its_first_fault(client, wrong, field):
    answer = client.post("/api/factories", json={"name": "X", **wrong})
    assert answer.status_code == 400
    assert field in [error["field"] for error in answer.json["errors"]]
    assert client.get("/api/factories").json["count"] == 0


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b'{"name": "X"', b'{"name": "X"} {}', b'\xef\xbb\xbf{"name": "X"}', b'{"name": "\xff"}',
     b'{"name": "X", "name": "Y"}', b'{"name": NaN}', b'{"name": "\\u0000"}', b'{"name": "\\ud800"}',
     b"[" * 100_000, b'{"chart_data": {"time": [1e400]}}', b'{"name": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_what_is_no_json_is_refused(client, raw):
    answer = client.post("/api/factories", data=raw, content_type="application/json")
    assert answer.status_code == 400 and answer.json["status"] == 400
    assert client.get("/api/factories").json["count"] == 0


def test_only_json_is_taken(client):
    assert client.post("/api/factories", data=b"{}", content_type="text/plain").status_code == 415
    gzipped = {"Content-Encoding": "gzip"}
    assert client.post("/api/factories", json={"name": "X"}, headers=gzipped).status_code == 415


def test_a_cut_has_both_its_ends(client, a_factory):
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
def test_a_wrong_cut_is_refused(client, a_factory, query):
    assert client.get(f"/api/factory/{a_factory(1)}/chart-data?{query}").status_code == 400


def test_the_list_is_paged_and_counts_all(client, a_factory):
    ids = [a_factory(2, name) for name in ("A", "B", "C")]
    page = client.get("/api/factories?limit=2&offset=1").json
    assert [factory["id"] for factory in page["factories"]] == ids[1:]
    assert page["count"] == 3
    for query in ("limit=0", "limit=1001", "offset=-1", "x=1"):
        assert client.get(f"/api/factories?{query}").status_code == 400


def test_what_happens_to_a_factory_is_told(client, outbox, a_factory):
    id_ = a_factory(1)
    tag = client.get(f"/api/factory/{id_}").headers["ETag"]
    assert client.delete(f"/api/factory/{id_}", headers={"If-Match": '"other"'}).status_code == 412
    assert client.delete(f"/api/factory/{id_}", headers={"If-Match": tag}).status_code == 204
    assert [(name, told["payload"]) for name, told in outbox()] == [
        ("FactoryCreated", {"id": id_}),
        ("FactoryDeleted", {"id": id_}),
    ]


def test_the_points_of_a_factory_that_is_gone_are_swept(client, db, a_factory):
    from factory_service.store.factories import sweep

    a_factory(25), client.delete("/api/factory/1")
    with db.transaction() as tx:
        assert [sweep(tx, 10), sweep(tx, 10), sweep(tx, 10), sweep(tx, 10)] == [10, 10, 5, 0]
        assert tx.value("SELECT count(*) FROM points") == 0


def test_the_seeds_example_is_recognisable(client, work):
    client.post("/api/factories/load", data=(SAMPLES / "seed_factory_data.json").read_bytes(),
                content_type="application/json")  # fmt: skip
    work()
    sample = json.loads((SAMPLES / "seed_factory_data.json").read_text())["factories"]
    for id_, entry in enumerate(sample, 1):
        assert client.get(f"/api/factory/{id_}").json == {"id": id_, "name": f"Factory {id_}", **entry}
    third = client.get("/api/factory/3/chart-data").json["chart_data"]
    assert (third[SERIES[0]][0], third[SERIES[1]][0], third["time"][0]) == (
        sample[2]["factory"]["chart_data"][SERIES[0]][0],
        sample[2]["factory"]["chart_data"][SERIES[1]][0],
        sample[2]["factory"]["chart_data"]["time"][0],
    )
