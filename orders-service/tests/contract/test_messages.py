import json
from pathlib import Path

import jsonschema_rs

PUBLISHES = Path(__file__).parents[2] / "contracts" / "publishes"


def test_what_it_publishes_keeps_the_contract(api, a_file, an_order, outbox):
    api.imported(a_file(an_order(1)))
    api.imported(b"id|name\n1|Ann\n")
    told = outbox()
    assert {name for name, _ in told} == {file.name.removesuffix(".v1.json") for file in PUBLISHES.iterdir()}
    for name, body in told:
        contract = json.loads((PUBLISHES / f"{name}.v1.json").read_text())
        jsonschema_rs.validator_for(contract).validate(body)


def test_each_reason_of_a_failure_is_in_the_contract(api, client, a_file, an_order, outbox):
    contract = json.loads((PUBLISHES / "OrdersImportFailed.v1.json").read_text())
    cancelled = api.accepted(a_file(an_order(1)))
    client.delete(f"/acme_orders/api/v1/orders/import/status/{cancelled}")
    api.finish(cancelled)
    header = b"id|name|email|state|zipcode|birthday"
    too_many, too_long = header + b"|" * 1000, header + b"x" * 2**20
    for content in (b"\xff\xfe", too_many, too_long, header + b"|id", header[3:], header + b"|note"):
        assert api.imported(content)["status"] == "FAILURE"
    failed = [body for name, body in outbox() if name == "OrdersImportFailed"]
    reasons = contract["properties"]["payload"]["properties"]["reason"]["enum"]
    assert [body["payload"]["reason"] for body in failed] == reasons
    for body in failed:
        jsonschema_rs.validator_for(contract).validate(body)
