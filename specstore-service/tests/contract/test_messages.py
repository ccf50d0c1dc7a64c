import json
from pathlib import Path

import jsonschema_rs
import pytest

CONTRACTS = Path(__file__).parents[2] / "contracts"


def validator(side, name):
    return jsonschema_rs.validator_for(json.loads((CONTRACTS / side / f"{name}.v1.json").read_text()))


@pytest.fixture
def told(api, app, db, a_spec, outbox, settings):
    """Bodies of all messages by their types, of flows that went well, badly, and elsewhere."""
    from datetime import UTC, datetime, timedelta

    from specstore_service.app import create_app
    from specstore_service.operations import scheduling

    well, badly = api.uploaded(schedule="every 1m"), api.uploaded(dataset="beers", findability="private")
    for flow, success in ((well, True), (badly, False)):
        for pipeline in api.status(flow).json["pipelines"]:
            api.finish(pipeline, success, errors=["x" * 5000] * 200)
    with db.transaction() as tx:
        scheduling.run_due(tx, datetime.now(UTC) + timedelta(minutes=2), is_external=False)
    outside = create_app(settings.model_copy(update={"dpp_url": "http://127.0.0.1:9"}))
    outside.test_client().post("/source/upload", json=a_spec(), headers=api.headers)
    outside.database.close()
    found = {}
    for type_, body in outbox():
        found.setdefault(type_, []).append(body)
    return found


NAMES = {file.name.removesuffix(".v1.json") for file in (CONTRACTS / "publishes").iterdir()}


def test_what_it_publishes_keeps_the_contract(told):
    assert set(told) == NAMES
    for name, bodies in told.items():
        for body in bodies:
            validator("publishes", name).validate(body)


def test_what_it_consumes_is_what_it_sends_itself(told):
    for file in (CONTRACTS / "consumes").iterdir():
        name = file.name.removesuffix(".v1.json")
        for body in told[name]:
            validator("consumes", name).validate(body)


def test_an_event_is_never_too_large_for_its_stream(told):
    assert max(len(json.dumps(body)) for body in told["FlowFinished"]) < 256 * 1024
