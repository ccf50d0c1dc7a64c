"""Schemas and dialects that an upload accepts are valid for frictionless.

Otherwise a schema would fail the pipelines of its table, and the published package could not be read.
"""

import json

import pytest
from frictionless import Dialect

from chassis.errors import Invalid
from specstore_service.domain.sources import sources_of
from specstore_service.operations.cells import create_schema
from specstore_service.operations.uploads import parse_spec

FOREIGN_KEY = {"fields": "a", "reference": {"resource": "b", "fields": ["c"]}}
VALUES = [None, True, 5, 1.5, "", "a", [], ["a"], [None], [1], {}, {"a": None}, [{}], [{"value": "a", "label": None}],
          [FOREIGN_KEY], [{**FOREIGN_KEY, "fields": None}], [{**FOREIGN_KEY, "fields": ["a", "a"]}]]  # fmt: skip
SCHEMA_PROPERTIES = ["name", "title", "description", "fieldsMatch", "missingValues", "primaryKey", "foreignKeys"]
FIELD_PROPERTIES = [
    "title", "description", "rdfType", "format", "missingValues", "constraints", "trueValues", "falseValues",
    "decimalChar", "groupChar", "bareNumber", "floatNumber", "delimiter", "itemType", "arrayItem",
]  # fmt: skip
TYPES = [
    "string", "number", "integer", "boolean", "object", "array", "list", "date", "time", "datetime", "year",
    "yearmonth", "duration", "geopoint", "geojson", "any",
]  # fmt: skip
CONSTRAINTS = ["required", "unique", "minLength", "maxLength", "pattern", "enum"]


@pytest.fixture
def assert_accepted_only_if_valid(a_spec):
    def assert_accepted_only_if_valid(schema):
        try:
            (source,) = sources_of(parse_spec(a_spec(resources=[{"name": "a", "path": "a.csv", "schema": schema}])))
        except Invalid:
            return
        create_schema("a", source.schema)

    return assert_accepted_only_if_valid


@pytest.mark.parametrize("name", SCHEMA_PROPERTIES)
def test_property_of_a_schema_is_accepted_only_if_valid(assert_accepted_only_if_valid, name):
    for value in VALUES:
        assert_accepted_only_if_valid({"fields": [{"name": "a", "type": "string"}], name: value})


@pytest.mark.parametrize("type_", TYPES)
def test_property_of_a_field_is_accepted_only_if_valid(assert_accepted_only_if_valid, type_):
    for name in FIELD_PROPERTIES:
        for value in VALUES:
            assert_accepted_only_if_valid({"fields": [{"name": "a", "type": type_, name: value}]})
    for name in CONSTRAINTS:
        for value in VALUES:
            assert_accepted_only_if_valid({"fields": [{"name": "a", "type": type_, "constraints": {name: value}}]})


DIALECT_PROPERTIES = [
    "delimiter", "lineTerminator", "quoteChar", "doubleQuote", "escapeChar", "nullSequence", "skipInitialSpace",
    "header", "headerRows", "headerJoin", "headerCase", "caseSensitiveHeader", "commentRows", "commentChar",
    "skipBlankRows", "itemType", "itemKeys", "sheetNumber", "sheetName", "csv", "excel", "json", "$schema",
    "csvddfVersion", "name", "type", "title", "description",
]  # fmt: skip


@pytest.mark.parametrize("name", DIALECT_PROPERTIES)
def test_property_of_a_dialect_is_published_only_if_valid(a_spec, name):
    accepted = 0
    for value in [*VALUES, [1], {"delimiter": ";"}, {"sheet": None}, {"keyed": None}, {"keys": ["a"]}, "array", 1]:
        resource = {"name": "a", "path": "a.csv", "dialect": {name: value}}
        try:
            (source,) = sources_of(parse_spec(a_spec(resources=[resource])))
        except Invalid:
            continue
        accepted += 1
        Dialect.from_descriptor(source.file_properties["dialect"])
    assert accepted


def test_null_as_a_property_of_a_resource_means_that_it_is_omitted(run, get):
    names = ("schema", "dialect", "encoding", "format", "mediatype", "compression", "innerpath", "type", "profile")
    status = run({"name": "reds", "data": [{"a": 1}], **dict.fromkeys(names)})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    resources = json.loads(get(status, "datapackage.json"))["resources"]
    assert not [name for resource in resources for name, value in resource.items() if value is None]


def test_pattern_applies_to_the_whole_cell_with_each_of_its_alternatives(run, put):
    put("reds.csv", b"a\nx\ny\nxz\nzy\n")
    field = {"name": "a", "type": "string", "constraints": {"pattern": "x|y"}}
    status = run({"name": "reds", "path": "reds.csv", "schema": {"fields": [field]}})
    errors = [error for error in status["error_log"] if "constraint" in error]
    assert [error.split(",")[0] for error in errors] == ["reds: row 4", "reds: row 5"]


@pytest.mark.parametrize(
    ("values", "properties", "message"),
    [
        (
            ["2020-01-01T00:00:00"],
            {"type": "datetime", "constraints": {"minimum": "2020-01-01T00:00:00Z"}},
            "reds: times must have an offset from UTC if the bounds of their field have one, and none otherwise",
        ),
        (
            ["1"],
            {"type": "number", "constraints": {"maximum": "NaN"}},
            "reds: field a: constraints.maximum must be a valid number",
        ),
        (
            [{"b": 1}],
            {"type": "any", "constraints": {"unique": True}},
            "reds: unique values, and those of keys, must not be lists or objects",
        ),
    ],
)
def test_values_that_cannot_be_compared_are_reported(run, values, properties, message):
    schema = {"fields": [{"name": "a", **properties}]}
    status = run({"name": "reds", "data": [{"a": a} for a in values], "schema": schema})
    assert status["pipelines"][f"{status['id']}/validation_report"]["error_log"] == [message]
