"""The first rows of an error report as JSON."""

import uuid

import pytest

PATH = "/acme_orders/api/v1/orders/import"


@pytest.fixture
def first_errors(client):
    def first_errors(task_id, query=""):
        response = client.get(f"{PATH}/{task_id}/errors{query}")
        assert response.status_code == 200, response.text
        return response.json["result"]

    return first_errors


def test_rows_are_listed_with_line_and_all_errors(api, build_csv, build_row, first_errors):
    rows = build_row(1), build_row(2, state="nj", zipcode="99999"), build_row(1), build_row("x\x00y")
    task_id = api.run_import(build_csv(*rows))["task_id"]
    invalid, duplicate, rejected = first_errors(task_id)
    assert (invalid["line"], invalid["row"]) == (3, rows[1])
    assert invalid["errors"] == [
        {"rule": "allowed_state", "message": "We don't ship to NJ"},
        {"rule": "zipcode_sum", "message": "Your zipcode sum is too large"},
    ]
    assert (duplicate["line"], [error["rule"] for error in duplicate["errors"]]) == (4, ["duplicate"])
    assert rejected["line"] == 5 and "\x00" not in rejected["row"]
    assert first_errors(task_id, "?limit=1") == [invalid]


def test_long_rows_are_cut_and_long_reports_read_partially(api, build_csv, build_row, first_errors):
    row = build_row(1, email="e") + "|" + "x" * 300_000
    content = build_csv(row, row.replace("1", "2", 1), *[row] * 8, header="id|name|email|state|zipcode|birthday|note")
    task_id = api.run_import(content)["task_id"]
    rows = first_errors(task_id)
    assert rows[0]["row"] == row[:1000]
    assert 1 <= len(rows) < 10


def test_rows_of_many_steps_are_listed(api, build_csv, build_row, first_errors, monkeypatch):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 25)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 25)
    content = build_csv(*[build_row(number, state="NJ", zipcode=f"100{number:02}") for number in range(60)])
    task_id = api.run_import(content)["task_id"]
    assert [row["line"] for row in first_errors(task_id)] == list(range(2, 62))


def test_import_without_errors_has_an_empty_list(api, build_csv, build_row, first_errors):
    assert first_errors(api.run_import(build_csv(build_row(1)))["task_id"]) == []


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "offset=1"])
def test_invalid_parameter_is_named(api, client, build_csv, query):
    task_id = api.run_import(build_csv())["task_id"]
    response = client.get(f"{PATH}/{task_id}/errors?{query}")
    assert (response.status_code, list(response.json["message"])) == (400, [query.partition("=")[0]])


def test_unknown_import_is_not_found(client, db):
    assert client.get(f"{PATH}/{uuid.uuid4()}/errors").status_code == 404
    assert client.get(f"{PATH}/unknown/errors").status_code == 404
