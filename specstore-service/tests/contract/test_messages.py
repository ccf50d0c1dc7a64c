import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema_rs
import pytest

from specstore_service.app import create_app
from specstore_service.operations import scheduling

CONTRACTS = Path(__file__).parents[2] / "contracts"


def validator(direction, name):
    return jsonschema_rs.validator_for(json.loads((CONTRACTS / direction / f"{name}.v1.json").read_text()))


@pytest.fixture
def messages(api, app, db, a_spec, outbox, settings):
    """Return the bodies of all messages by type, sent by a successful, a failed and an externally run flow."""
    successful = api.create_flow(schedule="every 1m")
    failed = api.create_flow(dataset="beers", findability="private")
    for flow, success in ((successful, True), (failed, False)):
        for pipeline in api.get(flow).json["pipelines"]:
            api.finish(pipeline, success, errors=["x" * 5000] * 200)
    with db.transaction() as tx:
        scheduling.run_due(tx, datetime.now(UTC) + timedelta(minutes=2), is_external=False)
    app_with_external_runner = create_app(settings.model_copy(update={"dpp_url": "http://127.0.0.1:9"}))
    app_with_external_runner.test_client().post("/source/upload", json=a_spec(), headers=api.headers)
    app_with_external_runner.database.close()
    bodies_by_type = {}
    for type_, body in outbox():
        bodies_by_type.setdefault(type_, []).append(body)
    return bodies_by_type


PUBLISHED_TYPES = {file.name.removesuffix(".v1.json") for file in (CONTRACTS / "publishes").iterdir()}


def test_published_messages_match_their_contracts(messages):
    assert set(messages) == PUBLISHED_TYPES
    for name, bodies in messages.items():
        for body in bodies:
            validator("publishes", name).validate(body)


def test_sent_jobs_match_the_contracts_of_their_handlers(messages):
    for file in (CONTRACTS / "consumes").iterdir():
        name = file.name.removesuffix(".v1.json")
        for body in messages[name]:
            validator("consumes", name).validate(body)


def test_event_with_maximum_errors_fits_into_its_stream(messages):
    assert max(len(json.dumps(body)) for body in messages["FlowFinished"]) < 256 * 1024
