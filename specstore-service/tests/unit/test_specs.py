import pytest

from chassis.errors import Invalid
from specstore_service.operations.uploads import parse_spec

RESOURCES = "inputs.0.parameters.descriptor.resources"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec.update(meta=None), "meta"),
        (lambda spec: spec["meta"].update(owner=1), "meta.owner"),
        (lambda spec: spec["meta"].update(owner="a\nb"), "meta.owner"),
        (lambda spec: spec["meta"].update(owner="  "), "meta.owner"),
        (lambda spec: spec["meta"].update(ownerid="upload"), "meta.ownerid"),
        (lambda spec: spec["meta"].update(ownerid=["ann"]), "meta.ownerid"),
        (lambda spec: spec["meta"].update(dataset="files"), "meta.dataset"),
        (lambda spec: spec["meta"].update(dataset="a/b"), "meta.dataset"),
        (lambda spec: spec["meta"].pop("dataset"), "meta.dataset"),
        (lambda spec: spec["meta"].update(version=2), "meta.version"),
        (lambda spec: spec["meta"].update(version=True), "meta.version"),
        (lambda spec: spec["meta"].update(findability="secret"), "meta.findability"),
        (lambda spec: spec.update(inputs=[]), "inputs"),
        (lambda spec: spec.update(inputs=spec["inputs"] * 2), "inputs"),
        (lambda spec: spec["inputs"][0].update(kind="sql"), "inputs.0.kind"),
        (lambda spec: spec["inputs"][0].update(url="file:///etc/passwd"), "inputs.0.url"),
        (lambda spec: spec["inputs"][0]["parameters"].pop("descriptor"), "inputs.0.parameters.descriptor"),
        (
            lambda spec: spec["inputs"][0]["parameters"].update({"resource-mapping": {"reds": "gopher://x"}}),
            "inputs.0.parameters.resource-mapping.reds",
        ),
        (lambda spec: spec.update(processing={}), "processing"),
        (lambda spec: spec.update(processing=[{"input": "reds"}]), "processing.0.output"),
        (
            lambda spec: spec.update(processing=[{"input": "reds", "output": "x", "tabulator": {"headers": 0}}]),
            "processing.0.tabulator.headers",
        ),
        (
            lambda spec: spec.update(processing=[{"input": "reds", "output": "x", "tabulator": {"skip_rows": 1}}]),
            "processing.0.tabulator.skip_rows",
        ),
        (
            lambda spec: spec.update(processing=[{"input": "reds", "output": "x", "dialect": {}}]),
            "processing.0.dialect",
        ),
        (lambda spec: spec.update(outputs=[{"kind": "sqlite"}]), "outputs.0.kind"),
        (
            lambda spec: spec.update(outputs=[{"kind": "zip", "parameters": {"out-file": "../x.zip"}}]),
            "outputs.0.parameters.out-file",
        ),
    ],
)
def test_invalid_field_is_named(a_spec, change, field):
    spec = a_spec()
    change(spec)
    with pytest.raises(Invalid) as caught:
        parse_spec(spec)
    assert [name for name, _ in caught.value.errors] == [field]


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        ({"name": "a"}, f"{RESOURCES}.0"),
        ({"name": "a", "path": "a.csv", "data": []}, f"{RESOURCES}.0"),
        ({"name": "a b", "path": "a.csv"}, f"{RESOURCES}.0.name"),
        ({"path": "a.csv"}, f"{RESOURCES}.0.name"),
        ({"name": "a", "path": "../../etc/passwd"}, f"{RESOURCES}.0.path"),
        ({"name": "a", "path": []}, f"{RESOURCES}.0.path"),
        ({"name": "a", "path": ["a.csv", 1]}, f"{RESOURCES}.0.path.1"),
        ({"name": "a", "path": ["a.csv", "../a.csv"]}, f"{RESOURCES}.0.path.1"),
        ({"name": "a", "path": ["a.csv", "https://x.org/a.csv"]}, f"{RESOURCES}.0.path"),
        ({"name": "a", "data": "name\nx"}, f"{RESOURCES}.0.data"),
        ({"name": "a", "path": "a", "format": "a/b"}, f"{RESOURCES}.0.format"),
        ({"name": "a", "path": "a", "schema": "../schema.json"}, f"{RESOURCES}.0.schema"),
        ({"name": "a", "path": "a", "schema": 1}, f"{RESOURCES}.0.schema"),
        ({"name": "a", "path": "a", "schema": {"fields": []}}, f"{RESOURCES}.0.schema.fields"),
        ({"name": "a", "path": "a", "schema": {"fields": [{}]}}, f"{RESOURCES}.0.schema.fields.0.name"),
        (
            {"name": "a", "path": "a", "schema": {"fields": [{"name": "x", "type": "text"}]}},
            f"{RESOURCES}.0.schema.fields.0.type",
        ),
        ({"name": "a", "path": "a", "schema": {"$ref": "#/"}}, f"{RESOURCES}.0.schema.fields"),
    ],
)
def test_invalid_field_of_a_resource_is_named(a_spec, resource, field):
    with pytest.raises(Invalid) as caught:
        parse_spec(a_spec(resources=[resource]))
    assert [name for name, _ in caught.value.errors] == [field]


UNSUPPORTED_PROPERTIES = [
    ("dialect.foo", {"dialect": {"foo": 1}}),
    ("dialect.csv.foo", {"dialect": {"csv": {"foo": 1}}}),
    ("dialect.delimiter", {"dialect": {"delimiter": ""}}),
    ("dialect.delimiter", {"dialect": {"delimiter": ",\n"}}),
    ("dialect.delimiter", {"dialect": {"delimiter": '"'}}),
    ("dialect.delimiter", {"dialect": {"delimiter": "|", "lineTerminator": "||"}}),
    ("dialect.csv.delimiter", {"dialect": {"csv": {"delimiter": "'", "quoteChar": "'"}}}),
    ("dialect.quoteChar", {"dialect": {"quoteChar": "''"}}),
    ("dialect.escapeChar", {"dialect": {"escapeChar": "\n"}}),
    ("dialect.doubleQuote", {"dialect": {"doubleQuote": "no"}}),
    ("dialect.skipInitialSpace", {"dialect": {"skipInitialSpace": True, "delimiter": " "}}),
    ("dialect.header", {"dialect": {"header": 0}}),
    ("dialect.headerRows", {"dialect": {"headerRows": []}}),
    ("dialect.headerRows", {"dialect": {"headerRows": [2, 1]}}),
    ("dialect.headerRows.0", {"dialect": {"headerRows": [0]}}),
    ("dialect.commentRows.0", {"dialect": {"commentRows": ["1"]}}),
    ("dialect.property", {"dialect": {"property": "rows"}}),
    ("dialect.json.property", {"dialect": {"json": {"property": "rows"}}}),
    ("dialect.table", {"dialect": {"table": "t"}}),
    ("dialect.sheetNumber", {"dialect": {"sheetNumber": 0}}),
    ("dialect.excel.fillMergedCells", {"dialect": {"excel": {"fillMergedCells": True}}}),
    ("dialect", {"dialect": []}),
    ("dialect", {"dialect": "../dialect.json"}),
    ("encoding", {"encoding": "utf-9"}),
    ("encoding", {"encoding": "rot13"}),
    ("encoding", {"encoding": "base64"}),
    ("encoding", {"encoding": "idna"}),
    ("encoding", {"encoding": ""}),
    ("encoding", {"encoding": "os.path"}),
    ("encoding", {"encoding": "x" * 100_000}),
    ("encoding", {"encoding": "utf-8" + "-" * 100 + "x"}),
    ("compression", {"compression": "bz2"}),
    ("compression", {"compression": "zip", "path": ["a.csv", "b.csv"]}),
    ("innerpath", {"innerpath": "a.csv"}),
    ("format", {"format": "ods", "type": "table"}),
    ("layout", {"layout": {"limitRows": 2}}),
    ("control", {"control": {"newline": ""}}),
    ("schema.fieldsMatch", {"schema": {"fields": [{"name": "a"}], "fieldsMatch": "some"}}),
    ("schema.missingValues.0", {"schema": {"fields": [{"name": "a"}], "missingValues": [{"label": "x"}]}}),
    ("schema.uniqueKeys.0", {"schema": {"fields": [{"name": "a"}], "uniqueKeys": [["a", "b"]]}}),
    (
        "schema.foreignKeys.0.reference.package",
        {"schema": {"fields": [{"name": "a"}], "foreignKeys": [{"fields": "a", "reference": {"package": "x"}}]}},
    ),
    ("schema.uniqueKeys.0", {"schema": {"fields": [{"name": "a"}], "uniqueKeys": ["b"]}}),
    ("schema.uniqueKeys.0", {"schema": {"fields": [{"name": "a"}], "uniqueKeys": [[{"a": 1}]]}}),
    (
        "schema.foreignKeys.0.reference.resource",
        {
            "schema": {"fields": [{"name": "a"}], "foreignKeys": [{"fields": "a", "reference": {"resource": ["x"]}}]},
            "specstore": {"kind": "derived/csv", "resource": "reds"},
        },
    ),
    ("schema.fields.0.groupChar", {"schema": {"fields": [{"name": "a", "type": "integer", "groupChar": ","}]}}),
    ("schema.fields.0.format", {"schema": {"fields": [{"name": "a", "type": "string", "format": "ipv4"}]}}),
    ("schema.fields.0.format", {"schema": {"fields": [{"name": "a", "type": "number", "format": "currency"}]}}),
    ("schema.fields.0.categories", {"schema": {"fields": [{"name": "a", "type": "number", "categories": [1]}]}}),
    ("schema.fields.0.required", {"schema": {"fields": [{"name": "a", "required": True}]}}),
    (
        "schema.fields.0.constraints.jsonSchema",
        {"schema": {"fields": [{"name": "a", "constraints": {"jsonSchema": {}}}]}},
    ),
    (
        "schema.fields.0.constraints.pattern",
        {"schema": {"fields": [{"name": "a", "type": "integer", "constraints": {"pattern": "x"}}]}},
    ),
    (
        "schema.fields.0.constraints.pattern",
        {"schema": {"fields": [{"name": "a", "type": "string", "constraints": {"pattern": "("}}]}},
    ),
    (
        "schema.fields.0.constraints.pattern",
        {"schema": {"fields": [{"name": "a", "type": "string", "constraints": {"pattern": "(" * 5000 + ")" * 5000}}]}},
    ),
    (
        "schema.fields.0.constraints.enum",
        {"schema": {"fields": [{"name": "a", "type": "integer", "categories": [1], "constraints": {"enum": 5}}]}},
    ),
    ("schema.fields.0.delimiter", {"schema": {"fields": [{"name": "a", "type": "list", "delimiter": ""}]}}),
    ("schema.missingValues.1", {"schema": {"fields": [{"name": "a"}], "missingValues": ["", {"value": "-"}]}}),
    (
        "schema.missingValues.1.label",
        {"schema": {"fields": [{"name": "a"}], "missingValues": [{"value": v, "label": "x"} for v in ("", "-")]}},
    ),
    (
        "schema.missingValues.1.value",
        {"schema": {"fields": [{"name": "a"}], "missingValues": [{"value": "-", "label": v} for v in ("x", "y")]}},
    ),
    ("schema.fields.0.missingValues.0", {"schema": {"fields": [{"name": "a", "missingValues": [1]}]}}),
    (
        "schema.foreignKeys.0.fields",
        {"schema": {"fields": [{"name": "a"}], "foreignKeys": [{"fields": None, "reference": {}}]}},
    ),
    (
        "schema.foreignKeys.0.fields",
        {"schema": {"fields": [{"name": "a"}], "foreignKeys": [{"fields": "b", "reference": {"fields": "c"}}]}},
    ),
    *(
        (
            "schema.foreignKeys.0.reference.fields",
            {"schema": {"fields": [{"name": "a"}], "foreignKeys": [{"fields": "a", "reference": {"fields": fields}}]}},
        )
        for fields in ([1], None, [], ["b", "c"])
    ),
    ("schema.primaryKey", {"schema": {"fields": [{"name": "a"}], "primaryKey": ["a", "b"]}}),
    ("schema.primaryKey", {"schema": {"fields": [{"name": "a", "type": "object"}], "primaryKey": "a"}}),
    ("schema.uniqueKeys", {"schema": {"fields": [{"name": "a", "type": "list"}], "uniqueKeys": [["a"]]}}),
    (
        "schema.foreignKeys",
        {
            "schema": {
                "fields": [{"name": "a", "type": "geojson"}],
                "foreignKeys": [{"fields": ["a"], "reference": {"resource": "b", "fields": ["c"]}}],
            }
        },
    ),
    (
        "schema.fields.0.constraints.unique",
        {"schema": {"fields": [{"name": "a", "type": "array", "constraints": {"unique": True}}]}},
    ),
    (
        "schema.fields.0.constraints.pattern",
        {"schema": {"fields": [{"name": "a", "type": "string", "constraints": {"pattern": "(?i)x"}}]}},
    ),
    ("schema.fields", {"schema": {"fields": [{"name": "a"}, {"name": "b"}, {"name": "a"}]}}),
]


@pytest.mark.parametrize(
    ("field", "properties"), UNSUPPORTED_PROPERTIES, ids=[name for name, _ in UNSUPPORTED_PROPERTIES]
)
def test_property_that_cannot_be_followed_is_named(a_spec, field, properties):
    with pytest.raises(Invalid) as caught:
        parse_spec(a_spec(resources=[{"name": "a", "path": "a.csv", **properties}]))
    assert [name for name, _ in caught.value.errors] == [f"{RESOURCES}.0.{field}"]


SCHEMA_PROPERTIES = [
    "name", "title", "description", "fieldsMatch", "missingValues", "primaryKey", "uniqueKeys", "foreignKeys",
]  # fmt: skip
FIELD_PROPERTIES = [
    "name", "type", "title", "description", "rdfType", "format", "missingValues", "constraints", "categories",
    "trueValues", "falseValues", "decimalChar", "groupChar", "bareNumber", "floatNumber", "delimiter", "itemType",
    "arrayItem",
]  # fmt: skip
CONSTRAINTS = ["required", "unique", "minLength", "maxLength", "pattern", "enum", "minimum", "maximum",
               "exclusiveMinimum", "exclusiveMaximum"]  # fmt: skip
NULLS = [
    *((f"schema.{name}", {"fields": [{"name": "a"}], name: None}) for name in [*SCHEMA_PROPERTIES, "fields"]),
    *((f"schema.fields.0.{name}", {"fields": [{"name": "a", name: None}]}) for name in FIELD_PROPERTIES),
    *(
        (f"schema.fields.0.constraints.{name}", {"fields": [{"name": "a", "constraints": {name: None}}]})
        for name in CONSTRAINTS
    ),
]


@pytest.mark.parametrize(("field", "schema"), NULLS, ids=[name for name, _ in NULLS])
def test_null_in_a_schema_is_rejected_with_the_name_of_the_property(a_spec, field, schema):
    with pytest.raises(Invalid) as caught:
        parse_spec(a_spec(resources=[{"name": "a", "path": "a.csv", "schema": schema}]))
    ((name, message),) = caught.value.errors
    assert name == f"{RESOURCES}.0.{field}" and message.startswith("must ")


@pytest.mark.parametrize(
    "properties",
    [
        {"dialect": None, "schema": None, "encoding": None, "compression": None, "type": None, "format": None},
        {"dialect": {"quoteChar": None, "escapeChar": None, "nullSequence": None, "commentChar": None}},
        {
            "dialect": {
                "caseSensitiveHeader": False,
                "csvddfVersion": 1.2,
                "lineTerminator": "\r\n",
                "doubleQuote": True,
            }
        },
        {
            "$schema": "https://datapackage.org/profiles/2.0/dataresource.json",
            "bytes": 1,
            "hash": "x",
            "scheme": "file",
        },
        {
            "schema": {
                "fields": [{"name": "a", "type": "date", "format": "%d.%m.%Y"}],
                "$schema": "https://x.org/s.json",
            }
        },
        {"schema": {"fields": [{"name": "a", "type": "integer", "bareNumber": False}], "primaryKey": "a"}},
        {"schema": {"fields": [{"name": "a", "type": "number", "decimalChar": ",", "groupChar": "."}]}},
        {"schema": {"fields": [{"name": "a", "type": "list", "delimiter": ";", "itemType": "integer"}]}},
        {"schema": {"fields": [{"name": "a", "constraints": {"unique": True, "required": True, "enum": [1]}}]}},
        {"mediatype": "text/csv", "format": "CSV", "title": "A", "sources": [], "licenses": []},
    ],
)
def test_property_of_the_standard_is_accepted(a_spec, properties):
    assert parse_spec(a_spec(resources=[{"name": "a", "path": "a.csv", **properties}]))


def test_too_many_resources_are_rejected_with_the_limit(a_spec):
    with pytest.raises(Invalid, match="at most 500"):
        parse_spec(a_spec(resources=[{"name": f"r{n}", "path": "a.csv"} for n in range(10_000)]))


def test_unknown_fields_are_ignored(a_spec):
    spec = a_spec(license="MIT", __proto__={})
    spec["meta"]["id"] = "x"
    spec["inputs"][0]["parameters"]["descriptor"]["resources"][0]["title"] = "Reds"
    assert parse_spec(spec).dataset_id == "ann/wines"


def test_optional_fields_may_be_omitted(a_spec):
    spec = a_spec()
    for name in ("version", "findability"):
        del spec["meta"][name]
    assert parse_spec(spec).meta.findability == "published"
