"""Output files get unique names, and a package describes them."""

import pytest

from specstore_service.domain import files
from specstore_service.domain.files import PackageFile
from specstore_service.domain.plans import CSV, JSON, ORIGINAL, PACKAGE, PREVIEW, REPORT, TABULAR, ZIP


def test_files_are_named_after_their_resource():
    planned = [(REPORT, ""), (CSV, "reds"), (JSON, "reds"), (ZIP, "w.zip"), (PREVIEW, "reds"), (TABULAR, "reds"),
               (ORIGINAL, "notes"), (ORIGINAL, "plain"), (PACKAGE, "")]  # fmt: skip
    assert files.file_paths(planned, {"reds": "xlsx", "notes": "md"}) == [
        "validation_report.json", "reds.csv", "reds.json", "w.zip", "reds_preview.csv", "reds_source.xlsx",
        "notes.md", "plain", "datapackage.json",
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


@pytest.mark.parametrize("keys", [None, "x", [1], [{}], [{"reference": 1}], [{"reference": {"resource": "other"}}]])
def test_foreign_keys_to_unknown_resources_stay_unchanged(keys):
    schema = {"fields": [], "foreignKeys": keys}
    assert files.retarget_foreign_keys(schema, {"wines": "wines_csv"}) == schema


def test_foreign_keys_refer_to_the_file_of_their_table():
    schema = {"foreignKeys": [{"fields": ["a"], "reference": {"resource": "wines", "fields": ["b"]}}]}
    retargeted = files.retarget_foreign_keys(schema, {"wines": "wines_csv"})
    assert retargeted["foreignKeys"][0]["reference"] == {"resource": "wines_csv", "fields": ["b"]}
