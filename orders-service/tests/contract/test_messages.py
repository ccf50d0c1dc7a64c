import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema_rs

from orders_service.operations.deletions import run_undo

PUBLISHES = Path(__file__).parents[2] / "contracts" / "publishes"


def test_published_messages_match_their_schemas(api, client, db, build_csv, build_row, outbox):
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    client.delete(f"/acme_orders/api/v1/orders/import/{task}")
    run_undo(db, task, lambda: datetime.now(UTC), lambda: False)
    api.run_import(b"id|name\n1|Ann\n")
    messages = outbox()
    assert {name for name, _ in messages} == {file.name.removesuffix(".v1.json") for file in PUBLISHES.iterdir()}
    for name, body in messages:
        contract = json.loads((PUBLISHES / f"{name}.v1.json").read_text())
        jsonschema_rs.validator_for(contract).validate(body)


def test_schema_lists_every_failure_reason(api, client, build_csv, build_row, outbox):
    contract = json.loads((PUBLISHES / "OrdersImportFailed.v1.json").read_text())
    cancelled = api.start_import(build_csv(build_row(1)))
    client.delete(f"/acme_orders/api/v1/orders/import/status/{cancelled}")
    api.finish(cancelled)
    workbook = api.upload(b"", "?file_name=a.xlsx").json["result"]["task_id"]
    assert api.finish(workbook)["status"] == "FAILURE"
    header = b"id|name|email|state|zipcode|birthday"
    too_many, too_long = header + b"|" * 1000, header + b"x" * 2**20
    for content in (b"\xff\xff", too_many, too_long, header + b"|id", header[3:]):
        assert api.run_import(content)["status"] == "FAILURE"
    failed = [body for name, body in outbox() if name == "OrdersImportFailed"]
    reasons = contract["properties"]["payload"]["properties"]["reason"]["enum"]
    # Only imports of a previous version have the one reason; a large workbook has the other one.
    reasons = [reason for reason in reasons if reason not in ("unknown_columns", "large_workbook")]
    assert [body["payload"]["reason"] for body in failed] == reasons
    for body in failed:
        jsonschema_rs.validator_for(contract).validate(body)
