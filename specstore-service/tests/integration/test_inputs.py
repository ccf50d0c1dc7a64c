"""Resources are read as Data Package defines them, from the upload to the outputs."""

import csv
import gzip
import hashlib
import io
import json
import zipfile

import pytest

SCHEMA = {"fields": [{"name": "id", "type": "integer"}, {"name": "name", "type": "string"}]}
ROWS = [{"id": 1, "name": "Malbec"}, {"id": 2, "name": "Grüner"}]
CSV = "id,name\n1,Malbec\n2,Grüner\n"


@pytest.fixture
def workers(workers, settings):
    """Allow sources on the loopback address, where the tests serve them."""
    workers.settings = settings.model_copy(update={"source_networks": "127.0.0.0/8", "source_bytes": 1_000_000})
    return workers


def a_zip(**files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def errors_of(status, pipeline):
    return status["pipelines"][f"{status['id']}/{pipeline}"]["error_log"]


def test_file_without_headers_loses_no_row(run, put, get):
    put("reds.csv", b"1;Malbec\n2;Gr\xfcner\n")
    dialect = {"header": False, "delimiter": ";"}
    status = run({"name": "reds", "path": "reds.csv", "schema": SCHEMA, "dialect": dialect, "encoding": "cp1252"})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv").decode() == CSV
    assert json.loads(get(status, "reds.json")) == ROWS
    assert get(status, "reds_preview.csv").decode() == CSV
    assert json.loads(get(status, "validation_report.json"))["tables"][0]["rows"] == 2
    assert get(status, "reds_source.csv") == b"1;Malbec\n2;Gr\xfcner\n"


def test_invalid_row_is_reported_with_its_number_in_the_source(run, put):
    put("0.csv", b"# wines\nid,name\n1,a\n# more\nx,b\n")
    put("1.csv", b"id,name\n3,c\ny,d\n")
    path = ["0.csv", "1.csv"]
    status = run({"name": "reds", "path": path, "format": "csv", "schema": SCHEMA, "dialect": {"commentChar": "#"}})
    first, second = errors_of(status, "validation_report")
    assert first.startswith("reds: row 5, field id") and second.startswith("reds: row 8, field id")
    put("2.csv", b"x,a\n")
    status = run({"name": "reds", "path": "2.csv", "schema": SCHEMA, "dialect": {"header": False}})
    assert errors_of(status, "validation_report")[0].startswith("reds: row 1, field id")


@pytest.mark.parametrize(
    ("path", "content", "properties"),
    [
        ("reds.csv.gz", gzip.compress(CSV.encode(), mtime=0), {"format": "csv"}),
        ("reds.csv.gz", gzip.compress(CSV.encode(), mtime=0), {"schema": SCHEMA}),
        ("reds.bin", gzip.compress(CSV.encode(), mtime=0), {"format": "csv", "compression": "gz"}),
        ("reds.zip", a_zip(**{"d/": "", "d/reds.csv": CSV}), {"format": "csv", "compression": "zip"}),
        ("reds.csv.zip", a_zip(a="x", b=CSV), {"format": "csv", "innerpath": "b", "compression": "zip"}),
        (
            "reds.tsv.gz",
            gzip.compress(CSV.replace(",", "\t").encode("utf-16"), mtime=0),
            {"type": "table", "encoding": "utf-16"},
        ),
        ("download", CSV.encode(), {"mediatype": "text/csv"}),
        ("download", CSV.encode(), {"profile": "tabular-data-resource"}),
    ],
)
def test_compressed_source_is_unpacked_and_copied_unchanged(run, put, get, path, content, properties):
    put(path, content)
    status = run({"name": "reds", "path": path, **properties})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv").decode() == CSV
    copy = status["pipelines"][f"{status['id']}/reds"]["stats"]["path"]
    assert get(status, copy) == content
    assert copy.endswith(("_source.csv.gz", "_source.csv.zip", "_source.tsv.gz", "_source.csv"))


@pytest.mark.parametrize(
    ("content", "properties", "message"),
    [
        (
            gzip.compress(b"a\n" * 1_000_000, mtime=0),
            {"compression": "gz"},
            "is larger than 1000000 bytes when unpacked",
        ),
        (a_zip(a=b"a\n" * 1_000_000), {"compression": "zip"}, "is larger than 1000000 bytes when unpacked"),
        (CSV.encode(), {"compression": "gz"}, "is not valid gzip"),
        (gzip.compress(CSV.encode(), mtime=0)[:-9], {"compression": "gz"}, "is a truncated gzip file"),
        (CSV.encode(), {"compression": "zip"}, "is not a valid zip archive"),
        (
            a_zip(a="x", b="y"),
            {"compression": "zip"},
            "contains 2 files: it must contain one, or innerpath must name one",
        ),
        (a_zip(a="x"), {"compression": "zip", "innerpath": "b"}, "does not contain the file b"),
    ],
)
def test_archive_that_cannot_be_unpacked_fails_the_pipelines_of_its_table(run, put, content, properties, message):
    put("reds", content)
    status = run({"name": "reds", "path": "reds", "format": "csv", **properties})
    assert errors_of(status, "reds_csv") == errors_of(status, "validation_report") == [f"reds: {message}"]
    assert errors_of(status, "reds") == []


def test_compressed_tables_that_are_too_large_together_are_rejected(run, put):
    put("reds.gz", gzip.compress(b"id\n" + b"1234567890\n" * 80_000, mtime=0))
    file = {"path": "reds.gz", "format": "csv", "compression": "gz"}
    status = run(*({"name": f"r{number}", **file} for number in range(12)))
    message = "r11: compressed tables are larger than 10000000 bytes when unpacked"
    assert errors_of(status, "validation_report") == [message] and errors_of(status, "r11_csv") == []


def test_bound_that_is_not_a_value_of_its_field_is_named(run):
    fields = [{"name": "id", "type": "integer", "constraints": {"minimum": "x"}}, {"name": "name"}]
    status = run({"name": "reds", "data": ROWS, "schema": {"fields": fields}})
    for pipeline in ("reds_json", "validation_report"):
        assert errors_of(status, pipeline) == ["reds: field id: constraints.minimum must be a valid integer"]


def test_parts_are_fetched_and_joined(run, get, server):
    paths = [server.serve("/p/0.csv", b"id,name\n1,Malbec"), server.serve("/p/1.csv", "id,name\n2,Grüner\n".encode())]
    status = run({"name": "reds", "path": paths, "schema": SCHEMA})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv").decode() == CSV
    assert json.loads(get(status, "reds.json")) == ROWS


def test_parts_that_are_too_large_together_are_rejected(run, put):
    for name in ("0.csv", "1.csv"):
        put(name, b"a\n" * 300_000)
    status = run({"name": "reds", "path": ["0.csv", "1.csv"], "format": "csv"})
    assert errors_of(status, "reds_csv") == errors_of(status, "reds") == ["reds: is larger than 1000000 bytes"]


def test_parts_of_a_file_that_is_not_a_table_are_concatenated(run, put, get):
    put("a", b"12")
    put("b", b"3")
    status = run({"name": "notes", "path": ["a", "b"], "format": "bin"})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "notes.bin") == b"123"


def test_file_that_differs_from_stated_size_and_hash_is_reported(run, put):
    put("reds.csv", CSV.encode())
    sha1 = hashlib.sha1(CSV.encode()).hexdigest()
    resources = [
        {"bytes": len(CSV.encode()), "hash": hashlib.md5(CSV.encode()).hexdigest()},
        {"bytes": len(CSV.encode()), "hash": f"sha1:{sha1}"},
        {"bytes": 1, "hash": f"md5:{sha1}"},
        {"bytes": None, "hash": "crc:1"},
    ]
    status = run(*({"name": f"r{n}", "path": "reds.csv", **resource} for n, resource in enumerate(resources)))
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert [line for line in status["logs"] if "hash" in line or "bytes" in line] == [
        f"r2: the file has {len(CSV.encode())} bytes; the resource states 1",
        "r2: the file does not have the md5 hash that the resource states",
        "r3: the hash was not compared: its algorithm must be md5, sha1, sha256, sha512",
    ]


def test_missing_part_is_named(run, put):
    put("a.csv", b"id\n")
    status = run({"name": "reds", "path": ["a.csv", "b.csv"], "format": "csv"})
    assert errors_of(status, "reds_csv") == ["reds: b.csv was not uploaded"]


@pytest.mark.parametrize("is_url", [True, False])
def test_schema_and_dialect_may_be_files(run, put, get, server, is_url):
    documents = {"schema": SCHEMA, "dialect": {"delimiter": ";"}}
    properties = {}
    for name, document in documents.items():
        content = json.dumps(document).encode()
        put(f"{name}.json", content)
        properties[name] = server.serve(f"/{name}.json", content) if is_url else f"{name}.json"
    put("reds.csv", CSV.replace(",", ";").encode())
    status = run({"name": "reds", "path": "reds.csv", **properties})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert get(status, "reds.csv").decode() == CSV
    assert json.loads(get(status, "reds.json")) == ROWS
    tables = [item for item in json.loads(get(status, "datapackage.json"))["resources"] if item["name"] == "reds_csv"]
    assert tables[0]["schema"]["fields"] == SCHEMA["fields"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "schema.json was not uploaded"),
        (b"{", "schema.json: body: must be valid JSON"),
        (b'{"fields": [{"name": "id", "type": "text"}]}', "schema.json: fields.0.type: must be "),
        (
            b'{"fields": [{"name": "id", "type": "any"}], "uniqueKeys": [["a", "b"]]}',
            "schema.json: uniqueKeys.0: must ",
        ),
        (b'"other.json"', "schema.json: body: must be an object"),
        (b" " * 1024 * 1024 + b"{}", "schema.json must have at most 1048576 bytes"),
    ],
)
def test_invalid_schema_file_fails_only_the_pipelines_of_its_table(run, client, workers, put, content, message):
    if content is not None:
        workers.settings = workers.settings.model_copy(update={"source_bytes": 10_000_000})
        put("schema.json", content)
    inline = {"name": "whites", "data": [{"a": 1}]}
    status = run({"name": "reds", "data": ROWS, "schema": "schema.json"}, inline)
    for pipeline in ("reds_csv", "reds_json", "validation_report"):
        assert errors_of(status, pipeline)[0].startswith(f"reds: {message}")
    states = {id_.rpartition("/")[2]: pipeline["status"] for id_, pipeline in status["pipelines"].items()}
    assert (states["whites_csv"], states["reds"]) == ("SUCCEEDED", "SUCCEEDED")


def test_schema_is_not_fetched_from_a_private_address(api, workers, server, settings):
    workers.settings = settings
    url = server.serve("/secret.json", b"{}")
    request_count = len(server.requests)
    flow = api.create_flow(resources=[{"name": "reds", "data": ROWS, "schema": url}])
    workers.run_all()
    (error,) = errors_of(api.get(flow).json, "reds_csv")
    assert error.startswith(f"reds: {url} cannot be fetched: the host has no address")
    assert len(server.requests) == request_count


def test_properties_of_version_2_are_validated(run):
    fields = [
        {"name": "kind", "type": "string", "categories": ["red", "white"]},
        {"name": "size", "type": "integer", "categories": [{"value": 1, "label": "small"}], "missingValues": ["-"]},
        {"name": "price", "type": "number", "constraints": {"exclusiveMinimum": 0}},
        {"name": "id", "type": "string"},
    ]
    missing = [{"value": "", "label": "empty"}, {"value": "n/a"}]
    schema = {"fields": fields, "uniqueKeys": [["id"]], "missingValues": missing, "fieldsMatch": "subset"}
    rows = [
        ["more", "id", "price", "size", "kind"],
        ["x", "a", "1.5", "-", "red"],
        ["x", "b", "0", "2", "rosé"],
        ["x", "a", "n/a", "1", "white"],
    ]
    status = run({"name": "reds", "data": rows, "schema": schema})
    errors = errors_of(status, "validation_report")
    locations = sorted(error.split(" error")[0] for error in errors)
    assert locations == [
        "reds: row 3, field kind, constraint", "reds: row 3, field price, constraint",
        "reds: row 3, field size, constraint", "reds: row 4, field id, unique",
    ], errors  # fmt: skip


def test_columns_that_match_fields_by_name_have_their_types(run, get):
    rows = [["name", "id"], ["7", "1"]]
    status = run({"name": "reds", "data": rows, "schema": {**SCHEMA, "fieldsMatch": "equal"}})
    assert status["state"] == "SUCCEEDED", status["error_log"]
    assert json.loads(get(status, "reds.json")) == [{"name": "7", "id": 1}]


def test_published_package_can_be_uploaded_again_unchanged(run, put, get, api, a_spec, workers, base_url):
    put("Wine@List.csv", CSV.replace(",", ";").encode("cp1252"))
    put("notes.md", b"# notes")
    key = {"fields": "wine", "reference": {"resource": "Wine@List", "fields": "id"}}
    sales_schema = {"fields": [{"name": "wine", "type": "integer"}], "foreignKeys": [key]}
    status = run(
        {"name": "Wine@List", "path": "Wine@List.csv", "schema": SCHEMA, "encoding": "cp1252",
         "dialect": {"delimiter": ";"}},
        {"name": "sales", "data": [{"wine": 2}], "schema": sales_schema},
        {"name": "notes", "path": "notes.md"},
        outputs=[{"kind": "parquet"}],
    )  # fmt: skip
    assert status["state"] == "SUCCEEDED", status["error_log"]
    for _ in range(2):
        url = f"{base_url}/source/{status['id']}/data/datapackage.json"
        spec = a_spec(dataset="wines", outputs=[{"kind": "parquet"}])
        descriptor = json.loads(get(status, "datapackage.json"))
        spec["inputs"][0].update(url=url, parameters={"descriptor": descriptor})
        response = api.upload(spec)
        assert response.status_code == 200, response.json
        workers.run_all()
        republished = api.get(response.json["flow_id"]).json
        assert republished["state"] == "SUCCEEDED", republished["error_log"]
        assert republished["spec_contents"] == spec
        assert [id_.removeprefix(republished["id"]) for id_ in republished["pipelines"]] == [
            id_.removeprefix(status["id"]) for id_ in status["pipelines"]
        ]
        for file in ("Wine@List.csv", "Wine@List.json", "Wine@List.parquet", "sales.csv", "notes.md"):
            assert get(republished, file) == get(status, file)
        status = republished
    assert list(csv.reader(io.StringIO(get(status, "Wine@List.csv").decode())))[2] == ["2", "Grüner"]


def test_descriptor_with_profiles_is_accepted(api, a_spec):
    for profile in (
        {"$schema": "https://datapackage.org/profiles/2.0/datapackage.json"},
        {"profile": "tabular-data-package"},
    ):
        spec = a_spec()
        spec["inputs"][0]["parameters"]["descriptor"].update(profile)
        assert api.upload(spec).status_code == 200


def test_flow_whose_spec_is_no_longer_supported_fails_with_an_explanation(api, workers, db):
    flow = api.create_flow()
    spec = api.get(flow).json["spec_contents"]
    spec["inputs"][0]["parameters"]["descriptor"]["resources"][0]["dialect"] = {"foo": 1}
    with db.transaction() as tx:
        tx.run("UPDATE flows SET spec = %(spec)s WHERE name = %(flow)s", spec=json.dumps(spec), flow=flow)
    workers.run_all()
    status = api.get(flow).json
    assert status["state"] == "FAILED"
    assert "resources.0.dialect.foo: is not a known parameter" in errors_of(status, "reds_csv")[0]
