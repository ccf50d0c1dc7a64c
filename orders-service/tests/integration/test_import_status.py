"""The response to an upload, and the status of imports while they are in progress."""

import pytest

PATH = "/acme_orders/api/v1/orders/import"
UNKNOWN = "8bd73d8d-8019-4bec-aaf9-0a04a343f1b0"


@pytest.fixture
def content(build_csv, build_row):
    return build_csv(*(build_row(id, state=("TX", "NJ")[id % 2]) for id in range(20)))


@pytest.fixture
def small_steps(monkeypatch):
    """Store 25 bytes per chunk, so that each step imports three or four rows."""
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 25)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 25)


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_accepted_upload_returns_the_import_and_the_location_of_its_status(client, db, content, method):
    response = client.open(f"{PATH}?uuid=u", method=method, data=content, content_type="text/csv")
    result = response.json["result"]
    assert response.headers["Location"] == f"{PATH}/status/{result['task_id']}"
    assert response.json == {
        "result": {"task_id": result["task_id"], "batch_no": None},
        "status_code": 202,
        "uuid": "u",
        "message": "starting import process",
    }


def test_status_of_a_waiting_import(api, client, content):
    task_id = api.start_import(content)
    assert client.get(f"{PATH}/status?task_id={task_id}").json["result"] == api.status(task_id)
    assert api.status(task_id) == {
        "task_id": task_id,
        "file_name": "orders.csv",
        "dry_run": False,
        "on_duplicate": "skip",
        "status": "PENDING",
        "total": 20,
        "ignored_columns": [],
        "message": "",
        **dict.fromkeys(("batch_no", "started_at", "finished_at", "undo")),
        **dict.fromkeys(("current", "valid", "invalid", "updated", "duplicates", "rejected"), 0),
        **dict.fromkeys(("percent", "rows_per_second"), 0.0),
    }


def test_status_after_each_step_states_how_many_rows_were_imported(api, content, small_steps):
    task_id = api.start_import(content)
    history = [api.status(task_id)]
    while history[-1]["status"] in ("PENDING", "PROGRESS"):
        api.run_slice(task_id)
        history.append(api.status(task_id))
    currents = [status["current"] for status in history]
    # The last step may only find that the file has ended.
    assert currents[:-1] == sorted(set(currents[:-1])) and currents[-1] == 20 and len(currents) > 5
    for status in history:
        assert sum(status[name] for name in ("valid", "invalid", "duplicates", "rejected")) == status["current"]
        assert status["percent"] == 5.0 * status["current"] or status["status"] == "PROGRESS"
    assert {status["status"] for status in history[1:-1]} == {"PROGRESS"}
    assert history[-1]["rows_per_second"] > 0
    assert history[-1]["started_at"] <= history[-1]["finished_at"]


def test_imports_are_listed_newest_first(api, client, content):
    task_ids = [api.start_import(content) for _ in range(3)]
    page = client.get(f"{PATH}/status?limit=2&offset=1").json
    assert ([status["task_id"] for status in page["result"]], page["total"]) == ([task_ids[1], task_ids[0]], 3)
    assert page["result"][0] == api.status(task_ids[1])


def test_unknown_import_cannot_be_cancelled(client, db):
    response = client.delete(f"{PATH}/status/{UNKNOWN}")
    assert (response.status_code, response.json["message"]) == (404, "import not found")


def test_age_is_that_on_the_day_of_the_upload(api, db, counts_of, build_csv, build_row):
    birthdays = ("2003-02-28", "2003-03-01", "2024-02-28", "2024-02-29")
    task_id = api.start_import(
        build_csv(*(build_row(id, birthday=day, zipcode=f"1000{id}") for id, day in enumerate(birthdays)))
    )
    with db.transaction() as tx:
        # In UTC, it is still February 28.
        tx.run("UPDATE imports SET uploaded_at = '2024-02-29 00:30+01:00'")
    assert counts_of(api.finish(task_id)) == (1, 2, 0, 1)
    assert api.findings(task_id) == {3: "allowed_age", 4: "allowed_age", 5: "birthday"}


def test_of_five_equal_invalid_rows_only_the_first_is_invalid(api, counts_of, build_csv, build_row, small_steps):
    lines = [build_row(id, state="NJ", zipcode="99999", email="x", birthday="2020-01-01") for id in range(5)]
    status = api.run_import(build_csv(*lines))
    assert counts_of(status) == (4, 1, 0, 0)
    assert api.order(4).json["result"]["errors"] == []
    assert len(api.order(0).json["result"]["errors"]) == 4


@pytest.mark.parametrize(
    ("line_between", "valid"),
    [("{duplicate}", 1), ("{rejected}", 1), ("{other_state}", 1), ("broken", 0), ("", 1), ("| | ||| ", 1)],
    ids=["duplicate", "rejected", "other state", "not split", "empty", "blank cells"],
)
def test_preceding_row_is_the_preceding_line_regardless_of_its_outcome(
    api, counts_of, build_csv, build_row, line_between, valid
):
    invalid = {"state": "NJ", "zipcode": "99999"}
    line = line_between.format(
        duplicate=build_row(1, **invalid),
        rejected=build_row("x", **invalid),
        other_state=build_row(2, state="NJ ", zipcode="99999"),
    )
    status = api.run_import(build_csv(build_row(1, **invalid), line, build_row(3, **invalid)))
    expected = 0 if line_between == "{other_state}" else valid
    assert api.order(3).json["result"]["valid"] is bool(expected)
    assert status["valid"] == expected


def test_a_hundred_orders_are_listed_by_default(api, build_csv, build_row):
    api.run_import(build_csv(*(build_row(id) for id in range(120))))
    assert [len(api.orders(**query).json["result"]) for query in ({}, {"limit": 1000}, {"limit": 1})] == [100, 120, 1]


@pytest.mark.parametrize(
    ("cells", "rule", "message"),
    [
        ({"state": "id"}, "allowed_state", "We don't ship to ID"),
        ({"email": "ann@example"}, "email_pattern", "incorrect email pattern"),
        ({"zipcode": "99300"}, "zipcode_sum", "Your zipcode sum is too large"),
        ({"zipcode": "100-01-0"}, "zipcode_length", "incorrect zipcode length"),
        ({"email": "ann@b.NET", "state": "ny"}, "email_state", "users from NY can't have .net email address"),
        (
            {"birthday": "2020-01-01"},
            "allowed_age",
            "you must be at least 21 years old for ordering alcoholic drinks",
        ),
        ({"zipcode": "99200", "email": "ann@b.NET", "state": "TX"}, None, None),
        ({"zipcode": "10001-0001", "state": "NY"}, None, None),
    ],
)
def test_each_rule_has_its_message(api, build_csv, build_row, cells, rule, message):
    api.run_import(build_csv(build_row(1, **cells)))
    errors = api.order(1).json["result"]["errors"]
    assert errors == ([{"rule": rule, "message": message}] if rule else [])
