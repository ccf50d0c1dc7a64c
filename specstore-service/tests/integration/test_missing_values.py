"""Rows without values: blank ones are dropped, and those of missing values are rows like others."""

import io
import json

import pytest
from pyarrow.parquet import read_table

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]
MISSING = {"missingValues": ["", "NA", "-"]}


def errors_of(status):
    return status["pipelines"][f"{status['id']}/validation_report"]["error_log"]


def test_row_of_missing_values_is_kept_and_valid(run, put, get):
    content = b"id,name\n1,a\nNA,NA\n-,\n2,NA\n"
    put("reds.csv", content)
    resource = {"name": "reds", "path": "reds.csv", "schema": {"fields": FIELDS, **MISSING}}
    status = run(resource, outputs=[{"kind": "parquet"}])
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv") == content
    empty = {"id": None, "name": None}
    rows = [{"id": 1, "name": "a"}, empty, empty, {"id": 2, "name": None}]
    assert json.loads(get(status, "reds.json")) == rows
    assert read_table(io.BytesIO(get(status, "reds.parquet")), use_threads=False).to_pylist() == rows
    assert json.loads(get(status, "validation_report.json"))["tables"][0]["rows"] == 4
    assert not [line for line in status["logs"] if "warning" in line]


def test_errors_of_rows_of_missing_values_are_reported(run, put):
    put("reds.csv", b"id,name\n-,NA\n1,a\n-\n-,-,-\n")
    fields = [{**FIELDS[0], "constraints": {"required": True}}, FIELDS[1]]
    status = run({"name": "reds", "path": "reds.csv", "schema": {"fields": fields, **MISSING}})
    required = 'field id, constraint error: constraint "required" is "True" (in \'-\')'
    errors = errors_of(status)
    assert [line for line in errors if "constraint" in line] == [f"reds: row {row}, {required}" for row in (2, 4, 5)]
    assert [line for line in errors if "constraint" not in line] == [
        "reds: row 4, field name, missing cell", "reds: row 5, extra cell (in '-')",
    ]  # fmt: skip


def test_rows_of_missing_values_do_not_hide_later_errors(run, put):
    put("reds.csv", b"id,name\n" + b"-,-\n" * 1000 + b"x,a\n")
    (error,) = errors_of(run({"name": "reds", "path": "reds.csv", "schema": {"fields": FIELDS, **MISSING}}))
    assert error.startswith("reds: row 1002, field id, type error")


def test_primary_key_of_missing_values_is_reported_once(run, put):
    put("reds.csv", b"id,name\n1,a\n-,-\n")
    schema = {"fields": FIELDS, **MISSING, "primaryKey": "id"}
    (error,) = errors_of(run({"name": "reds", "path": "reds.csv", "schema": schema}))
    assert error.startswith("reds: row 3, primarykey error")


@pytest.mark.parametrize("is_inline", [True, False])
def test_list_without_rows_becomes_a_table_without_rows(run, put, get, is_inline):
    put("reds.json", b"[]")
    data = {"data": []} if is_inline else {"path": "reds.json"}
    status = run({"name": "reds", **data, "schema": {"fields": FIELDS}}, outputs=[{"kind": "parquet"}])
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv") == get(status, "reds_preview.csv") == b"id,name\n"
    assert json.loads(get(status, "reds.json")) == []
    assert read_table(io.BytesIO(get(status, "reds.parquet")), use_threads=False).to_pydict() == {"id": [], "name": []}
    assert status["stats"]["count_of_rows"] == 0
