"""Each command of `quintet` in its three forms: on a terminal of 80 columns, in a pipe, and as JSON."""

import json
import secrets

import pytest

from quintet_e2e import orders, specs
from quintet_e2e.clients import ok_json
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK

COLUMNS = 80


@pytest.fixture
def name():
    """Return a name that no other test uses."""
    return f"cli-{secrets.token_hex(4)}"


def shown(cli, *arguments, exit_code=0, typed=""):
    """Return what a command shows on a terminal; it has colors or bold text, and fits 80 columns."""
    screen = cli.show(*arguments, typed=typed)
    assert screen.exit_code == exit_code, screen.text
    assert screen.width <= COLUMNS, screen.text
    return screen.text


def test_numbers_are_issued_and_sequences_managed(cli, name):
    definition = ("--format", "INV-{:05d}", "--maximum", 99999)
    assert cli.output("sequence", "create", name, *definition) == f"Created {name}; the next number is 1\n"
    assert cli.json("sequence", "create", name, *definition)["maximum"] == 99999
    assert cli.output("next", name) == "INV-00001\n"
    assert shown(cli, "next", name, "-n", 2) == "INV-00002\nINV-00003\n"
    issued = {"sequence_list": [4], "formatted": ["INV-00004"]}
    assert cli.json("next", name, "--key", name) == issued == cli.json("next", name, "--key", name)
    assert [name, "INV-{:05d}", "4", "5", "99995", ""] in cli.rows("sequence", "list")
    assert name in [entry["name"] for entry in cli.json("sequence", "list")]
    assert "99,995" in next(line for line in shown(cli, "sequence", "list").splitlines() if name in line)
    assert ["next", "5"] in cli.rows("sequence", "show", name)
    assert cli.json("sequence", "show", name)["next"] == 5
    assert "remaining  99,995\n" in shown(cli, "sequence", "show", name)


def test_events_are_appended_and_printed(cli, client, name):
    first = cli.output("append", name, "OrderPlaced", '{"order": 1}').strip()
    second = cli.json("append", name, "OrderPaid", "-", "--version", 2, "--key", name, input='{"order": 1}')["id"]
    assert cli.output("append", name, "OrderPaid", '{"note": "tab\\t", "text": "' + "wine " * 40 + '"}')
    (stored, *_) = ok_json(client.get(f"/api/v1/streams/{name}/events?from=1&limit=10"))
    (line, *_) = cli.rows("tail", name, "--no-follow")
    assert line == [stored["received_at"], "1", "OrderPlaced", first, '{"order": 1}']
    assert cli.json_lines("tail", name, "--no-follow", "--from", "start")[0] == stored
    text = shown(cli, "tail", name, "--no-follow")
    assert '#1  OrderPlaced  {"order": 1}\n' in text and len(text.splitlines()) > 5
    positions = {
        ("-n", 1): [3], ("-n", 2): [2, 3], ("--from", 2): [2, 3], ("--from", "1h"): [1, 2, 3], ("-n", 0): [],
        ("--name", "OrderPaid"): [2, 3], ("--name", "OrderPaid", "--from", "start"): [2, 3],
        ("--from", "2100-01-01"): [], ("--from", stored["received_at"]): [1, 2, 3],
    }  # fmt: skip
    for options, expected in positions.items():
        events = cli.json_lines("tail", name, "--no-follow", *options)
        assert [event["position"] for event in events] == expected, options
    assert cli.json_lines("tail", name, "--no-follow", "-n", 2)[0]["event"]["id"] == second
    (row,) = [row for row in cli.rows("streams", "list") if row[0] == name]
    assert row[1:4] == [client.stack.user, "3", "2"]
    assert name in [entry["stream"] for entry in cli.json("streams", "list")]
    assert name in shown(cli, "streams", "list")


def test_orders_are_imported_with_report_and_listed(cli, tmp_path):
    first_id = orders.first_unused_id()
    file, report = tmp_path / "orders.csv", tmp_path / "orders.errors.csv"
    file.write_bytes(orders.orders_file(first_id, 3000))
    counts = {name: str(count) for name, count in orders.expected_counts(3000).items()}
    assert dict(cli.rows("import", file.name, "--dry-run")).items() >= counts.items()
    assert len(report.read_bytes().splitlines()) == 1 + int(counts["invalid"])
    report.unlink()
    text = shown(cli, "import", file.name)
    assert "Uploading" in text and "Importing" in text and "100 %" in text and "3,000 rows" in text
    assert "rows        3,000\n" in text and "orders.errors.csv" in text and report.exists()
    other_report = tmp_path / "other.csv"
    cli.json("import", file.name, "--dry-run", "--report", other_report)
    assert other_report.exists()
    rejected = cli.run("import", file.name, "--report", tmp_path / "missing" / "errors.csv")
    assert rejected.returncode == 2 and "choose --report" in rejected.stderr
    document = cli.json("import", report.name, "--update")
    assert document["updated"] == document["total"] == int(counts["invalid"])
    assert document["report"] == "orders.errors.errors.csv"
    mapped = tmp_path / "mapped.csv"
    mapped.write_bytes(
        "Nr|name|email|state|zipcode|birthday\n7|Ümit|u@example.com|KY|12345|20.06.1936\n".encode("cp1252")
    )
    options = ("--columns", "id=Nr", "--encoding", "cp1252", "--date-format", "%d.%m.%Y", "--dry-run")
    document = cli.json("import", mapped.name, *options)
    assert (document["total"], document["rejected"], document["dry_run"]) == (1, 0, True)
    listed = cli.json("orders", "list", "--state", "PA", "--invalid", "-n", 2)
    assert len(listed) == 2 and not any(order["valid"] for order in listed)
    assert cli.rows("orders", "list", "-n", 1, "--valid")[0][2] == "yes"
    assert "VALID" in shown(cli, "orders", "list", "-n", 3)
    assert cli.json("orders", "show", first_id)["id"] == first_id
    assert ["state", "IA"] in cli.rows("orders", "show", first_id)
    assert f"id        {first_id}\n" in shown(cli, "orders", "show", first_id)


@pytest.fixture
def spec_file(cli, name, tmp_path):
    """Return a function that writes a spec as YAML, with the rows as JSON, which is YAML too."""

    def write(rows):
        resource = {"name": "reds", "data": rows, "schema": {"fields": specs.FIELDS}}
        parameters = {"descriptor": {"name": "wines", "resources": [resource]}}
        inputs = [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}]
        file = tmp_path / "spec.yaml"
        text = f"meta: {{dataset: {name}, version: 1, findability: published}}\ninputs: {json.dumps(inputs)}\n"
        file.write_text(text, encoding="utf-8")
        return file.name

    return write


def test_specs_are_pushed_and_files_downloaded(cli, client, name, spec_file, tmp_path):
    owner = client.stack.user
    text = shown(cli, "spec", "push", spec_file(specs.ROWS))
    assert f"{owner}/{name}/1: SUCCEEDED\n" in text and text.count("SUCCEEDED") == 8 and "QUEUED" not in text
    *pipelines, last = cli.rows("spec", "push", spec_file(specs.ROWS))
    assert {row[2] for row in pipelines} == {"SUCCEEDED"} and last == [f"{owner}/{name}/2: SUCCEEDED"]
    assert cli.json("spec", "push", spec_file(specs.ROWS))["state"] == "SUCCEEDED"
    failed = cli.run("spec", "push", spec_file([{**specs.ROWS[0], "year": "unknown"}]))
    assert failed.returncode == 1 and "row 2, field year" in failed.stderr
    assert cli.json("spec", "push", spec_file(specs.ROWS), "--no-wait")["id"] == f"{owner}/{name}/5"
    paths = cli.output("data", "get", f"{owner}/{name}/3").splitlines()
    assert len(paths) == 7 and f"{name}/reds.csv" in paths and (tmp_path / name / "reds.csv").stat().st_size
    assert len(cli.json("data", "get", f"{owner}/{name}", "-o", "out")["files"]) == 7
    assert "datapackage.json ━" in shown(cli, "data", "get", f"{owner}/{name}", "-o", "out")
    assert [name, "5"] == next(
        [row[0].split("/")[1], row[1]] for row in cli.rows("data", "list", owner) if name in row[0]
    )
    assert f"{owner}/{name}" in [dataset["id"] for dataset in cli.json("data", "list")]
    assert name in shown(cli, "data", "list")


def test_production_is_recorded_loaded_and_drawn(cli, name, tmp_path):
    factory_id = cli.output("factory", "create", name).strip()
    assert cli.json("factory", "create", f"{name}-2")["name"] == f"{name}-2"
    time = "2026-11-26T10:00:00Z"
    assert cli.output("factory", "record", factory_id, time, 32, 31) == f"Recorded 32 of 31 at {time}\n"
    assert cli.json("factory", "record", factory_id, "2026-11-26T11:00Z", 30, 31) == {"accepted": 1}
    points = [{"time": time, "actual": 32, "goal": 31}, {"time": "2026-11-26T11:00:00Z", "actual": 30, "goal": 31}]
    eventually(lambda: cli.json("factory", "chart", factory_id) == {"id": int(factory_id), "points": points})
    assert cli.rows("factory", "chart", factory_id, "--to", time) == [[time, "32", "31"]]
    assert cli.output("factory", "chart", factory_id, "--csv").splitlines()[:2] == ["time,actual,goal", f"{time},32,31"]
    (tmp_path / "points.csv").write_text(
        "time,actual,goal\n" + "".join(f"{1795687200 + n},{n},500\n" for n in range(900))
    )
    assert cli.output("factory", "load", "points.csv", "--into", factory_id) == "Loaded 900 points from points.csv\n"
    assert cli.json("factory", "load", "points.csv", "--into", factory_id)["status"] == "SUCCESS"
    assert "Uploading" in shown(cli, "factory", "load", "points.csv", "--into", factory_id)
    text = shown(cli, "factory", "chart", factory_id)
    assert "─ goal" in text and "⠒ actual" in text and "501 points below the goal" in text
    newest = next(row for row in cli.rows("factory", "list") if row[0] == factory_id)
    assert newest[1:4] == [name, "30", "31"]
    assert factory_id in [str(entry["id"]) for entry in cli.json("factory", "list")]
    assert "▁" in next(line for line in shown(cli, "factory", "list").splitlines() if name in line)


def test_sprockets_are_added_and_listed(cli):
    numbers = ("--teeth", 11, "--pitch-diameter", 33, "--outside-diameter", 37, "--pitch", 3)
    sprocket_id = cli.output("sprocket", "add", *numbers).strip()
    assert cli.json("sprocket", "add", *numbers)["teeth"] == 11
    assert [sprocket_id, "11", "33", "37", "3"] in cli.rows("sprocket", "list")
    assert int(sprocket_id) in [sprocket["id"] for sprocket in cli.json("sprocket", "list")]
    assert "OUTSIDE DIAMETER" in shown(cli, "sprocket", "list")
