"""Output files get unique names, and a package describes them."""

import pytest

from specstore_service.domain import files
from specstore_service.domain.files import PackageFile
from specstore_service.domain.plans import CSV, JSON, ORIGINAL, PACKAGE, PARQUET, PREVIEW, REPORT, TABULAR, ZIP
from specstore_service.domain.sources import Source
from specstore_service.domain.specs import Tabulator


def test_files_are_named_after_their_resource():
    planned = [(REPORT, ""), (CSV, "reds"), (JSON, "reds"), (PARQUET, "reds"), (ZIP, "w.zip"), (PREVIEW, "reds"),
               (TABULAR, "reds"), (ORIGINAL, "notes"), (ORIGINAL, "plain"), (PACKAGE, "")]  # fmt: skip
    assert files.file_paths(planned, {"reds": "xlsx", "notes": "md"}) == [
        "validation_report.json", "reds.csv", "reds.json", "reds.parquet", "w.zip", "reds_preview.csv",
        "reds_source.xlsx", "notes.md", "plain", "datapackage.json",
    ]  # fmt: skip


def test_colliding_file_names_are_made_unique():
    planned = [
        (REPORT, ""),
        (CSV, "a"),
        (CSV, "A"),
        (CSV, "a_preview"),
        (JSON, "datapackage"),
        (PREVIEW, "a"),
        (ZIP, "datapackage.json"),
        (ZIP, "4-datapackage.json"),
        (JSON, "validation_report"),
        (PACKAGE, ""),
    ]
    paths = files.file_paths(planned, {})
    assert len({path.casefold() for path in paths}) == len(planned)
    assert paths[-1] == "datapackage.json"


@pytest.mark.parametrize(
    ("path", "type_"),
    [("a.csv", "text/csv; charset=utf-8"), ("a.JSON", "application/json"), ("a.html", "application/octet-stream"),
     ("a.svg", "application/octet-stream"), ("plain", "application/octet-stream"), ("a.zip", "application/zip")],
)  # fmt: skip
def test_types_that_a_browser_might_execute_are_served_as_bytes(path, type_):
    assert files.content_type(path) == type_


def test_package_resource_names_are_lowercase_and_unique():
    package_files = [
        PackageFile(CSV, name, f"{name}.csv", 1, "sha256:x", 1) for name in ("Reds@Home", "reds-home", "reds.home")
    ]
    names = [resource["name"] for resource in files.package_descriptor("Wines", [], package_files)["resources"]]
    assert names[0] == "reds-home_csv" and len(set(names)) == 3


def a_table(**fields):
    schema = {"fields": [{"name": "a", "title": "A", "x": 1}], "foreignKeys": []}
    return Source("reds", "reds.csv", None, "reds.csv", None, "csv", schema, Tabulator(), True, **fields)


def test_files_of_a_table_have_its_properties_and_those_of_their_format():
    source = a_table(properties={"title": "Reds", "x": {"y": 1}}, file_properties={"encoding": "cp1252"})
    kinds = {CSV: "reds.csv", JSON: "reds.json", PARQUET: "reds.parquet", PREVIEW: "reds_preview.csv", TABULAR: "s.csv"}
    package_files = [PackageFile(kind, "reds", path, 5, "sha256:x", 1) for kind, path in kinds.items()]
    descriptor = files.package_descriptor("wines", [source], package_files, {"title": "Wines", "id": 7})
    assert (descriptor["name"], descriptor["title"], descriptor["id"]) == ("wines", "Wines", 7)
    resources = {resource["path"]: resource for resource in descriptor["resources"]}
    assert all((resource["title"], resource["x"]) == ("Reds", {"y": 1}) for resource in resources.values())
    encodings = {path: resource.get("encoding") for path, resource in resources.items()}
    assert encodings == {
        "reds.csv": "utf-8", "reds.json": "utf-8", "reds.parquet": None, "reds_preview.csv": "utf-8", "s.csv": "cp1252"
    }  # fmt: skip
    assert resources["reds.csv"]["schema"] == source.schema
    assert resources["reds_preview.csv"]["schema"] == {"fields": source.schema["fields"]}
    assert resources["reds.parquet"]["mediatype"] == "application/vnd.apache.parquet"
    assert "schema" not in resources["reds.parquet"] | resources["reds.json"] | resources["s.csv"]


@pytest.mark.parametrize("keys", [None, "x", [1], [{}], [{"reference": 1}], [{"reference": {"resource": "other"}}]])
def test_foreign_keys_to_unknown_resources_stay_unchanged(keys):
    schema = {"fields": [], "foreignKeys": keys}
    assert files.retarget_foreign_keys(schema, {"wines": "wines_csv"}) == schema


def test_foreign_keys_refer_to_the_file_of_their_table():
    schema = {"foreignKeys": [{"fields": ["a"], "reference": {"resource": "wines", "fields": ["b"]}}]}
    retargeted = files.retarget_foreign_keys(schema, {"wines": "wines_csv"})
    assert retargeted["foreignKeys"][0]["reference"] == {"resource": "wines_csv", "fields": ["b"]}
