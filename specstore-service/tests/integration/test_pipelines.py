"""The built-in runner produces the outputs of each kind of pipeline."""

import csv
import io
import json
import zipfile

import openpyxl
import pytest
from frictionless import Package

from specstore_service.operations import attempts

SCHEMA = {
    "fields": [
        {"name": "id", "type": "integer", "constraints": {"required": True, "unique": True}},
        {"name": "name", "type": "string"},
        {"name": "price", "type": "number"},
        {"name": "day", "type": "date", "format": "%d/%m/%Y"},
        {"name": "ok", "type": "boolean", "trueValues": ["yes"], "falseValues": ["no"]},
        {"name": "more", "type": "object"},
    ],
    "missingValues": ["", "n/a"],
}
WINES = """id,name,price,day,ok,more
1,Malbec,12.50,31/12/2020,yes,"{""a"": 1}"
2,"a, b ""c""
d",n/a,01/02/2021,no,
3,Σύρα,1e3,,,
"""


def errors_of(status, pipeline):
    return status["pipelines"][f"{status['id']}/{pipeline}"]["error_log"]


def states_of(status):
    prefix_length = len(status["id"]) + 1
    return {id_[prefix_length:]: pipeline["status"] for id_, pipeline in status["pipelines"].items()}


def test_each_pipeline_writes_its_output(run, put, get):
    put("reds.csv", WINES.encode())
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv").decode() == WINES
    assert json.loads(get(status, "reds.json")) == [
        {"id": 1, "name": "Malbec", "price": 12.5, "day": "31/12/2020", "ok": True, "more": {"a": 1}},
        {"id": 2, "name": 'a, b "c"\nd', "price": None, "day": "01/02/2021", "ok": False, "more": None},
        {"id": 3, "name": "Σύρα", "price": 1000, "day": None, "ok": None, "more": None},
    ]
    assert get(status, "reds_source.csv").decode() == get(status, "reds_preview.csv").decode() == WINES
    report = json.loads(get(status, "validation_report.json"))
    assert report == {"valid": True, "tables": [{"name": "reds", "rows": 3, "errors": []}]}
    with zipfile.ZipFile(io.BytesIO(get(status, "wines.zip"))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["reds.csv", "reds.json", "datapackage.json"]
        assert archive.read("reds.csv").decode() == WINES


def test_stats_are_reported_per_pipeline_and_for_the_flow(run, put, get):
    put("reds.csv", WINES.encode())
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA})
    csv_stats = status["pipelines"][f"{status['id']}/reds_csv"]["stats"]
    assert (csv_stats["bytes"], csv_stats["count_of_rows"]) == (len(WINES.encode()), 3)
    descriptor = json.loads(get(status, "datapackage.json"))
    stats = status["stats"]
    assert (stats["count_of_rows"], stats["dataset_name"]) == (3, "wines")
    sizes = [pipeline["stats"]["bytes"] for id_, pipeline in status["pipelines"].items() if id_ != status["id"]]
    assert stats["bytes"] == descriptor["bytes"] == sum(sizes)
    assert stats["hash"].startswith("sha256:")


# The frictionless library leaves files open.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_package_validates_with_frictionless_from_its_url(run, put, get, base_url, tmp_path):
    put("Wine@List.xlsx", a_workbook([["id", "name"], [1, "Malbec"], [2, "Syrah"]]))
    put("reds.csv", WINES.encode())
    status = run(
        {"name": "reds", "path": "reds.csv", "schema": SCHEMA},
        {"name": "Wine@List", "path": "Wine@List.xlsx", "schema": {"fields": [{"name": "id"}, {"name": "name"}]}},
        {"name": "inline", "data": [["a", "b"], [1, None], ["x", 2.5]]},
        {"name": "notes.md", "path": "notes.md"} if put("notes.md", b"# notes") else {},
        dataset="Wines",
    )
    assert status["state"] == "SUCCEEDED", status["error_log"]
    package = Package(f"{base_url}/source/{status['id']}/data/datapackage.json")
    report = package.validate()
    assert report.valid, report.flatten(["type", "note"])
    assert package.get_resource("reds_csv").read_rows()[0]["name"] == "Malbec"
    names = [resource.name for resource in package.resources]
    assert "wine-list_csv" in names and "notes.md" in names and "wines_zip" in names
    (tmp_path / "all.zip").write_bytes(get(status, "Wines.zip"))
    assert Package(str(tmp_path / "all.zip")).validate().valid
    for resource in package.resources:
        (tmp_path / resource.path).write_bytes(get(status, resource.path))
    (tmp_path / "datapackage.json").write_bytes(get(status, "datapackage.json"))
    assert Package(str(tmp_path / "datapackage.json")).validate().valid


def a_workbook(*sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for rows in sheets:
        sheet = book.create_sheet()
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_processing_selects_sheet_and_header_row(run, put, get):
    rows = [["A list of wines"], [], ["id", "name"], [1, "Malbec"], [2, None], [None, None]]
    put("list.xlsx", a_workbook([["not", "this"]], rows))
    status = run(
        {"name": "list", "path": "list.xlsx"},
        processing=[{"input": "list", "output": "wines-2", "tabulator": {"headers": 3, "sheet": 2}}],
    )
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "wines-2.csv") == b"id,name\n1,Malbec\n2,\n"
    assert json.loads(get(status, "wines-2.json")) == [{"id": 1, "name": "Malbec"}, {"id": 2, "name": None}]
    assert set(states_of(status)) >= {"list", "wines-2"} and "list_csv" not in states_of(status)


def test_every_invalid_row_is_reported(run, put):
    rows = "id,name\n1,a\nx,b\n3\n4,d,e\n1,again\n,f\n"
    put("reds.csv", f"some title\n{rows}".encode())
    schema = {"fields": SCHEMA["fields"][:2]}
    status = run(
        {"name": "reds", "path": "reds.csv", "schema": schema},
        processing=[{"input": "reds", "output": "reds", "tabulator": {"headers": 2}}],
    )
    assert status["state"] == "FAILED"
    errors = errors_of(status, "validation_report")
    for location in ("row 4, field id", "row 5, field name", "row 6,", "row 7, field id", "row 8, field id"):
        assert any(line.startswith(f"reds: {location}") for line in errors), (location, errors)
    assert any('type is "integer/default"' in line and "'x'" in line for line in errors)
    states = states_of(status)
    assert (states["reds_csv"], states["reds_json"], states["reds"]) == ("SUCCEEDED",) * 3
    dependency = f'Cannot run until dependency "{status["id"]}/validation_report" is successfully executed'
    assert dependency in errors_of(status, "wines_zip")[0]


def test_number_of_reported_errors_is_bounded(run, put, get):
    put("reds.csv", b"id,name\n" + b"x,y\n" * 5000)
    status = run({"name": "reds", "path": "reds.csv", "schema": {"fields": SCHEMA["fields"][:2]}})
    errors = errors_of(status, "validation_report")
    assert 100 < len(errors) < 300 and "further errors are omitted" in errors[-1]


def test_zip_has_the_name_that_the_spec_states(run, get):
    outputs = [{"kind": "zip", "parameters": {"out-file": "all.zip"}}]
    status = run({"name": "reds", "data": [{"a": 1}]}, outputs=outputs)
    assert status["pipelines"][f"{status['id']}/all_zip"]["stats"]["path"] == "all.zip"
    with zipfile.ZipFile(io.BytesIO(get(status, "all.zip"))) as archive:
        assert archive.namelist() == ["reds.csv", "reds.json", "datapackage.json"]


def test_preview_contains_two_thousand_rows(run, put, get):
    put("reds.csv", "".join(["n\n", *(f"{n}\n" for n in range(3000))]).encode())
    status = run({"name": "reds", "path": "reds.csv"})
    rows = list(csv.reader(io.StringIO(get(status, "reds_preview.csv").decode())))
    assert len(rows) == 2001 and rows[-1] == ["1999"]
    assert status["pipelines"][f"{status['id']}/reds_csv_preview"]["stats"]["count_of_rows"] == 2000


def test_same_spec_produces_identical_files(api, workers, put):
    put("reds.csv", WINES.encode())
    hashes = []
    for _ in range(2):
        flow = api.create_flow(resources=[{"name": "reds", "path": "reds.csv", "schema": SCHEMA}])
        workers.run_all()
        status = api.get(flow).json
        hashes.append([pipeline["stats"]["hash"] for pipeline in status["pipelines"].values()])
    assert hashes[0] == hashes[1]


def test_colliding_file_names_are_made_unique(run, get):
    rows = [{"a": 1}]
    status = run({"name": "x", "data": rows}, {"name": "x_preview", "data": rows}, {"name": "X", "data": rows})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    paths = [resource["path"] for resource in json.loads(get(status, "datapackage.json"))["resources"]]
    assert len(paths) == len({path.casefold() for path in paths}) == 14
    for path in paths:
        get(status, path)


def test_missing_source_fails_only_its_pipelines_with_an_explanation(run):
    status = run({"name": "reds", "path": "missing.csv", "schema": SCHEMA}, {"name": "whites", "data": [{"a": 1}]})
    assert "reds: missing.csv was not uploaded" in status["error_log"]
    states = states_of(status)
    assert states["reds_csv"] == states["validation_report"] == "FAILED" and states["whites_csv"] == "SUCCEEDED"


def test_file_of_another_owner_cannot_be_a_source(run, client, a_token):
    response = client.put("/source/bob/files/secret.csv", data=b"a\n1\n", headers={"Auth-Token": a_token("bob")})
    assert response.status_code == 200
    status = run({"name": "reds", "path": "secret.csv"})
    assert status["state"] == "FAILED"


def test_invalid_schema_fails_the_report_with_an_explanation(run):
    schema = {"fields": [{"name": "a", "type": "integer", "example": "x"}]}
    status = run({"name": "reds", "data": [{"a": 1}], "schema": schema})
    assert status["state"] == "FAILED"
    assert errors_of(status, "validation_report") == ['reds: example value "x" for field "a" is not valid']


def test_foreign_key_without_a_matching_row_is_reported(run):
    reference = {"fields": ["wine"], "reference": {"resource": "wines", "fields": ["id"]}}
    status = run(
        {"name": "wines", "data": [{"id": 1}], "schema": {"fields": [{"name": "id", "type": "integer"}]}},
        {
            "name": "sales",
            "data": [{"wine": 1}, {"wine": 2}],
            "schema": {"fields": [{"name": "wine", "type": "integer"}], "foreignKeys": [reference]},
        },
    )
    (error,) = errors_of(status, "validation_report")
    assert error.startswith("sales: row 3,") and "not found in the lookup table" in error


@pytest.mark.slow
def test_catastrophic_pattern_fails_only_the_report(run, monkeypatch):
    monkeypatch.setattr(attempts, "_BATCH_TIMEOUT_SECONDS", 3)
    schema = {"fields": [{"name": "a", "type": "string", "constraints": {"pattern": "(a+)+b"}}]}
    status = run({"name": "reds", "data": [{"a": "a" * 64}], "schema": schema})
    assert "takes too long" in errors_of(status, "validation_report")[0]
    assert states_of(status)["reds_csv"] == "SUCCEEDED"


def test_large_table_reports_its_invalid_row(run, put, get):
    valid_rows = "id,name\n" + "".join(f"{n},{'x' * 100}\n" for n in range(12_000))
    put("reds.csv", f"{valid_rows}bad,y\n".encode())
    status = run({"name": "reds", "path": "reds.csv", "schema": {"fields": SCHEMA["fields"][:2]}})
    (error,) = errors_of(status, "validation_report")
    assert error.startswith("reds: row 12002, field id")


@pytest.mark.parametrize("format_", ["csv", "tsv", "json", "inline"])
def test_too_many_columns_fail_every_pipeline_of_the_table_with_the_limit(run, put, format_):
    names = [f"c{number}" for number in range(1_000_000 if format_ != "inline" else 2001)]
    if format_ == "inline":
        resource = {"name": "wide", "data": [names]}
    else:
        content = json.dumps([names]) if format_ == "json" else {"csv": ",", "tsv": "\t"}[format_].join(names)
        put(f"wide.{format_}", content.encode())
        resource = {"name": "wide", "path": f"wide.{format_}", "schema": {"fields": [{"name": "c0"}]}}
    status = run(resource)
    message = "wide: row 1 has more than 2000 columns: a table must have at most 2000"
    pipelines = status["pipelines"].values()
    failed = [pipeline["title"] for pipeline in pipelines if message in "".join(pipeline["error_log"])]
    assert failed == ["Validating package contents", "Creating CSV", "Creating JSON"]
