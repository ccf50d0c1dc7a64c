import pytest

from chassis.errors import Invalid
from specstore_service.domain.plans import plan, zip_files
from specstore_service.domain.sources import sources_of
from specstore_service.domain.specs import Spec

FLOW = "ann/wines/1"
# The table of the contract for the resource "reds".
CONTRACT_TABLE = [
    ("validation_report", "Validating package contents", "derived/report", []),
    ("reds_csv", "Creating CSV", "derived/csv", []),
    ("reds_json", "Creating JSON", "derived/json", []),
    ("wines_zip", "Creating ZIP", "derived/zip", ["validation_report", "reds_csv", "reds_json"]),
    ("reds_csv_preview", "Generating views", "derived/preview", ["reds_csv"]),
    ("reds", "Copying source data", "source/tabular", []),
    ("", "Creating Package", "final",
     ["validation_report", "reds_csv", "reds_json", "wines_zip", "reds_csv_preview", "reds"]),
]  # fmt: skip
SCHEMA = {"fields": [{"name": "name", "type": "string"}]}


@pytest.fixture
def plan_of(a_spec):
    def plan_of(*resources, **fields):
        return plan(Spec.model_validate(a_spec(resources=list(resources) or None, **fields), strict=True), FLOW)

    return plan_of


def to_table(pipelines):
    names = [pipeline.id.removeprefix(FLOW).removeprefix("/") for pipeline in pipelines]
    return [
        (name, pipeline.title, pipeline.kind, [names[index] for index in pipeline.needs])
        for name, pipeline in zip(names, pipelines, strict=True)
    ]


def test_plan_equals_the_table_of_the_contract(plan_of):
    assert to_table(plan_of()) == CONTRACT_TABLE


def test_same_spec_produces_the_same_plan(plan_of):
    assert plan_of() == plan_of()


def test_dependencies_precede_their_dependents(plan_of):
    for index, pipeline in enumerate(plan_of(*({"name": f"r{n}", "path": f"r{n}.csv"} for n in range(7)))):
        assert all(dependency < index for dependency in pipeline.needs)


def test_each_resource_has_its_pipelines_and_the_zip_needs_every_csv_and_json(plan_of):
    table = {row[0]: row for row in to_table(plan_of({"name": "a", "path": "a.csv"}, {"name": "b", "path": "b.tsv"}))}
    assert sorted(table) == sorted(
        ["validation_report", "a_csv", "b_csv", "a_json", "b_json", "wines_zip", "a_csv_preview", "b_csv_preview", "a",
         "b", ""]
    )  # fmt: skip
    assert table["wines_zip"][3] == ["validation_report", "a_csv", "b_csv", "a_json", "b_json"]
    assert table["b_csv_preview"][3] == ["b_csv"]
    assert set(table[""][3]) == set(table) - {""}


@pytest.mark.parametrize(
    ("resource", "kind"),
    [
        ({"path": "a.csv"}, "source/tabular"),
        ({"path": "a.CSV"}, "source/tabular"),
        ({"path": "a.xlsx"}, "source/tabular"),
        ({"path": "a", "format": "csv"}, "source/tabular"),
        ({"path": "a.json", "schema": SCHEMA}, "source/tabular"),
        ({"data": [["name"], ["x"]]}, "source/tabular"),
        ({"path": "a.pdf"}, "source/original"),
        ({"path": "a"}, "source/original"),
        ({"path": "a.json"}, "source/original"),
        ({"path": ["a.csv", "b.csv"]}, "source/tabular"),
        ({"path": "https://x.org/a.csv?version=1.2"}, "source/tabular"),
        ({"url": "https://x.org/a.csv"}, "source/tabular"),
        ({"path": "a", "mediatype": "text/csv"}, "source/tabular"),
        ({"path": "a.json", "type": "table"}, "source/tabular"),
        ({"path": "a.json", "profile": "tabular-data-resource"}, "source/tabular"),
        ({"path": "a.json", "schema": "schema.json"}, "source/tabular"),
        ({"path": "a.csv.gz", "compression": "gz"}, "source/tabular"),
        ({"path": "a.csv.gz", "format": "csv"}, "source/tabular"),
        ({"path": "a.csv.gz"}, "source/original"),
        ({"path": "a.csv", "type": "file"}, "source/original"),
    ],
)
def test_only_tabular_sources_are_converted(plan_of, resource, kind):
    table = {row[0]: row for row in to_table(plan_of({"name": "a", **resource}))}
    assert table["a"][2] == kind
    assert ("a_csv" in table, "a_json" in table, "a_csv_preview" in table) == (kind == "source/tabular",) * 3


def test_zip_named_in_the_spec_replaces_the_default(plan_of):
    table = [row[0] for row in to_table(plan_of(outputs=[{"kind": "zip", "parameters": {"out-file": "all.zip"}}]))]
    assert "all_zip" in table and "wines_zip" not in table


def test_explicit_default_outputs_change_nothing(plan_of):
    outputs = [{"kind": kind} for kind in ("csv", "json", "preview", "zip", "package")]
    assert to_table(plan_of(outputs=outputs)) == CONTRACT_TABLE


def test_parquet_output_adds_a_pipeline_for_each_table(plan_of):
    resources = [{"name": "a", "path": "a.csv"}, {"name": "b", "data": [["x"]]}, {"name": "c", "path": "c.pdf"}]
    table = {row[0]: row for row in to_table(plan_of(*resources, outputs=[{"kind": "parquet"}]))}
    for name in ("a_parquet", "b_parquet"):
        assert table[name][1:] == ("Creating Parquet", "derived/parquet", ["validation_report"])
        assert name in table[""][3] and name not in table["wines_zip"][3]
    assert "c_parquet" not in table
    assert set(table) - {"a_parquet", "b_parquet"} == {row[0] for row in to_table(plan_of(*resources))}


def test_default_zip_is_named_after_the_dataset(a_spec):
    assert zip_files(Spec.model_validate(a_spec(), strict=True)) == ["wines.zip"]


def test_processing_creates_a_table_from_a_sheet(plan_of):
    steps = [
        {"input": "book", "output": "first", "tabulator": {"headers": 2, "sheet": 1}},
        {"input": "book.xlsx", "output": "second", "tabulator": {"headers": 1, "sheet": "Second"}},
    ]
    table = {row[0]: row for row in to_table(plan_of({"name": "book", "path": "book.xlsx"}, processing=steps))}
    assert table["book"][2] == "source/original" and "book_csv" not in table
    assert table["first"][2] == table["second"][2] == "source/tabular"
    assert {"first_csv", "second_json", "second_csv_preview"} <= set(table)


def test_processing_determines_how_a_source_is_read(a_spec):
    steps = [
        {"input": "book", "output": "book", "tabulator": {"headers": 3}},
        {"input": "book", "output": "second", "tabulator": {"sheet": 2}},
    ]
    spec = a_spec(resources=[{"name": "book", "path": "d/book.xlsx", "schema": SCHEMA}], processing=steps)
    first, second = sources_of(Spec.model_validate(spec, strict=True))
    assert (first.file, first.format, first.tabulator.headers, first.is_tabular) == ("d/book.xlsx", "xlsx", 3, True)
    assert (second.file, second.tabulator.sheet, second.schema) == ("d/book.xlsx", 2, SCHEMA)


@pytest.mark.parametrize(
    ("url", "mapping", "expected"),
    [
        ("datapackage.json", {}, (None, "d/a.csv")),
        ("folder/datapackage.json", {}, (None, "folder/d/a.csv")),
        ("https://x.org/p/datapackage.json", {}, ("https://x.org/p/d/a.csv", None)),
        ("datapackage.json", {"a": "https://y.org/1"}, ("https://y.org/1", None)),
        ("datapackage.json", {"d/a.csv": "http://y.org/2"}, ("http://y.org/2", None)),
        ("https://x.org/datapackage.json", {"a": "other.csv"}, ("https://x.org/other.csv", None)),
    ],
)
def test_source_location_follows_from_mapping_path_and_package_url(a_spec, url, mapping, expected):
    spec = a_spec(resources=[{"name": "a", "path": "d/a.csv"}])
    spec["inputs"][0]["url"] = url
    spec["inputs"][0]["parameters"]["resource-mapping"] = mapping
    (source,) = sources_of(Spec.model_validate(spec, strict=True))
    assert (source.url, source.file) == expected


@pytest.mark.parametrize(
    "names", [["validation_report"], ["wines_zip"], ["a", "a_csv"], ["a", "a_json"], ["a", "a_csv_preview"]]
)
def test_names_causing_duplicate_pipeline_ids_are_rejected(plan_of, names):
    with pytest.raises(Invalid, match="must not give two pipelines the ID"):
        plan_of(*({"name": name, "path": f"{number}.csv"} for number, name in enumerate(names)))


def test_name_of_a_parquet_pipeline_is_reserved_only_if_there_is_one(plan_of):
    resources = [{"name": "a", "path": "a.csv"}, {"name": "a_parquet", "path": "b.csv"}]
    plan_of(*resources)
    with pytest.raises(Invalid, match="must not give two pipelines the ID a_parquet"):
        plan_of(*resources, outputs=[{"kind": "parquet"}])


def test_duplicate_resource_names_are_rejected(plan_of):
    with pytest.raises(Invalid, match=r"must not give two resources the name a$"):
        plan_of({"name": "a", "path": "0.csv"}, {"name": "a", "path": "1.csv"})


def test_duplicate_zips_are_rejected(plan_of):
    files = [{"kind": "zip", "parameters": {"out-file": name}} for name in ("x", "x.zip")]
    with pytest.raises(Invalid, match="x_zip"):
        plan_of(outputs=files)


def test_parts_of_a_spreadsheet_are_rejected(plan_of):
    with pytest.raises(Invalid, match=r"must have one path, not several, in a: its format is not csv$"):
        plan_of({"name": "a", "path": ["1.xlsx", "2.xlsx"]})


@pytest.mark.parametrize(
    ("url", "mapping", "expected"),
    [
        ("d/datapackage.json", {}, ["d/1.csv", "d/2.csv"]),
        ("https://x.org/datapackage.json", {"2.csv": "https://y.org/2"}, ["https://x.org/1.csv", "https://y.org/2"]),
        ("datapackage.json", {"a": "all.csv"}, ["all.csv"]),
    ],
)
def test_location_of_each_part_follows_from_mapping_and_package_url(a_spec, url, mapping, expected):
    spec = a_spec(resources=[{"name": "a", "path": ["1.csv", "2.csv"], "schema": "s.json"}])
    spec["inputs"][0]["url"] = url
    spec["inputs"][0]["parameters"]["resource-mapping"] = mapping
    (source,) = sources_of(Spec.model_validate(spec, strict=True))
    assert [str(part) for part in source.parts] == expected


def test_tabulator_takes_precedence_over_the_dialect(a_spec):
    dialect = {"headerRows": [2], "sheetName": "Second"}
    resource = {"name": "a", "path": "a.xlsx", "dialect": dialect}

    def read_from(*steps):
        source = sources_of(Spec.model_validate(a_spec(resources=[resource], processing=list(steps)), strict=True))[-1]
        return source.header_rows, source.sheet

    assert read_from() == ([2], "Second")
    assert read_from({"input": "a", "output": "b", "tabulator": {"sheet": 3}}) == ([2], 3)
    assert read_from({"input": "a", "output": "b", "tabulator": {"headers": 1}}) == ([1], "Second")


def test_processing_step_with_an_unknown_input_is_rejected(plan_of):
    for steps in ([{"input": "b", "output": "b"}], [{"input": "c", "output": "b"}, {"input": "b", "output": "c"}]):
        with pytest.raises(Invalid, match=r"processing\.0\.input"):
            plan_of({"name": "a", "path": "a.csv"}, processing=steps)
