"""Published files contain what their sources contain, and the descriptor describes them."""

import csv
import io
import json
import zipfile
from decimal import Decimal

import pytest
from frictionless import Package
from pyarrow.parquet import read_table

SCHEMA = {
    "fields": [
        {"name": "id", "type": "integer", "description": "A number", "constraints": {"required": True}, "rank": 1},
        {"name": "name", "type": "string", "title": "Name"},
    ],
    "primaryKey": "id",
}
PACKAGE = {
    "title": "Wines",
    "description": "All wines",
    "homepage": "https://example.org",
    "version": "1.2.0",
    "id": "b03ec84",
    "created": "2020-01-02T03:04:05Z",
    "image": "bottle.png",
    "keywords": ["wine"],
    "licenses": [{"name": "ODC-PDDL-1.0"}],
    "sources": [{"title": "A list", "path": "https://example.org/list"}],
    "contributors": [{"title": "Ann", "email": "ann@example.org", "role": "author"}],
    "custom": {"a": [1, 0.5]},
}
RESOURCE = {"title": "Reds", "description": "Red wines", "licenses": [{"name": "MIT"}], "custom": {"b": None}}
UNUSUAL = [["id", "name"], ["1", "a\rb"], ["2", "a\nb"], ["3", 'say "x", or y'], ["4", "\r\n"], ["5", " "]]


def csv_rows(content):
    return list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))


def logs_of(status):
    return "\n".join(status["logs"])


# The frictionless library leaves files open.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_metadata_is_published_in_a_valid_descriptor(api, a_spec, workers, put, get, base_url, tmp_path):
    put("reds.csv", b"id;name\n1;Gr\xfcner\n")
    file = {"encoding": "cp1252", "dialect": {"delimiter": ";"}, "format": "csv", "mediatype": "text/csv", "bytes": 9}
    resource = {"name": "reds", "path": "reds.csv", "profile": "tabular-data-resource", "hash": "x", **file, **RESOURCE}
    spec = a_spec(resources=[{**resource, "schema": SCHEMA}], outputs=[{"kind": "parquet"}])
    spec["inputs"][0]["parameters"]["descriptor"] |= {**PACKAGE, "profile": "tabular-data-package"}
    flow = api.upload(spec).json["flow_id"]
    workers.run_all()
    status = api.get(flow).json
    assert status["state"] == "SUCCEEDED", status["error_log"]
    descriptor = json.loads(get(status, "datapackage.json"))
    assert {name: descriptor[name] for name in PACKAGE} == PACKAGE and "profile" not in descriptor
    resources = {resource["path"]: resource for resource in descriptor["resources"]}
    for path in ("reds.csv", "reds.json", "reds.parquet", "reds_preview.csv", "reds_source.csv"):
        assert {name: resources[path][name] for name in RESOURCE} == RESOURCE
        assert "profile" not in resources[path]
    table = resources["reds.csv"]
    assert (table["schema"], table["encoding"], table["dialect"]["delimiter"]) == (SCHEMA, "utf-8", ",")
    source = resources["reds_source.csv"]
    assert (source["encoding"], source["dialect"], source["bytes"]) == ("cp1252", {"delimiter": ";"}, 17)
    report = Package(f"{base_url}/source/{flow}/data/datapackage.json").validate()
    assert report.valid, report.flatten(["type", "note"])
    (tmp_path / "all.zip").write_bytes(get(status, "wines.zip"))
    package = Package(str(tmp_path / "all.zip"))
    assert package.validate().valid and (package.title, package.custom["custom"]) == ("Wines", PACKAGE["custom"])
    assert package.get_resource("reds_csv").read_rows() == [{"id": 1, "name": "Grüner"}]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_cells_with_line_ends_and_quotes_are_rows_of_every_file(run, put, get, base_url):
    source = io.StringIO(newline="")
    csv.writer(source, quoting=csv.QUOTE_ALL).writerows(UNUSUAL)
    put("reds.csv", source.getvalue().encode())
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA}, outputs=[{"kind": "parquet"}])
    assert status["state"] == "SUCCEEDED", status["error_log"]
    content = b'id,name\n1,"a\rb"\n2,"a\nb"\n3,"say ""x"", or y"\n4,"\r\n"\n5, \n'
    assert get(status, "reds.csv") == get(status, "reds_preview.csv") == content
    assert csv_rows(content) == UNUSUAL
    rows = [{"id": int(id_), "name": name} for id_, name in UNUSUAL[1:]]
    assert json.loads(get(status, "reds.json")) == rows
    assert read_table(io.BytesIO(get(status, "reds.parquet")), use_threads=False).to_pylist() == rows
    with zipfile.ZipFile(io.BytesIO(get(status, "wines.zip"))) as archive:
        assert archive.read("reds.csv") == content
    package = Package(f"{base_url}/source/{status['id']}/data/datapackage.json")
    assert package.validate().valid
    assert [row.to_dict() for row in package.get_resource("reds_csv").read_rows()] == rows


@pytest.mark.parametrize("format_", ["csv", "json"])
def test_blank_rows_are_dropped_with_a_warning(run, put, get, format_):
    content = {"csv": b"id,name\n1,a\n\n,\n2,b\n\n", "json": b'[["id","name"],[1,"a"],[],["",null],[2,"b"],[]]'}
    put(f"reds.{format_}", content[format_])
    status = run({"name": "reds", "path": f"reds.{format_}", "schema": SCHEMA}, outputs=[{"kind": "parquet"}])
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv") == get(status, "reds_preview.csv") == b"id,name\n1,a\n2,b\n"
    assert len(json.loads(get(status, "reds.json"))) == 2
    assert json.loads(get(status, "validation_report.json"))["tables"][0]["rows"] == 2
    assert "reds: warning: 3 blank rows were dropped, at first rows 3, 4, 6" in logs_of(status)
    counts = {name: pipeline["stats"].get("count_of_rows") for name, pipeline in status["pipelines"].items()}
    assert {counts[f"{status['id']}/reds_{kind}"] for kind in ("csv", "json", "csv_preview", "parquet")} == {2}


def test_table_without_blank_rows_has_no_warning(run, put):
    put("reds.csv", b"id,name\n1,a\n")
    assert "warning" not in logs_of(run({"name": "reds", "path": "reds.csv", "schema": SCHEMA}))


def test_invalid_row_after_blank_rows_is_reported_with_its_number_in_the_source(run, put):
    put("reds.csv", b"a title\nid,name\n1,a\n\n,\nx,b\n\n3\n")
    steps = [{"input": "reds", "output": "reds", "tabulator": {"headers": 2}}]
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA}, processing=steps)
    errors = status["pipelines"][f"{status['id']}/validation_report"]["error_log"]
    assert {line.partition(",")[0] for line in errors} == {"reds: row 6", "reds: row 8"}
    assert "3 blank rows were dropped, at first rows 4, 5, 7" in logs_of(status)


def test_parquet_file_is_published(client, run, put, get):
    put("reds.csv", b"id,name\n1,a\n2,\n")
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA}, outputs=[{"kind": "parquet"}])
    assert status["state"] == "SUCCEEDED", status["error_log"]
    content = get(status, "reds.parquet")
    table = read_table(io.BytesIO(content), use_threads=False)
    assert table.to_pydict() == {"id": [1, 2], "name": ["a", None]}
    pipeline = status["pipelines"][f"{status['id']}/reds_parquet"]
    assert (pipeline["title"], pipeline["stats"]["bytes"]) == ("Creating Parquet", len(content))
    response = client.get(f"/source/{status['id']}/data/reds.parquet")
    assert response.content_type == "application/vnd.apache.parquet"


def test_parquet_file_is_not_created_from_invalid_rows(run, put):
    put("reds.csv", b"id,name\nx,a\n")
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA}, outputs=[{"kind": "parquet"}])
    pipeline = status["pipelines"][f"{status['id']}/reds_parquet"]
    assert pipeline["status"] == "FAILED" and "validation_report" in pipeline["error_log"][0]


PRECISE = "123456789012345678.99"


def test_numbers_keep_their_digits(run, put, get):
    schema = {"fields": [{"name": "a", "type": "number"}, {"name": "b", "type": "object"}]}
    put("text.csv", f'a,b\n{PRECISE},"{{""x"": {PRECISE}}}"\n'.encode())
    put("objects.json", f'[{{"a": {PRECISE}, "b": {{"x": {PRECISE}}}}}]'.encode())
    resources = [{"name": name, "path": name, "schema": schema} for name in ("text.csv", "objects.json")]
    status = run(*resources)
    assert status["state"] == "SUCCEEDED", status["error_log"]
    for name in ("text.csv", "objects.json"):
        assert get(status, f"{name}.csv").decode() == f'a,b\n{PRECISE},"{{""x"": {PRECISE}}}"\n'
        assert get(status, f"{name}.json").decode() == f'[\n{{"a": {PRECISE}, "b": {{"x": {PRECISE}}}}}\n]\n'


def test_number_with_a_large_exponent_is_neither_changed_nor_expanded(run, put, get):
    numbers = ["1E+999999999", "1e-999999999"]
    put("a.csv", "\n".join(["n", *numbers, ""]).encode())
    constraints = {"minimum": 0, "unique": True, "enum": [*numbers, "1"]}
    field = {"name": "n", "type": "number", "constraints": constraints}
    status = run({"name": "a", "path": "a.csv", "schema": {"fields": [field]}})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "a.csv").decode().split() == ["n", *numbers]
    assert get(status, "a.json").decode() == '[\n{"n": 1E+999999999},\n{"n": 1E-999999999}\n]\n'


def test_inline_number_that_a_float_would_change_is_rejected(client, api, a_spec):
    body = json.dumps(a_spec(resources=[{"name": "a", "data": [["n"], [0]]}])).replace("[0]", f"[{PRECISE}]")
    headers = {**api.headers, "Content-Type": "application/json"}
    response = client.post("/source/upload", data=body, headers=headers)
    assert response.status_code == 400 and PRECISE[:20] in response.json["errors"][0]


def test_inline_numbers_are_exact(run, get):
    schema = {"fields": [{"name": "n", "type": "number"}]}
    numbers = [0.1, 12345678901234567890, 1e-7, -2.5]
    status = run({"name": "a", "data": [[*"n"], *([number] for number in numbers)], "schema": schema})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert [row["n"] for row in json.loads(get(status, "a.json"))] == numbers
    assert [Decimal(row[0]) for row in csv_rows(get(status, "a.csv"))[1:]] == [
        Decimal(str(number)) for number in numbers
    ]


def test_integers_of_a_json_source_may_have_many_digits(run, put):
    put("a.json", b'[{"n": 1.0}, {"n": 1e400}, {"n": 123456789012345678901234567890.0}]')
    field = {"name": "n", "type": "integer", "bareNumber": False}
    schema = {"fields": [field]}
    status = run({"name": "a", "path": "a.json", "schema": schema}, outputs=[{"kind": "parquet"}])
    errors = {name.rpartition("/")[2]: entry["error_log"] for name, entry in status["pipelines"].items()}
    assert [name for name in errors if errors[name]] == ["a_parquet", "1"]
    assert "must fit into 64 bits" in errors["a_parquet"][0]


def test_long_cell_is_in_every_file(run, put, get):
    cell = "x" * 200_000
    put("a.csv", f"a\n{cell}\n".encode())
    status = run({"name": "a", "path": "a.csv"}, {"name": "inline", "data": [["a"], [f"{cell}\r"]]})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert csv_rows_of_long_cells(get(status, "a_preview.csv")) == [["a"], [cell]]
    assert csv_rows_of_long_cells(get(status, "inline_preview.csv")) == [["a"], [f"{cell}\r"]]


def csv_rows_of_long_cells(content):
    previous = csv.field_size_limit(1_000_000)
    try:
        return csv_rows(content)
    finally:
        csv.field_size_limit(previous)
